//! What is wrong is said all at once, each with its place, its line and a caret.

use expect_test::{Expect, expect};

use super::loading::load;

fn check(text: &str, expected: &Expect) {
    let folder = load(&[("shop.yaml", text)], &[]);
    let lines = folder.lines();
    assert!(folder.loaded[0].project.is_none() || folder.errors().is_empty());
    for line in lines.lines() {
        let mut parts = line.splitn(4, ':');
        let place: Vec<_> = parts.by_ref().take(3).collect();
        assert!(
            place.len() == 3 && place[1].parse::<u32>().is_ok() && place[2].parse::<u32>().is_ok(),
            "no place: {line}"
        );
    }
    expected.assert_eq(&lines);
}

#[test]
fn each_kind_of_mistake_has_its_place() {
    check(
        "services:\n  web: {image: a\n  db: {image: b}\n",
        &expect![[r#"
        shop.yaml:3:5: error: not valid YAML: while parsing a flow mapping, did not find expected ',' or '}'
    "#]],
    );
    check(
        "services:\n  web:\n    imag: a\n    image: a\n",
        &expect![[r#"
        shop.yaml:3:5: error: unknown key `services.web.imag`
    "#]],
    );
    check(
        "servces: {}\nservices: {a: {image: a}}\n",
        &expect![[r#"
        shop.yaml:1:1: error: unknown key `servces`
    "#]],
    );
    check(
        "services:\n  web:\n    image: a\n    depends_on: [dbb]\n  db: {image: b}\n",
        &expect![[r#"
        shop.yaml:4:18: error: `web` depends on `dbb`, and there is no such service
    "#]],
    );
    check(
        "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c: {image: x, depends_on: [a]}\n",
        &expect![[r#"
            shop.yaml:2:30: error: dependency cycle: a -> b -> c -> a
        "#]],
    );
    check(
        "services:\n  a:\n    image: x\n    depends_on: [a]\n",
        &expect![[r#"
            shop.yaml:4:18: error: dependency cycle: a -> a
        "#]],
    );
    check(
        "services:\n  web:\n    image: a\n    env_file: none.env\n",
        &expect![[r#"
            shop.yaml:4:15: error: env file none.env: No such file or directory (os error 2)
        "#]],
    );
    check(
        "services:\n  web:\n    image: [a]\n    ports: 80\n    read_only: maybe\n",
        &expect![[r#"
            shop.yaml:3:12: error: services.web.image must be text, this is a list
            shop.yaml:4:12: error: services.web.ports must be a list, this is a number
            shop.yaml:5:16: error: services.web.read_only must be true or false, this is `maybe`
        "#]],
    );
    check(
        "services:\n  web:\n    image: a\n    ports: ['80:http']\n    volumes: ['data:/d']\n    networks: [back]\n",
        &expect![[r#"
            shop.yaml:4:13: error: `80:http`: `http` is no port or range of ports (0 to 65535)
            shop.yaml:5:15: error: `web` uses the volume `data`, which is not defined under `volumes`
            shop.yaml:6:16: error: `web` uses the network `back`, which is not defined under `networks`
        "#]],
    );
    check(
        "services:\n  web:\n    image: a\n    mem_limit: much\n    stop_grace_period: soon\n    cpus: two\n",
        &expect![[r#"
            shop.yaml:4:16: error: services.web.mem_limit must be a size, for example 64m, 1.5g or a number of bytes, this is `much`
            shop.yaml:5:24: error: services.web.stop_grace_period must be a duration, for example 500ms, 10s or 1m30s, this is `soon`
            shop.yaml:6:11: error: services.web.cpus must be a number, this is `two`
        "#]],
    );
    check("services:\n  web:\n    image: a\n    build: .\n", &expect![""]);
    check(
        "services:\n  web:\n    image: ${IMAGE:?which one}\n    command: ${BAD\n",
        &expect![[r#"
        shop.yaml:3:12: error: required variable IMAGE is missing a value: which one
        shop.yaml:4:14: error: invalid interpolation `${BAD`
    "#]],
    );
    check(
        "services:\n  web:\n    image: a\n    image: b\n",
        &expect![[r#"
        shop.yaml:4:5: error: the key `image` stands here twice
    "#]],
    );
    check(
        "services:\n  web:\n",
        &expect![[r#"
            shop.yaml:2:6: error: services.web must be a mapping, this is nothing
        "#]],
    );
    check(
        "services: {}\n",
        &expect![[r#"
            shop.yaml:1:1: error: there are no services
        "#]],
    );
    check("name: Shop\nservices: {a: {image: x}}\n", &expect![""]);
    check(
        "services: {a: {image: x, x-evenkeel: {criticl: true}}}\nx-evenkeel: {depends_on: other}\n",
        &expect![[r#"
        shop.yaml:1:39: error: unknown key `criticl` of x-evenkeel
        shop.yaml:2:26: error: x-evenkeel.depends_on must be a list of projects
    "#]],
    );
    check(
        "- a\n- b\n",
        &expect![[r#"
        shop.yaml:1:1: error: the file must be a mapping, this is a list
    "#]],
    );
    check(
        "services:\n  web:\n    image: a\n    depends_on:\n      db: {condition: healthy}\n  db: {image: b}\n",
        &expect![[r#"
            shop.yaml:5:23: error: services.web.depends_on.db.condition must be `service_started`, `service_healthy` or `service_completed_successfully`
        "#]],
    );
}

#[test]
fn an_empty_file_has_a_place_too() {
    check(
        "",
        &expect![[r#"
            shop.yaml:1:1: error: shop.yaml is empty
        "#]],
    );
    check(
        "# nothing yet\n",
        &expect![[r#"
            shop.yaml:1:1: error: shop.yaml is empty
        "#]],
    );
}

#[test]
fn a_list_at_the_top_of_services_is_refused() {
    check(
        "services: [a]\n",
        &expect![[r#"
            shop.yaml:1:11: error: services must be a mapping, this is a list
        "#]],
    );
}

/// One manifest a mistake, and one with several.
const ALL: [(&str, &str); 7] = [
    ("broken.yaml", "services:\n\tweb: {image: a}\n"),
    ("cycle.yaml", "services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}\n"),
    ("fine.yaml", "services: {a: {image: x}}\n"),
    ("group/one.yaml", "name: twin\nservices: {a: {image: x}}\n"),
    ("group/two.yaml", "services: {a: {image: x}}\nname: twin\n"),
    (
        "several.yaml",
        "services:\n  web:\n    image: a\n    prots: ['80']\n    env_file: [missing.env]\n    depends_on: [nobody]\n    init: [1]\n",
    ),
    ("shop/compose.yaml", "services: {a: {image: x, command: 'a \"b'}}\n"),
];

#[test]
fn all_mistakes_of_all_files_are_reported_together() {
    let folder = load(&ALL, &[]);
    expect![[r#"
        broken.yaml:2:2: error: not valid YAML: tabs disallowed within this context (block indentation)
        cycle.yaml:1:39: error: dependency cycle: a -> b -> a
        group/one.yaml:1:7: error: the project name `twin` is used by another manifest too
        group/two.yaml:2:7: error: the project name `twin` is used by another manifest too
        several.yaml:4:5: error: unknown key `services.web.prots`
        several.yaml:5:16: error: env file missing.env: No such file or directory (os error 2)
        several.yaml:6:18: error: `web` depends on `nobody`, and there is no such service
        several.yaml:7:11: error: services.web.init must be true or false, this is a list
        shop/compose.yaml:1:35: error: services.a.command has a quote or bracket that is opened and not closed
    "#]]
    .assert_eq(&folder.lines());
    let good: Vec<_> = folder.loaded.iter().filter_map(|l| l.project.as_ref()).map(|p| p.name.to_string()).collect();
    assert_eq!(good, ["fine"]);
}

#[test]
fn people_see_the_line_and_a_caret() {
    let folder = load(&ALL, &[]);
    let rendered = folder.rendered();
    for diagnostic in folder.diagnostics() {
        let text = diagnostic.render(false);
        assert!(text.contains('^'), "no caret: {text}");
        assert!(text.contains(diagnostic.place.text.trim()), "no line: {text}");
    }
    expect![[r#"
        broken.yaml:2:2: error: not valid YAML: tabs disallowed within this context (block indentation)
         --> broken.yaml:2:2
          |
        2 |     web: {image: a}
          |     ^
        cycle.yaml:1:39: error: dependency cycle: a -> b -> a
         --> cycle.yaml:1:39
          |
        1 | services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}
          |                                       ^
         --> cycle.yaml:1:71
          |
        1 | services: {a: {image: x, depends_on: [b]}, b: {image: x, depends_on: [a]}}
          |                                                                       - `b` waits for `a`
          = help: take one of these out of `depends_on`
        group/one.yaml:1:7: error: the project name `twin` is used by another manifest too
         --> group/one.yaml:1:7
          |
        1 | name: twin
          |       ^^^^
          = note: group/two.yaml: also named `twin`
          = help: give one of them another `name:`
        group/two.yaml:2:7: error: the project name `twin` is used by another manifest too
         --> group/two.yaml:2:7
          |
        2 | name: twin
          |       ^^^^
          = note: group/one.yaml: also named `twin`
          = help: give one of them another `name:`
        several.yaml:4:5: error: unknown key `services.web.prots`
         --> several.yaml:4:5
          |
        4 |     prots: ['80']
          |     ^^^^^
          = help: did you mean `ports`?
        several.yaml:5:16: error: env file missing.env: No such file or directory (os error 2)
         --> several.yaml:5:16
          |
        5 |     env_file: [missing.env]
          |                ^^^^^^^^^^^
          = help: create it, or write `required: false`
        several.yaml:6:18: error: `web` depends on `nobody`, and there is no such service
         --> several.yaml:6:18
          |
        6 |     depends_on: [nobody]
          |                  ^^^^^^
        several.yaml:7:11: error: services.web.init must be true or false, this is a list
         --> several.yaml:7:11
          |
        7 |     init: [1]
          |           ^
        shop/compose.yaml:1:35: error: services.a.command has a quote or bracket that is opened and not closed
         --> shop/compose.yaml:1:35
          |
        1 | services: {a: {image: x, command: 'a "b'}}
          |                                   ^^^^^^
    "#]]
    .assert_eq(&rendered);
}

#[test]
fn columns_count_characters_and_not_bytes() {
    check(
        "services:\n  web:\n    image: a\n    labels: {ä: ü, ö: [x]}\n",
        &expect![[r#"
            shop.yaml:4:23: error: services.web.labels.ö must be text, a number or true or false, this is a list
        "#]],
    );
}

#[test]
fn what_x_evenkeel_says_has_to_be_able_to_work() {
    check(
        "services:
  a:
    image: x
    x-evenkeel:
      health:
        exec: ['']
        interval: 0s
        timeout: 0s
      recovery:
        strategy: degraded_mode
        crashed: restart_with_reset
        window: 0s
        backoff: {initial: 10s, max: 1s}
        breaker: {cool_down: 0s}
      throttle: {cpu: {release: 100%}}
  b: {image: x, x-evenkeel: {recovery: restart}}
",
        &expect![[r#"
            shop.yaml:6:15: error: x-evenkeel.health.exec must be a command: a list, or a line for the shell
            shop.yaml:7:19: error: x-evenkeel.health.interval must be longer than nothing
            shop.yaml:8:18: error: x-evenkeel.health.timeout must be longer than nothing
            shop.yaml:10:9: warning: `degraded_mode` without `degraded: {stop: [SERVICE]}` gives nothing up: it is a restart
            shop.yaml:10:9: warning: `restart_with_reset` without `reset: {volumes: [NAME]}` empties the container alone
            shop.yaml:12:17: error: x-evenkeel.recovery.window must be longer than nothing
            shop.yaml:13:18: error: x-evenkeel.recovery.backoff.max is shorter than `initial`
            shop.yaml:14:30: error: x-evenkeel.recovery.breaker.cool_down must be longer than nothing
            shop.yaml:15:23: error: x-evenkeel.throttle.cpu.release must be below 100%, or it would be given back at once
            shop.yaml:16:40: error: x-evenkeel must have a mapping here, this is text
        "#]],
    );
}
