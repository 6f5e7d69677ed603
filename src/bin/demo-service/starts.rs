//! The counter of starts: the one thing this service keeps on a volume.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use anyhow::Context;

/// Adds one and returns the new count. Written aside and renamed, so that a kill leaves the old count or the new.
pub fn count(folder: &Path) -> anyhow::Result<u64> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let path = folder.join("starts");
    let before = match fs::read_to_string(&path) {
        Ok(text) => text.trim().parse().with_context(|| format!("{} holds no number", path.display()))?,
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
    };
    let count: u64 = before + 1;
    let aside = folder.join("starts.new");
    fs::write(&aside, format!("{count}\n"))
        .and_then(|()| fs::rename(&aside, &path))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(count)
}
