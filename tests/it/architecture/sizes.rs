//! Small files: nobody has to read more than one screen after another to know what a file is for.

use super::sources;

/// No file has more lines than this.
const LONGEST: usize = 500;

/// Half of the files have fewer lines than this.
const MEDIAN: usize = 150;

/// The room that is to come under the limit with its next change.
const LONGER_STILL: &str = "control/";

#[test]
fn files_are_small() {
    let mut sizes: Vec<(usize, String)> = sources().iter().map(|s| (s.text.lines().count(), s.path.clone())).collect();
    sizes.sort();
    let long = sizes.iter().filter(|(lines, path)| *lines > LONGEST && !path.starts_with(LONGER_STILL));
    let long: Vec<String> = long.map(|(lines, path)| format!("src/{path} has {lines} lines")).collect();
    assert!(long.is_empty(), "more than {LONGEST}:\n{}", long.join("\n"));
    let (median, _) = sizes[sizes.len() / 2];
    assert!(median < MEDIAN, "half of the files have {median} lines or more");
}
