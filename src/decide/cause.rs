//! Why a step is taken.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::fields::{self, Difference};
use crate::model::setback::Setback;
use crate::model::usage::Squeeze;
use crate::model::{ContainerId, ImageId, ServiceName, Timestamp};

/// Fields that are told in words.
const FIELDS_TOLD: usize = 3;

/// Why a step is taken.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// The manifest wants it and it is not there.
    Missing,
    /// `pull_policy` asks for an image anew for each configuration.
    NewConfiguration,
    /// `pull_policy` asks for an image anew after so long.
    Aged {
        /// When it was fetched; `None`: nobody knows.
        since: Option<Timestamp>,
    },
    /// It was there, and somebody else removed it.
    Gone {
        /// The ordinal of this restart since the last calm time, from 1.
        attempt: u32,
    },
    /// The service's configuration changed.
    ConfigChanged {
        /// The old hash, where a label tells.
        from: Option<String>,
        /// The new hash.
        to: String,
    },
    /// The image of the service changed.
    ImageChanged {
        /// The image that the container was made from.
        from: ImageId,
        /// The image that the reference stands for now.
        to: ImageId,
    },
    /// Fields of it are not as the manifest says.
    FieldsDiffer {
        /// Which, in the order of their paths; what may be a secret is masked.
        fields: Vec<FieldChange>,
        /// The container whose fields they are.
        container: ContainerId,
        /// Somebody changed them; else it is the manifest that changed.
        by_hand: bool,
    },
    /// A network was made otherwise than the manifest says, and is made anew.
    MadeOtherwise {
        /// How it differs, in the order of the paths.
        fields: Vec<FieldChange>,
    },
    /// It is made and what it waited for is ready.
    Ready,
    /// Another service's container was made anew or started again since, and it is to be restarted with that.
    StartedBefore {
        /// The service whose container it was to be started after.
        service: ServiceName,
    },
    /// The controller itself had stopped it, and it is wanted after all.
    WantedAgain,
    /// It ended by itself.
    Exited {
        /// The exit code of its first process.
        code: i64,
        /// The ordinal of this restart since the last calm time, from 1.
        attempt: u32,
    },
    /// It was stopped or killed from outside.
    Killed {
        /// The exit code of its first process: 137 after SIGKILL.
        code: i64,
        /// The ordinal of this restart since the last calm time, from 1.
        attempt: u32,
    },
    /// The health check or a probe of it fails.
    Unhealthy {
        /// The ordinal of this restart since the last calm time, from 1.
        attempt: u32,
    },
    /// Its first check did not pass in time.
    TimedOut {
        /// The ordinal of this restart since the last calm time, from 1.
        attempt: u32,
    },
    /// It uses more memory than `throttle.memory` lets it.
    OverLimit {
        /// The ordinal of this restart since the last calm time, from 1.
        attempt: u32,
    },
    /// The kernel ended it for want of memory.
    OutOfMemory {
        /// The ordinal of this restart since the last calm time, from 1.
        attempt: u32,
    },
    /// It has less of the CPUs for a while.
    Throttled {
        /// Thousandths of a CPU that it may use.
        milli_cpus: u64,
        /// Thousandths of a CPU that its manifest lets it use.
        instead_of: u64,
        /// It used too much for too long.
        own: bool,
        /// The host is hard pressed.
        #[serde(skip_serializing_if = "Option::is_none")]
        squeeze: Option<Squeeze>,
    },
    /// It has more of the CPUs again, but not all.
    Eased {
        /// Thousandths of a CPU that it may use.
        milli_cpus: u64,
        /// Thousandths of a CPU that it might use so far.
        instead_of: u64,
        /// It used too much for too long.
        own: bool,
    },
    /// It is calm again, the host is at ease, or nobody watches it.
    Released {
        /// Thousandths of a CPU that it might use so far.
        instead_of: u64,
    },
    /// Its service is emptied and made anew.
    Reset,
    /// It is given up while another service is not well.
    GivenUp {
        /// The service that is not healthy.
        service: ServiceName,
    },
    /// A service that it depends on is not well.
    Cascade {
        /// The dependency that is not healthy.
        dependency: ServiceName,
    },
    /// The whole project is started again for a service that is not well.
    ProjectRestart {
        /// The service that failed.
        service: ServiceName,
    },
    /// It was frozen from outside.
    Paused,
    /// Nobody knows whether its making came to its end.
    Unprepared,
    /// A network it was attached to is gone, and it cannot start without.
    #[serde(rename = "adrift")]
    StaleNetwork,
    /// It is half removed.
    Dead,
    /// Its replacement is made and may start.
    Replaced,
    /// The replacement runs, and the old container may go.
    ReplacementReady,
    /// The replacement did not come up.
    ReplacementFailed,
    /// The replacement did not come up, so the old one serves on.
    FallBack,
    /// There is another one like it.
    Double,
    /// The manifest wants fewer replicas.
    ScaledDown,
    /// The manifest has no such service any more.
    Orphan,
    /// The manifest is gone.
    ProjectRemoved,
    /// `evenkeel down`.
    Down,
}

/// A field that is not as the manifest says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FieldChange {
    /// The path of the field, in Compose's words.
    pub path: String,
    /// The value that it has; `None`: not set.
    pub from: Option<String>,
    /// The value that it is to have; `None`: not set.
    pub to: Option<String>,
}

impl FieldChange {
    pub(super) fn of(difference: &Difference) -> Self {
        let shown = |value: &Option<String>| value.as_ref().map(|v| fields::shown(&difference.path, v));
        let (from, to) = (shown(&difference.observed), shown(&difference.desired));
        Self { path: difference.path.clone(), from, to }
    }
}

