//! Changing a container in place.

use std::collections::BTreeMap;

use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};

/// The body of an update. What the Engine cannot unset is left out: that takes another container.
pub(super) fn body(changes: &BTreeMap<String, Option<String>>) -> ContainerUpdateBody {
    let mut body = ContainerUpdateBody::default();
    for (path, value) in changes {
        let number = value.as_deref().and_then(|v| v.parse::<i64>().ok());
        match path.as_str() {
            "mem_limit" => body.memory = number,
            "memswap_limit" => body.memory_swap = number,
            "mem_reservation" => body.memory_reservation = number,
            "cpus" => body.nano_cpus = value.as_deref().and_then(billionths),
            "cpu_shares" => body.cpu_shares = number,
            "cpu_period" => body.cpu_period = number,
            "cpu_quota" => body.cpu_quota = number,
            "cpu_rt_period" => body.cpu_realtime_period = number,
            "cpu_rt_runtime" => body.cpu_realtime_runtime = number,
            "cpuset" => body.cpuset_cpus.clone_from(value),
            "blkio_config.weight" => body.blkio_weight = number.and_then(|n| u16::try_from(n).ok()),
            // Without end.
            "pids_limit" => body.pids_limit = Some(number.unwrap_or(-1)),
            "restart" => body.restart_policy = Some(restart(value.as_deref().unwrap_or("no"))),
            _ => {}
        }
    }
    body
}

fn billionths(cpus: &str) -> Option<i64> {
    #[allow(clippy::cast_possible_truncation)]
    cpus.parse::<f64>().ok().map(|cpus| (cpus * 1e9).round() as i64)
}

fn restart(word: &str) -> RestartPolicy {
    let (name, count) = word.split_once(':').map_or((word, None), |(name, n)| (name, n.parse().ok()));
    let name = match name {
        "always" => RestartPolicyNameEnum::ALWAYS,
        "unless-stopped" => RestartPolicyNameEnum::UNLESS_STOPPED,
        "on-failure" => RestartPolicyNameEnum::ON_FAILURE,
        _ => RestartPolicyNameEnum::NO,
    };
    RestartPolicy { name: Some(name), maximum_retry_count: count }
}
