//! Files that are part of a manifest: they are no projects of their own.

use evenkeel::manifest::load_all;

use super::loading::{load, variables};

const SHOP: &str = "include: [db.yaml]\nservices: {web: {image: x, depends_on: [db]}}\n";
const DB: &str = "services: {db: {image: x}}\n";

fn names(folder: &super::loading::Folder) -> Vec<String> {
    folder.loaded.iter().filter_map(|l| Some(l.project.as_ref()?.name.to_string())).collect()
}

#[test]
fn what_is_included_or_extended_is_no_project_of_its_own() {
    let folder = load(&[("shop.yaml", SHOP), ("db.yaml", DB)], &[]);
    assert_eq!((names(&folder), folder.lines()), (vec!["shop".to_owned()], String::new()));
    let base = "services: {base: {image: x}}\n";
    let shop = "services: {web: {extends: {file: lib/base.yaml, service: base}}}\n";
    let folder = load(&[("shop.yaml", shop), ("lib/base.yaml", base)], &[]);
    assert_eq!((names(&folder), folder.lines()), (vec!["shop".to_owned()], String::new()));
}

#[test]
fn while_the_owner_does_not_load_its_part_is_neither_a_project_nor_gone() {
    let broken = SHOP.replace("image", "imagee");
    let folder = load(&[("shop.yaml", &broken), ("db.yaml", DB)], &[]);
    assert_eq!(names(&folder), Vec::<String>::new());
    assert_eq!(folder.loaded.len(), 2);
    assert!(folder.lines().contains("db.yaml: error: is part of"), "{}", folder.lines());
    assert_eq!(folder.diagnostics().count(), 2, "each mistake once: {}", folder.lines());
}

#[test]
fn what_an_owner_was_made_of_is_remembered_while_it_cannot_be_parsed() {
    let folder = load(&[("shop.yaml", SHOP), ("db.yaml", DB)], &[]);
    std::fs::write(folder.dir.path().join("shop.yaml"), "include: [db.yaml\n").unwrap();
    let again = load_all(folder.dir.path(), &variables(&[]), &folder.loaded).unwrap();
    assert!(again.iter().all(|l| l.project.is_none()) && again.len() == 2);
    std::fs::write(folder.dir.path().join("shop.yaml"), SHOP).unwrap();
    let mended = load_all(folder.dir.path(), &variables(&[]), &again).unwrap();
    assert_eq!(mended.iter().filter(|l| l.project.is_some()).count(), 1);
}

#[test]
fn two_that_include_each_other_are_both_shown() {
    let a = "include: [b.yaml]\nservices: {a: {image: x}}\n";
    let b = "include: [a.yaml]\nservices: {b: {image: x}}\n";
    let folder = load(&[("a.yaml", a), ("b.yaml", b)], &[]);
    assert_eq!(folder.loaded.len(), 2);
    assert_eq!(folder.errors().matches("include each other").count(), 2, "{}", folder.errors());
}
