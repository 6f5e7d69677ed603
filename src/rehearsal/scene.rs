//! Where manifests lie that replace each other: one place, first with the old ones in it, then with the new ones.
//!
//! Paths become part of what is wanted (bind mounts, build contexts), so both have to lie under the same name, or
//! everything would seem to have changed. What lies beside and above them is linked to, so that relative paths hold.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// So many folders above the manifests are there too.
const ABOVE: usize = 3;

/// A place for manifests that change.
#[derive(Debug)]
pub struct Scene {
    dir: TempDir,
    /// The manifests: a folder, or one file.
    pub root: PathBuf,
    folders: [(PathBuf, PathBuf); 2],
}

/// Why there is no such place.
#[derive(Debug, thiserror::Error)]
pub enum SceneError {
    /// A file cannot become a folder.
    #[error("{} is a file and {} is a folder: name two files or two folders", file.display(), folder.display())]
    Mixed {
        /// The manifest that is one file.
        file: PathBuf,
        /// The manifests directory.
        folder: PathBuf,
    },
    /// No folder can be made, or nothing linked from it.
    #[error("the manifests cannot be laid out in a folder of their own: {0}")]
    LaidOut(#[from] io::Error),
    /// One cannot be read.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// A folder for files of a rehearsal: in memory where that can be had, as every step is written down first.
///
/// # Errors
/// When there is no room for it.
pub fn folder() -> io::Result<TempDir> {
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix("evenkeel-rehearsal-");
    builder.tempdir_in("/dev/shm").or_else(|_| builder.tempdir())
}

impl Scene {
    /// Lays out two files or two folders; the old ones are there first.
    ///
    /// # Errors
    /// When one cannot be read, or they are not alike.
    pub fn new(old: &Path, new: &Path) -> Result<Self, SceneError> {
        let whole =
            |path: &Path| path.canonicalize().map_err(|source| SceneError::Io { path: path.to_owned(), source });
        let (old, new) = (whole(old)?, whole(new)?);
        if old.is_dir() != new.is_dir() {
            let (file, folder) = if old.is_dir() { (new, old) } else { (old, new) };
            return Err(SceneError::Mixed { file, folder });
        }
        let dir = folder()?;
        let name = |path: &Path| path.file_name().map_or_else(|| OsString::from("manifests"), ToOwned::to_owned);
        let is_file = old.is_file();
        let folder_of = |path: &Path| if is_file { path.parent().unwrap_or(path).to_owned() } else { path.to_owned() };
        let (old_folder, new_folder) = (folder_of(&old), folder_of(&new));
        for (part, own, other, file) in
            [("old", &old_folder, &new_folder, &old), ("new", &new_folder, &old_folder, &new)]
        {
            let place = lay_out(&dir.path().join(part), own, &name(&old_folder))?;
            if is_file {
                // A copy, so that it is on the device that the folder is on, too.
                fs::copy(file, place.join(name(&old)))
                    .map_err(|source| SceneError::Io { path: file.clone(), source })?;
            }
            link_all(own, &place)?;
            if is_file {
                // An edited file somewhere else is meant to land among the old one's neighbours.
                link_all(other, &place)?;
            }
        }
        let mut root = dir.path().join("now");
        root.extend(std::iter::repeat_n("up", ABOVE));
        root.push(name(&old_folder));
        let folders = [(root.clone(), old_folder), (root.clone(), new_folder)];
        if is_file {
            root.push(name(&old));
        }
        let scene = Self { dir, root, folders };
        scene.show("old")?;
        Ok(scene)
    }

    /// Lets the new ones land.
    ///
    /// # Errors
    /// When the link cannot be replaced.
    pub fn land(&self) -> io::Result<()> {
        self.show("new")
    }

    /// Puts the old ones back.
    ///
    /// # Errors
    /// When the link cannot be replaced.
    pub fn take_back(&self) -> io::Result<()> {
        self.show("old")
    }

    fn show(&self, part: &str) -> io::Result<()> {
        let (aside, now) = (self.dir.path().join("next"), self.dir.path().join("now"));
        symlink(part, &aside)?;
        fs::rename(&aside, &now)
    }

    /// The folder in the scene and the one whose files are seen there: the old one, or the new one.
    pub fn folder_names(&self, new: bool) -> (&Path, &Path) {
        let (place, folder) = &self.folders[usize::from(new)];
        (place, folder)
    }
}

/// Makes an empty folder of that name with what lies above `folder` above it; gives the folder.
fn lay_out(base: &Path, folder: &Path, name: &OsString) -> io::Result<PathBuf> {
    let above: Vec<&Path> = folder.ancestors().skip(1).take(ABOVE).collect();
    let mut place = base.to_owned();
    fs::create_dir(&place)?;
    for level in (0..ABOVE).rev() {
        place.push("up");
        fs::create_dir(&place)?;
        if let Some(real) = above.get(level) {
            // The folder itself stands there under a name of its own.
            link_all_but(real, &place, if level == 0 { name.as_os_str() } else { OsStr::new("up") })?;
        }
    }
    place.push(name);
    fs::create_dir(&place)?;
    Ok(place)
}

fn link_all(from: &Path, to: &Path) -> io::Result<()> {
    link_all_but(from, to, OsStr::new(""))
}

/// Links to everything in a folder but this; what is there already stays.
fn link_all_but(from: &Path, to: &Path, but: &OsStr) -> io::Result<()> {
    // A folder above that cannot be listed has nothing that could be used.
    let Ok(entries) = fs::read_dir(from) else { return Ok(()) };
    for entry in entries.flatten().filter(|e| e.file_name() != but) {
        match symlink(entry.path(), to.join(entry.file_name())) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_file_lands_under_the_old_name_among_the_neighbours() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("m/shop.yaml"), dir.path().join("edited/shop2.yaml"));
        write(&old, "old");
        write(&new, "new");
        write(&dir.path().join("m/web.env"), "web");
        write(&dir.path().join("shared/all.env"), "all");
        let scene = Scene::new(&old, &new).unwrap();
        let read = |relative: &str| fs::read_to_string(scene.root.parent().unwrap().join(relative)).unwrap();
        assert_eq!(scene.root.file_name().unwrap(), "shop.yaml");
        assert_eq!(
            (read("shop.yaml"), read("web.env"), read("../shared/all.env")),
            ("old".into(), "web".into(), "all".into())
        );
        scene.land().unwrap();
        assert_eq!(
            (read("shop.yaml"), read("web.env"), read("../shared/all.env")),
            ("new".into(), "web".into(), "all".into())
        );
    }

    #[test]
    fn a_folder_lands_under_the_old_name() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("old/a.yaml"), "1");
        write(&dir.path().join("old/sub/compose.yaml"), "1");
        write(&dir.path().join("new/a.yaml"), "2");
        let scene = Scene::new(&dir.path().join("old"), &dir.path().join("new")).unwrap();
        assert!(scene.root.ends_with("old") && scene.root.join("sub/compose.yaml").is_file());
        scene.land().unwrap();
        assert_eq!(fs::read_to_string(scene.root.join("a.yaml")).unwrap(), "2");
        assert!(!scene.root.join("sub").exists());
    }

    #[test]
    fn a_file_does_not_become_a_folder() {
        let dir = tempfile::tempdir().unwrap();
        write(&dir.path().join("a.yaml"), "1");
        let error = Scene::new(&dir.path().join("a.yaml"), dir.path()).unwrap_err().to_string();
        assert!(error.contains("name two files or two folders"), "{error}");
    }
}
