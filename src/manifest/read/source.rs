//! Finding and reading files: the only part of the loader that touches the disk.

use std::collections::BTreeSet;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The names of a folder's Compose file, the first that is there counts.
const COMPOSE_FILES: [&str; 4] = ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// Laid over it where it is there.
const OVERRIDES: [&str; 4] =
    ["compose.override.yaml", "compose.override.yml", "docker-compose.override.yml", "docker-compose.override.yaml"];
/// A Compose file larger than this is a mistake.
const MAX_BYTES: u64 = 8 << 20;
/// Folders deeper than this are not searched.
const MAX_DEPTH: usize = 32;

/// A manifest that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The file, or the folder.
    pub path: PathBuf,
    /// Its Compose files in the order they are merged.
    pub files: Vec<PathBuf>,
}

impl Found {
    /// The folder that relative paths start from.
    pub fn working_dir(&self) -> &Path {
        self.files.first().and_then(|f| f.parent()).unwrap_or(&self.path)
    }

    /// Whether it is a folder with a Compose file.
    pub fn is_folder(&self) -> bool {
        self.files.first() != Some(&self.path)
    }
}

/// Why a file or folder cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system's word.
    #[error("{}: {}", .path.display(), .source)]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder, pipe, socket or device.
    #[error("{} is {what}, not a file", .path.display())]
    NoFile {
        /// The path that was to be a file.
        path: PathBuf,
        /// What is there instead: a folder, a device, a pipe or a socket.
        what: &'static str,
    },
    /// Larger than any Compose file.
    #[error("{} is larger than {} MiB", .path.display(), MAX_BYTES >> 20)]
    TooLarge {
        /// The file that is too large.
        path: PathBuf,
    },
    /// Not UTF-8, or with a NUL.
    #[error("{} is not text: {what} at byte {at}", .path.display())]
    NoText {
        /// The file that is no text.
        path: PathBuf,
        /// What is there that no text has.
        what: &'static str,
        /// How many bytes come before that.
        at: usize,
    },
}

impl ReadError {
    /// Whether there is simply no such file.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound)
    }
}

impl ReadError {
    /// Whether there is a folder of that name.
    pub fn is_folder(&self) -> bool {
        matches!(self, Self::NoFile { what: FOLDER, .. })
    }
}

const FOLDER: &str = "a folder";

/// A path with its first symbolic link resolved.
pub(in crate::manifest) fn without_link(path: &str) -> String {
    let mut current = PathBuf::from("/");
    for part in Path::new(path).components() {
        current.push(part);
        if fs::symlink_metadata(&current).is_ok_and(|m| m.is_symlink())
            && let Ok(target) = fs::canonicalize(&current)
        {
            return path.replacen(&current.display().to_string(), &target.display().to_string(), 1);
        }
    }
    path.to_owned()
}

/// Reads a text file.
///
/// # Errors
/// When it is no regular file, too large, or not text; nothing blocks on a pipe or a device.
pub fn read(path: &Path) -> Result<Arc<str>, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(io)?;
    if !metadata.is_file() {
        let what = if metadata.is_dir() { FOLDER } else { "a pipe, socket or device" };
        return Err(ReadError::NoFile { path: path.to_owned(), what });
    }
    if metadata.len() > MAX_BYTES {
        return Err(ReadError::TooLarge { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    fs::File::open(path).map_err(io)?.take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(io)?;
    let no_text = |what, at| ReadError::NoText { path: path.to_owned(), what, at };
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(no_text("a NUL", at));
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text.into()),
        Err(error) => Err(no_text("no UTF-8", error.utf8_error().valid_up_to())),
    }
}

/// What tells whether a file changed without reading it; `None`: it is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    path: PathBuf,
    seen: Option<(i64, i64, u64, u64)>,
}

impl Stamp {
    /// Takes a file's stamp.
    pub fn of(path: &Path) -> Self {
        let seen = fs::metadata(path).ok().map(|m| (m.mtime(), m.mtime_nsec(), m.size(), m.ino()));
        Self { path: path.to_owned(), seen }
    }

    /// A stamp that no file has.
    pub fn never() -> Self {
        Self { path: PathBuf::from("/"), seen: None }
    }

    /// The path of the file that it is the stamp of.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether the file is as it was.
    pub fn is_current(&self) -> bool {
        Self::of(&self.path) == *self
    }
}

