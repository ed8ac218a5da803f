//! Sockets, TLS and the life of a connection.
//!
//! - [`Stream`] is a connection before or after STARTTLS. Upgrading takes the stream by value and
//!   refuses to go on when plaintext was read past the STARTTLS line, so that nothing injected
//!   before the handshake (RFC 3207 §6, the "NO STARTTLS" class of attacks) lives on after it.
//! - [`ServerTls`] answers handshakes: TLS 1.2 with forward secrecy and 1.3, certificate reloaded in
//!   place without touching open connections. [`OwnKey`] is a key that waits for its certificate.
//!   [`Challenges`] answers an authority that asks within a handshake whether a name is ours.
//! - [`ClientTls`] shakes hands with anybody who owns the key he shows, and records what was seen.
//!   Whether that is good enough is for `verdict` to say, before any mail is sent.
//! - [`Listeners`] accepts: several addresses, limits in total and for each peer, and words for whom
//!   is turned away. Running out of file descriptors pauses accepting; it does not end it.
//! - [`Https`] fetches a page or posts one, from and to a host whose certificate verifies, and nothing
//!   else: no redirects, cookies, proxies or caches.
//! - [`Shutdown`] tells everyone to finish, and waits for them.
//! - [`systemd`] speaks `sd_notify`.
//!
//! rustls is used with its aws-lc-rs provider, always named, never as process default.

mod certificate;
mod challenge;
mod client;
mod client_roots;
mod https;
mod limits;
mod listen;
mod own_key;
mod public;
mod server;
mod shutdown;
mod stream;
pub mod systemd;
mod verifier;

pub use certificate::{
    CertificateFacts, SET_UP_HOST, SetUpCertificate, extend_roots, load_roots, system_roots,
};
pub use challenge::Challenges;
pub use client::{ClientTls, HandshakeError};
pub use client_roots::ClientRoots;
pub use https::{Https, HttpsError, HttpsLimits, HttpsResponse, HttpsTarget};
pub use limits::{Limits, TooMany};
pub use listen::{Accepted, ListenError, Listeners};
pub use own_key::OwnKey;
pub use public::is_public;
pub use server::{ServerTls, TlsError};
pub use shutdown::{Shutdown, Tracked};
pub use stream::{Stream, TlsInfo, UpgradeError, Wire};
