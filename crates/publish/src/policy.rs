//! Our own MTA-STS policy (RFC 8461 §3).

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use std::time::Duration;
use wardpost_mail::Domain;
use wardpost_verdict::StsMode;

/// Octets of the policy's digest that make up its id: 32 hexadecimal digits, the most that an id may
/// have (RFC 8461 §3.1).
const ID_OCTETS: usize = 16;

/// The policy for all our domains: they have one mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnPolicy {
    /// What senders are asked to do.
    pub mode: StsMode,
    /// How long they may keep the policy.
    pub max_age: Duration,
    /// Our mail host.
    pub host: Domain,
}

impl OwnPolicy {
    /// The host that a domain's policy is fetched from.
    ///
    /// `None` when the domain's name is so long that there can be no such host.
    pub fn policy_host(domain: &Domain) -> Option<Domain> {
        Domain::parse(&format!("mta-sts.{domain}")).ok()
    }

    /// The policy that can be kept with this certificate: as long as no authority vouches for the
    /// certificate, `enforce` would keep everybody's mail away, so it is `testing`.
    #[must_use]
    pub fn served(self, vouched_for: bool) -> Self {
        match self.mode {
            StsMode::Enforce if !vouched_for => Self { mode: StsMode::Testing, ..self },
            _ => self,
        }
    }

    /// The policy as it is served (RFC 8461 §3.2).
    pub fn text(&self) -> String {
        let (mode, host, max_age) = (self.mode_name(), &self.host, self.max_age.as_secs());
        format!("version: STSv1\r\nmode: {mode}\r\nmx: {host}\r\nmax_age: {max_age}\r\n")
    }

    /// The text of the TXT record at `_mta-sts.` and the domain (RFC 8461 §3.1). Its id is made from
    /// the policy, so it changes exactly when the policy does.
    pub fn record(&self) -> String {
        let digest = digest(&SHA256, self.text().as_bytes());
        format!("v=STSv1; id={};", HEXLOWER.encode(&digest.as_ref()[..ID_OCTETS]))
    }

    /// The mode's word.
    pub fn mode_name(&self) -> &'static str {
        match self.mode {
            StsMode::Enforce => "enforce",
            StsMode::Testing => "testing",
            StsMode::None => "none",
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use wardpost_verdict::{StsPolicy, sts_record_id};

    fn policy(mode: StsMode, days: u64) -> OwnPolicy {
        let max_age = Duration::from_secs(days * 24 * 3600);
        OwnPolicy { mode, max_age, host: Domain::parse("mail.clinic.test").unwrap() }
    }

    fn id(policy: &OwnPolicy) -> String {
        sts_record_id(&[policy.record().into_bytes()]).unwrap().unwrap()
    }

    #[test]
    fn others_read_what_we_mean() {
        for mode in [StsMode::Enforce, StsMode::Testing, StsMode::None] {
            let ours = policy(mode, 14);
            let read = StsPolicy::parse(ours.text().as_bytes()).unwrap();
            assert_eq!((read.mode(), read.max_age()), (mode, ours.max_age));
            assert!(read.covers(&ours.host));
        }
    }

    #[test]
    fn the_id_changes_with_the_policy_and_only_with_it() {
        let base = policy(StsMode::Enforce, 14);
        assert_eq!(id(&base), id(&base.clone()));
        let moved = OwnPolicy { host: Domain::parse("mx.clinic.test").unwrap(), ..base.clone() };
        for other in [policy(StsMode::Testing, 14), policy(StsMode::Enforce, 15), moved] {
            assert_ne!(id(&base), id(&other));
        }
        // Published ids are out there: the same policy must keep its id over versions.
        assert_eq!(base.record(), "v=STSv1; id=b817e38c0751c9c664dbedba05acae47;");
    }

    #[test]
    fn nobody_is_asked_to_enforce_what_we_cannot_keep() {
        assert_eq!(policy(StsMode::Enforce, 14).served(false).mode, StsMode::Testing);
        assert_eq!(policy(StsMode::Enforce, 14).served(true).mode, StsMode::Enforce);
        assert_eq!(policy(StsMode::None, 14).served(false).mode, StsMode::None);
    }

    #[test]
    fn the_policy_host_of_a_domain() {
        let host = |domain: &str| OwnPolicy::policy_host(&Domain::parse(domain).unwrap());
        assert_eq!(host("clinic.test").unwrap().as_str(), "mta-sts.clinic.test");
        let long = format!("{}.test", vec!["a".repeat(61); 4].join("."));
        assert_eq!(host(&long), None);
    }
}
