//! Who came without TLS, and exceptions, as shown.

use super::{table, unix_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;
use wardpost_mail::Domain;
use wardpost_wall::{Exception, Visitor};

/// Who came to port 25 without TLS.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleartextView {
    /// Within so many days.
    pub days: u16,
    /// Who, those kept out most often first.
    pub peers: Vec<CleartextPeerView>,
}

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleartextPeerView {
    /// Its address.
    pub peer: IpAddr,
    /// What it called itself; a claim.
    pub helo: String,
    /// The domain it wrote for, if it got to say so; a claim.
    pub sender: Option<Domain>,
    /// RFC 3339.
    pub first_seen: String,
    /// RFC 3339.
    pub last_seen: String,
    /// Tries that were refused and not made again in TLS.
    pub refused: u32,
    /// Messages taken by exception or setting.
    pub let_in: u32,
}

impl CleartextView {
    pub(crate) fn new(days: u16, visitors: Vec<Visitor>) -> Self {
        let peer = |visitor: Visitor| CleartextPeerView {
            peer: visitor.peer,
            helo: visitor.helo,
            sender: visitor.sender,
            first_seen: unix_text(visitor.first),
            last_seen: unix_text(visitor.last),
            refused: visitor.refused,
            let_in: visitor.admitted,
        };
        Self { days, peers: visitors.into_iter().map(peer).collect() }
    }
}

const WHAT_TO_DO: &str = "\
Their mail server, or a machine that sends mail, asked to send without encryption. If you know them, tell
them to turn on STARTTLS with TLS 1.2 or later; people can write to you on your web page meanwhile.
If they cannot and you must have their mail, make an exception that ends:
  wardpost exception add ADDRESS --days 30 --reason \"why\"
Strangers that you do not know are mostly senders of spam. What they call themselves is a claim.
";

impl fmt::Display for CleartextView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.peers.is_empty() {
            return writeln!(f, "Nobody asked to send without TLS in the last {} days.", self.days);
        }
        let row = |one: &CleartextPeerView| {
            [
                one.peer.to_string(),
                one.helo.clone(),
                one.sender.as_ref().map(Domain::to_string).unwrap_or_else(|| "-".to_owned()),
                one.first_seen.clone(),
                one.last_seen.clone(),
                one.refused.to_string(),
                one.let_in.to_string(),
            ]
        };
        let rows: Vec<_> = self.peers.iter().map(row).collect();
        let header = ["PEER", "CALLED ITSELF", "WROTE FOR", "FIRST", "LAST", "REFUSED", "LET IN"];
        table::write(f, header, &rows)?;
        write!(f, "\n{WHAT_TO_DO}")
    }
}

/// An exception.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExceptionView {
    /// An address, a network or a sender's domain.
    pub who: String,
    /// Why.
    pub reason: String,
    /// RFC 3339.
    pub made: String,
    /// RFC 3339.
    pub ends: String,
}

impl ExceptionView {
    pub(crate) fn new(exception: &Exception) -> Self {
        Self {
            who: exception.who.to_string(),
            reason: exception.reason.clone(),
            made: unix_text(exception.made),
            ends: unix_text(exception.ends),
        }
    }
}

pub(super) fn exceptions(all: &[ExceptionView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let row = |one: &ExceptionView| {
        [one.who.clone(), one.made.clone(), one.ends.clone(), one.reason.clone()]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    table::write(f, ["WHO", "MADE", "ENDS", "REASON"], &rows)
}
