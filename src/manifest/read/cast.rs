//! Text that becomes a number or a truth once it is interpolated: by where it stands, as in Compose.

use crate::manifest::document::Value;

/// What a text becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::manifest) enum Cast {
    Bool,
    Int,
    Float,
    Float32,
}

/// What the text at a path becomes, if anything. An element of a list is `[]`.
pub(in crate::manifest) fn of(path: &[&str]) -> Option<Cast> {
    use Cast::{Bool, Float, Float32, Int};
    match path {
        ["services", _, rest @ ..] => match rest {
            ["init" | "oom_kill_disable" | "privileged" | "read_only" | "stdin_open" | "tty"]
            | ["healthcheck", "disable"]
            | ["volumes", "[]", "read_only"]
            | ["volumes", "[]", "volume", "nocopy"] => Some(Bool),
            [
                "cpu_count" | "cpu_period" | "cpu_quota" | "cpu_rt_period" | "cpu_rt_runtime" | "cpu_shares"
                | "oom_score_adj" | "pids_limit" | "scale",
            ]
            | ["deploy", "replicas"]
            | ["deploy", "update_config" | "rollback_config", "parallelism"]
            | ["deploy", "restart_policy", "max_attempts"]
            | ["deploy", "placement", "max_replicas_per_node"]
            | ["healthcheck", "retries"]
            | ["ports", "[]", "target"]
            | ["ulimits", _]
            | ["ulimits", _, "hard" | "soft"] => Some(Int),
            ["cpu_percent"] | ["deploy", "update_config" | "rollback_config", "max_failure_ratio"] => Some(Float),
            ["cpus"] => Some(Float32),
            _ => None,
        },
        ["networks", _, "external" | "internal" | "attachable" | "enable_ipv4" | "enable_ipv6"]
        | ["volumes" | "secrets" | "configs", _, "external"] => Some(Bool),
        _ => None,
    }
}

/// Why a text is not what it has to be.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::manifest) struct NotThat(pub(in crate::manifest) &'static str);

impl Cast {
    /// Makes a text that came out of interpolation into the value of that type.
    pub(in crate::manifest) fn apply(self, text: &str) -> Result<Value, NotThat> {
        match self {
            Self::Bool => truth(text).map(Value::Bool).ok_or(NotThat("true or false")),
            Self::Int => text.parse::<i64>().map(|n| Value::Int(n.into())).map_err(|_| NotThat("a whole number")),
            Self::Float => text.parse::<f64>().map(Value::Float).map_err(|_| NotThat("a number")),
            Self::Float32 => text.parse::<f32>().map(|x| Value::Float(x.into())).map_err(|_| NotThat("a number")),
        }
    }
}

/// A truth as YAML 1.1 has it.
pub(in crate::manifest) fn truth(text: &str) -> Option<bool> {
    match text.to_lowercase().as_str() {
        "true" | "y" | "yes" | "on" => Some(true),
        "false" | "n" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// Whether a text is a truth that YAML 1.2 has no longer.
pub(in crate::manifest) fn is_old_truth(text: &str) -> bool {
    truth(text).is_some() && !text.eq_ignore_ascii_case("true") && !text.eq_ignore_ascii_case("false")
}
