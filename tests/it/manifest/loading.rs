//! Manifests as text, loaded from a folder of their own.

use std::path::Path;
use std::sync::Arc;

use evenkeel::manifest::interpolate::Variables;
use evenkeel::manifest::{Diagnostic, Loaded, Severity, load_all};
use evenkeel::model::{Project, Service};

/// What was loaded, with the folder it stood in.
pub struct Folder {
    pub dir: tempfile::TempDir,
    pub loaded: Vec<Arc<Loaded>>,
}

/// Writes the files below a fresh folder and loads it.
pub fn load(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Folder {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), files);
    let loaded = load_all(dir.path(), &variables(environment), &[]).unwrap();
    Folder { dir, loaded }
}

pub fn variables(pairs: &[(&str, &str)]) -> Variables {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

fn write(root: &Path, files: &[(&str, &str)]) {
    for (name, text) in files {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// The one project in these files, which have no mistakes.
#[track_caller]
pub fn project(files: &[(&str, &str)], environment: &[(&str, &str)]) -> Project {
    let folder = load(files, environment);
    assert_eq!(folder.errors(), "");
    assert_eq!(folder.loaded.len(), 1);
    (**folder.loaded[0].project.as_ref().unwrap()).clone()
}

/// The project in one file, `shop.yaml`.
#[track_caller]
pub fn shop(text: &str) -> Project {
    project(&[("shop.yaml", text)], &[])
}

/// The service `a` of the project in one file.
#[track_caller]
pub fn service(text: &str) -> Service {
    shop(text).services["a"].clone()
}

impl Folder {
    pub fn diagnostics(&self) -> impl Iterator<Item = &Diagnostic> {
        self.loaded.iter().flat_map(|l| &l.diagnostics)
    }

    fn relative(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }

    /// Every diagnostic on a line of its own, paths from the folder on.
    pub fn lines(&self) -> String {
        self.diagnostics().map(|d| format!("{}\n", self.relative(&d.to_string()))).collect()
    }

    pub fn errors(&self) -> String {
        let errors = self.diagnostics().filter(|d| d.severity == Severity::Error);
        errors.map(|d| format!("{}\n", self.relative(&d.to_string()))).collect()
    }

    /// Every diagnostic as people see it.
    pub fn rendered(&self) -> String {
        self.diagnostics().map(|d| format!("{}\n", self.relative(&d.render(false)))).collect()
    }
}
