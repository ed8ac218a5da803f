//! What an attempt means for one recipient, before it is written down.

use crate::approach::Target;
use crate::conversation::TalkError;
use std::time::SystemTime;
use wardpost_mail::Reply;
use wardpost_message::headers;
use wardpost_queue::Evidence;
use wardpost_verdict::Verdict;

/// What becomes of a recipient.
#[derive(Debug, Clone)]
pub(crate) enum Word {
    /// Handed over.
    Done {
        /// The next server reports success itself, if that was asked for (RFC 3461 §5.2.3).
        dsn_passed_on: bool,
    },
    /// Not now; the reply says why.
    Later(Reply),
    /// Never; the reply says why.
    Never(Reply),
    /// Not by this way: a parcel and a notice.
    Pickup,
}

/// What becomes of a recipient, and what was seen.
#[derive(Debug, Clone)]
pub(crate) struct Fate {
    pub(crate) word: Word,
    pub(crate) evidence: Evidence,
}

impl Fate {
    /// The fate that a reply spells, with what was seen before it came.
    pub(crate) fn of_reply(reply: Reply, mut evidence: Evidence, dsn_passed_on: bool) -> Self {
        evidence.reply = Some(reply.clone());
        let word = match &reply {
            // 3yz in this place means that the server lost its way: it has not taken the message.
            reply if (200..300).contains(&reply.code) => {
                evidence.summary = format!("delivered: {}", evidence.summary);
                Word::Done { dsn_passed_on }
            }
            reply if reply.is_permanent() => {
                evidence.summary = "refused by the receiving server".into();
                Word::Never(reply.clone())
            }
            reply => {
                evidence.summary = "put off by the receiving server".into();
                Word::Later(reply.clone())
            }
        };
        Self { word, evidence }
    }

    /// A fate decided here, before anybody was asked.
    pub(crate) fn of_ours(reply: Reply) -> Self {
        let evidence = Evidence::new(SystemTime::now(), reply.lines.join(" "));
        let word = if reply.is_permanent() { Word::Never(reply) } else { Word::Later(reply) };
        Self { word, evidence }
    }
}

/// Evidence of a path that was judged.
pub(crate) fn seen(target: &Target, verdict: &Verdict) -> Evidence {
    let mut evidence = Evidence::new(SystemTime::now(), verdict.explain());
    evidence.host = Some(verdict.host().to_string());
    evidence.peer = Some(target.address.ip());
    evidence.grade = Some(verdict.grade());
    evidence.tls = match (verdict.version(), verdict.suite()) {
        (Some(version), Some(suite)) => Some(format!("{version} {suite}")),
        _ => None,
    };
    evidence.certificate = verdict.certificate().map(|certificate| {
        let until = headers::date(certificate.not_after);
        format!("sha256:{} from {}, valid until {until}", certificate.sha256, certificate.issuer)
    });
    evidence.reasons = verdict
        .failures()
        .iter()
        .map(|failure| format!("{}: {}", failure.kind, failure.detail))
        .collect();
    evidence
}

/// Evidence of a host that could not be spoken to.
pub(crate) fn trouble(target: &Target, error: &TalkError) -> Evidence {
    let mut evidence = Evidence::new(SystemTime::now(), error.to_string());
    evidence.host = Some(target.host.to_string());
    evidence.peer = Some(target.address.ip());
    evidence.reply = error.reply().cloned();
    evidence
}
