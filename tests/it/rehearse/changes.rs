//! `--from OLD --to NEW`.

use super::{Place, SHOP, looks, steps};

/// When the new manifests landed.
fn landed(told: &serde_json::Value) -> u64 {
    let markers = told["markers"].as_array().unwrap();
    markers.iter().find(|m| m["kind"] == "manifest").unwrap()["at_ms"].as_u64().unwrap()
}

#[test]
fn only_what_changed_is_replaced() {
    let place = Place::new();
    place.write("old/shop.yaml", &SHOP.replace("restart: always", "restart: always\n    env_file: [api.env]"));
    place.write("old/api.env", "A=1\n");
    place.write(
        "new/edited.yaml",
        &SHOP.replace("api:1", "api:2").replace("restart: always", "restart: always\n    env_file: [api.env]"),
    );
    let told = place.converges(&["--from", "old/shop.yaml", "--to", "new/edited.yaml"]);
    let at = landed(&told);
    assert!(steps(&told, "shop.db", at).is_empty() && steps(&told, "shop.setup", at).is_empty());
    let api = steps(&told, "shop.api", at);
    assert!(api.iter().any(|s| s == "stop api/1") && api.iter().any(|s| s.starts_with("create api/1 as ")), "{api:?}");
    assert!(!looks(&told, "shop.api").contains(&"down".to_owned()), "a replacement is no outage");
    assert!(!told.to_string().contains("evenkeel-rehearsal-"), "the folder of the rehearsal shows");
}

#[test]
fn a_folder_that_differs_in_place_alone_changes_nothing() {
    let place = Place::new();
    let text =
        "services:\n  web:\n    image: w\n    volumes: [./conf:/conf, ../shared:/shared]\n    env_file: [web.env]\n";
    for side in ["here/m", "there/m"] {
        place.write(&format!("{side}/web/compose.yaml"), text);
        place.write(&format!("{side}/web/web.env"), "A=1\n");
        place.write(&format!("{side}/web/conf/x"), "x");
    }
    let told = place.converges(&["--from", "here/m", "--to", "there/m"]);
    assert!(steps(&told, "web.web", landed(&told)).is_empty(), "{:#}", told["steps"]);
}

#[test]
fn what_the_new_ones_do_not_name_goes_and_what_they_add_comes() {
    let place = Place::new();
    place.write("old/a.yaml", "services: {one: {image: x}, two: {image: x}}\n");
    place.write("old/b.yaml", "services: {three: {image: x}}\n");
    place.write("new/a.yaml", "services: {one: {image: x}, four: {image: x}}\n");
    let told = place.converges(&["--from", "old", "--to", "new", "--fault", "kill:four@30s"]);
    let end = |id| {
        let spans = super::row(&told, id)["spans"].as_array().unwrap();
        spans.last().unwrap()["until_ms"].as_u64().unwrap()
    };
    let length = told["length_ms"].as_u64().unwrap();
    assert!(end("a.two") < length && end("b.three") < length, "{told:#}");
    assert!(end("a.one") == length && end("a.four") == length);
    assert_eq!(looks(&told, "a.one"), ["not_started", "starting", "running"]);
}

#[test]
fn a_new_one_that_does_not_load_is_shown_with_its_own_place() {
    let place = Place::new();
    place.write("old.yaml", "services: {one: {image: x}}\n");
    place.write("new.yaml", "services:\n  one: {imag: x}\n");
    let said = place.rehearse(&["--from", "old.yaml", "--to", "new.yaml"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.starts_with("new.yaml:2:") && !said.err.contains("evenkeel-rehearsal-"), "{}", said.err);
}
