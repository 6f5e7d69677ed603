//! A tar archive of one file, as the Engine takes it.

use crate::engine::FileSpec;
use crate::model::Timestamp;

const BLOCK: usize = 512;
/// What fits into a header's field for the name.
const NAME: usize = 100;

/// The archive, in the ustar format; a long path goes before it in an extended header.
pub(super) fn of(file: &FileSpec<'_>, now: Timestamp) -> Vec<u8> {
    let path = file.path.trim_start_matches('/');
    let mut archive = Vec::new();
    if path.len() > NAME {
        entry(&mut archive, "long", b'x', 0o644, (0, 0), now, record("path", path).as_bytes());
    }
    entry(&mut archive, path, b'0', file.mode, file.owner.unwrap_or((0, 0)), now, file.content.as_bytes());
    // Two empty blocks end it.
    archive.resize(archive.len() + 2 * BLOCK, 0);
    archive
}

/// `LENGTH KEY=VALUE\n`, where the length counts itself.
fn record(key: &str, value: &str) -> String {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    length = rest + length.to_string().len();
    format!("{length} {key}={value}\n")
}

fn entry(
    archive: &mut Vec<u8>,
    name: &str,
    kind: u8,
    mode: u32,
    (user, group): (u32, u32),
    now: Timestamp,
    content: &[u8],
) {
    let mut header = [0_u8; BLOCK];
    let mut put = |at: usize, width: usize, text: &[u8]| {
        for (place, byte) in header.iter_mut().skip(at).take(width).zip(text) {
            *place = *byte;
        }
    };
    put(0, NAME, name.as_bytes());
    put(100, 8, format!("{:07o}\0", mode & 0o7777).as_bytes());
    put(108, 8, format!("{:07o}\0", user & 0o777_7777).as_bytes());
    put(116, 8, format!("{:07o}\0", group & 0o777_7777).as_bytes());
    put(124, 12, format!("{:011o}\0", content.len()).as_bytes());
    put(136, 12, format!("{:011o}\0", now.as_second().max(0)).as_bytes());
    // The checksum counts its own field as spaces.
    put(148, 8, b"        ");
    put(156, 1, &[kind]);
    put(257, 8, b"ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    let mut put = |at: usize, text: &[u8]| {
        for (place, byte) in header.iter_mut().skip(at).zip(text) {
            *place = *byte;
        }
    };
    put(148, format!("{sum:06o}\0 ").as_bytes());
    archive.extend_from_slice(&header);
    archive.extend_from_slice(content);
    archive.resize(archive.len().next_multiple_of(BLOCK), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_of_a_record_counts_itself() {
        for length in [3, 90, 91, 92, 93, 94, 990, 991, 992, 993, 994] {
            let record = record("path", &"x".repeat(length));
            assert!(record.starts_with(&format!("{} ", record.len())), "{length}");
        }
    }

    #[test]
    fn an_archive_is_whole_blocks_with_the_content_after_the_header() {
        let file = FileSpec { path: "/etc/a".into(), content: "hello", mode: 0o444, owner: None };
        let archive = of(&file, Timestamp::UNIX_EPOCH);
        assert_eq!(archive.len(), 4 * BLOCK);
        assert!(archive.starts_with(b"etc/a\0") && archive[BLOCK..].starts_with(b"hello\0"));
        let long = FileSpec { path: format!("/{}", "x".repeat(200)), ..file };
        assert_eq!(of(&long, Timestamp::UNIX_EPOCH).len(), 6 * BLOCK);
    }
}
