//! Fields of a container that are not as desired: which of them are told, which are repaired, and how.
//!
//! A container that runs is judged by its fields: a label that says something else is no reason to replace it. One that does
//! not run, or whose fields nobody can tell, is judged by the hash on its label, and so are jobs: they run again for any
//! new configuration.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::decide::cause::FieldChange;
use crate::decide::throttle;
use crate::decide::{Cause, Decision, Drift, Input, WaitingOn};
use crate::model::fields::{self, Repair};
use crate::model::ledger::{Subject, Unheld};
use crate::model::observed::{Container, ContainerState};
use crate::model::project::DriftMode;
use crate::model::{ContainerId, ImageId, Project, Service, Timestamp, time};

/// After so many repairs of one field it is not repaired any more for a while.
const REPAIRS: u32 = 3;
/// So long a field that was repaired too often is left as it is.
const COOL_DOWN: Duration = Duration::from_secs(300);
/// After so long without a repair the count begins anew.
pub(in crate::decide) const CALM: Duration = Duration::from_secs(600);

/// What is to be known of a service to judge its containers.
pub(in crate::decide) struct Drifting<'a> {
    input: &'a Input<'a>,
    service: &'a Service,
    is_job: bool,
    mode: DriftMode,
}

/// The fields of one container that are not as desired.
pub(in crate::decide) struct Differing<'a> {
    container: &'a ContainerId,
    /// Somebody changed them; else it is the manifest that changed.
    by_hand: bool,
    all: Vec<&'a fields::Difference>,
    /// Those that may be repaired now.
    may: Vec<&'a fields::Difference>,
}

/// What makes a container stale.
pub(in crate::decide) enum Difference {
    Config { from: Option<String> },
    Image { from: ImageId, to: ImageId },
    Fields(Cause),
}

impl<'a> Drifting<'a> {
    pub(in crate::decide) fn new(input: &'a Input<'a>, project: &Project, service: &'a Service, is_job: bool) -> Self {
        let mode = service.extension.drift.unwrap_or(project.extension.drift);
        Self { input, service, is_job, mode }
    }

    /// Whether the hash on the label of a container, or what is known to fit it, is another one than the service's.
    pub(in crate::decide) fn hash_differs(&self, container: &Container) -> bool {
        // While a container it shares with is not there, its own cannot be told from the desired one.
        let Some(desired) = self.service.hash_on_label() else { return false };
        container.config_hash.as_deref() != Some(&*desired)
            && self.input.ledger.fits.get(&container.id).is_none_or(|fits| *fits != *desired)
    }

    /// How a container differs by its fields; `None`: that is not what it is judged by.
    pub(in crate::decide) fn of<'c>(&self, container: &'c Container) -> Option<Differing<'c>> {
        let runs = matches!(container.state, ContainerState::Running { .. } | ContainerState::Paused);
        if runs { self.by_fields(container) } else { None }
    }

    /// Whether a container that does not run would have to be replaced as soon as it did.
    pub(in crate::decide) fn differs_once_started(&self, container: &Container) -> bool {
        self.by_fields(container).is_some_and(|differing| differing.recreate().is_some())
    }

    fn by_fields<'c>(&self, container: &'c Container) -> Option<Differing<'c>> {
        let differences = container.differences.as_ref()?;
        if self.is_job || self.service.hash_on_label().is_none() {
            return None;
        }
        let other = self.hash_differs(container);
        if other && differences.is_empty() && self.has_hidden_parts() {
            return None;
        }
        let unheld = self.input.ledger.unheld.get(&self.service.name).filter(|u| u.config == self.service.config_hash);
        let all: Vec<_> = differences.iter().filter(|d| self.counts(d, container, other, unheld)).collect();
        let may = |d: &&&fields::Difference| {
            // What the manifest wants anew is nobody's doing.
            other || self.mode == DriftMode::Enforce && self.rests_until(container.number, &container.id, d).is_none()
        };
        let may = all.iter().filter(may).copied().collect();
        Some(Differing { container: &container.id, by_hand: !other, all, may })
    }

    /// Whether there is something about its containers that no field tells.
    fn has_hidden_parts(&self) -> bool {
        !self.service.links.is_empty() || !self.service.external_links.is_empty()
    }

    fn counts(
        &self,
        difference: &fields::Difference,
        container: &Container,
        other: bool,
        unheld: Option<&Unheld>,
    ) -> bool {
        // What Compose put into its containers it does not write down.
        let unknown = difference.path.starts_with("content.") && container.instance.is_none() && !other;
        if difference.path == "image" {
            // Another name of the same image is no other image.
            let same = self.input.observed.images.get(&self.service.image) == Some(&Some(container.image.clone()));
            return other && !same;
        }
        if throttle::sets(&difference.path) && self.input.ledger.throttled.contains_key(&container.id) {
            return false;
        }
        let held = unheld.and_then(|u| u.fields.get(&difference.path)) != Some(&difference.observed);
        // Whose names links hold only the hash tells.
        held && !unknown && (other || difference.path != "links")
    }

    /// Until when a field is not repaired; `None`: it may be.
    fn rests_until(&self, number: u32, container: &ContainerId, difference: &fields::Difference) -> Option<Timestamp> {
        let slot = self.input.ledger.slots.get(&Subject::Replica(self.service.name.clone(), number))?;
        let repairs = slot.repairs.get(&difference.path)?;
        // While its container is being replaced it is still to be seen whether that helps.
        let being_replaced = difference.repair == Repair::Recreate && repairs.container == *container;
        let until = time::after(repairs.last, COOL_DOWN);
        // A time that is still to come was told by a clock that was set back since.
        let lately = repairs.last <= self.input.now && until > self.input.now;
        (repairs.count >= REPAIRS && !being_replaced && lately).then_some(until)
    }

    /// What of it is told.
    pub(in crate::decide) fn told(&self, number: u32, container: &Container) -> Vec<Drift> {
        let Some(differing) = self.of(container) else { return Vec::new() };
        let by_hand = !self.hash_differs(container);
        let drift = |d: &&fields::Difference| {
            let change = FieldChange::of(d);
            Drift {
                service: Some(self.service.name.clone()),
                number: Some(number),
                path: change.path,
                desired: change.to,
                observed: change.from,
                repair: d.repair,
                by_hand,
                since: d.since,
            }
        };
        differing.all.iter().map(drift).collect()
    }

    /// Says for what each field that is not repaired now waits.
    pub(in crate::decide) fn wait(&self, number: u32, differing: &Differing<'_>, decision: &mut Decision) {
        for difference in differing.all.iter().filter(|_| differing.by_hand) {
            let path = difference.path.clone();
            if let Some(until) = self.rests_until(number, differing.container, difference) {
                decision.wake(until);
                decision.wait(Some(&self.service.name), WaitingOn::RepairConflict { path, until });
            } else if !differing.may.iter().any(|d| d.path == path) {
                decision.wait(Some(&self.service.name), WaitingOn::Reported { path });
            }
        }
    }

    /// Notes what is to be remembered of a container: that it fits a configuration that is not on its label, and what the
    /// Engine made otherwise than it was asked.
    pub(in crate::decide) fn note(&self, container: &Container, decision: &mut Decision) {
        let Some(differences) = container.differences.as_ref() else { return };
        if container.state == ContainerState::Created
            && self.input.ledger.prepared.contains(&container.id)
            && !self.hash_differs(container)
        {
            // What can be changed in place somebody may have changed by now; but nobody can unset a limit, so one that is not
            // there is one that the kernel does not know.
            let concerns = |d: &&fields::Difference| match fields::is_updated(&d.path) {
                true => d.observed.is_none() && !matches!(d.path.as_str(), "restart" | "pids_limit"),
                false => d.repair == Repair::Recreate && !fields::within(&d.path, "mac_address"),
            };
            let unheld: BTreeMap<_, _> =
                differences.iter().filter(concerns).map(|d| (d.path.clone(), d.observed.clone())).collect();
            let known = self.input.ledger.unheld.get(&self.service.name);
            let news = Unheld { config: self.service.config_hash.clone(), fields: unheld };
            if !news.fields.is_empty() && known != Some(&news) {
                decision.unheld.insert(self.service.name.clone(), news);
            }
        }
        let fits = self.hash_differs(container) && self.of(container).is_some_and(|d| d.all.is_empty());
        if let (true, Some(hash)) = (fits, self.service.label_hash()) {
            decision.fits.insert(container.id.clone(), hash);
        }
    }
}

