//! Where variables come from, and which of them wins.

use expect_test::expect;

use super::loading::{load, project};

fn image(files: &[(&str, &str)], environment: &[(&str, &str)]) -> String {
    project(files, environment).services["a"].image.clone()
}

const COMPOSE: (&str, &str) = ("shop/compose.yaml", "services: {a: {image: 'i:${TAG:-default}'}}");

#[test]
fn the_environment_beats_dotenv_and_dotenv_beats_the_default() {
    assert_eq!(image(&[COMPOSE], &[]), "i:default");
    assert_eq!(image(&[COMPOSE, ("shop/.env", "TAG=file")], &[]), "i:file");
    assert_eq!(image(&[COMPOSE, ("shop/.env", "TAG=file")], &[("TAG", "shell")]), "i:shell");
    assert_eq!(image(&[COMPOSE, ("shop/.env", "TAG=")], &[]), "i:default");
    assert_eq!(image(&[COMPOSE, (".env", "TAG=elsewhere")], &[]), "i:default");
}

#[test]
fn every_form_of_interpolation_does_what_compose_does() {
    for (text, expected) in [
        ("$A-${A}", "a-a"),
        ("${E:-d}${E-d}", "d"),
        ("${X:-${A}}", "a"),
        ("${A:+yes}${X:+no}", "yes"),
        ("$$A", "$A"),
        ("${A:?must}", "a"),
        ("x${X-}y", "xy"),
    ] {
        let yaml = format!("services: {{a: {{image: '{text}i'}}}}");
        assert_eq!(image(&[("shop.yaml", &yaml)], &[("A", "a"), ("E", "")]), format!("{expected}i"), "{text}");
    }
}

#[test]
fn an_unset_variable_is_empty_and_said_so() {
    let folder = load(&[("shop.yaml", "services:\n  a:\n    image: x\n    command: run $NOTHING\n")], &[]);
    expect![[r#"
        shop.yaml:4:14: warning: the variable `NOTHING` is not set, so it is empty
    "#]]
    .assert_eq(&folder.lines());
    assert!(folder.loaded[0].project.is_some(), "it is a remark, no error");
}

#[test]
fn keys_are_not_interpolated_and_values_of_all_kinds_are() {
    let yaml = "services: {a: {image: x, read_only: '${RO}', scale: '${N}', labels: {$K: $K}}}";
    let service = &project(&[("shop.yaml", yaml)], &[("RO", "true"), ("N", "3"), ("K", "k")]).services["a"];
    assert!(service.read_only);
    assert_eq!(service.replicas, 3);
    assert_eq!(service.labels["$K"], "k");
}

fn environment(files: &[(&str, &str)], outer: &[(&str, &str)]) -> Vec<(String, Option<String>)> {
    project(files, outer).services["a"].environment.clone().into_iter().collect()
}

fn pairs(pairs: &[(&str, Option<&str>)]) -> Vec<(String, Option<String>)> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect()
}

#[test]
fn environment_beats_env_file_and_the_later_file_beats_the_earlier() {
    let files = [
        ("shop/compose.yaml", "services: {a: {image: x, env_file: [one.env, two.env], environment: {A: own}}}"),
        ("shop/one.env", "A=1\nB=1\nC=1\n"),
        ("shop/two.env", "B=2\n"),
    ];
    let expected = [("A", Some("own")), ("B", Some("2")), ("C", Some("1"))];
    assert_eq!(environment(&files, &[]), pairs(&expected));
}

#[test]
fn a_bare_name_takes_its_value_from_outside() {
    let files = [
        ("shop/compose.yaml", "services: {a: {image: x, env_file: one.env, environment: [A, B, D=]}}"),
        ("shop/one.env", "C\n"),
    ];
    let expected = [("A", Some("shell")), ("B", None), ("C", Some("c")), ("D", Some(""))];
    assert_eq!(environment(&files, &[("A", "shell"), ("C", "c")]), pairs(&expected));
}

#[test]
fn a_list_and_a_mapping_mean_the_same() {
    let list = ("shop.yaml", "services: {a: {image: x, environment: ['A=1', 'B=x=y', 'C=true']}}");
    let map = ("shop.yaml", "services: {a: {image: x, environment: {A: 1, B: x=y, C: true}}}");
    assert_eq!(environment(&[list], &[]), environment(&[map], &[]));
}

#[test]
fn an_env_file_that_need_not_be_there_need_not_be_there() {
    let yaml = "services: {a: {image: x, env_file: [{path: none.env, required: false}]}}";
    assert_eq!(environment(&[("shop.yaml", yaml)], &[]), []);
}

#[test]
fn a_raw_env_file_is_taken_as_it_is() {
    let files = [
        ("shop/compose.yaml", "services: {a: {image: x, env_file: [{path: raw.env, format: raw}]}}"),
        ("shop/raw.env", "A='$B' # c\n"),
    ];
    assert_eq!(environment(&files, &[]), pairs(&[("A", Some("'$B' # c"))]));
}

#[test]
fn a_mistake_in_an_env_file_has_its_place_in_that_file() {
    let files =
        [("shop/compose.yaml", "services: {a: {image: x, env_file: bad.env}}"), ("shop/bad.env", "A=1\nB='open\n")];
    expect![[r#"
        shop/bad.env:2:1: error: a quote is opened and not closed: 'open
    "#]]
    .assert_eq(&load(&files, &[]).lines());
}

#[test]
fn a_change_of_an_env_file_is_another_revision_and_another_hash() {
    let yaml = ("shop/compose.yaml", "services: {a: {image: x, env_file: e.env}, b: {image: x}}");
    let before = project(&[yaml, ("shop/e.env", "A=1\n")], &[]);
    let after = project(&[yaml, ("shop/e.env", "A=2\n")], &[]);
    assert_ne!(before.revision, after.revision);
    assert_ne!(before.services["a"].config_hash, after.services["a"].config_hash);
    assert_eq!(before.services["b"].config_hash, after.services["b"].config_hash);
}