/// Whether a file or folder of this name is none of our business: hidden, or an editor's.
pub fn is_ignored(name: &str) -> bool {
    let ends =
        |suffix: &str| name.len() >= suffix.len() && name[name.len() - suffix.len()..].eq_ignore_ascii_case(suffix);
    (name.starts_with('.') && name != ".env")
        || name.starts_with('#')
        || name.ends_with('~')
        || name == "4913"
        || (name.is_ascii() && [".swp", ".swx", ".tmp", ".bak", ".orig", ".rej", ".part"].iter().any(|s| ends(s)))
        || name.contains("___jb_")
}

/// Finds the manifests below a folder, sorted. A path that is a file is the one manifest.
///
/// # Errors
/// When the path itself cannot be read; a folder below it that cannot be read is an error too, as its manifests would
/// look removed.
pub fn discover(root: &Path) -> Result<Vec<Found>, ReadError> {
    let metadata = fs::metadata(root).map_err(|source| ReadError::Io { path: root.to_owned(), source })?;
    if !metadata.is_dir() {
        return Ok(vec![Found { path: root.to_owned(), files: vec![root.to_owned()] }]);
    }
    let mut found = Vec::new();
    search(root, &mut found, &mut BTreeSet::new(), 0)?;
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

fn search(
    folder: &Path,
    found: &mut Vec<Found>,
    seen: &mut BTreeSet<(u64, u64)>,
    depth: usize,
) -> Result<(), ReadError> {
    let io = |source| ReadError::Io { path: folder.to_owned(), source };
    let metadata = fs::metadata(folder).map_err(io)?;
    // A link may lead back up.
    if !seen.insert((metadata.dev(), metadata.ino())) || depth > MAX_DEPTH {
        return Ok(());
    }
    let mut names = BTreeSet::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        if let Ok(name) = entry.map_err(io)?.file_name().into_string() {
            names.insert(name);
        }
    }
    // A folder's own `.env` may name its files, as with Compose.
    if names.contains(".env")
        && let Some(files) = named_files(folder, &super::interpolate::Variables::new())
    {
        found.push(Found { path: folder.to_owned(), files });
        return Ok(());
    }
    if let Some(main) = COMPOSE_FILES.iter().find(|n| names.contains(**n)) {
        let mut files = vec![folder.join(main)];
        files.extend(OVERRIDES.iter().find(|n| names.contains(**n)).map(|n| folder.join(n)));
        found.push(Found { path: folder.to_owned(), files });
        return Ok(());
    }
    for name in names.iter().filter(|n| !is_ignored(n)) {
        let path = folder.join(name);
        // A file that is gone by now was removed while we looked.
        let Ok(metadata) = fs::metadata(&path) else { continue };
        let yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        if metadata.is_dir() {
            search(&path, found, seen, depth + 1)?;
        } else if yaml && name != "evenkeel.yaml" {
            found.push(Found { path: path.clone(), files: vec![path] });
        }
    }
    Ok(())
}

/// Whether there is a folder of this name.
pub(in crate::manifest) fn is_folder(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|m| m.is_dir())
}

/// A path without `.`, `..` and doubled slashes.
pub fn clean(path: &Path) -> PathBuf {
    clean_text(&path.display().to_string()).into()
}

/// A path without `.`, `..` and doubled slashes, as Go's `path.Clean` makes it.
pub(in crate::manifest) fn clean_text(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part != ".." {
            parts.push(part);
        } else if parts.last().is_some_and(|last| *last != "..") {
            parts.pop();
        } else if !rooted {
            parts.push("..");
        }
    }
    match (rooted, parts.join("/")) {
        (true, joined) => format!("/{joined}"),
        (false, joined) if joined.is_empty() => ".".into(),
        (false, joined) => joined,
    }
}

/// The Compose files that are meant where none is named: those of COMPOSE_FILE, which may stand in `.env`, or those of
/// the first folder from this one upwards that has one.
pub fn in_folder_or_above(folder: &Path, environment: &super::interpolate::Variables) -> Option<Vec<PathBuf>> {
    named_files(folder, environment).or_else(|| folder.ancestors().find_map(compose_files))
}

/// The files of COMPOSE_FILE, from the environment or from the folder's `.env`.
fn named_files(folder: &Path, environment: &super::interpolate::Variables) -> Option<Vec<PathBuf>> {
    let mut own = super::interpolate::Variables::new();
    if let Ok(text) = read(&folder.join(".env")) {
        // What is wrong with it is said when it is loaded.
        let _ = super::dotenv::parse(&text, &mut own, &|name| environment.get(name).cloned());
    }
    let variable = |name: &str| environment.get(name).or_else(|| own.get(name)).filter(|v| !v.is_empty());
    let separator = variable("COMPOSE_PATH_SEPARATOR").map_or(":", String::as_str);
    Some(variable("COMPOSE_FILE")?.split(separator).map(|file| clean(&folder.join(file))).collect())
}

