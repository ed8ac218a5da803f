//! Whether the machine came up well. Needs no internet.

use crate::{Parts, Settings, machine, unix};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::time::timeout;
use wardpost_health::facts::Facts;

/// How long a write may take.
const WRITE: Duration = Duration::from_secs(15);
/// How long a port may take to answer.
const PORT: Duration = Duration::from_secs(5);

/// Finds out.
pub(crate) async fn facts(settings: &Settings, parts: &Parts) -> Facts {
    let mut facts = Facts::new(unix(SystemTime::now()), settings.hostname.clone());
    facts.daemon = Some(parts.daemon.is_some());
    let Some(daemon) = &parts.daemon else {
        facts.disk = machine::disk(settings).await;
        return facts;
    };
    let (store, ports, disk) = tokio::join!(
        timeout(WRITE, daemon.write()),
        silent(daemon.listeners()),
        machine::disk(settings)
    );
    facts.store = Some(store.unwrap_or_else(|_| Err("it took too long".to_owned())));
    facts.ports = Some(ports);
    facts.disk = disk;
    facts
}

/// The services at whose ports nobody answers.
async fn silent(listeners: Vec<(String, SocketAddr)>) -> Vec<String> {
    let call = |(service, at): (String, SocketAddr)| async move {
        let answers = matches!(timeout(PORT, TcpStream::connect(reachable(at))).await, Ok(Ok(_)));
        (!answers).then_some(service)
    };
    let mut silent: Vec<String> = futures_util::future::join_all(listeners.into_iter().map(call))
        .await
        .into_iter()
        .flatten()
        .collect();
    silent.dedup();
    silent
}

/// The address at which this machine reaches a listener of its own.
fn reachable(at: SocketAddr) -> SocketAddr {
    let ip = match at.ip() {
        IpAddr::V4(v4) if v4.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(v6) if v6.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        other => other,
    };
    SocketAddr::new(ip, at.port())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[tokio::test]
    async fn a_port_that_nobody_listens_on_is_named() {
        let open = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
        let closed = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listeners = vec![
            ("mx".to_owned(), open.local_addr().unwrap()),
            ("imaps".to_owned(), closed.local_addr().unwrap()),
        ];
        drop(closed);
        assert_eq!(silent(listeners).await, ["imaps"]);
    }
}
