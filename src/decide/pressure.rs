//! The host guard: while the host is hard pressed, the least important services get less of the CPUs, one group of equal
//! priority after the other; when it is not any more, they have it back in reverse.
//!
//! # Guarantees
//! Pure: the time comes with what was read. At most one move in [`GuardPolicy::lasting`], so that each can show what it does
//! before the next. Who uses next to nothing is left alone: nothing would be gained.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::model::usage::{HostLoad, Scarce, Squeeze, Ticks};
use crate::model::{ContainerId, Timestamp, time};

/// Thousandths of a CPU below which nobody is squeezed.
const LEAST: u64 = 50;
/// What a move leaves of what a service has, at the least: pressure far beyond the threshold would take all of it at once.
const DEEPEST: f64 = 0.25;
/// What a move leaves at the most: less than this could not be told from chance.
const SHALLOWEST: f64 = 0.9;
/// Under this part of all thresholds the host is at ease: between that and the thresholds nothing moves.
const EASE: f64 = 0.7;

/// When a host is hard pressed. Parts are of one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GuardPolicy {
    /// Services are squeezed; else the host is only looked at.
    pub enabled: bool,
    /// From this pressure on.
    pub cpu: f64,
    /// From this pressure on.
    pub memory: f64,
    /// From this pressure on.
    pub io: f64,
    /// Below this part of the memory.
    pub free_memory: f64,
    /// For so long, before each move.
    pub lasting: Duration,
}

impl Default for GuardPolicy {
    fn default() -> Self {
        Self { enabled: false, cpu: 0.6, memory: 0.2, io: 0.4, free_memory: 0.05, lasting: Duration::from_secs(15) }
    }
}

/// How far a host is beyond a threshold: from 1 on it is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Worst {
    /// What it is short of most.
    pub scarce: Scarce,
    /// The measured value over its threshold: from 1 on the host is short.
    pub beyond: f64,
    measured: f64,
    threshold: f64,
}

impl fmt::Display for Worst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.squeeze(0).fmt(f)
    }
}

impl Worst {
    fn squeeze(&self, milli_cpus: u64) -> Squeeze {
        let (percent, threshold) = (percent(self.measured), percent(self.threshold));
        Squeeze { milli_cpus, scarce: self.scarce, percent, threshold }
    }
}

impl GuardPolicy {
    /// What the host is short of most. `busy`: the part of the time that its CPUs were busy; `None`: not known. Who is held
    /// back by a quota waits for a CPU in the kernel's figures, however many are idle: that is no pressure of the host.
    pub fn worst(&self, host: &HostLoad, busy: Option<f64>) -> Worst {
        let worst = |scarce, measured: f64, threshold: f64, beyond: f64| Worst { scarce, beyond, measured, threshold };
        let over = |scarce, measured: f64, threshold: f64| {
            worst(scarce, measured, threshold, measured / threshold.max(f64::EPSILON))
        };
        #[allow(clippy::cast_precision_loss)]
        let free = host.free_memory as f64 / host.memory.max(1) as f64;
        let memory = worst(Scarce::FreeMemory, free, self.free_memory, self.free_memory / free.max(f64::EPSILON));
        let pressure = host.pressure.iter().flat_map(|pressure| {
            [
                over(Scarce::Cpu, pressure.cpu.min(busy.unwrap_or(1.0)), self.cpu),
                over(Scarce::Memory, pressure.memory, self.memory),
                over(Scarce::Io, pressure.io, self.io),
            ]
        });
        pressure.fold(memory, |worst, next| if next.beyond > worst.beyond { next } else { worst })
    }
}

/// A container that may be squeezed: it runs, its service is not critical, and evenkeel may change it.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The container's id in the Engine.
    pub id: ContainerId,
    /// `x-evenkeel.throttle.priority`: the lowest go first.
    pub priority: u32,
    /// CPUs that it uses; `None`: not known yet, and soon to be.
    pub cpus: Option<f64>,
}

