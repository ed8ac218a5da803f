//! A whole message: checked, routed, made ready, signed, queued.

use crate::Submission;
use crate::compose::{self, Additions};
use crate::login::Sender;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wardpost_directory::Resolution;
use wardpost_mail::{Address, BodyType, Domain, EnhancedStatus, Envelope, QueueId, Reply};
use wardpost_message::headers::{self, HeaderError};
use wardpost_policy::{OutboundFacts, Place, Plan, ROUTE_HEADER, RecipientFacts, Route, outbound};
use wardpost_queue::{Kind, NewItem, QueueError};
use wardpost_signer::SignError;
use wardpost_smtp_io::Conversation;
use wardpost_store::{CommitError, Committed};

/// See the like in `mx`: more Received fields than any straight way has.
const MAX_HOPS: usize = 50;
/// From this size on, hashing and signing is moved off the asynchronous threads.
const LARGE: usize = 256 * 1024;

/// Takes a message, or says why not.
pub(crate) async fn message(
    submission: &Submission,
    conversation: &Conversation,
    sender: &Sender,
    envelope: Envelope,
    raw: Vec<u8>,
) -> Reply {
    match prepare(submission, conversation, sender, envelope, raw).await {
        Ok(item) => enqueue(submission, item).await,
        Err(reply) => {
            submission.metrics.message("refused");
            reply
        }
    }
}

async fn prepare(
    submission: &Submission,
    conversation: &Conversation,
    sender: &Sender,
    mut envelope: Envelope,
    raw: Vec<u8>,
) -> Result<NewItem, Reply> {
    let author = check(submission, sender, &raw)?;
    let plan = plan(submission, &envelope, &raw);
    let routes = routes(&plan).inspect_err(|_| submission.metrics.refuse("policy"))?;
    let tls = conversation.tls().map(|tls| tls.to_string());
    let ready = compose::ready(
        &raw,
        &Additions {
            hostname: &submission.settings.hostname,
            domain: author.domain(),
            subject: plan.subject.as_deref(),
            tls: tls.as_deref(),
            id: &format!("{:016x}", rand::random::<u64>()),
            now: now(),
        },
    );
    let ready = ready.map_err(|error| malformed(error.to_string()))?;
    if envelope.body == BodyType::SevenBit && !ready.is_ascii() {
        // What the next server is told must be true, whatever the client declared (RFC 6152 §3).
        envelope.body = BodyType::EightBitMime;
    }
    envelope.smtputf8 &= needs_smtputf8(&envelope, &ready);
    let message = sign(submission, author.domain(), ready).await?;
    Ok(NewItem { sender: Some(sender.account.id), envelope, message, routes, kind: Kind::Mail })
}

/// Whether there is anything international about a message. Programs ask for SMTPUTF8 when it is on
/// offer, needed or not; passed on unneeded it would keep a message from servers that do not have it
/// (RFC 6531 §3.4).
fn needs_smtputf8(envelope: &Envelope, message: &[u8]) -> bool {
    let from = envelope.from.address().is_some_and(Address::needs_smtputf8);
    from || envelope.to.iter().any(|to| to.address.needs_smtputf8()) || !message.is_ascii()
}

/// Checks that the message may be this account's; returns its (first) author.
fn check(submission: &Submission, sender: &Sender, raw: &[u8]) -> Result<Address, Reply> {
    if headers::length(raw) > headers::MAX_LENGTH {
        submission.metrics.refuse("header");
        let text = "The header of the message is too large";
        return Err(Reply::new(552, EnhancedStatus::new(5, 3, 4), text));
    }
    if headers::count_received(raw) > MAX_HOPS {
        submission.metrics.refuse("loop");
        let text = "The message has gone through too many servers";
        return Err(Reply::new(554, EnhancedStatus::new(5, 4, 6), text));
    }
    let authors = headers::authors(raw).map_err(|error| {
        submission.metrics.refuse("from");
        malformed(match error {
            HeaderError::Missing => "The message has no From field with an address".to_owned(),
            HeaderError::Repeated => "The message has more than one From field".to_owned(),
            other => other.to_string(),
        })
    })?;
    let mut claimed = authors.clone();
    claimed.extend(headers::senders(raw).map_err(|error| {
        submission.metrics.refuse("from");
        malformed(error.to_string())
    })?);
    let own = |address: &Address| submission.directory.may_send_as(sender.account.id, address);
    if !claimed.iter().all(own) {
        submission.metrics.refuse("from");
        let text = "The From address is not yours; choose your own as the sender";
        return Err(Reply::new(550, EnhancedStatus::new(5, 7, 1), text));
    }
    authors.into_iter().next().ok_or_else(|| malformed("The message has no author".to_owned()))
}

