//! What happened to containers and manifests, told to people and programs.

use super::Announcement;
use crate::control::ledger::Revision;
use crate::manifest::{Loaded, Severity as Badness};
use crate::model::Project;
use crate::model::event::Severity;
use crate::model::health::{HealthClass, Probed};
use crate::model::ledger::ProjectLedger;
use crate::model::observed::Container;
use crate::model::record::{Down, RecordData};
use crate::probe::track::News;

/// A container ended, and not by a step: by itself, or by somebody's hand. One that ends well is no news.
pub(in crate::control) fn died(container: &Container, code: i64) -> Option<Announcement> {
    let name = container.name.clone();
    let data = if container.killed {
        RecordData::ForeignAction { container: name, code }
    } else if code != 0 {
        RecordData::ServiceDown { container: Some(name), how: Down::Exited { code } }
    } else {
        return None;
    };
    Some(Announcement::of(Severity::Warning, container.service.as_ref(), data))
}

/// A probe found something that matters.
pub(in crate::control) fn probed(container: &Container, probed: Probed, news: News) -> Vec<Announcement> {
    let (name, service) = (&container.name, container.service.as_ref());
    let mut told = Vec::new();
    if news.class {
        let (class, reasons, container) = (probed.class.as_str().to_owned(), probed.reasons, Some(name.clone()));
        let severity = match probed.class {
            HealthClass::Unhealthy => Severity::Error,
            HealthClass::Degraded => Severity::Warning,
            _ => Severity::Info,
        };
        let data = match severity {
            Severity::Info => RecordData::ServiceUp { container, state: class, reasons },
            _ => RecordData::ServiceDown { container, how: Down::Unwell { class, reasons } },
        };
        told.push(Announcement::of(severity, service, data));
    }
    if news.slow {
        let latency_ms = probed.latency_ms.unwrap_or_default();
        let data = RecordData::HighLatency { container: name.clone(), latency_ms };
        told.push(Announcement::of(Severity::Warning, service, data));
    }
    told
}

/// A manifest was read that does not load.
pub(in crate::control) fn invalid(loaded: &Loaded) -> Announcement {
    let errors = loaded.diagnostics.iter().filter(|d| d.severity == Badness::Error).map(ToString::to_string);
    Announcement::of(Severity::Error, None, RecordData::ManifestInvalid { errors: errors.collect() })
}

/// A revision of the manifest was read; what becomes of it. `known`: the revisions after it was taken.
pub(in crate::control) fn revision_read(
    project: &Project,
    path: String,
    ledger: &ProjectLedger,
    known: &Revision,
) -> Vec<Announcement> {
    let revision = project.revision.clone();
    if ledger.rolled_back.is_some() {
        let data = RecordData::RevisionNotRetried { revision, path };
        return vec![Announcement::of(Severity::Error, None, data)];
    }
    let data = RecordData::RevisionLoaded { revision: revision.clone(), path };
    let mut told = vec![Announcement::of(Severity::Info, None, data)];
    let healthy = known.healthy.as_ref().map(|healthy| healthy.project.revision.clone());
    if let Some(from) = healthy.filter(|before| *before != revision) {
        told.push(Announcement::of(Severity::Info, None, RecordData::RolloutStarted { from, to: revision }));
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{ContainerId, ProjectName, ServiceName, Timestamp};

    fn container() -> Container {
        let (id, shop) = (ContainerId::trusted("c1"), ProjectName::trusted("shop"));
        let service = Some(ServiceName::trusted("web"));
        Container { service, ..Container::made(id, "shop-web-1", shop, Timestamp::UNIX_EPOCH) }
    }

    #[test]
    fn an_end_is_told_unless_it_is_a_good_one() {
        let ended = container();
        assert_eq!(died(&ended, 0), None);
        assert!(matches!(died(&ended, 1).unwrap().data, RecordData::ServiceDown { .. }));
        let killed = Container { killed: true, ..ended };
        assert!(matches!(died(&killed, 0).unwrap().data, RecordData::ForeignAction { .. }), "whatever its code");
    }

    #[test]
    fn a_class_is_told_by_how_bad_it_is_and_slowness_for_itself() {
        for (class, severity) in [
            (HealthClass::Unhealthy, Severity::Error),
            (HealthClass::Degraded, Severity::Warning),
            (HealthClass::Healthy, Severity::Info),
        ] {
            let told = probed(&container(), Probed { class, ..Probed::default() }, News { class: true, slow: false });
            let [one] = told.as_slice() else { panic!("{told:?}") };
            assert_eq!(one.severity, severity);
            assert_eq!(matches!(one.data, RecordData::ServiceUp { .. }), severity == Severity::Info);
        }
        let told = probed(&container(), Probed::default(), News { class: false, slow: true });
        assert!(matches!(told.as_slice(), [Announcement { data: RecordData::HighLatency { .. }, .. }]), "{told:?}");
    }
}