impl Cause {
    /// Whether the step lowers what a container may use of the CPUs for a while, or gives it back.
    pub fn is_throttle(&self) -> bool {
        matches!(self, Self::Throttled { .. } | Self::Eased { .. } | Self::Released { .. })
    }

    /// The ordinal of the restart since the last calm time, from 1, where the step is one.
    pub fn attempt(&self) -> Option<u32> {
        match self {
            Self::Gone { attempt }
            | Self::Exited { attempt, .. }
            | Self::Killed { attempt, .. }
            | Self::Unhealthy { attempt }
            | Self::TimedOut { attempt }
            | Self::OverLimit { attempt }
            | Self::OutOfMemory { attempt } => Some(*attempt),
            _ => None,
        }
    }

    /// What stood in the way, where the step is one more attempt at what failed.
    pub fn setback(&self) -> Setback {
        match self {
            Self::TimedOut { .. } => Setback::TimedOut,
            _ => Setback::Other,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short = |hash: &str| hash.trim_start_matches("sha256:").chars().take(8).collect::<String>();
        match self {
            Self::Missing => f.write_str("it is not there"),
            Self::NewConfiguration => f.write_str("its `pull_policy` wants it anew for this configuration"),
            Self::Aged { since: Some(since) } => write!(f, "it was fetched at {since}, and grew old"),
            Self::Aged { since: None } => f.write_str("nobody knows how old it is"),
            Self::Gone { attempt } => write!(f, "somebody removed it (restart {attempt})"),
            Self::ConfigChanged { from: Some(from), to } => {
                write!(f, "its configuration changed from {} to {}", short(from), short(to))
            }
            Self::ConfigChanged { from: None, .. } => f.write_str("its configuration is not known"),
            Self::ImageChanged { from, to } => {
                write!(f, "its image changed from {} to {}", short(from.as_str()), short(to.as_str()))
            }
            Self::FieldsDiffer { fields, .. } | Self::MadeOtherwise { fields } => write_changes(f, fields),
            Self::Ready => f.write_str("what it waited for is ready"),
            Self::StartedBefore { service } => write!(f, "it was started before what it needs of {service}"),
            Self::WantedAgain => f.write_str("it had been stopped, and is wanted again"),
            Self::Exited { code, attempt } => write!(f, "it exited with {code} (restart {attempt})"),
            Self::Killed { code, attempt } => {
                write!(f, "it was stopped or killed from outside, exit {code} (restart {attempt})")
            }
            Self::TimedOut { attempt } => write!(f, "it did not come up in time (restart {attempt})"),
            Self::OverLimit { attempt } => write!(f, "it uses more memory than it may (restart {attempt})"),
            Self::Unhealthy { attempt } => write!(f, "its check fails (restart {attempt})"),
            Self::OutOfMemory { attempt } => write!(f, "it ran out of memory (restart {attempt})"),
            Self::Throttled { milli_cpus, instead_of, own, squeeze } => {
                let why = if *own { Some("it uses too much of the CPUs".to_owned()) } else { None };
                let why: Vec<_> = why.into_iter().chain(squeeze.map(|squeeze| squeeze.to_string())).collect();
                let (now, before) = (cpus(*milli_cpus), cpus(*instead_of));
                write!(f, "{}: it may use {now} of {before} CPUs", why.join(", and "))
            }
            Self::Eased { milli_cpus, instead_of, .. } => {
                write!(f, "it may use {} CPUs again, instead of {}", cpus(*milli_cpus), cpus(*instead_of))
            }
            Self::Released { instead_of } => {
                write!(f, "it may use all of its CPUs again, instead of {}", cpus(*instead_of))
            }
            Self::Reset => f.write_str("its service is emptied and made anew"),
            Self::GivenUp { service } => write!(f, "it is given up while {service} is not well"),
            Self::Cascade { dependency } => write!(f, "{dependency}, which it needs, is not well"),
            Self::ProjectRestart { service } => write!(f, "the project is started again, as {service} is not well"),
            Self::Paused => f.write_str("it was paused from outside"),
            Self::Unprepared => f.write_str("its creation was interrupted"),
            Self::StaleNetwork => f.write_str("a network that it was attached to is gone"),
            Self::Dead => f.write_str("it is dead"),
            Self::Replaced => f.write_str("its replacement is ready to start"),
            Self::ReplacementReady => f.write_str("its replacement runs"),
            Self::ReplacementFailed => f.write_str("it did not come up"),
            Self::FallBack => f.write_str("its replacement did not come up"),
            Self::Double => f.write_str("there is another one"),
            Self::ScaledDown => f.write_str("fewer replicas are wanted"),
            Self::Orphan => f.write_str("the manifest does not name it any more"),
            Self::ProjectRemoved => f.write_str("the manifest is gone"),
            Self::Down => f.write_str("`down` was asked for"),
        }
    }
}

/// Thousandths of CPUs, for people.
#[allow(clippy::cast_precision_loss)]
fn cpus(milli: u64) -> f64 {
    milli as f64 / 1e3
}

pub(super) fn write_changes(f: &mut fmt::Formatter<'_>, fields: &[FieldChange]) -> fmt::Result {
    let value = |value: &Option<String>| value.as_deref().unwrap_or("not set").to_owned();
    let words: Vec<_> = fields
        .iter()
        .take(FIELDS_TOLD)
        .map(|c| format!("{} is {} instead of {}", c.path, value(&c.from), value(&c.to)))
        .collect();
    let more = fields.len().saturating_sub(FIELDS_TOLD);
    f.write_str(&words.join(", "))?;
    if more > 0 { write!(f, ", and {more} more") } else { Ok(()) }
}
