//! Faults: what goes wrong in a rehearsal, as a person writes it: `kill:db@30s`.

mod parse;

use std::fmt;
use std::time::Duration;

pub use parse::parse;

use super::words::time;
use crate::manifest::diagnostic::suggestion;
use crate::model::ServiceId;

/// More faults than this nobody looks at.
pub const MOST_RANDOM: u32 = 50;
/// How long the host takes to come back.
pub const REBOOT: Duration = Duration::from_secs(20);
/// How long whoever looks after the controller takes to start it again.
pub const RESPAWN: Duration = Duration::from_secs(1);

/// Something that goes wrong at a time. `W` says which service: a text as it was written, then the service itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault<W = ServiceId> {
    /// What goes wrong, and for whom.
    pub deed: Deed<W>,
    /// So long after the beginning.
    pub at: Duration,
}

/// What goes wrong. With a service it befalls all of its containers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed<W = ServiceId> {
    /// `docker kill`.
    Kill(W),
    /// `docker stop`.
    Stop(W),
    /// `docker rm -f`.
    Remove(W),
    /// It exits with 1 by itself, this run and the next ones: so many in all.
    Crash(W, u32),
    /// The kernel ends it for want of memory.
    OutOfMemory(W),
    /// Its check fails for so long.
    Unhealthy(W, Duration),
    /// `docker pause`.
    Pause(W),
    /// The host goes down, and is back 20 s later.
    Reboot,
    /// The Engine goes away for so long, and the containers end with it.
    Engine(Duration),
    /// The controller is killed, and started again a second later.
    Controller,
    /// Nothing can be written for so long.
    DiskFull(Duration),
}

/// What one `--fault` asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The fault that is written out.
    One(Fault<String>),
    /// So many, drawn from the seed.
    Random(u32),
}

/// Why a fault cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the fault `{text}`: {problem}")]
pub struct FaultError {
    text: String,
    problem: String,
}

/// A service that faults may befall.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The service that may be chosen.
    pub id: ServiceId,
    /// It has a health check.
    pub has_check: bool,
    /// It ends by itself, and is not worth a random fault.
    pub is_job: bool,
}

/// Finds the services that are meant and draws what is to be drawn; in the order of time.
///
/// # Errors
/// When a service is not there, or several projects have it.
pub fn resolve(asked: &[Asked], services: &[Candidate], seed: u64) -> Result<Vec<Fault>, FaultError> {
    let mut faults = Vec::new();
    let mut draw = fastrand::Rng::with_seed(seed);
    for asked in asked {
        match asked {
            Asked::One(fault) => faults.push(fault.find(services)?),
            Asked::Random(count) => faults.extend(random(*count, services, &mut draw)),
        }
    }
    faults.sort_by_key(|f| f.at);
    Ok(faults)
}

/// Faults between half a minute and eight minutes, no two at once.
fn random(count: u32, services: &[Candidate], draw: &mut fastrand::Rng) -> Vec<Fault> {
    let apart = (450_000 / u64::from(count)).min(40_000);
    let mut faults = Vec::new();
    for n in 0..u64::from(count) {
        let at = Duration::from_millis((30_000 + n * apart + draw.u64(..apart / 2)) / 100 * 100);
        let lasting: Vec<&Candidate> = services.iter().filter(|c| !c.is_job).collect();
        let one = draw.choice(lasting).cloned();
        let length = Duration::from_secs(draw.u64(5..30));
        let deed = match (draw.u32(0..14), one) {
            (0, _) => Deed::Reboot,
            (1, _) => Deed::Engine(length),
            (2, _) | (_, None) => Deed::Controller,
            (3, _) => Deed::DiskFull(length),
            (4 | 5, Some(one)) => Deed::Stop(one.id),
            (6, Some(one)) => Deed::Remove(one.id),
            (7 | 8, Some(one)) => Deed::Crash(one.id, draw.u32(1..4)),
            (9, Some(one)) => Deed::OutOfMemory(one.id),
            (10, Some(one)) if one.has_check => Deed::Unhealthy(one.id, length),
            (11, Some(one)) => Deed::Pause(one.id),
            (_, Some(one)) => Deed::Kill(one.id),
        };
        faults.push(Fault { deed, at });
    }
    faults
}

