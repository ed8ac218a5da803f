//! Accepting connections.

use crate::limits::{Counter, Limits, TooMany};
use crate::{Shutdown, Stream};
use socket2::{Domain, Protocol, Socket, TcpKeepalive, Type};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Connections waiting to be accepted, for each address.
const BACKLOG: i32 = 1024;
/// Pause after an accept error that will not pass by itself at once (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How long a peer that is turned away may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(2);
/// Peers being told at the same time that there is no place for them; more are just closed.
const REFUSALS_AT_ONCE: usize = 64;

/// A connection that a service has taken.
#[derive(Debug)]
pub struct Accepted {
    /// The connection, in clear; implicit TLS is the service's first step.
    pub stream: Stream,
    /// The other end.
    pub peer: SocketAddr,
    /// Our end.
    pub local: SocketAddr,
}

/// Why an address could not be listened on.
#[derive(Debug, Error)]
pub enum ListenError {
    /// Another program has the port.
    #[error(
        "cannot listen on {address} for {service}: the port is in use by another program; stop that \
         program (`ss -ltnp` shows it) or set another address under [listen]"
    )]
    InUse {
        /// The address.
        address: SocketAddr,
        /// The service's name in the configuration.
        service: &'static str,
    },
    /// Ports below 1024 need a privilege.
    #[error(
        "cannot listen on {address} for {service}: not permitted; ports below 1024 need root, the \
         capability CAP_NET_BIND_SERVICE (the systemd unit grants it), or another port under [listen]"
    )]
    NotPermitted {
        /// The address.
        address: SocketAddr,
        /// The service's name in the configuration.
        service: &'static str,
    },
    /// The machine does not have the address.
    #[error(
        "cannot listen on {address} for {service}: this machine does not have that address; see \
         `ip address`, or use 0.0.0.0 or [::] for all"
    )]
    NoSuchAddress {
        /// The address.
        address: SocketAddr,
        /// The service's name in the configuration.
        service: &'static str,
    },
    /// Anything else.
    #[error("cannot listen on {address} for {service}: {error}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The service's name in the configuration.
        service: &'static str,
        /// The system's words.
        error: io::Error,
    },
}

/// The bound addresses of one service. Bind all services first, then run them: so a port in use is
/// found before anything is served.
#[derive(Debug)]
pub struct Listeners {
    service: &'static str,
    sockets: Vec<TcpListener>,
}

impl Listeners {
    /// Binds all `addresses` for `service` (its key under `[listen]`). Needs a tokio runtime.
    ///
    /// # Errors
    /// The first address that cannot be had, and what to do about it.
    pub fn bind(service: &'static str, addresses: &[SocketAddr]) -> Result<Self, ListenError> {
        let bind = |&address: &SocketAddr| {
            socket(address).map_err(|error| explain(service, address, error))
        };
        let sockets = addresses.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Self { service, sockets })
    }

    /// The same sockets once more. Connections wait in them while nobody accepts, so that one service can
    /// follow another on the same port without anybody being turned away.
    ///
    /// # Errors
    /// When the system has no room for it. Needs a tokio runtime.
    pub fn share(&self) -> io::Result<Self> {
        let share = |socket: &TcpListener| {
            TcpListener::from_std(std::net::TcpListener::from(socket.as_fd().try_clone_to_owned()?))
        };
        let sockets = self.sockets.iter().map(share).collect::<Result<_, _>>()?;
        Ok(Self { service: self.service, sockets })
    }

    /// The addresses, with the port that the system chose where 0 was asked for.
    pub fn local_addrs(&self) -> Vec<SocketAddr> {
        self.sockets.iter().filter_map(|socket| socket.local_addr().ok()).collect()
    }

    /// Accepts connections until `shutdown`, and runs `handle` for each in a task of its own that
    /// `shutdown` tracks. Peers beyond `limits` get what `refuse` returns (may be empty) and are
    /// closed. Open connections go on after the return.
    pub async fn run<H, F, R>(self, limits: Limits, shutdown: Shutdown, refuse: R, handle: H)
    where
        H: Fn(Accepted) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
        R: Fn(TooMany) -> Vec<u8> + Clone + Send + 'static,
    {
        let counter = Counter::new(limits);
        let refusals = Counter::new(Limits { total: REFUSALS_AT_ONCE, per_ip: 4 });
        let mut loops = tokio::task::JoinSet::new();
        for socket in self.sockets {
            let acceptor = Acceptor {
                service: self.service,
                socket,
                counter: Arc::clone(&counter),
                refusals: Arc::clone(&refusals),
                shutdown: shutdown.clone(),
            };
            loops.spawn(acceptor.run(refuse.clone(), handle.clone()));
        }
        while loops.join_next().await.is_some() {}
    }
}

struct Acceptor {
    service: &'static str,
    socket: TcpListener,
    counter: Arc<Counter>,
    refusals: Arc<Counter>,
    shutdown: Shutdown,
}

impl Acceptor {
    async fn run<H, F, R>(self, refuse: R, handle: H)
    where
        H: Fn(Accepted) -> F,
        F: Future<Output = ()> + Send + 'static,
        R: Fn(TooMany) -> Vec<u8>,
    {
        loop {
            let accepted = tokio::select! {
                biased;
                () = self.shutdown.cancelled() => return,
                accepted = self.socket.accept() => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => self.admit(tcp, peer, &refuse, &handle),
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(service = self.service, %error, "accepting paused");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    fn admit<H, F, R>(&self, tcp: TcpStream, peer: SocketAddr, refuse: &R, handle: &H)
    where
        H: Fn(Accepted) -> F,
        F: Future<Output = ()> + Send + 'static,
        R: Fn(TooMany) -> Vec<u8>,
    {
        let Ok(local) = tcp.local_addr() else { return };
        match self.counter.enter(peer.ip()) {
            Ok(place) => {
                tune(&tcp);
                let tracked = self.shutdown.track();
                let session = handle(Accepted { stream: Stream::Plain(tcp), peer, local });
                tokio::spawn(async move {
                    session.await;
                    drop(place);
                    drop(tracked);
                });
            }
            Err(why) => {
                tracing::info!(service = self.service, ?why, "connection turned away");
                if let Ok(place) = self.refusals.enter(peer.ip()) {
                    let words = refuse(why);
                    tokio::spawn(async move {
                        say_and_close(tcp, &words).await;
                        drop(place);
                    });
                }
            }
        }
    }
}

async fn say_and_close(mut tcp: TcpStream, words: &[u8]) {
    let saying = async {
        tcp.write_all(words).await?;
        tcp.shutdown().await
    };
    // Whether the words arrived does not matter: the connection closes either way.
    let _ = tokio::time::timeout(REFUSAL_TIMEOUT, saying).await;
}

/// Errors that end the one connection that was about to be accepted, not accepting as such.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::Interrupted
    )
}

fn socket(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    if address.is_ipv6() {
        // `[::]` beside `0.0.0.0` must not clash.
        socket.set_only_v6(true)?;
    }
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Interactive protocols: small writes go out at once, and dead peers are noticed.
fn tune(tcp: &TcpStream) {
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(120))
        .with_interval(Duration::from_secs(30))
        .with_retries(4);
    // A connection that takes neither option still works.
    let _ = tcp.set_nodelay(true);
    let _ = socket2::SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}

fn explain(service: &'static str, address: SocketAddr, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address, service },
        io::ErrorKind::PermissionDenied => ListenError::NotPermitted { address, service },
        io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress { address, service },
        _ => ListenError::Other { address, service, error },
    }
}
