//! Images: which are fetched, which are built, and which services have theirs.
//!
//! What is written decides: an image that can be built is fetched only where `pull_policy` says so, and then built if it
//! cannot be had. What runs is never given up for an image that cannot be had.

use std::collections::BTreeSet;

use crate::decide::recovery::pace;
use crate::decide::replica::slots::{Filled, Phase, Slots};
use crate::decide::{Action, Cause, Decision, Input, WaitingOn};
use crate::model::service::PullPolicy;
use crate::model::{Project, Service, time};

/// How far the images are.
#[derive(Debug)]
pub(in crate::decide) struct Images {
    /// Whether containers may be made for a service, by its place.
    pub(in crate::decide) ready: Vec<bool>,
    /// An image is not there that a container is to be made from.
    pub(in crate::decide) lacking: bool,
    /// Images that something is still to be done about, by reference.
    pub(in crate::decide) pending: BTreeSet<String>,
}

/// What a service needs.
enum Need {
    /// Nothing is needed now, or nobody looked yet.
    Nothing,
    /// Its image is there, or the Engine is to say that it is not.
    Ready,
    /// A step first.
    Step(Action, Cause),
    /// A step, and what is there will do until it worked.
    Meanwhile(Action, Cause),
}

/// Decides about all images.
pub(in crate::decide) fn decide(
    input: &Input<'_>,
    project: &Project,
    slots: &Slots<'_>,
    decision: &mut Decision,
) -> Images {
    let mut images = Images { ready: vec![false; slots.by_name().len()], lacking: false, pending: BTreeSet::new() };
    let mut to_build = BTreeSet::new();
    for (place, filled) in slots.in_order() {
        let service = filled.service;
        if service.extension.suspend || input.ledger.suspended_services.contains(&service.name) {
            continue;
        }
        match (Turn { input, project, filled, service }).need(decision) {
            Need::Nothing => {
                // Nobody knows yet whether it is to be built; who begins with it waits until then.
                if filled.image.is_none() && service.build.is_some() {
                    to_build.insert(&service.name);
                }
            }
            Need::Ready => images.ready[place] = true,
            Need::Step(action, cause) => {
                images.lacking = true;
                images.pending.insert(service.image.clone());
                if matches!(action, Action::BuildImage { .. }) {
                    to_build.insert(&service.name);
                    // Its Dockerfile may begin with what they build.
                    if service.depends_on.keys().any(|dependency| to_build.contains(dependency)) {
                        continue;
                    }
                }
                let config = action.config(Some(project));
                pace::attempt(input, decision, action, cause, &config);
            }
            Need::Meanwhile(action, cause) => {
                images.pending.insert(service.image.clone());
                images.ready[place] = true;
                refresh(input, decision, action, cause, &service.image);
            }
        }
    }
    images
}

/// Fetches anew what is there. A failure is reported, and changes nothing about how the project is.
fn refresh(input: &Input<'_>, decision: &mut Decision, action: Action, cause: Cause, image: &str) {
    let Some((failure, until)) = pace::backoff(input, &action.subject(), image) else {
        pace::attempt(input, decision, action, cause, image);
        return;
    };
    decision.wake(until);
    let (attempts, error) = (failure.attempts, failure.error.clone());
    let on = WaitingOn::Refresh { image: image.to_owned(), until, attempts, error };
    if !decision.waiting.iter().any(|w| w.on == on) {
        decision.wait(None, on);
    }
}

struct Turn<'a> {
    input: &'a Input<'a>,
    project: &'a Project,
    filled: &'a Filled<'a>,
    service: &'a Service,
}

impl Turn<'_> {
    fn need(&self, decision: &mut Decision) -> Need {
        let Some(image) = self.filled.image else { return Need::Nothing };
        let there = image.is_some();
        match self.service.pull_policy {
            PullPolicy::Always if self.to_be_made() && !self.fetched() => {
                self.pull(if there { Cause::NewConfiguration } else { Cause::Missing })
            }
            PullPolicy::Build if self.service.build.is_some() && self.outdated() => {
                self.build(if there { Cause::NewConfiguration } else { Cause::Missing })
            }
            PullPolicy::Every(interval) if there && !self.filled.slots.is_empty() => self.every(interval, decision),
            _ if there => Need::Ready,
            // An image that nothing has to be made from is not supplied.
            _ if !self.to_be_made() => Need::Nothing,
            policy => self.missing(policy),
        }
    }

    fn missing(&self, policy: PullPolicy) -> Need {
        let can_build = self.project.can_build(&self.service.image);
        let explicit = matches!(policy, PullPolicy::Missing | PullPolicy::Always | PullPolicy::Every(_));
        let in_vain = self.supply().is_some_and(|s| s.in_vain) && self.fetched();
        if can_build && (!explicit || in_vain) {
            return self.build(Cause::Missing);
        }
        match policy {
            // Asking the Engine for it gives the error in the Engine's words, with its retries.
            PullPolicy::Never | PullPolicy::Build => Need::Ready,
            _ => self.pull(Cause::Missing),
        }
    }

    fn every(&self, interval: std::time::Duration, decision: &mut Decision) -> Need {
        let since = self.supply().map(|s| s.at);
        let action = Action::PullImage { image: self.service.image.clone() };
        let Some(since) = since else {
            // The first time is waited for, or the container would be replaced at once; but not for ever.
            let failed = self.input.ledger.failures.contains_key(&action.subject());
            let cause = Cause::Aged { since: None };
            return if failed { Need::Meanwhile(action, cause) } else { Need::Step(action, cause) };
        };
        // A clock that was put back does not keep it from growing old.
        let due = time::after(since.min(self.input.now), interval);
        if due <= self.input.now {
            return Need::Meanwhile(action, Cause::Aged { since: Some(since) });
        }
        decision.wake(due);
        Need::Ready
    }

    fn to_be_made(&self) -> bool {
        self.filled.slots.iter().any(|s| s.phase == Phase::Absent)
    }

    fn supply(&self) -> Option<&crate::model::ledger::Supply> {
        self.input.ledger.supplies.get(&self.service.name).filter(|s| s.image == self.service.image)
    }

    /// Whether the image was fetched for this configuration.
    fn fetched(&self) -> bool {
        self.supply().is_some_and(|s| s.config == self.service.config_hash)
    }

    /// Whether the image was built for another configuration; one that nobody knows of is as good as another while
    /// nothing has to be made from it.
    fn outdated(&self) -> bool {
        match self.supply() {
            Some(supply) => supply.config != self.service.build_config(),
            None => self.to_be_made(),
        }
    }

    fn pull(&self, cause: Cause) -> Need {
        Need::Step(Action::PullImage { image: self.service.image.clone() }, cause)
    }

    /// By its own words, or by those of the first service that has some.
    fn build(&self, cause: Cause) -> Need {
        let image = &self.service.image;
        let mut builders = self.project.services.values().filter(|s| s.build.is_some() && s.image == *image);
        let builder = if self.service.build.is_some() { Some(self.service) } else { builders.next() };
        let Some(builder) = builder else { return Need::Ready };
        Need::Step(Action::BuildImage { service: builder.name.clone(), image: image.clone() }, cause)
    }
}
