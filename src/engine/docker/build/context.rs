//! What is sent to the builder: the files of a folder as a tar archive. The only place that reads them.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use super::ignore::Ignore;
use crate::model::hash;
use crate::model::service::Build;

const IGNORE_FILE: &str = ".dockerignore";

/// A context, ready to be sent.
#[derive(Debug)]
pub(super) struct Context {
    root: PathBuf,
    ignore: Ignore,
    /// The Dockerfile's path in the archive.
    pub(super) dockerfile: String,
    /// Files in the archive that are not in the folder, or not like that.
    added: Vec<(String, Vec<u8>)>,
}

impl Context {
    /// Looks at a folder. A Dockerfile that is not in it, or written in the manifest, goes into the archive under a name
    /// that nobody has, which is ignored by what is built.
    ///
    /// # Errors
    /// When there is no such folder or no Dockerfile; the text names the path.
    pub(super) fn open(build: &Build) -> Result<Self, String> {
        let root = Path::new(&build.context);
        let root = fs::canonicalize(root).map_err(|e| format!("the build context {}: {e}", root.display()))?;
        if !root.is_dir() {
            return Err(format!("the build context {} is no folder", root.display()));
        }
        let ignore_text = match fs::read(root.join(IGNORE_FILE)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(format!("{}: {error}", root.join(IGNORE_FILE).display())),
        };
        let ignore = Ignore::parse(&String::from_utf8_lossy(ignore_text.as_deref().unwrap_or_default()));
        let mut context = Self { root, ignore, dockerfile: String::new(), added: Vec::new() };
        let text = match &build.dockerfile_inline {
            Some(text) => Some(text.clone().into_bytes()),
            None => context.find_dockerfile(build.dockerfile.as_deref().unwrap_or("Dockerfile"))?,
        };
        if let Some(text) = text {
            context.add_dockerfile(text, ignore_text);
        }
        Ok(context)
    }

    /// Notes where the Dockerfile is; its text where it is not in the context.
    fn find_dockerfile(&mut self, path: &str) -> Result<Option<Vec<u8>>, String> {
        let path = self.root.join(path);
        let missing = |e: io::Error| format!("the Dockerfile {}: {e}", path.display());
        let real = fs::canonicalize(&path).map_err(missing)?;
        match real.strip_prefix(&self.root) {
            Ok(inside) => {
                self.dockerfile = slashed(inside).into_owned();
                Ok(None)
            }
            Err(_) => fs::read(&real).map(Some).map_err(missing),
        }
    }

    fn add_dockerfile(&mut self, text: Vec<u8>, ignore_text: Option<Vec<u8>>) {
        let digest: String = hash::sha256_hex(&text).chars().take(20).collect();
        self.dockerfile = format!(".dockerfile.{digest}");
        let own = ignore_text.is_some();
        let mut ignored = ignore_text.unwrap_or_default();
        ignored.extend(format!("\n{}\n", self.dockerfile).into_bytes());
        if !own {
            ignored.extend(format!("{IGNORE_FILE}\n").into_bytes());
        }
        self.added.push((self.dockerfile.clone(), text));
        self.added.push((IGNORE_FILE.to_owned(), ignored));
    }

    /// Writes the archive. Everything in it belongs to root, as with Compose; links stay links; sockets and devices are
    /// left out.
    ///
    /// # Errors
    /// When a file cannot be read, with its path, or nobody takes the archive any more.
    pub(super) fn write(&self, out: impl Write) -> io::Result<()> {
        let mut archive = tar::Builder::new(out);
        let mut sent = BTreeSet::new();
        self.folder(&mut archive, Path::new(""), &mut sent)?;
        for (name, content) in &self.added {
            let mut header = header(EntryType::Regular, 0o600, content.len() as u64, 0);
            archive.append_data(&mut header, name, content.as_slice())?;
        }
        archive.into_inner()?.flush()
    }

