//! Host names to addresses, by asking the container's name server.
//!
//! The C library cannot look names up in a static binary. reqwest's own use of the resolver refuses a name with an
//! underscore, as Compose services may have, because it reads it as an internet host name; here it is plain ASCII.

use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use hickory_resolver::proto::rr::Name as DomainName;
use hickory_resolver::{TokioResolver, net::NetError};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

const ONE_TRY: Duration = Duration::from_millis(800);

pub struct Resolver;

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = resolver()?.lookup_ip(DomainName::from_ascii(name.as_str())?).await?;
            // The port is set by the caller.
            let addresses: Vec<SocketAddr> = found.iter().map(|ip| SocketAddr::from((ip, 0))).collect();
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

fn resolver() -> Result<&'static TokioResolver, NetError> {
    static RESOLVER: OnceLock<TokioResolver> = OnceLock::new();
    if let Some(resolver) = RESOLVER.get() {
        return Ok(resolver);
    }
    let mut builder = TokioResolver::builder_tokio()?;
    let options = builder.options_mut();
    options.timeout = ONE_TRY;
    // Containers move, and a name may appear later.
    options.cache_size = 0;
    let resolver = builder.build()?;
    Ok(RESOLVER.get_or_init(|| resolver))
}
