//! The resolver mail-auth asks.

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::system_conf::read_system_conf;
use std::net::SocketAddr;
use std::time::Duration;
use thiserror::Error;

/// Why no resolver could be set up.
#[derive(Debug, Error)]
pub enum ResolverError {
    /// `/etc/resolv.conf` is missing or makes no sense.
    #[error("cannot read the system's resolver configuration: {0}")]
    System(String),
    /// The resolver refused its settings.
    #[error("cannot set up the resolver: {0}")]
    Setup(String),
}

pub(crate) fn build(servers: &[SocketAddr]) -> Result<TokioResolver, ResolverError> {
    let (config, mut options) = match servers {
        [] => read_system_conf().map_err(|error| ResolverError::System(error.to_string()))?,
        servers => {
            let servers = servers.iter().copied().map(name_server).collect();
            (ResolverConfig::from_name_servers(servers), ResolverOpts::default())
        }
    };
    options.timeout = Duration::from_secs(3);
    options.attempts = 2;
    options.edns0 = true;
    options.cache_size = 4096;
    TokioResolver::builder_with_config(config, TokioRuntimeProvider::default())
        .with_options(options)
        .build()
        .map_err(|error| ResolverError::Setup(error.to_string()))
}

fn name_server(address: SocketAddr) -> NameServerConfig {
    let (mut udp, mut tcp) = (ConnectionConfig::udp(), ConnectionConfig::tcp());
    udp.port = address.port();
    tcp.port = address.port();
    NameServerConfig::new(address.ip(), true, vec![udp, tcp])
}