/// What was taken, and in which order.
#[derive(Debug, Clone, Default)]
pub struct HostGuard {
    watching: bool,
    ticks: Option<Ticks>,
    worst: Option<Worst>,
    pressed_since: Option<Timestamp>,
    at_ease_since: Option<Timestamp>,
    moved: Option<Timestamp>,
    squeezed: BTreeMap<ContainerId, Squeeze>,
    /// What each move found.
    moves: Vec<BTreeMap<ContainerId, Option<Squeeze>>>,
}

impl HostGuard {
    /// What a container may use.
    pub fn of(&self, id: &ContainerId) -> Option<Squeeze> {
        self.squeezed.get(id).copied()
    }

    /// Gives all of it back, as nobody knows how the host is; returns the containers for which that changes something.
    pub fn forgets(self) -> BTreeSet<ContainerId> {
        self.squeezed.into_keys().collect()
    }

    /// What the host was short of most at the last look.
    pub fn worst(&self) -> Option<Worst> {
        self.worst
    }

    /// Whether it is to be known what everybody uses.
    pub fn needs_usage(&self) -> bool {
        self.watching
    }

    /// Whether the host is hard pressed, and was for the time.
    pub fn is_pressed(&self, policy: &GuardPolicy, now: Timestamp) -> bool {
        self.pressed_since.is_some_and(|since| time::between(since, now) >= policy.lasting)
    }

    /// Takes in how the host is; returns the containers for which something changed.
    pub fn look(&mut self, policy: &GuardPolicy, host: &HostLoad, candidates: &[Candidate]) -> BTreeSet<ContainerId> {
        let before = self.squeezed.clone();
        // Who is gone, or is not to be touched any more, is not squeezed either.
        self.squeezed.retain(|id, _| policy.enabled && candidates.iter().any(|c| c.id == *id));
        let busy = self.ticks.replace(host.ticks).and_then(|before| host.ticks.busy_since(before));
        let worst = policy.worst(host, busy);
        self.worst = Some(worst);
        // Should the clock have been set back, all of it is as of now.
        let known = |since: Option<Timestamp>| since.map(|at| at.min(host.at));
        let since = |at: Option<Timestamp>, is_so: bool| is_so.then(|| known(at).unwrap_or(host.at));
        self.pressed_since = since(self.pressed_since, worst.beyond >= 1.0);
        self.at_ease_since = since(self.at_ease_since, worst.beyond < EASE);
        self.moved = known(self.moved);
        let lasted = |since: &Option<Timestamp>| since.is_some_and(|at| time::between(at, host.at) >= policy.lasting);
        if self.moved.is_none() || lasted(&self.moved) {
            let moves = policy.enabled && lasted(&self.pressed_since) && self.squeeze(&worst, candidates)
                || lasted(&self.at_ease_since) && self.release();
            self.moved = if moves { Some(host.at) } else { self.moved };
        }
        self.watching = policy.enabled
            && (self.pressed_since.is_some() || self.watching && self.at_ease_since.is_none())
            || !self.squeezed.is_empty();
        let changed = |id: &&ContainerId| before.get(*id) != self.squeezed.get(*id);
        before.keys().chain(self.squeezed.keys()).filter(changed).cloned().collect()
    }

    /// The lowest of those that have something to give give it, in proportion to what they have.
    fn squeeze(&mut self, worst: &Worst, candidates: &[Candidate]) -> bool {
        // Who is not known yet might be the one to begin with.
        if candidates.iter().any(|c| c.cpus.is_none()) {
            return false;
        }
        let has = |candidate: &Candidate| {
            let used = milli(candidate.cpus?);
            // Who uses less than it is squeezed to has no more to give than that.
            Some(self.of(&candidate.id).map_or(used, |squeeze| squeeze.milli_cpus.min(used.max(LEAST))))
        };
        let giving: Vec<_> = candidates.iter().filter_map(|c| Some((c, has(c).filter(|has| *has > LEAST)?))).collect();
        let Some(lowest) = giving.iter().map(|(candidate, _)| candidate.priority).min() else { return false };
        let leaves = (1.0 / worst.beyond).clamp(DEEPEST, SHALLOWEST);
        let mut found = BTreeMap::new();
        for (candidate, has) in giving.into_iter().filter(|(candidate, _)| candidate.priority == lowest) {
            #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            let milli_cpus = ((has as f64 * leaves) as u64).max(LEAST);
            let before = self.squeezed.insert(candidate.id.clone(), worst.squeeze(milli_cpus));
            found.insert(candidate.id.clone(), before);
        }
        self.moves.push(found);
        true
    }

