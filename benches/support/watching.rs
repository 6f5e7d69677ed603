//! What it costs to know how services are: probes, and the streams of what they use.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::report::{Samples, Section};
use super::stage::Project;
use super::{Bench, cpu_seconds, resident_megabytes};

/// Services that are watched.
const SERVICES: usize = 100;

/// What the manifest adds to each service, and what that is called.
const WAYS: [(&str, &str); 4] = [
    ("nothing", ""),
    ("probes every 30 s", "    x-evenkeel: {health: {http: {port: 8080, path: /health}, interval: 30s}}\n"),
    ("probes every 3 s", "    x-evenkeel: {health: {http: {port: 8080, path: /health}, interval: 3s}}\n"),
    ("streams of statistics", "    x-evenkeel: {throttle: {cpu: {above: 90%}, memory: {above: 90%}}}\n"),
];

impl Bench {
    /// The same containers with and without somebody who watches them: what is added to a manifest changes none of them.
    pub fn watch(&self) -> Result<Section> {
        let window = Duration::from_secs(self.args.window);
        let mut section =
            Section::new("watch", &format!("{SERVICES} services, watched in several ways, {window:?} each"));
        let (controller, containers) = self.controller(SERVICES)?;
        let mut shares = Vec::new();
        let mut resident = Samples::default();
        for (name, lines) in WAYS {
            controller.project.save(&text(&controller.project, lines))?;
            thread::sleep(Duration::from_secs(self.args.settle));
            let (began, cpu) = (Instant::now(), cpu_seconds(controller.program.pid)?);
            while began.elapsed() < window {
                thread::sleep(Duration::from_secs(5).min(window.saturating_sub(began.elapsed())));
                controller.program.expect_alive()?;
                resident.push(resident_megabytes(controller.program.pid, "VmRSS:")?);
            }
            let share = (cpu_seconds(controller.program.pid)? - cpu) / began.elapsed().as_secs_f64() * 100.0;
            section.row(&format!("CPU with {name}"), "% of a core", &Samples(vec![share]));
            shares.push(share);
        }
        section.row("resident memory", "MB", &resident);
        let same = controller.project.running()?.iter().map(|c| &c.id).eq(containers.iter().map(|c| &c.id));
        anyhow::ensure!(same, "containers were made anew while they were watched");
        let [rest, seldom, often, streams] = shares[..] else { anyhow::bail!("not all ways were measured") };
        section.target("probes of 100 services at 30 s", seldom - rest, "<", 1.0, " %");
        section.target("as many probes as of 1000 services at 30 s", often - rest, "<", 2.0, " %");
        section.target("streams of 100 services", streams - rest, "<", 0.5, " %");
        section.target("resident memory, highest", resident.max(), "<", 40.0, " MB");
        controller.finish()?;
        Ok(section)
    }
}

/// The manifest with these lines in each service.
fn text(project: &Project, lines: &str) -> String {
    let text = project.text(SERVICES, false, &vec![0; SERVICES]);
    text.replace("    environment:\n", &format!("{lines}    environment:\n"))
}
