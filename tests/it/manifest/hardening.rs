//! Nothing that stands in a manifest brings the loader down.

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use super::loading::{load, shop};

const SAMPLE: &str = include_str!("../../../manifests/shop/compose.yaml");
const FLEET: &str = include_str!("../../../examples/fks/manifests/fks/compose.yaml");

/// The same cases each time.
fn for_all<S: Strategy>(cases: u32, strategy: &S, test: impl Fn(S::Value)) {
    let config = Config { cases, failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let result = runner.run(strategy, |value| {
        test(value);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
}

/// Loads a text, and shows what is wrong with it both ways.
fn survive(text: &str) {
    let folder = load(&[("shop.yaml", text)], &[("A", "${B}")]);
    for diagnostic in folder.diagnostics() {
        assert!(!diagnostic.render(false).is_empty() && !diagnostic.render(true).is_empty());
    }
    let refused = folder.loaded[0].project.is_none();
    assert_eq!(refused, !folder.errors().is_empty(), "a project or an error: {}", folder.errors());
}

#[test]
fn random_text_is_survived() {
    for_all(300, &".{0,200}", |text| survive(&text));
    for_all(300, &"[a-z:\\- \\[\\]{}&*!|>'\"%@`#,?\n\t$]{0,120}", |text| survive(&text));
}

#[test]
fn random_bytes_are_survived() {
    for_all(200, &proptest::collection::vec(any::<u8>(), 0..200), |bytes| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("shop.yaml"), bytes).unwrap();
        let loaded = evenkeel::manifest::load_all(dir.path(), &Default::default(), &[]).unwrap();
        loaded.iter().flat_map(|l| &l.diagnostics).for_each(|d| drop(d.render(false)));
    });
}

#[derive(Debug, Clone)]
enum Mutation {
    Insert(usize, String),
    Delete(usize, usize),
    Double(usize, usize),
    Swap(usize, usize),
}

fn mutate(text: &str, mutation: &Mutation) -> String {
    let mut chars: Vec<char> = text.chars().collect();
    let count = chars.len().max(1);
    let range = |at: usize, length: usize| at % count..(at % count + length).min(count);
    match mutation {
        Mutation::Insert(at, what) => {
            let at = at % count;
            chars.splice(at..at, what.chars());
        }
        Mutation::Delete(at, length) => drop(chars.drain(range(*at, *length))),
        Mutation::Double(at, length) => {
            let copy = chars[range(*at, *length)].to_vec();
            chars.splice(at % count..at % count, copy);
        }
        Mutation::Swap(a, b) => chars.swap(a % count, b % count),
    }
    chars.into_iter().collect()
}

fn mutations() -> impl Strategy<Value = Vec<Mutation>> {
    let piece = prop_oneof![
        prop::sample::select(vec![
            "\n",
            "  ",
            "- ",
            ": ",
            "{",
            "}",
            "[",
            "]",
            "&a ",
            "*a",
            "<<: ",
            "!reset ",
            "!override ",
            "\"",
            "'",
            "#",
            "|\n",
            "${",
            "${A:-",
            "$",
            "~",
            "null",
            "-1",
            "1e999",
            ".nan",
            "0x",
            "ä",
            "\u{2028}",
            "\r",
            "\t",
            "? ",
        ])
        .prop_map(str::to_owned),
        ".{0,6}",
    ];
    let mutation = prop_oneof![
        4 => (any::<usize>(), piece).prop_map(|(at, what)| Mutation::Insert(at, what)),
        2 => (any::<usize>(), 1..40usize).prop_map(|(at, length)| Mutation::Delete(at, length)),
        1 => (any::<usize>(), 1..80usize).prop_map(|(at, length)| Mutation::Double(at, length)),
        1 => (any::<usize>(), any::<usize>()).prop_map(|(a, b)| Mutation::Swap(a, b)),
    ];
    proptest::collection::vec(mutation, 1..5)
}

#[test]
fn mutated_manifests_are_survived() {
    for sample in [SAMPLE, FLEET] {
        for_all(250, &mutations(), |mutations| {
            survive(&mutations.iter().fold(sample.to_owned(), |text, mutation| mutate(&text, mutation)));
        });
    }
}

#[test]
fn odd_numbers_are_survived() {
    for number in [
        "-0x-8000000000000000",
        "0x-5",
        "0o-7",
        "-0x8000000000000000",
        "9223372036854775808",
        "1e999",
        "-1e999",
        ".nan",
        "-.inf",
        "0b",
        "0x",
        "+",
        "-",
        "1__0",
        "_1",
        "00",
        "-00",
        "1e",
        "1.2.3",
        "18446744073709551616",
    ] {
        for key in ["scale", "cpus", "mem_limit", "pids_limit", "ports", "user", "stop_grace_period", "shm_size"] {
            let value = if key == "ports" { format!("[{number}]") } else { number.to_owned() };
            survive(&format!("services:\n  a:\n    image: x\n    {key}: {value}\n"));
        }
    }
}

#[test]
fn sizes_and_durations_beyond_all_measure_are_survived() {
    for text in
        ["99999999999999999999999999h", "1e9s", "0.0000000000001ns", "9999999999999p", "-5m", "١٢s", "1µ", "5 m"]
    {
        survive(&format!(
            "services: {{a: {{image: x, stop_grace_period: '{text}', mem_limit: '{text}', shm_size: '{text}'}}}}"
        ));
    }
    for port in ["1-65535", "65535:65535", "1-65535:1-65535", "::1:80:80", "[::1]:80", "-", "80-", ":", "::", "80/"] {
        survive(&format!("services: {{a: {{image: x, ports: ['{port}']}}}}"));
    }
}

#[test]
fn a_mark_at_the_beginning_and_carriage_returns_change_nothing() {
    let plain = "services:\n  a:\n    image: x\n    command: run\n";
    let expected = shop(plain).services;
    assert_eq!(shop(&format!("\u{feff}{plain}")).services, expected);
    assert_eq!(shop(&plain.replace('\n', "\r\n")).services, expected);
    assert_eq!(shop(&format!("---\n{plain}...\n")).services, expected);
}