    /// Takes the last move back that anything is left of.
    fn release(&mut self) -> bool {
        while let Some(found) = self.moves.pop() {
            let mut any = false;
            for (id, before) in found {
                if !self.squeezed.contains_key(&id) {
                    continue;
                }
                any = true;
                match before {
                    Some(before) => self.squeezed.insert(id, before),
                    None => self.squeezed.remove(&id),
                };
            }
            if any {
                return true;
            }
        }
        false
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn milli(cpus: f64) -> u64 {
    (cpus * 1e3).max(0.0) as u64
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn percent(part: f64) -> u8 {
    (part * 100.0).round().clamp(0.0, 100.0) as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::usage::Pressure;

    const POLICY: GuardPolicy = GuardPolicy {
        enabled: true,
        cpu: 0.4,
        memory: 0.2,
        io: 0.4,
        free_memory: 0.05,
        lasting: Duration::from_secs(10),
    };

    fn host(second: i64, cpu: f64) -> HostLoad {
        HostLoad {
            at: Timestamp::from_second(second).unwrap(),
            pressure: Some(Pressure { cpu, memory: 0.0, io: 0.0 }),
            free_memory: 50,
            memory: 100,
            cpus: 4,
            ticks: Ticks::default(),
        }
    }

    fn candidates(all: &[(&str, u32, f64)]) -> Vec<Candidate> {
        let one = |(id, priority, cpus): &(&str, u32, f64)| Candidate {
            id: ContainerId::trusted(*id),
            priority: *priority,
            cpus: Some(*cpus),
        };
        all.iter().map(one).collect()
    }

    /// Who may use how much, after each look.
    fn told(guard: &HostGuard) -> String {
        let one = |(id, squeeze): (&ContainerId, &Squeeze)| format!("{id} {}", squeeze.milli_cpus);
        guard.squeezed.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_lowest_go_first_in_proportion_and_come_back_in_reverse() {
        let mut guard = HostGuard::default();
        // Two of one priority, one that matters more, and one that uses next to nothing.
        let all = candidates(&[("batch", 10, 1.0), ("mail", 10, 0.4), ("shop", 50, 2.0), ("idle", 1, 0.01)]);
        let mut looks = Vec::new();
        for (second, cpu) in [(0, 0.8), (5, 0.8), (10, 0.8), (15, 0.8), (20, 0.8), (30, 0.8), (40, 0.8), (50, 0.8)] {
            guard.look(&POLICY, &host(second, cpu), &all);
            looks.push(told(&guard));
        }
        assert_eq!(
            looks,
            [
                "",
                "",
                "batch 500, mail 200",
                "batch 500, mail 200",
                "batch 250, mail 100",
                "batch 125, mail 50",
                "batch 62, mail 50",
                "batch 50, mail 50",
            ]
        );
        guard.look(&POLICY, &host(60, 0.8), &all);
        assert_eq!(told(&guard), "batch 50, mail 50, shop 1000");
        let mut looks = Vec::new();
        // In between, nothing moves.
        for (second, cpu) in
            [(70, 0.3), (80, 0.1), (85, 0.1), (90, 0.1), (100, 0.1), (110, 0.1), (120, 0.1), (130, 0.1)]
        {
            guard.look(&POLICY, &host(second, cpu), &all);
            looks.push(told(&guard));
        }
        assert_eq!(
            looks,
            [
                "batch 50, mail 50, shop 1000",
                "batch 50, mail 50, shop 1000",
                "batch 50, mail 50, shop 1000",
                "batch 50, mail 50",
                "batch 62, mail 50",
                "batch 125, mail 50",
                "batch 250, mail 100",
                "batch 500, mail 200",
            ]
        );
        guard.look(&POLICY, &host(140, 0.1), &all);
        assert_eq!(told(&guard), "");
        assert!(!guard.needs_usage());
    }

    #[test]
    fn how_much_is_taken_goes_with_how_hard_the_host_is_pressed() {
        for (cpu, left) in [(0.4, 900), (0.5, 800), (0.8, 500), (1.0, 400)] {
            let mut guard = HostGuard::default();
            let all = candidates(&[("a", 50, 1.0)]);
            guard.look(&POLICY, &host(0, cpu), &all);
            let changed = guard.look(&POLICY, &host(10, cpu), &all);
            assert_eq!(changed.len(), 1);
            assert_eq!(guard.of(&ContainerId::trusted("a")).map(|s| s.milli_cpus), Some(left), "{cpu}");
        }
    }

    #[test]
    fn memory_that_runs_out_counts_where_the_kernel_tells_no_pressure() {
        let mut guard = HostGuard::default();
        let all = candidates(&[("a", 50, 1.0)]);
        let scarce = |second| HostLoad { pressure: None, free_memory: 2, ..host(second, 0.0) };
        guard.look(&POLICY, &scarce(0), &all);
        guard.look(&POLICY, &scarce(10), &all);
        let squeeze = guard.of(&ContainerId::trusted("a")).unwrap();
        assert_eq!(squeeze.to_string(), "free memory of the host is 2 % (threshold 5 %)");
        assert_eq!(squeeze.milli_cpus, 400);
    }

    #[test]
    fn a_moment_is_not_enough_and_who_is_gone_is_forgotten() {
        let mut guard = HostGuard::default();
        let all = candidates(&[("a", 50, 1.0), ("b", 60, 1.0)]);
        for second in 0..6 {
            guard.look(&POLICY, &host(second * 9, if second % 2 == 0 { 0.8 } else { 0.1 }), &all);
        }
        assert_eq!(told(&guard), "");
        guard.look(&POLICY, &host(60, 0.8), &all);
        guard.look(&POLICY, &host(70, 0.8), &all);
        assert_eq!(told(&guard), "a 500");
        guard.look(&POLICY, &host(75, 0.8), &all[1..]);
        assert_eq!(told(&guard), "");
        guard.look(&POLICY, &host(80, 0.8), &all[1..]);
        assert_eq!(told(&guard), "b 500");
        assert_eq!(guard.look(&GuardPolicy { enabled: false, ..POLICY }, &host(81, 0.8), &all).len(), 1);
        assert_eq!(told(&guard), "");
    }

    #[test]
    fn who_waits_for_a_quota_while_cpus_are_idle_is_no_pressure() {
        let mut guard = HostGuard::default();
        let all = candidates(&[("a", 50, 1.0)]);
        let look = |guard: &mut HostGuard, second: i64, busy| {
            let ticks = Ticks { busy, all: u64::try_from(second).unwrap() * 400 };
            guard.look(&POLICY, &HostLoad { ticks, ..host(second, 0.9) }, &all);
        };
        for second in 1..=4 {
            look(&mut guard, second * 10, u64::try_from(second).unwrap() * 400);
        }
        assert_eq!(told(&guard), "", "a tenth of the time they are busy");
        for second in 5..=6 {
            look(&mut guard, second * 10, 1_600 + u64::try_from(second - 4).unwrap() * 3_200);
        }
        assert_eq!(told(&guard), "a 500");
    }

    #[test]
    fn a_clock_that_is_set_back_holds_nothing_up() {
        let mut guard = HostGuard::default();
        let all = candidates(&[("a", 50, 1.0)]);
        guard.look(&POLICY, &host(10_000, 0.8), &all);
        guard.look(&POLICY, &host(10_010, 0.8), &all);
        assert_eq!(told(&guard), "a 500");
        guard.look(&POLICY, &host(10, 0.1), &all);
        guard.look(&POLICY, &host(20, 0.1), &all);
        assert_eq!(told(&guard), "");
    }

    #[test]
    fn while_it_is_not_known_what_all_use_nobody_gives() {
        let mut guard = HostGuard::default();
        let mut unknown = candidates(&[("b", 60, 1.0)]);
        unknown.push(Candidate { id: ContainerId::trusted("a"), priority: 50, cpus: None });
        guard.look(&POLICY, &host(0, 0.8), &unknown);
        assert!(guard.look(&POLICY, &host(10, 0.8), &unknown).is_empty());
        assert!(guard.needs_usage());
    }
}
