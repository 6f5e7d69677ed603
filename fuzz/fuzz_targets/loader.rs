//! Any bytes as a manifest: the loader must not panic, must come to an end, and must not say more than a person or a
//! program can take.
//!
//! An input is up to four files with a line `=====` between them: `compose.yaml`, `compose.override.yaml`, `.env`, and
//! `other.yaml`, which the first two may include or extend. An empty part is a file that is not there, but for the first.

#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use evenkeel::manifest::interpolate::Variables;
use evenkeel::manifest::{self, Diagnostic, Format, Request, load_all};
use libfuzzer_sys::fuzz_target;

const FILES: [&str; 4] = ["compose.yaml", "compose.override.yaml", ".env", "other.yaml"];
const MARKER: &[u8] = b"\n=====\n";
/// A manifest is kept for each project and printed whole.
const MAX_OUTPUT: usize = 64 << 20;
const MAX_DIAGNOSTICS: usize = 502;
/// One of them, with the lines of the source.
const MAX_DIAGNOSTIC: usize = 1 << 20;

/// In memory where there is such a folder.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = tempfile::Builder::new().prefix("evenkeel-fuzz-").tempdir_in(base).expect("a folder");
    let project = folder.keep().join("manifests/project");
    fs::create_dir_all(&project).expect("a folder");
    project
});

fuzz_target!(|data: &[u8]| {
    let folder = FOLDER.as_path();
    let mut rest = data;
    for (n, name) in FILES.iter().enumerate() {
        let end = rest.windows(MARKER.len()).position(|w| w == MARKER);
        let part = end.map_or(rest, |end| &rest[..end]);
        rest = end.map_or(&[], |end| &rest[end + MARKER.len()..]);
        let path = folder.join(name);
        if n > 0 && part.is_empty() {
            let _ = fs::remove_file(path);
        } else {
            fs::write(path, part).expect("a file");
        }
    }
    let environment = Variables::from([("HOME".to_owned(), "/home/user".to_owned())]);

    let root = folder.parent().unwrap_or(folder);
    for loaded in load_all(root, &environment, &[]).expect("the folder is there") {
        bounded(&loaded.diagnostics);
        let has_errors = loaded.diagnostics.iter().any(|d| d.severity == manifest::Severity::Error);
        assert_eq!(loaded.project.is_none(), has_errors, "errors, or a project: {:?}", loaded.diagnostics);
    }

    let files: Vec<PathBuf> = FILES[..2].iter().map(|name| folder.join(name)).filter(|path| path.exists()).collect();
    let request = Request::compose(files);
    for format in [Format::Yaml, Format::Json] {
        let Ok(rendered) = manifest::render(&request, &environment, format) else { continue };
        bounded(&rendered.diagnostics);
        assert!(rendered.text.is_none_or(|text| text.len() < MAX_OUTPUT), "too long a text");
    }
});

fn bounded(diagnostics: &[Diagnostic]) {
    assert!(diagnostics.len() < MAX_DIAGNOSTICS, "{} diagnostics", diagnostics.len());
    for diagnostic in diagnostics {
        let text = diagnostic.render(false);
        assert!(text.len() < MAX_DIAGNOSTIC, "a diagnostic of {} bytes: {}", text.len(), diagnostic.code);
    }
}