impl Differing<'_> {
    /// Why it is to be replaced, if it is.
    pub(in crate::decide) fn recreate(&self) -> Option<Difference> {
        let needs = self.may.iter().any(|d| d.repair == Repair::Recreate);
        needs.then(|| Difference::Fields(self.cause(|d| d.repair == Repair::Recreate)))
    }

    /// Whether anything of it is repaired in the running container.
    pub(in crate::decide) fn is_to_change(&self) -> bool {
        self.may.iter().any(|d| matches!(d.repair, Repair::Update | Repair::Signal))
    }

    fn cause(&self, which: impl Fn(&fields::Difference) -> bool) -> Cause {
        self.because(which, self.by_hand)
    }

    fn because(&self, which: impl Fn(&fields::Difference) -> bool, by_hand: bool) -> Cause {
        let fields = self.may.iter().filter(|d| which(d)).map(|d| FieldChange::of(d)).collect();
        Cause::FieldsDiffer { fields, container: self.container.clone(), by_hand }
    }

    /// What is to be changed in place, and why.
    pub(in crate::decide) fn update(&self) -> Option<(BTreeMap<String, Option<String>>, Cause)> {
        let changes: BTreeMap<_, _> = self
            .may
            .iter()
            .filter(|d| d.repair == Repair::Update)
            .map(|d| (d.path.clone(), d.desired.clone()))
            .collect();
        let cause = self.cause(|d| d.repair == Repair::Update);
        (!changes.is_empty()).then_some((changes, cause))
    }

    /// Why it is to be stopped and started again, if it is: a file was replaced, which is no repair conflict however often it happens.
    pub(in crate::decide) fn restart(&self) -> Option<Cause> {
        self.needs(Repair::Restart)
    }

    /// Why its process is to be told by a signal, if it is.
    pub(in crate::decide) fn signal(&self) -> Option<Cause> {
        self.needs(Repair::Signal)
    }

    fn needs(&self, repair: Repair) -> Option<Cause> {
        let needs = |d: &fields::Difference| d.repair == repair;
        self.may.iter().any(|d| needs(d)).then(|| self.because(needs, false))
    }

    /// A network to be detached from, and why: it is not desired, or its attachment is not as it is to be.
    pub(in crate::decide) fn detach<'n>(&self, attached: impl Iterator<Item = &'n str>) -> Option<(&'n str, Cause)> {
        for name in attached {
            let at = format!("networks.{name}");
            let within = |d: &fields::Difference| {
                d.repair == Repair::Attach && fields::within(&d.path, &at) && !(d.path == at && d.observed.is_none())
            };
            if self.may.iter().any(|d| within(d)) {
                return Some((name, self.cause(within)));
            }
        }
        None
    }
}
