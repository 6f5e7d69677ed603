//! The image that the tests' containers run: the demo service alone, imported into the Engine.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::engine::Engine;
use super::http::quote;

const REPOSITORY: &str = "evenkeel-it";

/// The image, made once for each build of the demo service.
///
/// # Panics
/// When the program is not statically linked, or the Engine does not take it.
pub fn image(engine: &Engine) -> &'static str {
    static IMAGE: OnceLock<String> = OnceLock::new();
    IMAGE.get_or_init(|| {
        let program = std::fs::read(env!("CARGO_BIN_EXE_demo-service")).expect("the demo service's program");
        assert!(
            !has_interpreter(&program),
            "the demo service is linked dynamically and cannot run in an empty image: run the tests with `make test`"
        );
        let digest: String = Sha256::digest(&program).iter().take(6).map(|byte| format!("{byte:02x}")).collect();
        let reference = format!("{REPOSITORY}:{digest}");
        if engine.try_call("GET", &format!("/images/{reference}/json"), None).0 != 200 {
            import(engine, &digest, &archive(&program));
        }
        reference
    })
}

/// What the image holds, as a layer of a registry.
pub fn demo_layer() -> Vec<u8> {
    archive(&std::fs::read(env!("CARGO_BIN_EXE_demo-service")).expect("the demo service's program"))
}

/// Whether an ELF program asks for a dynamic loader: a PT_INTERP among its program headers.
fn has_interpreter(program: &[u8]) -> bool {
    let number = |at: usize, length: usize| {
        program.get(at..at + length).map_or(0, |b| b.iter().rev().fold(0_u64, |n, byte| n << 8 | u64::from(*byte)))
    };
    let (table, size, count) = (number(32, 8), number(54, 2), number(56, 2));
    (0..count).any(|n| number(usize::try_from(table + n * size).unwrap_or(usize::MAX - 8), 4) == 3)
}

/// A tar archive with the program as its only file, in the ustar format.
fn archive(program: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, "demo-service");
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", program.len()));
    put(136, "00000000000\0");
    // The checksum counts its own field as spaces.
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut archive = header.to_vec();
    archive.extend_from_slice(program);
    // Filled up to whole blocks, and two empty ones at the end.
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

fn import(engine: &Engine, tag: &str, archive: &[u8]) {
    let entrypoint = quote("ENTRYPOINT [\"/demo-service\"]");
    let mut stream = UnixStream::connect(engine.socket()).expect("the Engine's socket");
    let head = format!(
        "POST /images/create?fromSrc=-&repo={REPOSITORY}&tag={tag}&changes={entrypoint} HTTP/1.1\r\nHost: docker\r\n\
         Content-Type: application/x-tar\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        archive.len()
    );
    stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(archive)).expect("the image is sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer to the import");
    assert!(answer.starts_with("HTTP/1.1 200") && !answer.contains("\"error\""), "the image was not taken: {answer}");
}
