//! Limits, devices and `deploy`.

use std::collections::BTreeMap;

use super::read::{bytes, count, duration, integer, is_set, nano_cpus, nodes, real, text, text_list, text_map, whole};
use super::rollout;
use crate::manifest::diagnostic::Report;
use crate::manifest::document::Node;
use crate::model::service::{
    Blkio, Deploy, Device, DeviceRate, DeviceRequest, Placement, Quota, Resources, SwarmRestart, Ulimit,
};

/// What is in force: `deploy.resources` before the service's own attributes.
pub(super) fn resources(node: &Node, deploy: Option<&Deploy>) -> Resources {
    let limits = deploy.and_then(|d| d.limits.as_ref());
    let reservations = deploy.and_then(|d| d.reservations.as_ref());
    let number = |key: &str| integer(node, key).filter(|n| *n != 0);
    Resources {
        nano_cpus: limits.and_then(|l| l.nano_cpus).or_else(|| nano_cpus(node, "cpus")),
        cpu_shares: number("cpu_shares"),
        cpu_period: number("cpu_period").or_else(|| microseconds(node, "cpu_period")),
        cpu_quota: number("cpu_quota").or_else(|| microseconds(node, "cpu_quota")),
        cpu_rt_period: number("cpu_rt_period").or_else(|| microseconds(node, "cpu_rt_period")),
        cpu_rt_runtime: number("cpu_rt_runtime").or_else(|| microseconds(node, "cpu_rt_runtime")),
        cpu_count: number("cpu_count"),
        #[allow(clippy::cast_possible_truncation)]
        cpu_percent: real(node, "cpu_percent").map(|x| (x as f32 * 100.0) as i64).filter(|n| *n != 0),
        cpuset: text(node, "cpuset"),
        memory: limits.and_then(|l| l.memory).or_else(|| bytes(node, "mem_limit")),
        memory_reservation: reservations.and_then(|r| r.memory).or_else(|| bytes(node, "mem_reservation")),
        memory_swap: bytes(node, "memswap_limit"),
        memory_swappiness: number("mem_swappiness"),
        oom_kill_disable: is_set(node, "oom_kill_disable"),
        oom_score_adj: integer(node, "oom_score_adj").unwrap_or(0),
        pids: limits.and_then(|l| l.pids).filter(|n| *n > 0).or_else(|| number("pids_limit")),
        shm_size: bytes(node, "shm_size"),
        cgroup_parent: text(node, "cgroup_parent"),
        blkio: node.get("blkio_config").filter(|n| !n.is_null()).map(blkio),
        devices: nodes(node, "devices").iter().map(device).collect(),
        device_cgroup_rules: text_list(node, "device_cgroup_rules"),
        reserved_devices: reservations.map(|r| r.devices.clone()).unwrap_or_default(),
        gpus: nodes(node, "gpus").iter().map(device_request).collect(),
    }
}

/// A duration where the Engine counts microseconds.
fn microseconds(node: &Node, key: &str) -> Option<i64> {
    duration(node, key).and_then(|d| i64::try_from(d.as_micros()).ok()).filter(|n| *n != 0)
}

fn blkio(node: &Node) -> Blkio {
    // Compose writes these keys with a capital letter, and reads them without.
    let either = |n: &Node, small: &str, capital: &str| whole(n.get(capital).or_else(|| n.get(small)));
    let rates = |key: &str, small: &str, capital: &str| {
        let rate = |n: &Node| DeviceRate {
            path: text(n, "Path").or_else(|| text(n, "path")).unwrap_or_default(),
            rate: either(n, small, capital).unwrap_or(0),
        };
        nodes(node, key).iter().map(rate).collect()
    };
    Blkio {
        weight: count(node, "weight").unwrap_or(0),
        weight_device: rates("weight_device", "weight", "Weight"),
        device_read_bps: rates("device_read_bps", "rate", "Rate"),
        device_read_iops: rates("device_read_iops", "rate", "Rate"),
        device_write_bps: rates("device_write_bps", "rate", "Rate"),
        device_write_iops: rates("device_write_iops", "rate", "Rate"),
    }
}

fn device(node: &Node) -> Device {
    let source = text(node, "source").unwrap_or_default();
    Device {
        target: text(node, "target").unwrap_or_else(|| source.clone()),
        source,
        permissions: text(node, "permissions").unwrap_or_default(),
    }
}

fn device_request(node: &Node) -> DeviceRequest {
    DeviceRequest {
        capabilities: text_list(node, "capabilities"),
        driver: text(node, "driver"),
        count: if text(node, "count").as_deref() == Some("all") { -1 } else { integer(node, "count").unwrap_or(0) },
        device_ids: text_list(node, "device_ids"),
        options: text_map(node, "options"),
    }
}

pub(super) fn ulimits(node: &Node) -> BTreeMap<String, Ulimit> {
    let entries = node.get("ulimits").and_then(Node::as_map).into_iter().flatten();
    entries
        .map(|(name, entry)| {
            let single = whole(Some(&entry.node)).unwrap_or(0);
            let of = |key: &str| integer(&entry.node, key).filter(|n| *n != 0).unwrap_or(single);
            (name.clone(), Ulimit { soft: of("soft"), hard: of("hard") })
        })
        .collect()
}

pub(super) fn deploy(node: &Node, report: &mut Report) -> Deploy {
    let part = |key: &str| node.get(key).filter(|n| !n.is_null());
    let resources = |key: &str| part("resources").and_then(|r| r.get(key)).filter(|n| !n.is_null()).map(quota);
    Deploy {
        mode: text(node, "mode"),
        labels: text_map(node, "labels"),
        update_config: part("update_config").map(|n| rollout::config(n, report)),
        rollback_config: part("rollback_config").map(|n| rollout::config(n, report)),
        limits: resources("limits"),
        reservations: resources("reservations"),
        restart_policy: part("restart_policy").map(|n| SwarmRestart {
            condition: text(n, "condition"),
            delay: duration(n, "delay"),
            max_attempts: count(n, "max_attempts"),
            window: duration(n, "window"),
        }),
        placement: part("placement").map(placement).unwrap_or_default(),
        endpoint_mode: text(node, "endpoint_mode"),
    }
}

fn quota(node: &Node) -> Quota {
    let generic = |n: &Node| {
        let resource = n.get("discrete_resource_spec")?;
        Some((text(resource, "kind")?, integer(resource, "value").unwrap_or(0)))
    };
    Quota {
        nano_cpus: nano_cpus(node, "cpus"),
        memory: bytes(node, "memory"),
        pids: integer(node, "pids"),
        devices: nodes(node, "devices").iter().map(device_request).collect(),
        generic: nodes(node, "generic_resources").iter().filter_map(generic).collect(),
    }
}

fn placement(node: &Node) -> Placement {
    Placement {
        constraints: text_list(node, "constraints"),
        spread: nodes(node, "preferences").iter().filter_map(|n| text(n, "spread")).collect(),
        max_replicas_per_node: count(node, "max_replicas_per_node").unwrap_or(0),
    }
}