fn malformed(text: String) -> Reply {
    Reply::new(550, EnhancedStatus::new(5, 6, 0), text)
}

/// Asks the policy how each recipient is reached.
fn plan(submission: &Submission, envelope: &Envelope, raw: &[u8]) -> Plan {
    let place = |address: &Address| match submission.directory.resolve(address) {
        Resolution::Accounts(_) => Place::Ours,
        Resolution::Unknown => Place::OursUnknown,
        Resolution::NotOurs => Place::Elsewhere,
    };
    let recipients: Vec<RecipientFacts<'_>> = envelope
        .to
        .iter()
        .map(|to| RecipientFacts {
            address: &to.address,
            place: place(&to.address),
            pin: submission.pins.of(to.address.domain()).map(|pin| pin.facts()),
        })
        .collect();
    let subject = headers::subject(raw);
    let route_header = headers::get(raw, ROUTE_HEADER);
    let tls_required = headers::get(raw, "TLS-Required");
    let facts = OutboundFacts {
        recipients: &recipients,
        subject: subject.as_deref(),
        route_header: route_header.as_deref(),
        require_tls: envelope.require_tls,
        // RFC 8689 §3.
        tls_required_no: tls_required.is_some_and(|v| v.trim().eq_ignore_ascii_case("no")),
        size: raw.len() as u64,
    };
    outbound(&facts, &submission.settings.rules)
}

/// The routes; one refused recipient refuses the message, so that it is never sent in part without
/// its sender's knowing.
fn routes(plan: &Plan) -> Result<Vec<Route>, Reply> {
    let route = |route: &Route| match route {
        Route::Refused { reply } => Err(reply.clone()),
        other => Ok(other.clone()),
    };
    plan.recipients.iter().map(|planned| route(&planned.route)).collect()
}

async fn sign(submission: &Submission, domain: &Domain, ready: Vec<u8>) -> Result<Vec<u8>, Reply> {
    let signed = if ready.len() < LARGE {
        submission.signer.sign(domain, ready)
    } else {
        let (signer, domain) = (Arc::clone(&submission.signer), domain.clone());
        let signing = tokio::task::spawn_blocking(move || signer.sign(&domain, ready));
        // A panic's words may quote the message; they go nowhere.
        signing.await.unwrap_or_else(|_| Err(SignError::Message("signing broke off".to_owned())))
    };
    signed.map_err(|error| {
        tracing::error!(%error, "message not signed");
        try_later()
    })
}

async fn enqueue(submission: &Submission, item: NewItem) -> Reply {
    let (size, routes) = (item.message.len(), item.routes.clone());
    match submission.queue.enqueue(item).await {
        Ok((id, committed)) => {
            submission.metrics.message("queued");
            submission.metrics.routes(&routes);
            tracing::info!(id = id.0, size, recipients = routes.len(), "message queued");
            queued(committed, id)
        }
        Err(error) => {
            submission.metrics.message("failed");
            tracing::error!(%error, "message not queued");
            match error {
                QueueError::Commit(CommitError::DiskFull) => Reply::new(
                    452,
                    EnhancedStatus::new(4, 3, 1),
                    "No room for the message now; try again later",
                ),
                _ => try_later(),
            }
        }
    }
}

/// 250 is said of what is on disk (RFC 5321 §4.2.5).
fn queued(_: Committed, id: QueueId) -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), format!("Queued as {id}"))
}

fn try_later() -> Reply {
    let text = "The message cannot be taken now; try again later";
    Reply::new(451, EnhancedStatus::new(4, 3, 0), text)
}

/// Unix seconds.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardpost_mail::ReversePath;

    #[test]
    fn smtputf8_is_needed_only_by_what_is_international() {
        let address = |text| Address::parse(text).unwrap();
        let plain = Envelope::new(ReversePath::Null, [address("lee@example.test")]);
        assert!(!needs_smtputf8(&plain, b"From: a@b.test\r\n\r\nhello\r\n"));
        assert!(needs_smtputf8(&plain, "From: a@b.test\r\n\r\nné\r\n".as_bytes()));
        let to = Envelope::new(ReversePath::Null, [address("j\u{fc}rgen@example.test")]);
        assert!(needs_smtputf8(&to, b""));
        let from = ReversePath::Address(address("j\u{fc}rgen@example.test"));
        assert!(needs_smtputf8(&Envelope::new(from, [address("a@b.test")]), b""));
    }
}
