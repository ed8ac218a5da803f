//! What was seen of one path.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A TLS protocol version that can come out of a handshake of ours. Older ones fail before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    Tls12,
    /// TLS 1.3 (RFC 8446).
    Tls13,
}

impl TlsVersion {
    /// The name as it is written in Received fields and evidence.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

impl fmt::Display for TlsVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value that only the two ends of one TLS connection know (`tls-exporter`, RFC 9266 §2). It ties
/// a verdict to the connection that it was made from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ChannelBinding(pub [u8; 32]);

impl fmt::Debug for ChannelBinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChannelBinding(…)")
    }
}

/// A completed handshake. The peer has proven that it owns the key of the first certificate;
/// nothing else about the certificates has been checked.
#[derive(Debug, Clone)]
pub struct HandshakeFacts {
    /// The negotiated protocol version.
    pub version: TlsVersion,
    /// The negotiated cipher suite by its registered name.
    pub suite: String,
    /// The certificates that the peer sent, its own first, each in DER.
    pub chain: Vec<Vec<u8>>,
    /// The connection's exporter value.
    pub binding: ChannelBinding,
}

/// How far a host went with us on the way to TLS.
#[derive(Debug, Clone)]
pub enum Observation {
    /// EHLO did not offer STARTTLS (RFC 3207 §4).
    NotOffered,
    /// STARTTLS was offered and then answered with this reply code instead of 220.
    Refused(u16),
    /// The other side has no TLS ≥ 1.2.
    OldTls,
    /// The handshake broke; in the words of the TLS library.
    HandshakeFailed(String),
    /// The handshake went through.
    Completed(HandshakeFacts),
}
