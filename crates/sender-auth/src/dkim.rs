//! DKIM signatures (RFC 6376), verified by mail-auth and then looked at again, because a signature that
//! verifies may still say too little:
//!
//! - From must be among what is signed (§5.4), and all of it: a From field that was put before the signed one
//!   is what the reader sees (§8.15).
//! - `l=` lets anybody add to the body (§8.2): what covers a part of it counts for nothing.
//! - SHA-1 and RSA keys below 1024 bits count for nothing (RFC 8301 §3.1, §3.2). mail-auth refuses the short keys.
//! - The key must be one for mail and for the hash in use (§3.6.1 `s=`, `h=`).
//! - A signature past its `x=` is refused (§3.5), a tag that stands twice makes one void (§3.2).

use crate::lookup;
use crate::tags::Tags;
use mail_auth::common::crypto::{Algorithm, CryptoError};
use mail_auth::dkim::{DkimError, Signature};
use mail_auth::{AuthenticatedMessage, DkimOutput, DnsError, Error, MessageAuthenticator};
use std::time::Duration;
use tokio::time::timeout;
use wardpost_policy::DkimResult;

/// Characters of `b=` that tell signatures apart (RFC 8601 §2.7.1, RFC 6008 §4).
const B_PREFIX: usize = 8;

/// A signature and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checked {
    pub(crate) domain: String,
    pub(crate) selector: String,
    /// `i=`, if it is not just the domain.
    pub(crate) identity: Option<String>,
    pub(crate) algorithm: String,
    /// How its value begins.
    pub(crate) b: String,
    pub(crate) finding: Finding,
}

/// The outcome: for the judge, in RFC 8601's word, and why it is no pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) result: DkimResult,
    pub(crate) word: &'static str,
    pub(crate) reason: Option<&'static str>,
}

impl Finding {
    const PASS: Self = Self { result: DkimResult::Pass, word: "pass", reason: None };

    fn fail(reason: &'static str) -> Self {
        Self { result: DkimResult::Fail, word: "fail", reason: Some(reason) }
    }

    fn permanent(reason: &'static str) -> Self {
        Self { result: DkimResult::PermError, word: "permerror", reason: Some(reason) }
    }

    fn temporary(reason: &'static str) -> Self {
        Self { result: DkimResult::TempError, word: "temperror", reason: Some(reason) }
    }

    /// It may verify, and counts for nothing here (RFC 8601 §2.7.1).
    fn policy(reason: &'static str) -> Self {
        Self { result: DkimResult::PermError, word: "policy", reason: Some(reason) }
    }
}

/// What could not be checked in time.
const OUT_OF_TIME: Finding =
    Finding { result: DkimResult::TempError, word: "temperror", reason: Some("out of time") };

/// Checks all signatures of a message, each for itself and within `limit`: a dead domain's signature beside
/// a good one must not keep that from being checked.
pub(crate) async fn check(
    authenticator: &MessageAuthenticator,
    message: &AuthenticatedMessage<'_>,
    limit: Duration,
) -> Vec<Checked> {
    let alone = message.dkim_headers.iter().map(|header| {
        let headers = vec![header.clone()];
        AuthenticatedMessage { dkim_headers: headers, errors: Vec::new(), ..message.clone() }
    });
    let alone: Vec<AuthenticatedMessage<'_>> = alone.collect();
    let checking = alone.iter().zip(&message.dkim_headers).map(|(alone, header)| async move {
        let tags = Tags::parse(header.value);
        let finding = timeout(limit, one(authenticator, alone, &header.header, &tags)).await;
        checked(&tags, finding.unwrap_or(OUT_OF_TIME))
    });
    let mut all = unreadable(message);
    all.extend(futures_util::future::join_all(checking).await);
    all
}

/// Signatures that were not verified, because they cannot be read or must not count.
fn unreadable(message: &AuthenticatedMessage<'_>) -> Vec<Checked> {
    let is_signature = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"DKIM-Signature");
    let bad = message.errors.iter().filter(|header| is_signature(header.name));
    bad.map(|header| checked(&Tags::parse(header.value), of_error(&header.header))).collect()
}

fn checked(tags: &Tags, finding: Finding) -> Checked {
    let domain = tags.compact("d").unwrap_or_default();
    let identity = tags.compact("i").filter(|i| *i != format!("@{domain}"));
    let b = tags.compact("b").unwrap_or_default();
    Checked {
        selector: tags.compact("s").unwrap_or_default(),
        identity,
        algorithm: tags.compact("a").unwrap_or_default(),
        b: b.chars().take(B_PREFIX).collect(),
        domain,
        finding,
    }
}

