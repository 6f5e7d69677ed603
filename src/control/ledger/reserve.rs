//! Room for the ledger on a full disk. A few files with blocks of their own lie beside it; where a write finds no room,
//! the content is written into one of them, and that and the file it replaces change places. So a step can still be noted
//! although not a single block is free, again and again: each exchange leaves a file with room behind.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, RenameFlags};

/// As many projects can note their steps on a full disk as there are files.
const FILES: usize = 4;
/// Bytes of each: a ledger of hundreds of services fits.
const SIZE: u64 = 256 << 10;
/// Bytes of a block, as `stat` counts them.
const BLOCK: u64 = 512;

/// The reserve of a state folder.
#[derive(Debug, Clone)]
pub(super) struct Reserve {
    folder: PathBuf,
}

impl Reserve {
    pub(super) fn of(state: &Path) -> Self {
        Self { folder: state.join("reserve") }
    }

    /// Makes or completes the reserve, as far as there is room.
    ///
    /// # Errors
    /// When there is no room, or the folder cannot be written.
    pub(super) fn fill(&self) -> io::Result<()> {
        std::fs::create_dir_all(&self.folder)?;
        for path in self.files() {
            let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            if file.metadata()?.blocks() * BLOCK < SIZE {
                rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, SIZE)?;
            }
        }
        Ok(())
    }

    /// Replaces a file that is there as a whole, without asking for room. The content is followed by spaces, which JSON
    /// allows, so that the file keeps its blocks for the next exchange.
    ///
    /// # Errors
    /// When no file of the reserve has enough room.
    pub(super) fn replace(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let needed = u64::try_from(content.len()).unwrap_or(u64::MAX);
        let mut error = io::Error::from(io::ErrorKind::StorageFull);
        for reserve in self.files() {
            match Self::write_into(&reserve, content, needed).and_then(|()| exchange(&reserve, path)) {
                Ok(()) => return sync_folder(path),
                Err(other) => error = other,
            }
        }
        Err(error)
    }

    fn write_into(reserve: &Path, content: &[u8], needed: u64) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).open(reserve)?;
        let room = file.metadata()?.blocks() * BLOCK;
        if room < needed {
            return Err(io::ErrorKind::StorageFull.into());
        }
        file.write_all(content)?;
        let padding = usize::try_from(room.min(SIZE) - needed.min(room.min(SIZE))).unwrap_or_default();
        file.write_all(&vec![b' '; padding])?;
        file.set_len(needed + u64::try_from(padding).unwrap_or_default())?;
        file.sync_data()
    }

    fn files(&self) -> impl Iterator<Item = PathBuf> + '_ {
        (0..FILES).map(|n| self.folder.join(n.to_string()))
    }
}

/// Lets two files change places. The first write of a project's ledger has nothing to change places with.
fn exchange(reserve: &Path, path: &Path) -> io::Result<()> {
    let here = rustix::fs::CWD;
    match rustix::fs::renameat_with(here, reserve, here, path, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::NOENT) => std::fs::rename(reserve, path),
        other => other.map_err(io::Error::from),
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path.parent().unwrap_or(Path::new("."))).and_then(|folder| folder.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_again_and_again_without_a_new_block() {
        let dir = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(dir.path());
        reserve.fill().unwrap();
        let path = dir.path().join("ledger.json");
        std::fs::write(&path, "{}").unwrap();
        for n in 0..20 {
            let text = format!("{{\"n\": {n}}}");
            reserve.replace(&path, text.as_bytes()).unwrap();
            let read = std::fs::read_to_string(&path).unwrap();
            assert_eq!(read.trim_end(), text);
        }
        // The first exchange took the small file in; from the second on the two large ones change places.
        let blocks: u64 = reserve.files().map(|f| std::fs::metadata(f).unwrap().blocks()).sum();
        assert!(blocks * BLOCK >= SIZE * 3, "{blocks}");
        reserve.fill().unwrap();
        assert!(reserve.replace(&path, &vec![b'1'; 300 << 10]).is_err(), "more than any of them holds");
    }
}
