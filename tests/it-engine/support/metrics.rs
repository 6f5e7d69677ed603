//! What `/metrics` said at one time.

/// All samples.
#[derive(Clone, Debug)]
pub struct Metrics(Vec<(String, String, f64)>);

impl Metrics {
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#')).filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            Some((name.to_owned(), labels.trim_end_matches('}').to_owned(), value.parse().ok()?))
        });
        Self(samples.collect())
    }

    /// The sum of all samples of this name with these labels; `None`: there are none.
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let wanted: Vec<String> = labels.iter().map(|(key, value)| format!("{key}=\"{value}\"")).collect();
        let fits = |have: &str| wanted.iter().all(|want| have.split(',').any(|label| label == want));
        let found: Vec<f64> =
            self.0.iter().filter(|(n, have, _)| n == name && fits(have)).map(|(.., value)| *value).collect();
        (!found.is_empty()).then(|| found.iter().sum())
    }
}
