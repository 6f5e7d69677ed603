//! What people do to the real Engine by hand.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::time::Duration;

use evenkeel::engine::{EngineError, docker};
use evenkeel::model::{ContainerId, ProjectName, ServiceName};
use serde_json::{Value, json};

use super::scene::{Acts, Answer, Hand};
use crate::support::{Engine, SOON, wait_until};

/// The real Engine's: plain calls. What is left is removed at the end, with or without the project's label.
pub struct RealHand {
    engine: Engine,
    project: String,
    foreign: Mutex<Vec<String>>,
}

impl RealHand {
    pub fn new(engine: Engine, project: &str) -> Self {
        Self { engine, project: project.to_owned(), foreign: Mutex::default() }
    }

    fn call(
        &self,
        id: Option<&ContainerId>,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Value, EngineError> {
        let (status, answer) = self.engine.try_call(method, path, body);
        if status < 400 {
            return Ok(answer);
        }
        Err(docker::refused(status, answer["message"].as_str().unwrap_or_default().trim(), id))
    }
}

impl Hand for RealHand {
    fn behave(&self, _: &ProjectName, _: &ServiceName, _: &Acts) {}

    fn ready(&self, id: &ContainerId) {
        // Its first words can be older than its start, as the Engine tells that, but not than its last end.
        let state = self.engine.inspect(id.as_str())["State"].clone();
        let since = state["FinishedAt"].as_str().unwrap_or_default().to_owned();
        wait_until(SOON, "a process says that it is there", || {
            if self.engine.inspect(id.as_str())["State"]["Status"] != "running" {
                return true;
            }
            let said = self.engine.logs(id.as_str(), &since);
            said.contains("listens on port") || said.contains("works for")
        });
    }

    fn kill(&self, id: &ContainerId, signal: &str) -> Answer {
        self.call(Some(id), "POST", &format!("/containers/{id}/kill?signal={signal}"), None).map(|_| ())
    }

    fn remove(&self, id: &ContainerId) -> Answer {
        self.call(Some(id), "DELETE", &format!("/containers/{id}?force=1"), None).map(|_| ())
    }

    fn pause(&self, id: &ContainerId) -> Answer {
        self.call(Some(id), "POST", &format!("/containers/{id}/pause"), None).map(|_| ())
    }

    fn heard(&self) {
        std::thread::sleep(Duration::from_millis(250));
    }

    fn update(&self, id: &ContainerId, memory: u64, nano_cpus: i64) -> Answer {
        let body = json!({ "Memory": memory, "MemorySwap": -1, "NanoCpus": nano_cpus });
        self.call(Some(id), "POST", &format!("/containers/{id}/update"), Some(&body)).map(|_| ())
    }

    fn limits(&self, id: &ContainerId) -> (u64, i64) {
        let host = &self.engine.inspect(id.as_str())["HostConfig"];
        (host["Memory"].as_u64().unwrap_or(0), host["NanoCpus"].as_i64().unwrap_or(0))
    }

    fn disconnect(&self, network: &str, id: &ContainerId) -> Answer {
        let body = json!({ "Container": id.as_str(), "Force": false });
        self.call(Some(id), "POST", &format!("/networks/{network}/disconnect"), Some(&body)).map(|_| ())
    }

    fn foreign(&self, name: &str, image: &str) -> Result<ContainerId, EngineError> {
        let body = json!({ "Image": image, "HostConfig": { "NetworkMode": "none" } });
        let made = self.call(None, "POST", &format!("/containers/create?name={name}"), Some(&body))?;
        let id = made["Id"].as_str().unwrap_or_default().to_owned();
        self.foreign.lock().expect("the list of foreign containers").push(id.clone());
        Ok(ContainerId::trusted(id))
    }

    fn sicken(&self, id: &ContainerId, sick: bool) {
        let networks = self.engine.inspect(id.as_str())["NetworkSettings"]["Networks"].clone();
        let mut addresses = networks.as_object().into_iter().flatten().filter_map(|(_, n)| n["IPAddress"].as_str());
        let address: Ipv4Addr = addresses.next().and_then(|a| a.parse().ok()).expect("an address");
        let body = json!({ "fail": sick }).to_string();
        let to = SocketAddr::from((address, 8080));
        let mut stream = TcpStream::connect_timeout(&to, Duration::from_secs(5)).expect("the service answers");
        let head = format!("POST /control HTTP/1.1\r\nHost: it\r\nConnection: close\r\nContent-Length: {}", body.len());
        write!(stream, "{head}\r\n\r\n{body}").expect("it is told");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    fn free_port(&self) -> u16 {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        listener.local_addr().expect("its address").port()
    }
}

impl Drop for RealHand {
    fn drop(&mut self) {
        for id in self.foreign.get_mut().into_iter().flatten() {
            self.engine.remove(id);
        }
        // Volumes that containers brought along.
        self.engine.remove_project(&self.project);
        let prefix = format!("{}-", self.project);
        for name in self.engine.volumes_named(&prefix) {
            self.engine.try_call("DELETE", &format!("/volumes/{name}"), None);
        }
    }
}