impl Fault<String> {
    fn find(&self, services: &[Candidate]) -> Result<Fault, FaultError> {
        let wrong = |problem: String| FaultError { text: self.to_string(), problem };
        let find = |name: &String| {
            let meant = |c: &&Candidate| c.id.to_string() == *name || c.id.service.as_str() == name;
            let exact = services.iter().find(|c| c.id.to_string() == *name);
            let found: Vec<&Candidate> = exact.map_or_else(|| services.iter().filter(meant).collect(), |c| vec![c]);
            match found.as_slice() {
                [one] => Ok(*one),
                [] => {
                    let ids: Vec<String> = services.iter().map(|c| c.id.to_string()).collect();
                    let known = services.iter().map(|c| c.id.service.as_str()).chain(ids.iter().map(String::as_str));
                    let near = suggestion(name, known).map(|s| format!("; {s}")).unwrap_or_default();
                    Err(wrong(format!("there is no service `{name}`{near} (there are {})", ids.join(", "))))
                }
                several => {
                    let ids: Vec<String> = several.iter().map(|c| c.id.to_string()).collect();
                    Err(wrong(format!("`{name}` names several services; write one of {}", ids.join(", "))))
                }
            }
        };
        let id = |name: &String| find(name).map(|c| c.id.clone());
        let deed = match &self.deed {
            Deed::Kill(name) => Deed::Kill(id(name)?),
            Deed::Stop(name) => Deed::Stop(id(name)?),
            Deed::Remove(name) => Deed::Remove(id(name)?),
            Deed::Crash(name, runs) => Deed::Crash(id(name)?, *runs),
            Deed::OutOfMemory(name) => Deed::OutOfMemory(id(name)?),
            Deed::Unhealthy(name, length) => {
                let found = find(name)?;
                if !found.has_check {
                    return Err(wrong(format!("{} has no healthcheck, so it cannot be unhealthy", found.id)));
                }
                Deed::Unhealthy(found.id.clone(), *length)
            }
            Deed::Pause(name) => Deed::Pause(id(name)?),
            Deed::Reboot => Deed::Reboot,
            Deed::Engine(length) => Deed::Engine(*length),
            Deed::Controller => Deed::Controller,
            Deed::DiskFull(length) => Deed::DiskFull(*length),
        };
        Ok(Fault { deed, at: self.at })
    }
}

impl<W> Deed<W> {
    /// The fault's name.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Kill(_) => "kill",
            Self::Stop(_) => "stop",
            Self::Remove(_) => "rm",
            Self::Crash(..) => "crash",
            Self::OutOfMemory(_) => "oom",
            Self::Unhealthy(..) => "unhealthy",
            Self::Pause(_) => "pause",
            Self::Reboot => "reboot",
            Self::Engine(_) => "engine",
            Self::Controller => "controller",
            Self::DiskFull(_) => "disk-full",
        }
    }

    /// The service it befalls.
    pub fn service(&self) -> Option<&W> {
        match self {
            Self::Kill(who)
            | Self::Stop(who)
            | Self::Remove(who)
            | Self::Crash(who, _)
            | Self::OutOfMemory(who)
            | Self::Unhealthy(who, _)
            | Self::Pause(who) => Some(who),
            Self::Reboot | Self::Engine(_) | Self::Controller | Self::DiskFull(_) => None,
        }
    }

    /// How long it lasts, where that is known beforehand.
    pub fn length(&self) -> Duration {
        match self {
            Self::Unhealthy(_, length) | Self::Engine(length) | Self::DiskFull(length) => *length,
            Self::Reboot => REBOOT,
            Self::Controller => RESPAWN,
            _ => Duration::ZERO,
        }
    }
}

/// `1m30s`, as short as it can be written.
fn shown(duration: Duration) -> String {
    time(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)).replace(' ', "")
}

/// The fault in words, as the report and the page show it.
impl<W: fmt::Display> fmt::Display for Deed<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kill(who) => write!(f, "{who} is killed"),
            Self::Stop(who) => write!(f, "{who} is stopped by hand"),
            Self::Remove(who) => write!(f, "{who} is removed by hand"),
            Self::Crash(who, 1) => write!(f, "{who} crashes"),
            Self::Crash(who, runs) => write!(f, "{who} crashes {runs} times"),
            Self::OutOfMemory(who) => write!(f, "{who} runs out of memory"),
            Self::Unhealthy(who, length) => write!(f, "{who}'s check fails for {}", shown(*length)),
            Self::Pause(who) => write!(f, "{who} is paused by hand"),
            Self::Reboot => write!(f, "the host reboots, {} long", shown(REBOOT)),
            Self::Engine(length) => write!(f, "the Engine is away for {}", shown(*length)),
            Self::Controller => f.write_str("the controller is killed"),
            Self::DiskFull(length) => write!(f, "the disk is full for {}", shown(*length)),
        }
    }
}

