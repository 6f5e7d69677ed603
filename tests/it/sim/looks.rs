//! Verbs that only look change nothing: seen by the Engine, not by what they could call.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use evenkeel::control::Scope;
use evenkeel::control::intake::watch::WatchOptions;
use evenkeel::control::offline::{SurveyOptions, survey};
use evenkeel::decide::RecoveryPolicy;
use evenkeel::engine::sim::{Call, Director, Model, SimEngine, Upset, World};
use evenkeel::model::Timestamp;
use evenkeel::rehearsal::{VirtualClock, virtually};

/// Counts calls: those that look, and those that change something.
#[derive(Clone, Default)]
struct Counts(Arc<[AtomicU32; 2]>);

impl Director for Counts {
    fn upset(&mut self, call: &Call, _: &World) -> Option<Upset> {
        self.0[usize::from(call.mutates())].fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[test]
fn what_plan_and_status_ask_makes_no_call_that_changes_anything() {
    let dir = tempfile::tempdir().unwrap();
    let manifests = dir.path().join("manifests");
    std::fs::create_dir(&manifests).unwrap();
    let text = "name: shop\nservices: {db: {image: 'i:1', volumes: ['data:/d']}, web: {image: 'i:1', depends_on: [db]}}\nvolumes: {data: }\n";
    std::fs::write(manifests.join("shop.yaml"), text).unwrap();
    let counts = Counts::default();
    virtually(async {
        let engine = SimEngine::new(1, Model::V20, Timestamp::UNIX_EPOCH);
        engine.with(|world| {
            world.tag("i:1");
            world.directed_by(Box::new(counts.clone()));
        });
        let watch = WatchOptions { root: manifests.clone(), environment: [].into(), rescan: Duration::from_secs(30) };
        let options = SurveyOptions {
            watch: &watch,
            scope: &Scope::directories(vec![manifests.clone()]),
            state: &dir.path().join("state"),
            recovery: &RecoveryPolicy::default(),
            take_over: false,
            watched: false,
            host: None,
            address: "simulated".to_owned(),
        };
        let found = survey(&engine.client(), &VirtualClock::new(Timestamp::UNIX_EPOCH), &options).await.unwrap();
        let steps: usize = found.plans.iter().flat_map(|p| &p.stages).map(Vec::len).sum();
        assert!(steps >= 6, "a network, a volume, two creations, two starts: {}", found.plans[0]);
        assert_eq!(engine.with(|world| world.containers().count() + world.networks().count()), 0);
    })
    .unwrap();
    let [looks, changes] = [0, 1].map(|kind| counts.0[kind].load(Ordering::Relaxed));
    assert!(looks >= 3 && changes == 0, "{looks} looks, {changes} changes");
    assert!(!dir.path().join("state").exists(), "nor is the state folder made");
}
