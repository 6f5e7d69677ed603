//! Medians, spreads and targets, as a table for people and as JSON for machines.

use serde_json::{Value, json};

/// Samples of one quantity.
#[derive(Clone, Default)]
pub struct Samples(pub Vec<f64>);

impl Samples {
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    pub fn median(&self) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let middle = sorted.len() / 2;
        match sorted.len() {
            0 => f64::NAN,
            len if len % 2 == 1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        }
    }

    pub fn min(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::min)
    }

    pub fn max(&self) -> f64 {
        self.0.iter().copied().fold(f64::NAN, f64::max)
    }

    /// Pair by pair: what a slow minute does to both sides cancels out.
    #[allow(dead_code, reason = "not every benchmark compares two sides")]
    pub fn over(&self, other: &Samples) -> Samples {
        Samples(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }

    pub fn json(&self) -> Value {
        json!({ "median": self.median(), "min": self.min(), "max": self.max(), "samples": self.0 })
    }
}

/// One measurement's part of the report, printed as it grows.
pub struct Section {
    key: &'static str,
    rows: Vec<Value>,
    targets: Vec<Value>,
    extra: Value,
    missed: usize,
}

impl Section {
    pub fn new(key: &'static str, title: &str) -> Self {
        println!("\n{key}: {title}");
        println!("  {:<44} {:>10} {:>10} {:>10} {:>4}", "", "median", "min", "max", "n");
        Section { key, rows: Vec::new(), targets: Vec::new(), extra: json!({}), missed: 0 }
    }

    /// A section whose figures are not samples: a table with columns of its own.
    #[allow(dead_code, reason = "not every benchmark has such a table")]
    pub fn table(key: &'static str, title: &str) -> Self {
        println!("\n{key}: {title}");
        Section { key, rows: Vec::new(), targets: Vec::new(), extra: json!({}), missed: 0 }
    }

    #[allow(dead_code, reason = "see `table`")]
    pub fn columns(&self, names: &[String]) {
        let names: String = names.iter().map(|name| format!(" {name:>15}")).collect();
        println!("  {:<32}{names}", "");
    }

    #[allow(dead_code, reason = "see `table`")]
    pub fn line(&mut self, what: &str, values: &[f64]) {
        let show = |value: &f64| format!(" {value:>15.precision$}", precision = usize::from(value.fract() != 0.0) * 2);
        println!("  {what:<32}{}", values.iter().map(show).collect::<String>());
        self.rows.push(json!({ "what": what, "values": values }));
    }

    pub fn row(&mut self, what: &str, unit: &str, samples: &Samples) {
        let show = |value: f64| {
            if unit.is_empty() { format!("{value:.3}") } else { format!("{value:.2}") }
        };
        let name = if unit.is_empty() { what.to_owned() } else { format!("{what}, {unit}") };
        println!(
            "  {name:<44} {:>10} {:>10} {:>10} {:>4}",
            show(samples.median()),
            show(samples.min()),
            show(samples.max()),
            samples.0.len()
        );
        let mut row = samples.json();
        row["what"] = json!(what);
        row["unit"] = json!(unit);
        self.rows.push(row);
    }

    pub fn target(&mut self, what: &str, value: f64, relation: &str, limit: f64, unit: &str) {
        let met = if relation == "<=" { value <= limit } else { value < limit };
        let verdict = if met { "met" } else { "MISSED" };
        println!("  target: {what} {relation} {limit}{unit}: {value:.3}{unit}, {verdict}");
        self.targets.push(json!({
            "what": what, "relation": relation, "limit": limit, "unit": unit.trim(), "value": value, "met": met,
        }));
        self.missed += usize::from(!met);
    }

    pub fn note(&mut self, key: &str, value: Value) {
        self.extra[key] = value;
    }

    /// The key, the JSON, and how many targets were missed.
    pub fn end(self) -> (&'static str, Value, usize) {
        let mut value = json!({ "rows": self.rows, "targets": self.targets });
        if let (Some(value), Value::Object(extra)) = (value.as_object_mut(), self.extra) {
            value.extend(extra);
        }
        (self.key, value, self.missed)
    }
}
