//! ARC (RFC 8617), verified only: we hand nothing on, so we seal nothing.
//!
//! A chain that holds proves who handed a message on and what each of them says to have found. It does not prove
//! that they say the truth: a forger can begin a chain as well as a mailing list. So it counts only when
//! everybody in it is on the practice's list of sealers, from the first to the last, and then for one
//! thing: that the message was proven to be the From domain's before somebody on the way broke the proof.

use crate::dkim;
use crate::tags::Tags;
use mail_auth::common::crypto::Algorithm;
use mail_auth::{AuthenticatedMessage, DkimResult, MessageAuthenticator};
use std::time::Duration;
use tokio::time::timeout;
use wardpost_mail::Domain;
use wardpost_message::results::{self, Results};
use wardpost_policy::{ArcEvidence, ArcResult};

/// A chain, verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) evidence: ArcEvidence,
    /// What the first in it had found.
    first: Option<Results>,
}

impl Chain {
    fn none() -> Self {
        Self::of(ArcResult::None, None)
    }

    fn fail(reason: &'static str) -> Self {
        Self::of(ArcResult::Fail, Some(reason))
    }

    fn of(result: ArcResult, reason: Option<&'static str>) -> Self {
        let evidence = ArcEvidence { result, sealers: Vec::new(), reason };
        Self { evidence, first: None }
    }

    /// Whether sealers the practice trusts say that the message was proven to come from `author` or its
    /// Organizational Domain when it was first received.
    pub(crate) fn vouches(&self, trusted: &[Domain], author: &str, organization: &str) -> bool {
        let evidence = &self.evidence;
        let is_trusted = |sealer: &String| {
            Domain::parse(sealer).is_ok_and(|sealer| trusted.iter().any(|t| sealer.is_within(t)))
        };
        if evidence.result != ArcResult::Pass || !evidence.sealers.iter().all(is_trusted) {
            return false;
        }
        let is_authors = |value: Option<&str>| {
            let domain = value.and_then(|value| value.rsplit('@').next()).unwrap_or_default();
            let domain = domain.to_ascii_lowercase();
            let below = domain.strip_suffix(organization);
            domain == author || below.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
        };
        self.first.iter().flat_map(|first| &first.results).any(|found| {
            let property = match found.method.as_str() {
                "dmarc" => "header.from",
                "dkim" => "header.d",
                "spf" => "smtp.mailfrom",
                _ => return false,
            };
            found.result == "pass" && is_authors(found.property(property))
        })
    }
}

/// Verifies the chain. At most 50 sets are looked at (RFC 8617 §4.2.1); mail-auth sees to it.
pub(crate) async fn check(
    authenticator: &MessageAuthenticator,
    message: &AuthenticatedMessage<'_>,
    limit: Duration,
) -> Chain {
    let sets = message.as_headers.len();
    let others = [message.ams_headers.len(), message.aar_headers.len()];
    if sets == 0 && others == [0, 0] && !message.has_arc_errors {
        return Chain::none();
    }
    if others != [sets, sets] {
        return Chain::fail("a set is not whole");
    }
    let Ok(output) = timeout(limit, authenticator.verify_arc(message)).await else {
        return Chain::fail("out of time");
    };
    let sets = output.sets();
    match output.result() {
        DkimResult::Pass => {}
        DkimResult::TempError(_) => return Chain::fail("a key cannot be looked up"),
        DkimResult::PermError(_) => return Chain::fail("there is no key"),
        _ => return Chain::fail("the chain is broken"),
    }
    let (Some(oldest), Some(newest)) = (sets.first(), sets.last()) else { return Chain::none() };
    // RFC 8301 for seals, and RFC 6376's rules for the message signature (RFC 8617 §4.1.2).
    if sets.iter().any(|set| set.seal.header.a == Algorithm::RsaSha1) {
        return Chain::fail("rsa-sha1 is no longer accepted");
    }
    let (signature, tags) = (newest.signature.header, Tags::parse(newest.signature.value));
    if let Some(void) = dkim::void(&tags, signature.a, &signature.h, message) {
        return Chain::of(ArcResult::Fail, void.reason);
    }
    let first = results::read_arc(oldest.results.value).map(|(_, results)| results);
    let sealers = sets.iter().map(|set| set.seal.header.d.to_ascii_lowercase()).collect();
    let evidence = ArcEvidence { result: ArcResult::Pass, sealers, reason: None };
    Chain { evidence, first }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chain(sealers: &[&str], first: &str) -> Chain {
        let sealers = sealers.iter().map(|sealer| sealer.to_string()).collect();
        let first = results::read_arc(format!("i=1; list.test; {first}").as_bytes());
        Chain {
            evidence: ArcEvidence { result: ArcResult::Pass, sealers, reason: None },
            first: first.map(|(_, results)| results),
        }
    }

    #[test]
    fn only_trusted_sealers_vouch_and_only_for_the_author() {
        let trusted = [Domain::parse("list.test").unwrap(), Domain::parse("uni.test").unwrap()];
        let proven = "dmarc=pass header.from=lab.test";
        for (why, sealers, first, expected) in [
            ("one we trust", &["list.test"][..], proven, true),
            ("several, all trusted", &["mx.uni.test", "list.test"], proven, true),
            ("a stranger began the chain", &["evil.test", "list.test"], proven, false),
            ("a stranger ends it", &["list.test", "evil.test"], proven, false),
            ("a name that only looks like one", &["evillist.test"], proven, false),
            ("proven for somebody else", &["list.test"], "dmarc=pass header.from=evil.test", false),
            ("not proven", &["list.test"], "dmarc=fail header.from=lab.test", false),
            (
                "words in a comment",
                &["list.test"],
                "dmarc=none (dmarc=pass header.from=lab.test)",
                false,
            ),
            ("an aligned signature", &["list.test"], "dkim=pass header.d=lab.test", true),
            ("of the parent", &["list.test"], "spf=pass smtp.mailfrom=b@mail.lab.test", true),
            ("somebody else's SPF", &["list.test"], "spf=pass smtp.mailfrom=b@evil.test", false),
            ("nothing said of whom", &["list.test"], "dkim=pass", false),
        ] {
            assert_eq!(
                chain(sealers, first).vouches(&trusted, "lab.test", "lab.test"),
                expected,
                "{why}"
            );
        }
        assert!(!chain(&["list.test"], proven).vouches(&[], "lab.test", "lab.test"));
        let mut broken = chain(&["list.test"], proven);
        broken.evidence.result = ArcResult::Fail;
        assert!(!broken.vouches(&trusted, "lab.test", "lab.test"));
    }
}