/// A folder's Compose file and what is laid over it.
fn compose_files(folder: &Path) -> Option<Vec<PathBuf>> {
    let first = |names: &[&str]| names.iter().map(|n| folder.join(n)).find(|path| path.exists());
    let main = first(&COMPOSE_FILES)?;
    Some(std::iter::once(main).chain(first(&OVERRIDES)).collect())
}

/// The device a folder is on; `None`: it cannot be read.
pub fn device(root: &Path) -> Option<u64> {
    fs::metadata(root).ok().map(|m| m.dev())
}

/// The `.git` folder of the checkout a folder is in.
fn git_folder(root: &Path) -> Option<PathBuf> {
    let root = root.canonicalize().ok()?;
    root.ancestors().find_map(|folder| {
        let git = folder.join(".git");
        let metadata = fs::metadata(&git).ok()?;
        if metadata.is_dir() {
            return Some(git);
        }
        // In a linked work tree it is a file that names the folder.
        let target = fs::read_to_string(&git).ok()?.strip_prefix("gitdir:")?.trim().to_owned();
        Some(folder.join(target))
    })
}

/// Whether git is in the middle of changing the checkout.
pub fn git_is_busy(root: &Path) -> bool {
    git_folder(root).is_some_and(|git| git.join("index.lock").exists())
}

/// The commit that the checkout is at.
pub fn git_commit(root: &Path) -> Option<String> {
    let git = git_folder(root)?;
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(reference) = head.trim().strip_prefix("ref:").map(str::trim) else {
        return Some(head.trim().to_owned());
    };
    let common = fs::read_to_string(git.join("commondir")).map_or_else(|_| git.clone(), |c| git.join(c.trim()));
    [&git, &common]
        .iter()
        .find_map(|folder| fs::read_to_string(folder.join(reference)).ok())
        .map(|commit| commit.trim().to_owned())
        .or_else(|| {
            let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
            packed.lines().find_map(|line| line.strip_suffix(reference).map(|commit| commit.trim().to_owned()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_group_and_a_folder_with_a_compose_file_is_one_project() {
        let dir = tempfile::tempdir().unwrap();
        for file in [
            "a.yaml",
            "b.yml",
            "notes.txt",
            ".hidden.yaml",
            "a.yaml~",
            "evenkeel.yaml",
            "group/deep/c.yaml",
            "shop/compose.yaml",
            "shop/compose.override.yaml",
            "shop/other.yaml",
            "shop/sub/d.yaml",
            "named/base.yml",
            "named/prod.yml",
        ] {
            let path = dir.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        fs::write(dir.path().join("named/.env"), "COMPOSE_FILE=base.yml:prod.yml\n").unwrap();
        std::os::unix::fs::symlink(dir.path(), dir.path().join("loop")).unwrap();
        let found = discover(dir.path()).unwrap();
        let names: Vec<_> =
            found.iter().map(|f| f.path.strip_prefix(dir.path()).unwrap().display().to_string()).collect();
        assert_eq!(names, ["a.yaml", "b.yml", "group/deep/c.yaml", "named", "shop"]);
        assert!(found[3].files.len() == 2 && found[4].files.len() == 2);
    }

    #[test]
    fn what_is_no_text_file_is_refused_and_nothing_blocks() {
        let dir = tempfile::tempdir().unwrap();
        let nul = dir.path().join("nul");
        fs::write(&nul, b"a\0b").unwrap();
        assert!(read(&nul).unwrap_err().to_string().contains("a NUL at byte 1"));
        fs::write(&nul, b"ab\xff").unwrap();
        assert!(read(&nul).unwrap_err().to_string().contains("no UTF-8 at byte 2"));
        assert!(read(dir.path()).unwrap_err().to_string().contains("a folder"));
        assert!(read(Path::new("/dev/zero")).unwrap_err().to_string().contains("device"));
        assert!(read(&dir.path().join("none")).unwrap_err().is_not_found());
    }

    #[test]
    fn editors_files_are_ignored() {
        for name in [".a.yaml.swp", "a.yaml~", "#a.yaml#", ".#a.yaml", "4913", "a.tmp", ".git"] {
            assert!(is_ignored(name), "{name}");
        }
        assert!(!is_ignored(".env") && !is_ignored("a.yaml"));
    }
}
