//! Which projects a controller keeps.

use std::path::{Path, PathBuf};

use crate::model::ledger::ProjectLedger;

/// The manifests directories that a controller keeps, and how far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    roots: Vec<PathBuf>,
    single: bool,
    asked_only: bool,
}

impl Scope {
    /// All projects of these directories.
    pub fn directories(roots: Vec<PathBuf>) -> Self {
        Self { roots, single: false, asked_only: false }
    }

    /// One manifest of several: projects that are remembered from elsewhere are left alone.
    pub fn manifest(path: PathBuf) -> Self {
        Self { roots: vec![path], single: true, asked_only: false }
    }

    /// Nothing is done but what an operation asks for.
    #[must_use]
    pub fn asked_only(mut self) -> Self {
        self.asked_only = true;
        self
    }

    /// The directory, or the first of them.
    pub fn root(&self) -> &Path {
        self.roots.first().map_or(Path::new("."), PathBuf::as_path)
    }

    /// Whether this is one manifest of several.
    pub fn is_single(&self) -> bool {
        self.single
    }

    /// Whether a remembered project was loaded from one of the directories: it is kept, and removed once its manifest is
    /// gone.
    pub fn owns(&self, ledger: &ProjectLedger) -> bool {
        !self.single && self.roots.contains(&ledger.root)
    }

    /// Whether a reading of `root` speaks for a remembered project.
    pub(super) fn owns_from(&self, root: &Path, ledger: &ProjectLedger) -> bool {
        self.owns(ledger) && ledger.root == root
    }

    /// Whether a project is shown: it has a manifest, is being removed, or is owned.
    pub(super) fn shows(&self, ledger: &ProjectLedger, has_manifest: bool) -> bool {
        has_manifest || ledger.down.is_some() || self.owns(ledger)
    }

    /// Whether a project is decided about.
    pub(super) fn decides(&self, ledger: &ProjectLedger, has_manifest: bool) -> bool {
        let wanted = !self.asked_only && (has_manifest || self.owns(ledger));
        ledger.down.is_some() || ledger.suspended || wanted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(root: &str) -> ProjectLedger {
        ProjectLedger { root: root.into(), ..ProjectLedger::default() }
    }

    #[test]
    fn what_was_loaded_from_one_of_the_directories_is_owned() {
        let scope = Scope::directories(vec!["/a".into(), "/b".into()]);
        assert!(scope.owns(&of("/a")) && scope.owns(&of("/b")) && !scope.owns(&of("/c")) && !scope.owns(&of("")));
        assert!(scope.owns_from(Path::new("/a"), &of("/a")) && !scope.owns_from(Path::new("/a"), &of("/b")));
        assert!(!Scope::manifest("/a".into()).owns(&of("/a")), "of one manifest nothing else follows");
    }

    #[test]
    fn who_only_does_what_is_asked_decides_about_nothing_else() {
        let scope = Scope::directories(vec!["/a".into()]).asked_only();
        assert!(!scope.decides(&of("/a"), true) && scope.shows(&of("/a"), false));
        let down = ProjectLedger { down: Some(crate::model::ledger::Down { volumes: false }), ..of("/c") };
        assert!(scope.decides(&down, false));
    }
}
