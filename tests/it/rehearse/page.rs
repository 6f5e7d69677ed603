//! The page.

use super::{Place, ours};

const EVIL: &str = "</span><script>alert(1)</script>";

#[test]
fn the_page_is_one_file_without_scripts_or_anything_from_elsewhere() {
    let place = Place::new();
    let said = place.rehearse(&[&ours("manifests"), "--fault", "reboot@1m", "--html", "page.html"]);
    assert!(said.code == Some(0) && said.out.ends_with("The page: page.html\n"), "{said:?}");
    let page = std::fs::read_to_string(place.path("page.html")).unwrap();
    for part in ["<title>", "aria-label=\"shop.store\"", "tabindex=\"0\"", "the host reboots", "prefers-color-scheme"] {
        assert!(page.contains(part), "no {part}");
    }
    for part in ["<script", "http:", "https:", "url(", "@import", "{{"] {
        assert!(!page.contains(part), "{part}");
    }
}

#[test]
fn text_from_manifests_is_escaped() {
    let place = Place::new();
    // Names cannot hold such text; images and container names can.
    place.write("a.yaml", &format!("services:\n  web:\n    image: \"{EVIL}\"\n"));
    let said = place.rehearse(&["a.yaml", "--html", "page.html"]);
    let page = std::fs::read_to_string(place.path("page.html"));
    assert!(page.is_ok(), "{said:?}");
    let page = page.unwrap();
    assert!(!page.contains("<script") && page.contains("&lt;script&gt;alert(1)"), "{page}");
}

#[test]
fn a_page_that_cannot_be_written_is_an_error() {
    let place = Place::new();
    let said = place.rehearse(&[&ours("manifests"), "--html", "no/such/page.html"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("evenkeel: cannot write no/such/page.html: "), "{}", said.err);
}
