//! What is sent to bring the loader down ends in a message: no crash, no wait, no memory without end.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// Beyond this it counts as hanging; what it takes is measured by the benchmarks.
const DEADLINE: Duration = Duration::from_secs(20);
/// Kilobytes of address space, of which a few are the program itself.
const MEMORY: u32 = 300_000;

/// Renders a file in a fresh folder that `make` fills; the messages, which must be there.
#[track_caller]
fn refused(file: &str, make: impl FnOnce(&Path)) -> String {
    let dir = tempfile::tempdir().unwrap();
    make(dir.path());
    let script = format!("ulimit -v {MEMORY}; exec \"$0\" render --format json -f \"$1\"");
    let begun = Instant::now();
    let output = Command::new("timeout")
        .args([&DEADLINE.as_secs().to_string(), "sh", "-c", &script, env!("CARGO_BIN_EXE_evenkeel"), file])
        .env("MALLOC_ARENA_MAX", "1")
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert!(begun.elapsed() < DEADLINE, "{file} is not done in time");
    let message = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{file}: {:?}\n{message:.400}", output.status);
    assert!(!message.contains("panicked"), "{message:.400}");
    message
}

#[track_caller]
fn refused_text(text: &str) -> String {
    refused("compose.yaml", |dir| fs::write(dir.join("compose.yaml"), text).unwrap())
}

#[test]
fn an_alias_bomb() {
    let mut bomb = "x0: &x0 [1,1,1,1,1,1,1,1,1,1]\n".to_owned();
    for n in 1..10 {
        let aliases = vec![format!("*x{}", n - 1); 10].join(",");
        bomb.push_str(&format!("x{n}: &x{n} [{aliases}]\n"));
    }
    assert!(refused_text(&bomb).contains("once aliases are resolved"));
}

#[test]
fn nesting_without_end() {
    for text in ["[".repeat(100_000), "{a: ".repeat(100_000), "- ".repeat(100_000), "? ".repeat(100_000)] {
        assert!(refused_text(&text).contains("compose.yaml:"));
    }
    let defaults = format!("services: {{a: {{image: \"{}x{}\"}}}}", "${A:-".repeat(100_000), "}".repeat(100_000));
    assert!(refused_text(&defaults).contains("nested deeper"));
}

#[test]
fn sizes_without_measure() {
    let large = format!("services: {{a: {{image: x}}}}\n#{}\n", "x".repeat(50 << 20));
    assert!(refused_text(&large).contains("larger than"));
    let list = format!("services:\n  a:\n    image: x\n    cap_add:\n{}", "    - A\n".repeat(1_000_000));
    assert!(refused_text(&list).contains("values"));
    let keys: String = (0..700_000).map(|n| format!("k{n}:\n")).collect();
    assert!(refused_text(&keys).contains("values"));
    let mistakes: String = (0..100_000).map(|n| format!("k{n}:\n")).collect();
    assert!(refused_text(&mistakes).lines().count() < 10_000, "nobody reads more");
    let variables = format!("services: {{a: {{image: \"{}\"}}}}", "${A:-x}".repeat(500_000));
    assert!(refused_text(&format!("{variables}\nbad: 1")).contains("unknown key"));
}

#[test]
fn what_is_no_text() {
    assert!(refused_text("services: {a: {image: \"\0\"}}").contains("NUL"));
    let message = refused("compose.yaml", |dir| fs::write(dir.join("compose.yaml"), b"a: \xff\n").unwrap());
    assert!(message.contains("UTF-8"), "{message}");
}

#[test]
fn what_is_no_file() {
    let message = refused("folder", |dir| fs::create_dir(dir.join("folder")).unwrap());
    assert!(message.contains("folder"), "{message}");
    let fifo = |dir: &Path| assert!(Command::new("mkfifo").arg(dir.join("fifo")).status().unwrap().success());
    assert!(refused("fifo", fifo).contains("pipe"));
    assert!(refused("/dev/zero", |_| ()).contains("device"));
    let message = refused("loop", |dir| symlink("loop", dir.join("loop")).unwrap());
    assert!(message.contains("loop"), "{message}");
    assert!(refused("none.yaml", |_| ()).contains("No such file"));
}

#[test]
fn circles() {
    let message = refused("a.yaml", |dir| {
        fs::write(dir.join("a.yaml"), "include: [b.yaml]\nservices: {a: {image: x}}\n").unwrap();
        fs::write(dir.join("b.yaml"), "include: [a.yaml]\nservices: {b: {image: x}}\n").unwrap();
    });
    assert!(message.contains("include each other in a circle"), "{message}");
    let message = refused("a.yaml", |dir| {
        let text = |file: &str| format!("services: {{a: {{image: x, extends: {{file: {file}, service: a}}}}}}\n");
        fs::write(dir.join("a.yaml"), text("b.yaml")).unwrap();
        fs::write(dir.join("b.yaml"), text("a.yaml")).unwrap();
    });
    assert!(message.contains("extend each other in a circle"), "{message}");
    let chain: String = (0..5_000).map(|n| format!("  s{n}: {{image: x, extends: s{}}}\n", n + 1)).collect();
    assert!(refused_text(&format!("services:\n{chain}  s5000: {{image: x}}\n")).contains("extend each other"));
    let waiting: String = (0..20_000).map(|n| format!("  s{n}: {{image: x, depends_on: [s{}]}}\n", n + 1)).collect();
    let text = format!("services:\n{waiting}  s20000: {{image: x, depends_on: [s0]}}\n");
    assert!(refused_text(&text).contains("dependency cycle"));
}
