//! What many runs were like.

use std::collections::BTreeMap;
use std::fmt;

use super::run::Report;
use super::scenario::Scenario;

/// Counts over runs.
#[derive(Debug, Default)]
pub struct Tally {
    pub runs: u64,
    pub broken: u64,
    /// In how many runs a fault did something.
    pub fired: BTreeMap<String, u64>,
    services: BTreeMap<usize, u64>,
    faults: BTreeMap<usize, u64>,
    decisions: u64,
    calls: u64,
    /// Runs in which every service had to be as without faults.
    strict: u64,
    all_services: u64,
    loose_services: u64,
    healed_after: BTreeMap<u64, u64>,
}

impl Tally {
    pub fn add(&mut self, scenario: &Scenario, report: &Report) {
        self.runs += 1;
        self.broken += u64::from(!report.violations.is_empty());
        for kind in report.fired.keys() {
            *self.fired.entry(kind.clone()).or_default() += 1;
        }
        *self.services.entry(report.services).or_default() += 1;
        *self.faults.entry(scenario.faults.len()).or_default() += 1;
        self.decisions += report.decisions;
        self.calls += u64::from(report.calls);
        self.strict += u64::from(report.loose == 0);
        self.all_services += report.services as u64;
        self.loose_services += report.loose as u64;
        let bucket = [1, 5, 30, 120, 600, 1_800].into_iter().find(|s| report.healed_after <= *s).unwrap_or(u64::MAX);
        *self.healed_after.entry(bucket).or_default() += 1;
    }

    /// Faults that were planned for and did something in less than a hundredth of the runs.
    pub fn rare(&self) -> Vec<&str> {
        let seldom = self.fired.iter().filter(|(_, n)| *n * 100 < self.runs);
        seldom.map(|(kind, _)| kind.as_str()).collect()
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |n: u64, of: u64| 100.0 * n as f64 / of.max(1) as f64;
        writeln!(f, "{} runs, {} with a violation", self.runs, self.broken)?;
        writeln!(f, "{} decisions, {} changing calls", self.decisions, self.calls)?;
        writeln!(
            f,
            "as without faults: every service in {:.0} % of the runs, {:.0} % of all services",
            part(self.strict, self.runs),
            part(self.all_services - self.loose_services, self.all_services)
        )?;
        let row = |name: &str, counts: &BTreeMap<usize, u64>| {
            let cells: Vec<_> =
                counts.iter().map(|(n, count)| format!("{n}:{:.1}%", part(*count, self.runs))).collect();
            format!("{name}: {}", cells.join(" "))
        };
        writeln!(f, "{}", row("services a run", &self.services))?;
        writeln!(f, "{}", row("faults a run", &self.faults))?;
        let healed: Vec<_> = self
            .healed_after
            .iter()
            .map(|(s, n)| match *s {
                u64::MAX => format!("longer:{:.1}%", part(*n, self.runs)),
                s => format!("{s}s:{:.1}%", part(*n, self.runs)),
            })
            .collect();
        writeln!(f, "well again within (virtual): {}", healed.join(" "))?;
        writeln!(f, "faults that did something, in % of the runs:")?;
        for (kind, count) in &self.fired {
            writeln!(f, "  {kind:<28}{:>6.1}", part(*count, self.runs))?;
        }
        if !self.rare().is_empty() {
            writeln!(f, "in less than one of a hundred: {}", self.rare().join(", "))?;
        }
        Ok(())
    }
}