    fn folder(
        &self,
        archive: &mut tar::Builder<impl Write>,
        folder: &Path,
        sent: &mut BTreeSet<PathBuf>,
    ) -> io::Result<()> {
        let path = self.root.join(folder);
        let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut names: Vec<_> = entries.map_err(|e| at(&path, &e))?.iter().map(fs::DirEntry::file_name).collect();
        // The same files make the same archive.
        names.sort();
        for name in names {
            let inside = folder.join(name);
            let text = slashed(&inside);
            if self.added.iter().any(|(name, _)| *name == text) {
                continue;
            }
            let path = self.root.join(&inside);
            let metadata = fs::symlink_metadata(&path).map_err(|e| at(&path, &e))?;
            // The builder itself needs these two; it takes them out again where they are ignored.
            let needed = text == self.dockerfile || text == IGNORE_FILE;
            let ignored = !needed && self.ignore.ignores(&text);
            if !ignored {
                self.entry(archive, &inside, &metadata, sent)?;
            }
            let leads_to_it = self.dockerfile.strip_prefix(&*text).is_some_and(|rest| rest.starts_with('/'));
            if metadata.is_dir() && (!ignored || self.ignore.has_exceptions() || leads_to_it) {
                self.folder(archive, &inside, sent)?;
            }
        }
        Ok(())
    }

    /// One file, link or folder, after the folders that it is in.
    fn entry(
        &self,
        archive: &mut tar::Builder<impl Write>,
        inside: &Path,
        metadata: &Metadata,
        sent: &mut BTreeSet<PathBuf>,
    ) -> io::Result<()> {
        let path = self.root.join(inside);
        if let Some(parent) = inside.parent().filter(|p| !p.as_os_str().is_empty() && !sent.contains(*p)) {
            let metadata = fs::symlink_metadata(self.root.join(parent)).map_err(|e| at(&path, &e))?;
            self.entry(archive, parent, &metadata, sent)?;
        }
        let mode = metadata.permissions().mode() & 0o7777;
        let modified = metadata.modified().ok().and_then(|t| t.duration_since(std::time::UNIX_EPOCH).ok());
        let modified = modified.map_or(0, |since| since.as_secs());
        if metadata.is_dir() {
            sent.insert(inside.to_owned());
            archive.append_data(&mut header(EntryType::Directory, mode, 0, modified), inside, io::empty())?;
        } else if metadata.is_symlink() {
            let target = fs::read_link(&path).map_err(|e| at(&path, &e))?;
            archive.append_link(&mut header(EntryType::Symlink, 0o777, 0, modified), inside, target)?;
        } else if metadata.is_file() {
            let file = fs::File::open(&path).map_err(|e| at(&path, &e))?;
            let content = Exactly { file, left: metadata.len(), path: &path };
            archive.append_data(&mut header(EntryType::Regular, mode, metadata.len(), modified), inside, content)?;
        }
        Ok(())
    }
}

fn header(kind: EntryType, mode: u32, size: u64, modified: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_size(size);
    header.set_mtime(modified);
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn slashed(path: &Path) -> Cow<'_, str> {
    path.to_string_lossy()
}

fn at(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

/// As much of a file as its header says: one that grows is cut, one that shrinks is an error.
struct Exactly<'a> {
    file: fs::File,
    left: u64,
    path: &'a Path,
}

