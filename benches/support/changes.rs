//! What a change costs, and how long a chain of health checks takes.

use std::collections::HashMap;
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::report::{Samples, Section};
use super::stage::{Project, unix_url};
use super::{Bench, LIMIT, Side, over_the_floor};

/// Services in a chain of health checks.
const LINKS: usize = 10;

impl Bench {
    /// A chain in which each service waits for the one before it to be healthy.
    pub fn healthy(&self) -> Result<Section> {
        let mut section = Section::new(
            "healthy",
            &format!("{LINKS} services, each waits for the one before to be healthy, every 2 s"),
        );
        let sides: Vec<Side> = self.sides().into_iter().filter(|s| *s != Side::Floor).collect();
        let mut times: HashMap<Side, Samples> = HashMap::new();
        for round in 0..self.args.pairs {
            for turn in 0..sides.len() {
                let side = sides[(turn + round) % sides.len()];
                let project = self.stage.project()?;
                project.save(&gated(&project))?;
                let began = Instant::now();
                self.converge(side, &project)?;
                times.entry(side).or_default().push(began.elapsed().as_secs_f64());
                project.expect_running(LINKS).with_context(|| format!("after {}", side.name()))?;
                project.finish()?;
            }
        }
        for side in &sides {
            section.row(side.name(), "s", &times[side]);
            if *side == Side::Evenkeel {
                section.target("evenkeel, median", times[side].median(), "<=", 3.5, "s");
            }
        }
        Ok(section)
    }

    /// One of many services gets another environment: a whole run of the program over the bare calls for that one.
    pub fn change(&self) -> Result<Section> {
        let count = self.args.services;
        let mut section = Section::new("change", &format!("one of {count} running services gets another environment"));
        let mut times: HashMap<Side, Samples> = HashMap::new();
        let sides = self.sides();
        let projects: Vec<Project> = sides.iter().map(|_| self.stage.project()).collect::<Result<_>>()?;
        let mut generations = vec![0; count];
        for (side, project) in sides.iter().zip(&projects) {
            project.save(&project.text(count, false, &generations))?;
            // What the floor changes is made by whoever makes the others.
            let maker = if *side == Side::Floor { Side::Evenkeel } else { *side };
            self.converge(maker, project)?;
            project.expect_running(count)?;
        }
        let mut ids = 0;
        for round in 1..=self.args.warmup + self.args.pairs {
            generations[count / 2] = round;
            for turn in 0..sides.len() {
                let at = (turn + round) % sides.len();
                let (side, project) = (sides[at], &projects[at]);
                let before = project.running()?;
                project.save(&project.text(count, false, &generations))?;
                let began = Instant::now();
                match side {
                    Side::Floor => self.replace_one(&before[count / 2].id, round)?,
                    side => self.converge(side, project)?,
                }
                let took = began.elapsed().as_secs_f64();
                let after = project.running()?;
                if side == Side::Evenkeel {
                    ids = before.iter().filter(|b| after.iter().any(|a| a.id == b.id)).count();
                    assert_eq!(ids, count - 1, "the others are left alone");
                }
                if round > self.args.warmup {
                    times.entry(side).or_default().push(took);
                }
            }
        }
        over_the_floor(&mut section, &sides, &times);
        section.note("ids_unchanged", json!(ids));
        for project in projects {
            project.finish()?;
        }
        Ok(section)
    }

    /// Runs the program until it ended.
    fn converge(&self, side: Side, project: &Project) -> Result<()> {
        let mut command;
        if side == Side::Evenkeel {
            command = Command::new(&self.evenkeel);
            command.arg("apply").arg(project.manifest()).arg("--state").arg(project.state());
            command.arg("--engine").arg(unix_url(&self.stage.socket));
        } else {
            command = Command::new(self.compose.as_ref().context("a docker-compose is needed")?);
            command.env("DOCKER_HOST", unix_url(&self.stage.socket));
            command.arg("-f").arg(project.manifest()).args(["up", "-d"]);
        }
        self.spawn(project, command)?.wait(LIMIT).map(|_| ())
    }

    /// The calls that replacing one container takes, and nothing else.
    fn replace_one(&self, id: &str, round: usize) -> Result<()> {
        let mut engine = self.stage.engine()?;
        let inspect = engine.call("GET", &format!("/containers/{id}/json"), None)?.success("inspect")?;
        let name = inspect["Name"].as_str().unwrap_or_default().trim_start_matches('/').to_owned();
        let mut body = inspect["Config"].clone();
        body["Env"] = json!(["PORT=8080", format!("GENERATION={round}")]);
        body["Hostname"] = Value::Null;
        body["HostConfig"] = json!({"NetworkMode": inspect["HostConfig"]["NetworkMode"]});
        let temporary = format!("{}_{name}", &id[..12]);
        let made =
            engine.call("POST", &format!("/containers/create?name={temporary}"), Some(&body))?.success("create")?;
        let new = made["Id"].as_str().context("no id")?.to_owned();
        engine.call("POST", &format!("/containers/{id}/stop"), None)?.success("stop")?;
        engine.call("POST", &format!("/containers/{new}/start"), None)?.success("start")?;
        engine.call("DELETE", &format!("/containers/{id}"), None)?.success("remove")?;
        engine.call("POST", &format!("/containers/{new}/rename?name={name}"), None)?.success("rename")?;
        Ok(())
    }
}

fn gated(project: &Project) -> String {
    let mut text = format!("name: {}\nservices:\n", project.name);
    for number in 1..=LINKS {
        text += &format!(
            "  s{number:02}:\n    image: {}\n    network_mode: none\n    healthcheck: {{test: [CMD, /demo-service, health], interval: \
             2s}}\n",
            project.stage.image
        );
        if number > 1 {
            text += &format!("    depends_on: {{s{:02}: {{condition: service_healthy}}}}\n", number - 1);
        }
    }
    text
}
