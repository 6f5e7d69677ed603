//! What cannot be tested here, and why.

use std::env::var_os;
use std::fs::OpenOptions;
use std::io::Write;

/// The file that skips are written to, one a line: the test and why. `tests/it-engine/run` sums them up at the end.
const RECORD: &str = "EVENKEEL_TEST_SKIPS";
/// With `1` nothing may be skipped.
const NO_SKIP: &str = "EVENKEEL_TEST_NO_SKIP";

/// Says that this test, or a part of it, is skipped. It is for the caller to go on without what is missing.
///
/// # Panics
/// When nothing may be skipped.
#[track_caller]
pub fn skip(why: &str) {
    assert!(var_os(NO_SKIP).is_none_or(|value| value != "1"), "cannot be tested here: {why}");
    println!("skipped: {why}");
    if let Some(record) = var_os(RECORD) {
        // The harness names a test's thread after it.
        let thread = std::thread::current();
        let line = format!("{}\t{}\n", thread.name().unwrap_or("?"), why.replace('\n', " "));
        let file = OpenOptions::new().create(true).append(true).open(record);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("the skip is written down");
    }
}
