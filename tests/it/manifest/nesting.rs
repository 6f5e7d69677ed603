//! Nesting without end. A stack that overflows takes the whole process with it, so each runs in a process of its own.

use std::process::Command;

use super::loading::load;

/// Set where a test runs in a process of its own.
const IN_CHILD: &str = "EVENKEEL_TEST_IN_CHILD";

#[test]
fn nesting_without_end_is_an_error_and_not_the_end() {
    for name in ["braces", "aliases", "dependencies"] {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", &format!("manifest::nesting::{name}")])
            .env(IN_CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("1 passed"), "{name}: {said}");
    }
}

#[test]
fn braces() {
    if std::env::var_os(IN_CHILD).is_none() {
        return;
    }
    let depth = 5_000;
    let text = format!("services: {{a: {{image: '{}x{}'}}}}", "${A:-".repeat(depth), "}".repeat(depth));
    assert!(!load(&[("shop.yaml", &text)], &[]).errors().is_empty());
}

/// Each anchor is within the limit, and what they stand for is not.
#[test]
fn aliases() {
    if std::env::var_os(IN_CHILD).is_none() {
        return;
    }
    let mut text = String::from("x-0: &a0 1\n");
    for n in 1..150 {
        text += &format!("x-{n}: &a{n} {}*a{}{}\n", "[".repeat(95), n - 1, "]".repeat(95));
    }
    text += "services: {a: {image: x}}\n";
    assert!(!load(&[("shop.yaml", &text)], &[]).errors().is_empty());
}

#[test]
fn dependencies() {
    if std::env::var_os(IN_CHILD).is_none() {
        return;
    }
    let count = 8_000;
    let mut text = String::from("services:\n");
    for n in 1..count {
        text += &format!("  s{n}: {{image: x, depends_on: [s{}]}}\n", n + 1);
    }
    text += &format!("  s{count}: {{image: x}}\n");
    load(&[("shop.yaml", &text)], &[]);
}
