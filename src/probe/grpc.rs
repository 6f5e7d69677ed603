//! gRPC probes, by the standard health protocol.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{Document, Failure};

/// Connections, which are kept.
#[derive(Default)]
pub(super) struct Channels(Mutex<HashMap<SocketAddr, Channel>>);

impl Channels {
    fn to(&self, address: SocketAddr) -> Result<Channel, Failure> {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(channel) = channels.get(&address) {
            return Ok(channel.clone());
        }
        let endpoint = Endpoint::from_shared(format!("http://{address}"));
        let channel = endpoint.map_err(|e| Failure::Answered(e.to_string()))?.connect_lazy();
        channels.insert(address, channel.clone());
        Ok(channel)
    }

    pub(super) async fn check(&self, service: &str, address: SocketAddr) -> Result<Document, Failure> {
        let mut client = HealthClient::new(self.to(address)?);
        let asked = client.check(HealthCheckRequest { service: service.to_owned() }).await;
        match asked.map(|answer| answer.into_inner().status()) {
            Ok(ServingStatus::Serving) => Ok(Document::default()),
            Ok(status) => Err(Failure::Answered(format!("it answers {}", status.as_str_name()))),
            Err(status) => {
                let why = format!("{}: {}", status.code().description(), status.message());
                Err(match status.code() {
                    Code::NotFound => Failure::Answered(format!("it knows no service `{service}`")),
                    Code::Unimplemented => Failure::Answered("it does not speak the health protocol".to_owned()),
                    _ => Failure::Answered(why),
                })
            }
        }
    }
}
