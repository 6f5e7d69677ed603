//! Commands in simulated containers do not pile up either.

use std::time::Duration;

use evenkeel::engine::sim::{Blueprint, Model, Script, SimEngine};
use evenkeel::engine::{EngineWrite, unfinished};
use evenkeel::model::service::Hook;
use evenkeel::model::{ProjectName, ServiceName, Timestamp, labels};
use evenkeel::rehearsal::virtually;

const LIMIT: Duration = Duration::from_secs(1);

#[test]
fn what_takes_longer_than_it_may_is_not_begun_again_until_it_has_ended() {
    virtually(async {
        let engine = SimEngine::new(1, Model::V20, Timestamp::UNIX_EPOCH);
        let script = Script { commands_take: Some(Duration::from_secs(30)), ..Script::default() };
        let id = engine.with(|world| {
            world.tag("i:1");
            world.script(&ProjectName::trusted("shop"), &ServiceName::trusted("web"), script);
            let labels = [(labels::PROJECT, "shop"), (labels::SERVICE, "web")];
            let labels = labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
            let made_of = Blueprint { name: "web".into(), image: "i:1".into(), labels, ..Blueprint::default() };
            let id = world.create(made_of).unwrap();
            world.start(&id).unwrap();
            id
        });
        let client = engine.client();
        let test = |n: usize| ["CMD".to_owned(), n.to_string()];
        let made = client.check(&id, &test(0), LIMIT).await.unwrap().unwrap();
        assert!(made.contains("took longer than 1s"), "{made}");
        for _ in 0..10 {
            let why = client.check(&id, &test(0), LIMIT).await.unwrap().unwrap();
            assert!(why.contains("still runs"), "{why}");
        }
        assert_eq!(engine.with(|world| world.commands(&id)), 1);
        let hook = Hook { command: vec!["hook".into()], ..Hook::default() };
        assert!(client.run_hook(&id, &hook, LIMIT).await.is_err_and(|error| error.to_string().contains("took longer")));
        assert!(client.run_hook(&id, &hook, LIMIT).await.is_err_and(|error| error.to_string().contains("still runs")));
        for n in 1..20 {
            assert!(client.check(&id, &test(n), LIMIT).await.unwrap().is_some());
        }
        assert_eq!(engine.with(|world| world.commands(&id)), unfinished::MOST);
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert_eq!(engine.with(|world| world.commands(&id)), 0);
        let made = client.check(&id, &test(0), Duration::from_secs(40)).await.unwrap();
        assert_eq!(made.as_deref(), Some("it fails"), "it is made again: the container has no check to pass");
    })
    .unwrap();
}
