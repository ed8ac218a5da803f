//! The type that proves a path was judged, and the error when it was not good enough.

use crate::{ChannelBinding, Published, TlsGrade, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// The least grade that a message may travel over. There is no floor below T2: a path that is not
/// encrypted at all is no path for mail.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(from = "TlsGrade", into = "TlsGrade")]
pub struct Floor(TlsGrade);

impl Floor {
    /// A floor of this grade; T0 and T1 are raised to T2.
    pub fn new(grade: TlsGrade) -> Self {
        Self(grade.max(TlsGrade::T2))
    }

    /// What a message asks for that may only travel where every hop promises TLS (RFC 8689).
    pub const REQUIRETLS: Self = Self(TlsGrade::T5);

    /// This floor, raised to T4 where the domain published a policy. Never lower than before.
    #[must_use]
    pub fn raised_by(self, published: Option<Published>) -> Self {
        match published {
            Some(_) => self.max(Self(TlsGrade::T4)),
            None => self,
        }
    }

    /// The grade that must be reached.
    pub fn grade(self) -> TlsGrade {
        self.0
    }
}

impl Default for Floor {
    /// T3: verified against a public CA, name matching.
    fn default() -> Self {
        Self(TlsGrade::T3)
    }
}

impl From<TlsGrade> for Floor {
    fn from(grade: TlsGrade) -> Self {
        Self::new(grade)
    }
}

impl From<Floor> for TlsGrade {
    fn from(floor: Floor) -> Self {
        floor.0
    }
}

impl fmt::Display for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Everybody who has a say in how good a path must be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Floors {
    /// The practice's own.
    pub default: Floor,
    /// What an administrator set for this domain; it stands in place of the default.
    pub pin: Option<Floor>,
    /// What this message asks for.
    pub message: Option<Floor>,
}

impl FloorSource {
    /// Who it was, for a person.
    pub fn explain(self) -> &'static str {
        match self {
            Self::Default => "the practice's configuration",
            Self::Pin => "a rule for the domain",
            Self::Message => "the message, which asks for TLS on every hop (REQUIRETLS)",
            Self::Published(Published::Dane) => "the domain itself, by its DANE records",
            Self::Published(Published::MtaSts) => "the domain itself, by its MTA-STS policy",
        }
    }
}

/// Who set a floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FloorSource {
    /// The practice's configuration.
    Default,
    /// A rule for the domain.
    Pin,
    /// The message.
    Message,
    /// The recipient's domain.
    Published(Published),
}

impl Floors {
    /// The floor that holds, and who set it: the default or the pin in its place, raised by the
    /// message and by what the domain publishes.
    pub fn demand(&self, published: Option<Published>) -> (Floor, FloorSource) {
        let mut demand = match self.pin {
            Some(pin) => (pin, FloorSource::Pin),
            None => (self.default, FloorSource::Default),
        };
        if let Some(published) = published
            && demand.0.raised_by(Some(published)) > demand.0
        {
            demand = (demand.0.raised_by(Some(published)), FloorSource::Published(published));
        }
        match self.message {
            Some(message) if message > demand.0 => (message, FloorSource::Message),
            _ => demand,
        }
    }
}

/// A connection that can say which TLS connection it is.
pub trait Bound {
    /// The exporter value of the TLS connection (RFC 9266), or `None` without TLS.
    fn channel_binding(&self) -> Option<ChannelBinding>;
}

/// A connection over which mail may go: its verdict reached the floor. [`Verdict::admit`] is the
/// only way to make one, and the connection cannot be taken out of it.
#[derive(Debug)]
pub struct SecureChannel<S> {
    stream: S,
    verdict: Verdict,
    floor: Floor,
}

impl<S> SecureChannel<S> {
    /// The connection, to read from and write to.
    pub fn stream_mut(&mut self) -> &mut S {
        &mut self.stream
    }

    /// What was seen of the path.
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The floor that the path was held to.
    pub fn floor(&self) -> Floor {
        self.floor
    }

    /// Holds the connection to another verdict and floor before it is used for the next message: what
    /// a domain publishes may have changed since, and another domain's mail may ask for more.
    ///
    /// # Errors
    /// [`Below`] when the grade is below the floor, or when the verdict was made from another
    /// connection. The channel is gone then.
    pub fn held_to(self, verdict: Verdict, floor: Floor) -> Result<Self, Below>
    where
        S: Bound,
    {
        verdict.admit(self.stream, floor)
    }
}

/// The path does not reach the floor. The connection has been dropped.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the path is {}, and {floor} is demanded", verdict.grade())]
pub struct Below {
    /// What was seen of the path.
    pub verdict: Box<Verdict>,
    /// What was demanded.
    pub floor: Floor,
}

impl Verdict {
    /// Admits the connection that this verdict was made from, if the grade reaches the floor, raised
    /// by what the domain published.
    ///
    /// # Errors
    /// [`Below`] when the grade is below the floor, or when `stream` is not the connection that was
    /// judged. The connection is dropped in both cases.
    pub fn admit<S: Bound>(self, stream: S, floor: Floor) -> Result<SecureChannel<S>, Below> {
        let floor = floor.raised_by(self.published());
        let same = match (self.binding(), stream.channel_binding()) {
            (Some(judged), Some(shown)) => judged == shown,
            _ => false,
        };
        if !same || self.grade() < floor.grade() {
            return Err(Below { verdict: Box::new(self), floor });
        }
        Ok(SecureChannel { stream, verdict: self, floor })
    }
}
