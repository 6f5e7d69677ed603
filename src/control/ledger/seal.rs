//! Files that only this state folder's key opens: revisions hold the values of variables and secrets.

use std::fs;
use std::path::{Path, PathBuf};

use chacha20poly1305::aead::{Aead, AeadCore, KeyInit, OsRng};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};

use super::files::{LedgerError, write};

/// What stands before each sealed text: drawn anew each time.
const NONCE: usize = 24;

/// Seals and opens.
#[derive(Clone)]
pub(super) struct Seal {
    cipher: XChaCha20Poly1305,
    path: PathBuf,
}

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Seal {
    /// The key of a state folder: made on first use, for its owner alone. Only who holds the folder's lock may call this: of
    /// two keys that are made at once one would be lost, and what it sealed with it.
    pub(super) fn of(folder: &Path) -> Result<Self, LedgerError> {
        if let Some(known) = Self::known(folder)? {
            return Ok(known);
        }
        let path = folder.join("key");
        let key = XChaCha20Poly1305::generate_key(&mut OsRng);
        write(&path, &key)?;
        Ok(Self { cipher: XChaCha20Poly1305::new(&key), path })
    }

    /// The key of a state folder that was used before.
    pub(super) fn known(folder: &Path) -> Result<Option<Self>, LedgerError> {
        let path = folder.join("key");
        let damaged = || LedgerError::Damaged { path: path.clone(), reason: "a key has 32 bytes".to_owned() };
        let key = match fs::read(&path) {
            Ok(bytes) => *Key::from_exact_iter(bytes).as_ref().ok_or_else(damaged)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(LedgerError::Io { path, source }),
        };
        Ok(Some(Self { cipher: XChaCha20Poly1305::new(&key), path }))
    }

    /// Seals a text.
    pub(super) fn seal(&self, path: &Path, text: &[u8]) -> Result<Vec<u8>, LedgerError> {
        let nonce = XChaCha20Poly1305::generate_nonce(&mut OsRng);
        let sealed = self.cipher.encrypt(&nonce, text);
        let sealed = sealed.map_err(|_| LedgerError::Damaged { path: path.to_owned(), reason: "too large".into() })?;
        Ok([nonce.as_slice(), &sealed].concat())
    }

    /// Opens what was sealed with this key.
    pub(super) fn open(&self, path: &Path, bytes: &[u8]) -> Result<Vec<u8>, LedgerError> {
        let opened = bytes
            .split_at_checked(NONCE)
            .and_then(|(nonce, sealed)| self.cipher.decrypt(XNonce::from_slice(nonce), sealed).ok());
        opened.ok_or_else(|| LedgerError::Damaged {
            path: path.to_owned(),
            reason: format!("{} does not open it", self.path.display()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_key_opens_what_was_sealed() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (seal, path) = (Seal::of(one.path()).unwrap(), Path::new("x"));
        let sealed = seal.seal(path, b"PASSWORD=hunter2").unwrap();
        assert!(!sealed.windows(7).any(|w| w == b"hunter2"));
        assert_eq!(Seal::of(one.path()).unwrap().open(path, &sealed).unwrap(), b"PASSWORD=hunter2");
        assert!(Seal::of(other.path()).unwrap().open(path, &sealed).is_err());
        assert!(seal.open(path, b"short").is_err());
    }
}
