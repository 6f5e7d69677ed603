//! What an id means: `PROJECT`, `PROJECT.SERVICE`, or the bare name of a service where only one project has it.

use super::OperationError;
use crate::control::ledger::Ledger;
use crate::manifest::diagnostic::suggestion;
use crate::model::{ProjectName, ServiceId, ServiceName};

/// What an id names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::control) enum Named {
    Project(ProjectName),
    Service(ServiceId),
}

impl Named {
    pub(in crate::control) fn project(&self) -> &ProjectName {
        match self {
            Self::Project(name) => name,
            Self::Service(id) => &id.project,
        }
    }
}

/// A service among those that are there, by its id or by its bare name.
///
/// # Errors
/// When there is none, or several.
pub fn resolve<'a>(
    id: &str,
    services: impl Iterator<Item = (&'a ProjectName, &'a ServiceName)>,
) -> Result<ServiceId, OperationError> {
    let mut by_name = Vec::new();
    for (project, service) in services {
        let found = || ServiceId { project: project.clone(), service: service.clone() };
        let is_full =
            id.strip_prefix(project.as_str()).and_then(|rest| rest.strip_prefix('.')) == Some(service.as_str());
        if is_full {
            return Ok(found());
        }
        if service.as_str() == id {
            by_name.push(found());
        }
    }
    match by_name.as_slice() {
        [_] => by_name.pop().ok_or_else(|| not_found(id)),
        [] => Err(not_found(id)),
        several => {
            let candidates = several.iter().map(ToString::to_string).collect();
            Err(OperationError::Ambiguous { id: id.to_owned(), candidates })
        }
    }
}

fn not_found(id: &str) -> OperationError {
    OperationError::NotFound {
        kind: "project or service".to_owned(),
        id: id.to_owned(),
        help: "`evenkeel status` lists them".to_owned(),
    }
}

/// A project that is known, by its name.
pub(in crate::control) fn project(ledger: &Ledger, text: &str) -> Result<ProjectName, OperationError> {
    let name = ProjectName::parse(text).map_err(|e| OperationError::refused(e.to_string()))?;
    if ledger.knows(&name) {
        return Ok(name);
    }
    let known: Vec<_> = ledger.names().map(ProjectName::as_str).collect();
    let help = suggestion(text, known.iter().copied()).unwrap_or_else(|| format!("known are: {}", known.join(", ")));
    Err(OperationError::NotFound { kind: "project".to_owned(), id: text.to_owned(), help })
}

/// A project or service.
pub(super) fn named(ledger: &Ledger, id: &str) -> Result<Named, OperationError> {
    if let Some(name) = ledger.names().find(|name| name.as_str() == id) {
        return Ok(Named::Project(name.clone()));
    }
    let services = ledger.iter().flat_map(|(name, _, revision)| {
        revision.in_force.iter().flat_map(|p| p.services.keys()).map(move |service| (name, service))
    });
    resolve(id, services).map(Named::Service)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_full_or_a_name_that_only_one_project_has() {
        let [shop, other] = ["shop", "other"].map(ProjectName::trusted);
        let [db, web] = ["db", "web"].map(ServiceName::trusted);
        let all = [(&shop, &db), (&shop, &web), (&other, &db)];
        let id = |text: &str| resolve(text, all.into_iter()).map(|id| id.to_string());
        assert_eq!(id("shop.db").unwrap(), "shop.db");
        assert_eq!(id("web").unwrap(), "shop.web");
        let candidates = vec!["shop.db".to_owned(), "other.db".to_owned()];
        assert_eq!(id("db").unwrap_err(), OperationError::Ambiguous { id: "db".into(), candidates });
        assert!(matches!(id("shop.nope").unwrap_err(), OperationError::NotFound { .. }));
    }
}