/// As it is written.
impl<W: fmt::Display> fmt::Display for Fault<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.deed.kind())?;
        if let Some(service) = self.deed.service() {
            write!(f, ":{service}")?;
        }
        write!(f, "@{}", shown(self.at))?;
        match &self.deed {
            Deed::Unhealthy(_, length) | Deed::Engine(length) | Deed::DiskFull(length) => {
                write!(f, "+{}", shown(*length))
            }
            Deed::Crash(_, runs) if *runs > 1 => write!(f, "*{runs}"),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ProjectName, ServiceName};

    fn candidate(project: &str, service: &str, has_check: bool) -> Candidate {
        let id = ServiceId { project: ProjectName::trusted(project), service: ServiceName::trusted(service) };
        Candidate { id, has_check, is_job: false }
    }

    fn services() -> Vec<Candidate> {
        vec![candidate("blog", "db", true), candidate("shop", "db", true), candidate("shop", "web", false)]
    }

    #[track_caller]
    fn check(text: &str, expected: &str) {
        let said = match parse(text).and_then(|asked| resolve(&[asked], &services(), 1)) {
            Ok(faults) => faults.iter().map(|f| format!("{f}: {}", f.deed)).collect::<Vec<_>>().join("; "),
            Err(error) => error.to_string(),
        };
        assert_eq!(said, expected);
    }

    #[test]
    fn faults_are_read() {
        check("kill:web@30s", "kill:shop.web@30s: shop.web is killed");
        check("stop:shop.db@1m30s", "stop:shop.db@1m30s: shop.db is stopped by hand");
        check("rm:web@500ms", "rm:shop.web@500ms: shop.web is removed by hand");
        check("crash:web@1s", "crash:shop.web@1s: shop.web crashes");
        check("crash:web@1s*5", "crash:shop.web@1s*5: shop.web crashes 5 times");
        check("oom:web@1s", "oom:shop.web@1s: shop.web runs out of memory");
        check("unhealthy:blog.db@10s+1m", "unhealthy:blog.db@10s+1m: blog.db's check fails for 1m");
        check("pause:web@1s", "pause:shop.web@1s: shop.web is paused by hand");
        check("reboot@2m", "reboot@2m: the host reboots, 20s long");
        check("engine@2m", "engine@2m+30s: the Engine is away for 30s");
        check("controller@1m", "controller@1m: the controller is killed");
        check("disk-full@1m+5s", "disk-full@1m+5s: the disk is full for 5s");
    }

    #[test]
    fn what_cannot_be_read_says_what_to_write() {
        check(
            "kil:web@1s",
            "the fault `kil:web@1s`: there is no fault `kil`; did you mean `kill`? (there are kill, stop, rm, crash, oom, \
             unhealthy, pause, reboot, engine, controller, disk-full and random)",
        );
        check("kill:web", "the fault `kill:web`: when? write for example kill:db@30s");
        check("kill@3s", "the fault `kill@3s`: of which service? write for example kill:db@30s");
        check("kill:@3s", "the fault `kill:@3s`: of which service? write for example kill:db@30s");
        check("kill:web@soon", "the fault `kill:web@soon`: `soon` is no duration; write for example kill:db@30s");
        check("kill:web@1s+2s", "the fault `kill:web@1s+2s`: it has no length; write for example kill:db@30s");
        check("kill:web@1s*2", "the fault `kill:web@1s*2`: it has no number of runs; write for example kill:db@30s");
        check(
            "crash:web@1s*0",
            "the fault `crash:web@1s*0`: `*0`: write a number of runs from 1 to 100, as in crash:db@30s or crash:db@30s*5",
        );
        check("reboot:web@1s", "the fault `reboot:web@1s`: it is of no service; write for example reboot@2m");
        check("random:many", "the fault `random:many`: how many? write a number from 1 to 50");
    }

    #[test]
    fn a_service_that_is_not_meant_by_its_name_alone_is_an_error_that_lists_them() {
        check("kill:db@1s", "the fault `kill:db@1s`: `db` names several services; write one of blog.db, shop.db");
        check(
            "kill:wbe@1s",
            "the fault `kill:wbe@1s`: there is no service `wbe`; did you mean `web`? (there are blog.db, shop.db, shop.web)",
        );
        check(
            "unhealthy:web@1s",
            "the fault `unhealthy:web@1s+30s`: shop.web has no healthcheck, so it cannot be unhealthy",
        );
    }

    #[test]
    fn random_faults_follow_the_seed_alone() {
        let draw = |seed| resolve(&[Asked::Random(20)], &services(), seed).unwrap();
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
        assert!(draw(7).iter().all(|f| f.at + f.deed.length() < Duration::from_secs(600)));
        assert_eq!(resolve(&[Asked::Random(3)], &[], 1).unwrap().len(), 3, "without services too");
    }
}
