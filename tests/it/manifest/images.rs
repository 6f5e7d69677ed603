//! `pull_policy`, and what of `build` the Engine's own builder can do.

use std::time::Duration;

use expect_test::expect;

use super::loading::{load, service};
use evenkeel::model::service::PullPolicy;

#[test]
fn every_pull_policy_is_read() {
    let policy = |text: &str| service(&format!("services: {{a: {{image: x{text}}}}}")).pull_policy;
    let days = |n: u64| PullPolicy::Every(Duration::from_secs(n * 86_400));
    for (word, wanted) in [
        ("always", PullPolicy::Always),
        ("never", PullPolicy::Never),
        ("missing", PullPolicy::Missing),
        ("if_not_present", PullPolicy::Missing),
        ("build", PullPolicy::Build),
        ("daily", days(1)),
        ("weekly", days(7)),
        ("every_2d", days(2)),
        ("every_1h30m", PullPolicy::Every(Duration::from_secs(5400))),
    ] {
        assert_eq!(policy(&format!(", pull_policy: {word}")), wanted, "{word}");
    }
    assert_eq!(policy(""), PullPolicy::Unwritten);
}

#[test]
fn no_interval_at_all_is_no_pull_policy() {
    let text = "services: {a: {image: x, pull_policy: every_0s}}";
    assert!(load(&[("shop.yaml", text)], &[]).errors().contains("pull_policy must be"));
}

#[test]
fn what_only_buildkit_can_do_is_said_where_it_stands() {
    let text = "
services:
  a:
    build:
      context: .
      ssh: [default]
      secrets: [key]
      additional_contexts: {other: ./other}
      entitlements: [network.host]
      privileged: true
      platforms: [linux/amd64, linux/arm64]
      provenance: mode=max
      sbom: true
      cache_to: [type=inline]
  b:
    build: {context: ., privileged: false, platforms: [linux/amd64], provenance: false, ssh: []}
secrets: {key: {environment: KEY}}
";
    let folder = load(&[("shop.yaml", text)], &[("KEY", "x")]);
    expect![[r#"
        shop.yaml:6:12: error: `ssh` is not handed to the Engine's builder: build the image elsewhere, and name it
        shop.yaml:7:16: error: `secrets` is not handed to the Engine's builder: build the image elsewhere, and name it
        shop.yaml:8:28: error: `additional_contexts` is not handed to the Engine's builder: build the image elsewhere, and name it
        shop.yaml:9:21: error: `entitlements` is not handed to the Engine's builder: build the image elsewhere, and name it
        shop.yaml:10:19: error: `privileged` is not handed to the Engine's builder: build the image elsewhere, and name it
        shop.yaml:11:32: error: `more than one platform` is not handed to the Engine's builder: build the image elsewhere, and name it
        shop.yaml:12:19: warning: `provenance` is not handed to the Engine's builder: build the image elsewhere, and name it: it has no effect
        shop.yaml:13:13: warning: `sbom` is not handed to the Engine's builder: build the image elsewhere, and name it: it has no effect
        shop.yaml:14:17: warning: `cache_to` is not handed to the Engine's builder: build the image elsewhere, and name it: it has no effect
    "#]]
    .assert_eq(&folder.lines());
    assert!(folder.diagnostics().all(|d| d.code == "buildkit"));
}