/// Checks a message's only signature.
async fn one(
    authenticator: &MessageAuthenticator,
    message: &AuthenticatedMessage<'_>,
    signature: &Signature,
    tags: &Tags,
) -> Finding {
    use mail_auth::DkimResult as Output;
    if let Some(finding) = void(tags, signature.a, &signature.h, message) {
        return finding;
    }
    let outputs = authenticator.verify_dkim(message).await;
    match outputs.first().map(DkimOutput::result) {
        Some(Output::Pass) => match lookup::txt(&authenticator.0, &key_name(signature)).await {
            Ok(records) if records.iter().any(|record| may_sign_mail(record)) => Finding::PASS,
            Ok(_) => Finding::permanent("the key is not for this"),
            Err(_) => Finding::temporary("the key cannot be looked up"),
        },
        Some(
            Output::Neutral(error)
            | Output::Fail(error)
            | Output::PermError(error)
            | Output::TempError(error),
        ) => of_error(error),
        Some(Output::None) | None => Finding::permanent("not checked"),
    }
}

fn key_name(signature: &Signature) -> String {
    format!("{}._domainkey.{}", signature.s, signature.d)
}

/// Whether a key record is for mail and SHA-256 (RFC 6376 §3.6.1).
fn may_sign_mail(record: &[u8]) -> bool {
    let tags = Tags::parse(record);
    tags.value("v").is_none_or(|version| version == "DKIM1")
        && tags.allows("s", &["*", "email"])
        && tags.allows("h", &["sha256"])
}

/// Why a signature counts for nothing, whether it verifies or not. Also for ARC's message signatures.
pub(crate) fn void(
    tags: &Tags,
    algorithm: Algorithm,
    signed: &[String],
    message: &AuthenticatedMessage<'_>,
) -> Option<Finding> {
    if tags.has_twins() {
        return Some(Finding::permanent("a tag stands twice"));
    }
    if algorithm == Algorithm::RsaSha1 {
        return Some(Finding::policy("rsa-sha1 is no longer accepted"));
    }
    if tags.value("l").is_some() {
        return Some(Finding::policy("l= leaves a part of the body unsigned"));
    }
    let is_from = |name: &[u8]| name.trim_ascii().eq_ignore_ascii_case(b"From");
    let covered = signed.iter().filter(|name| is_from(name.as_bytes())).count();
    let present = message.headers.iter().filter(|(name, _)| is_from(name)).count();
    match covered {
        0 => Some(Finding::permanent("From is not signed")),
        _ if covered < present => Some(Finding::policy("a From field was added")),
        _ => None,
    }
}

/// Why something did not verify.
pub(crate) fn of_error(error: &Error) -> Finding {
    match error {
        Error::Dns(DnsError::Resolver(_)) => Finding::temporary("the key cannot be looked up"),
        Error::Dns(_) => Finding::permanent("there is no key"),
        Error::Dkim(DkimError::RevokedPublicKey) => Finding::permanent("the key was revoked"),
        Error::Dkim(DkimError::SignatureExpired) => Finding::fail("the signature has expired"),
        Error::Dkim(DkimError::FailedBodyHashMatch) => Finding::fail("body hash did not verify"),
        Error::Dkim(DkimError::FailedAuidMatch) => Finding::fail("i= is not within d="),
        Error::Dkim(DkimError::SignatureLength) => {
            Finding::policy("l= leaves a part of the body unsigned")
        }
        Error::Dkim(DkimError::UnsupportedVersion | DkimError::UnsupportedAlgorithm) => Finding {
            result: DkimResult::PermError,
            word: "neutral",
            reason: Some("not understood"),
        },
        Error::Crypto(CryptoError::FailedVerification | CryptoError::Library(_)) => {
            Finding::fail("signature did not verify")
        }
        Error::Crypto(CryptoError::IncompatibleAlgorithms) => {
            Finding::permanent("the key is of another kind")
        }
        _ => Finding::permanent("the signature cannot be read"),
    }
}

/// One good signature is enough; after that, what might still turn out good counts most.
pub(crate) fn best(results: impl Iterator<Item = DkimResult>) -> DkimResult {
    let rank = |result: &DkimResult| match result {
        DkimResult::Pass => 0,
        DkimResult::TempError => 1,
        DkimResult::Fail => 2,
        DkimResult::PermError => 3,
        DkimResult::None => 4,
    };
    results.min_by_key(rank).unwrap_or(DkimResult::None)
}
