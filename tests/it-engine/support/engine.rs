//! The Engine, spoken to past the product: plain calls on its socket.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use evenkeel::engine::docker::Address;
use evenkeel::model::Timestamp;
use serde_json::{Value, json};

use super::http::{Connection, quote};
use super::{skip, wait_for};

/// The Engine's socket.
#[derive(Clone, Debug)]
pub struct Engine {
    socket: PathBuf,
}

/// A container of a project, as the list of containers has it.
#[derive(Clone, Debug)]
pub struct Container {
    pub id: String,
    pub name: String,
    pub service: String,
    pub number: u32,
    /// The Engine's word.
    pub state: String,
}

impl Container {
    pub fn is_running(&self) -> bool {
        self.state == "running"
    }
}

impl Engine {
    /// Finds the Engine as the product does. Without one the test is skipped.
    #[track_caller]
    pub fn find() -> Option<Self> {
        static FOUND: OnceLock<Result<Engine, String>> = OnceLock::new();
        match FOUND.get_or_init(Self::look) {
            Ok(engine) => Some(engine.clone()),
            Err(why) => {
                skip(&format!("no Engine: {why}"));
                None
            }
        }
    }

    fn look() -> Result<Self, String> {
        let environment = evenkeel::settings::environment();
        match Address::find(None, &environment).map_err(|error| error.to_string())? {
            Address::Unix(socket) => {
                let engine = Self { socket };
                let mut connection = Connection::open(&engine.socket).map_err(|error| format!("{error:#}"))?;
                let answer = connection.call("GET", "/_ping", None).map_err(|error| format!("{error:#}"))?;
                if answer.status == 200 { Ok(engine) } else { Err(format!("it answers {}", answer.status)) }
            }
            other => Err(format!("the tests put a proxy before a unix socket, this is {other}")),
        }
    }

    pub fn socket(&self) -> &Path {
        &self.socket
    }

    pub fn url(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// One call: the status and the answer.
    pub fn try_call(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut connection = Connection::open(&self.socket).expect("the Engine's socket");
        let answer = connection.call(method, path, body).expect("an answer of the Engine");
        (answer.status, answer.json().unwrap_or(Value::Null))
    }

    /// A file of a container, in an archive that is not compressed.
    pub fn archive(&self, id: &str, path: &str) -> String {
        let mut connection = Connection::open(&self.socket).expect("the Engine's socket");
        let call = format!("/containers/{id}/archive?path={path}");
        let answer = connection.call("GET", &call, None).expect("an answer of the Engine");
        assert_eq!(answer.status, 200, "{call}");
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// One call that has to work.
    #[track_caller]
    pub fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let (status, answer) = self.try_call(method, path, body);
        assert!((200..400).contains(&status), "{method} {path}: {status} {answer}");
        answer
    }

    fn list(&self, path: &str, label: &str) -> Vec<Value> {
        let filter = quote(&json!({ "label": [label] }).to_string());
        let answer = self.call("GET", &format!("{path}filters={filter}"), None);
        // Volumes come in an object, and as null where there are none.
        let list = answer.get("Volumes").unwrap_or(&answer);
        list.as_array().cloned().unwrap_or_default()
    }

    /// The containers of a project in the order of their services' names, running or not.
    pub fn containers(&self, project: &str) -> Vec<Container> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut containers: Vec<Container> = self
            .list("/containers/json?all=1&", &of_project(project))
            .iter()
            .map(|c| Container {
                id: text(&c["Id"]),
                name: text(&c["Names"][0]).trim_start_matches('/').to_owned(),
                service: text(&c["Labels"]["com.docker.compose.service"]),
                number: text(&c["Labels"]["com.docker.compose.container-number"]).parse().unwrap_or(0),
                state: text(&c["State"]),
            })
            .collect();
        containers.sort_by(|a, b| (&a.service, a.number, &a.name).cmp(&(&b.service, b.number, &b.name)));
        containers
    }

    /// The one container of a service.
    #[track_caller]
    pub fn container(&self, project: &str, service: &str) -> Container {
        let found: Vec<_> = self.containers(project).into_iter().filter(|c| c.service == service).collect();
        match found.as_slice() {
            [one] => one.clone(),
            _ => panic!("{project}.{service} has {} containers: {found:?}", found.len()),
        }
    }

    /// How many containers of a project run.
    pub fn running(&self, project: &str) -> usize {
        self.containers(project).iter().filter(|c| c.is_running()).count()
    }

    /// The names of a project's networks.
    pub fn networks(&self, project: &str) -> Vec<String> {
        names(&self.list("/networks?", &of_project(project)))
    }

    /// The networks of exactly this name, whoever made them.
    pub fn networks_named(&self, name: &str) -> usize {
        let filter = quote(&json!({ "name": [name] }).to_string());
        let found = self.call("GET", &format!("/networks?filters={filter}"), None);
        found.as_array().into_iter().flatten().filter(|n| n["Name"] == name).count()
    }

