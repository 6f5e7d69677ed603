//! What comes with the source loads without an error or a warning.

use std::path::Path;

use evenkeel::manifest::load_all;

use super::loading;

#[track_caller]
fn check(folder: &str, projects: &[(&str, usize)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let loaded = load_all(&root, &loading::variables(&[]), &[]).unwrap();
    let found: Vec<String> = loaded.iter().flat_map(|l| &l.diagnostics).map(|d| d.render(false)).collect();
    assert!(found.is_empty(), "{}", found.join("\n"));
    let names: Vec<_> = loaded
        .iter()
        .map(|l| {
            let project = l.project.as_ref().unwrap();
            (project.name.as_str(), project.services.len())
        })
        .collect();
    assert_eq!(names, projects);
}

#[test]
fn the_default_manifests_load() {
    check("manifests", &[("reports", 1), ("shop", 5)]);
}

#[test]
fn the_example_fleet_loads() {
    check("examples/fks/manifests", &[("fks", 14)]);
}
