//! The hash of contents: of revisions, of mounted files.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};

/// SHA-256 in hex.
pub fn sha256_hex(bytes: impl AsRef<[u8]>) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(bytes.as_ref()) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// A well-spread number from a seed and some parts: the only "randomness" a decision may use.
pub fn spread(seed: u64, parts: &[&str], n: u64) -> u64 {
    let mut digest = Sha256::new();
    digest.update(seed.to_le_bytes());
    for part in parts {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    digest.update(n.to_le_bytes());
    let bytes: [u8; 32] = digest.finalize().into();
    u64::from_le_bytes(bytes[..8].try_into().unwrap_or_default())
}