impl Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let read = self.file.read(&mut buffer[..most]).map_err(|e| at(self.path, &e))?;
        if read == 0 {
            let what = format!("{} became shorter while it was read", self.path.display());
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.left -= read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// A folder with files; a name that ends with `/` is a folder.
    fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        dir
    }

    fn build(root: &Path) -> Build {
        Build { context: root.display().to_string(), ..Build::default() }
    }

    /// The names in the archive with what is in them; folders end with `/`, links are `-> TARGET`.
    fn sent(build: &Build) -> (String, Vec<(String, String)>) {
        let context = Context::open(build).unwrap();
        let mut bytes = Vec::new();
        context.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut found = Vec::new();
        for entry in archive.entries().unwrap() {
            let mut entry = entry.unwrap();
            assert_eq!((entry.header().uid().unwrap(), entry.header().gid().unwrap()), (0, 0));
            let name = entry.path().unwrap().display().to_string();
            let mut text = String::new();
            entry.read_to_string(&mut text).unwrap();
            if let Some(target) = entry.link_name().unwrap() {
                text = format!("-> {}", target.display());
            }
            let folder = entry.header().entry_type() == EntryType::Directory;
            found.push((if folder { format!("{}/", name.trim_end_matches('/')) } else { name }, text));
        }
        (context.dockerfile, found)
    }

    fn names(found: &[(String, String)]) -> Vec<&str> {
        found.iter().map(|(name, _)| name.as_str()).collect()
    }

    #[test]
    fn everything_is_sent_in_the_order_of_names_and_links_stay_links() {
        let dir = folder(&[("Dockerfile", "FROM scratch"), ("b/c", "x"), ("a", "y")]);
        std::os::unix::fs::symlink("../nowhere", dir.path().join("b/link")).unwrap();
        let (dockerfile, found) = sent(&build(dir.path()));
        assert_eq!(dockerfile, "Dockerfile");
        assert_eq!(names(&found), ["Dockerfile", "a", "b/", "b/c", "b/link"]);
        assert_eq!(found[4].1, "-> ../nowhere");
    }

    #[test]
    fn what_is_ignored_is_not_sent_but_what_the_builder_needs_is() {
        let dir = folder(&[
            (".dockerignore", "*\n!keep/this\n"),
            ("build/Dockerfile", "FROM scratch"),
            ("keep/this", "x"),
            ("keep/not", "x"),
            ("secret", "x"),
        ]);
        let how = Build { dockerfile: Some("build/Dockerfile".into()), ..build(dir.path()) };
        let (dockerfile, found) = sent(&how);
        assert_eq!(dockerfile, "build/Dockerfile");
        assert_eq!(names(&found), [".dockerignore", "build/", "build/Dockerfile", "keep/", "keep/this"]);
    }

    #[test]
    fn a_dockerfile_in_the_manifest_goes_under_a_name_that_is_ignored() {
        let dir = folder(&[("a", "x"), (".dockerignore", "a")]);
        let how = Build { dockerfile_inline: Some("FROM scratch".into()), ..build(dir.path()) };
        let (dockerfile, found) = sent(&how);
        let all: BTreeMap<_, _> = found.into_iter().collect();
        assert_eq!(all[&dockerfile], "FROM scratch");
        assert_eq!(all[".dockerignore"], format!("a\n{dockerfile}\n"));
        assert_eq!(all.len(), 2);
    }

    #[test]
    fn a_dockerfile_outside_the_context_is_added() {
        let dir = folder(&[("context/a", "x"), ("Outside", "FROM scratch")]);
        let how = Build { dockerfile: Some("../Outside".into()), ..build(&dir.path().join("context")) };
        let (dockerfile, found) = sent(&how);
        let all: BTreeMap<_, _> = found.into_iter().collect();
        assert!(dockerfile.starts_with(".dockerfile."), "{dockerfile}");
        assert_eq!(all[&dockerfile], "FROM scratch");
        assert_eq!(all[".dockerignore"], format!("\n{dockerfile}\n.dockerignore\n"));
    }

    #[test]
    fn a_long_path_arrives_whole() {
        let long = format!("{}/{}", "d".repeat(120), "f".repeat(120));
        let dir = folder(&[("Dockerfile", "FROM scratch"), (&long, "x")]);
        assert!(names(&sent(&build(dir.path())).1).contains(&long.as_str()));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let dir = folder(&[("a", "x")]);
        let error = Context::open(&build(dir.path())).unwrap_err();
        assert!(error.contains("Dockerfile"), "{error}");
        let error = Context::open(&build(&dir.path().join("gone"))).unwrap_err();
        assert!(error.contains("gone"), "{error}");
        let error = Context::open(&build(&dir.path().join("a"))).unwrap_err();
        assert!(error.contains("no folder"), "{error}");
    }
}
