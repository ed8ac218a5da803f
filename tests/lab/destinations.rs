//! Other people's mail servers, as good and as bad as they come.

use crate::postfix::{Postfix, Role};
use crate::{Lab, Result};

/// What a destination's TLS is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// A certificate that the world's authority vouches for, with the right name.
    Verified,
    /// A certificate that nobody vouches for.
    SelfSigned,
    /// A certificate for some other host.
    WrongName,
    /// A certificate that has expired.
    Expired,
    /// No STARTTLS.
    None,
}

/// A place that mail can be sent to.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Its mail domain; its server is `mx.` below it.
    pub domain: &'static str,
    /// Its place in the lab's network.
    pub host: u8,
    /// What its TLS is like.
    pub tls: Tls,
}

/// A hospital with everything in order.
pub const HOSPITAL: Place = Place { domain: "hospital.test", host: 11, tls: Tls::Verified };
/// A billing office with a self-signed certificate.
pub const BILLER: Place = Place { domain: "biller.test", host: 12, tls: Tls::SelfSigned };
/// A patient's provider without TLS.
pub const PLAINMAIL: Place = Place { domain: "plainmail.test", host: 13, tls: Tls::None };
/// A lab whose certificate is for another name.
pub const MISNAMED: Place = Place { domain: "misnamed.test", host: 14, tls: Tls::WrongName };
/// A lab whose certificate has expired.
pub const LAPSED: Place = Place { domain: "lapsed.test", host: 15, tls: Tls::Expired };
/// A colleague's practice whose own Postfix sends mail to ours over TLS.
pub const COLLEAGUE: Place = Place { domain: "colleague.test", host: 16, tls: Tls::Verified };

/// Every place that the zone knows.
pub const ALL: &[Place] = &[HOSPITAL, BILLER, PLAINMAIL, MISNAMED, LAPSED, COLLEAGUE];

impl Place {
    /// Starts this place's Postfix.
    ///
    /// # Errors
    /// As [`Postfix::start`].
    pub fn start(&self, lab: &Lab) -> Result<Postfix> {
        self.start_with(lab, &[])
    }

    /// Starts this place's Postfix with more lines of main.cf.
    ///
    /// # Errors
    /// As [`Postfix::start`].
    pub fn start_with(&self, lab: &Lab, extra: &[&str]) -> Result<Postfix> {
        let hostname = format!("mx.{}", self.domain);
        let tls = match self.tls {
            Tls::Verified => Some(lab.ca.issue(&[&hostname])?),
            Tls::SelfSigned => Some(lab.ca.self_signed(&[&hostname])?),
            Tls::WrongName => Some(lab.ca.issue(&["somebody.else.test"])?),
            Tls::Expired => Some(lab.ca.issue_expired(&[&hostname])?),
            Tls::None => None,
        };
        Postfix::start(
            lab,
            &Role { hostname: &hostname, domain: self.domain, host: self.host, tls, extra },
        )
    }
}