    /// The names of a project's volumes.
    pub fn volumes(&self, project: &str) -> Vec<String> {
        names(&self.list("/volumes?", &of_project(project)))
    }

    /// The names of volumes that begin so, whoever made them.
    pub fn volumes_named(&self, prefix: &str) -> Vec<String> {
        let filter = quote(&json!({ "name": [prefix] }).to_string());
        let found = self.call("GET", &format!("/volumes?filters={filter}"), None);
        let mut names = names(found["Volumes"].as_array().map_or(&[], Vec::as_slice));
        names.retain(|n| n.starts_with(prefix));
        names
    }

    /// All about a container.
    #[track_caller]
    pub fn inspect(&self, id: &str) -> Value {
        let path = format!("/containers/{id}/json");
        // Engine 20.10 answers 500 for a moment while it makes or removes one.
        wait_for(Duration::from_secs(5), &format!("{id} can be inspected"), || {
            let (status, container) = self.try_call("GET", &path, None);
            (status == 200).then_some(container)
        })
    }

    /// When a container was started last, in the Engine's words.
    pub fn started(&self, id: &str) -> String {
        self.inspect(id)["State"]["StartedAt"].as_str().unwrap_or_default().to_owned()
    }

    /// What its process said since then; the frames of the stream are left in.
    pub fn logs(&self, id: &str, since: &str) -> String {
        let at: Timestamp = since.parse().unwrap_or_default();
        let since = format!("{}.{:09}", at.as_second(), at.subsec_nanosecond());
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&since={since}");
        let mut connection = Connection::open(&self.socket).expect("the Engine's socket");
        let answer = connection.call("GET", &path, None).expect("an answer of the Engine");
        String::from_utf8_lossy(&answer.body).into_owned()
    }

    /// The signals that it was sent, oldest first.
    pub fn signals(&self, id: &str) -> Vec<String> {
        let filters = quote(&json!({ "container": [id], "event": ["kill"] }).to_string());
        let now = Timestamp::now().as_second() + 1;
        let mut connection = Connection::open(&self.socket).expect("the Engine's socket");
        let call = format!("/events?since=1&until={now}&filters={filters}");
        let answer = connection.call("GET", &call, None).expect("an answer of the Engine");
        let lines = serde_json::Deserializer::from_slice(&answer.body).into_iter::<Value>().flatten();
        lines.filter_map(|event| Some(event["Actor"]["Attributes"]["signal"].as_str()?.to_owned())).collect()
    }

    pub fn kill(&self, id: &str) {
        self.call("POST", &format!("/containers/{id}/kill"), None);
    }

    pub fn stop(&self, id: &str) {
        self.call("POST", &format!("/containers/{id}/stop?t=5"), None);
    }

    pub fn pause(&self, id: &str) {
        self.call("POST", &format!("/containers/{id}/pause"), None);
    }

    /// `docker rm -f`; one that is gone already is as good.
    pub fn remove(&self, id: &str) {
        let (status, answer) = self.try_call("DELETE", &format!("/containers/{id}?force=1&v=1"), None);
        assert!(matches!(status, 204 | 404 | 409), "removing {id}: {status} {answer}");
    }

    /// Removes the images that a project built for itself.
    pub fn remove_images(&self, project: &str) {
        let images = self.call("GET", "/images/json", None);
        let names =
            images.as_array().into_iter().flatten().flat_map(|i| i["RepoTags"].as_array().into_iter().flatten());
        let ours = |name: &&str| name.strip_prefix(project).is_some_and(|rest| rest.starts_with('-'));
        for name in names.filter_map(serde_json::Value::as_str).filter(ours) {
            self.try_call("DELETE", &format!("/images/{name}?force=1"), None);
        }
    }

    /// Removes everything that carries a project's label. Says what the Engine kept.
    pub fn remove_project(&self, project: &str) -> Vec<String> {
        let label = of_project(project);
        let (mut left, mut clean) = (Vec::new(), 0);
        // After a failure the call of a controller that was killed may take effect only now.
        let looks = if std::thread::panicking() { 15 } else { 1 };
        for _ in 0..80 {
            let containers = self.containers(project);
            for container in &containers {
                self.remove(&container.id);
            }
            left = self.list("/networks?", &label);
            left.retain(|n| {
                let id = n["Id"].as_str().unwrap_or_default();
                self.try_call("DELETE", &format!("/networks/{id}"), None).0 >= 400
            });
            let volumes = self.volumes(project);
            for volume in &volumes {
                self.try_call("DELETE", &format!("/volumes/{}", quote(volume)), None);
            }
            let empty = containers.is_empty() && left.is_empty() && volumes.is_empty();
            clean = if empty { clean + 1 } else { 0 };
            if clean >= looks {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        names(&left)
    }
}

fn of_project(project: &str) -> String {
    format!("com.docker.compose.project={project}")
}

fn names(list: &[Value]) -> Vec<String> {
    let mut names: Vec<_> = list.iter().filter_map(|n| n["Name"].as_str().map(str::to_owned)).collect();
    names.sort();
    names
}
