//! A whole message: judged, marked, kept.

use crate::{Claim, Mx, intake};
use std::borrow::Cow;
use std::time::{Instant, SystemTime, UNIX_EPOCH};
use wardpost_directory::Resolution;
use wardpost_mail::{AccountId, EnhancedStatus, Envelope, Reply};
use wardpost_mailbox::{Destination, MailboxError, SpecialUse};
use wardpost_message::headers::{self, Received};
use wardpost_policy::{ClientCertificate, Disposition, Folder, inbound};
use wardpost_smtp::Channel;
use wardpost_smtp_io::Conversation;
use wardpost_store::Committed;
use wardpost_verdict::ClientIdentity;

/// Received fields after which a message is held to be going round in circles (RFC 5321 §6.3 says at
/// least 100 hops may be allowed for; more than 50 have not been seen on a straight way).
const MAX_HOPS: usize = 50;

/// Takes a message, or says why not.
pub(crate) async fn message(
    mx: &Mx,
    conversation: &Conversation,
    envelope: Envelope,
    raw: Vec<u8>,
) -> Reply {
    let started = Instant::now();
    if headers::length(&raw) > headers::MAX_LENGTH {
        mx.metrics.refuse("header");
        mx.metrics.message("refused");
        let text = "The header of the message is too large";
        return Reply::new(552, EnhancedStatus::new(5, 3, 4), text);
    }
    if headers::count_received(&raw) > MAX_HOPS {
        mx.metrics.refuse("loop");
        mx.metrics.message("refused");
        let text = "The message has gone through too many servers";
        return Reply::new(554, EnhancedStatus::new(5, 4, 6), text);
    }
    let claim = Claim {
        peer: conversation.peer(),
        helo: conversation.session().client_name().unwrap_or_default(),
        sender: &envelope.from,
        message: &raw,
    };
    let mut facts = mx.facts.facts(claim).await;
    facts.inbound.cleartext = conversation.session().channel() == Channel::Plain;
    let client =
        ClientIdentity::read(&conversation.client_chain(), &mx.settings.roots, SystemTime::now());
    facts.inbound.client_certificate = match &client {
        Some(client) if client.verified => ClientCertificate::Verified,
        Some(_) => ClientCertificate::Unverified,
        None => ClientCertificate::None,
    };
    let reported = intake::Reported::of(&mx.directory, &envelope);
    let tell = |folder| {
        if !reported.is_all {
            intake::tell(mx, &facts, claim.peer, &envelope.from, folder);
        }
    };
    let mailbox = match inbound(&facts.inbound) {
        Disposition::Reject(reply) => {
            mx.metrics.refuse("policy");
            mx.metrics.message("refused");
            tell(None);
            return reply;
        }
        Disposition::Accept { mailbox } => mailbox,
    };
    tell(Some(mailbox));
    let destinations = destinations(mx, &envelope, mailbox);
    if let Some(reply) = reported.take(mx, &facts, &raw, !destinations.is_empty()).await {
        return reply;
    }
    if destinations.is_empty() {
        // The accounts were removed since RCPT.
        mx.metrics.message("refused");
        return Reply::new(550, EnhancedStatus::new(5, 1, 1), "Nobody here has this address");
    }
    let arrival = Arrival::now();
    let size = raw.len();
    let tls = tls_comment(conversation, client.as_ref());
    let marks = Marks { results: &facts.authentication_results, tls, arrival: &arrival };
    let marked = mark(mx, conversation, &envelope, raw, &marks);
    match mx.mailboxes.deliver(marked, &destinations, arrival.at).await {
        Ok(committed) => {
            mx.metrics.message(disposition(mailbox));
            mx.metrics.bytes.inc_by(size as u64);
            mx.metrics.seconds.observe(started.elapsed().as_secs_f64());
            tracing::info!(
                id = arrival.id,
                size,
                recipients = destinations.len(),
                mailbox = disposition(mailbox),
                "message delivered"
            );
            taken(committed, &arrival.id)
        }
        Err(error) => {
            mx.metrics.message("failed");
            tracing::error!(id = arrival.id, %error, "message not delivered");
            failed(&error)
        }
    }
}

fn disposition(mailbox: Folder) -> &'static str {
    match mailbox {
        Folder::Inbox => "inbox",
        Folder::Junk => "junk",
    }
}

/// 250 is said of what is on disk (RFC 5321 §4.2.5).
fn taken(_: Committed, id: &str) -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), format!("Taken as {id}"))
}

fn failed(error: &MailboxError) -> Reply {
    let (code, enhanced, text) = match error {
        MailboxError::DiskFull => {
            (452, EnhancedStatus::new(4, 3, 1), "No room for the message now; try again later")
        }
        _ => (451, EnhancedStatus::new(4, 3, 0), "The message cannot be kept now; try again later"),
    };
    Reply::new(code, enhanced, text)
}

/// Each account once, however many of its addresses were named.
fn destinations(mx: &Mx, envelope: &Envelope, mailbox: Folder) -> Vec<Destination> {
    let mailbox = match mailbox {
        Folder::Inbox => SpecialUse::Inbox,
        Folder::Junk => SpecialUse::Junk,
    };
    let mut accounts: Vec<AccountId> = Vec::with_capacity(envelope.to.len());
    for recipient in &envelope.to {
        if let Resolution::Accounts(found) = mx.directory.resolve(&recipient.address) {
            accounts.extend(found);
        }
    }
    accounts.sort_unstable();
    accounts.dedup();
    let destination = |account| {
        let certificate = mx.directory.certificate(account)?;
        Some(Destination { account, certificate, mailbox })
    };
    accounts.into_iter().filter_map(destination).collect()
}

/// When a message came, and the name it has in Received, in the reply and in the log.
struct Arrival {
    id: String,
    /// Unix seconds.
    at: i64,
}

impl Arrival {
    fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            id: format!("{:016x}", rand::random::<u64>()),
            at: i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        }
    }
}

/// What TLS was like, and what certificate the client showed, for Received.
fn tls_comment(conversation: &Conversation, client: Option<&ClientIdentity>) -> Option<String> {
    let mut text = conversation.tls()?.to_string();
    if let Some(client) = client {
        let name = client.names.first().unwrap_or(&client.common_name);
        let name = if name.is_empty() { "without-name" } else { name };
        let word = if client.verified { "verified" } else { "unverified" };
        let fingerprint = &client.certificate.sha256;
        text.push_str(&format!(" client certificate {name} {word} sha256:{fingerprint}"));
    }
    Some(text)
}

/// What our trace fields say.
struct Marks<'a> {
    results: &'a str,
    tls: Option<String>,
    arrival: &'a Arrival,
}

/// Puts our trace fields on top and takes away what pretends to be ours.
fn mark(
    mx: &Mx,
    conversation: &Conversation,
    envelope: &Envelope,
    raw: Vec<u8>,
    marks: &Marks<'_>,
) -> Vec<u8> {
    let return_path = headers::return_path(&envelope.from);
    let received = headers::received(&Received {
        helo: conversation.session().client_name().unwrap_or_default(),
        peer: conversation.peer(),
        peer_name: None,
        by: &mx.settings.hostname,
        with: protocol(conversation, envelope.smtputf8),
        tls: marks.tls.as_deref(),
        id: &marks.arrival.id,
        recipient: match envelope.to.as_slice() {
            [one] => Some(&one.address),
            _ => None,
        },
        at: marks.arrival.at,
    });
    let results = format!("Authentication-Results: {}\r\n", marks.results);
    let in_clear = if marks.tls.is_none() { IN_CLEAR } else { "" };
    let fields = [return_path.as_str(), &results, in_clear, &received];
    let raw: Cow<'_, [u8]> = without_forgeries(&raw, mx.settings.hostname.as_str());
    headers::prepend(&fields, &raw)
}

/// Marks what came in clear by an exception the practice made.
const IN_CLEAR: &str = "X-Wardpost-Received-In-Clear: yes\r\n";

/// Fields only we may write: results in our name (RFC 8601 §5), Return-Path (RFC 5321 §4.4) and our mark.
fn without_forgeries<'a>(raw: &'a [u8], authserv_id: &str) -> Cow<'a, [u8]> {
    let honest = headers::remove_forged_results(raw, authserv_id);
    let names = ["Return-Path", "X-Wardpost-Received-In-Clear"];
    match honest {
        Cow::Borrowed(raw) => headers::strip(raw, &names),
        Cow::Owned(raw) => Cow::Owned(headers::strip(&raw, &names).into_owned()),
    }
}

/// The protocol's registered name (RFC 3848, RFC 6531 §4.3).
fn protocol(conversation: &Conversation, smtputf8: bool) -> &'static str {
    let tls = conversation.session().channel() == Channel::Tls;
    match (smtputf8, conversation.session().extended(), tls) {
        (true, _, true) => "UTF8SMTPS",
        (true, _, false) => "UTF8SMTP",
        (false, true, true) => "ESMTPS",
        (false, true, false) => "ESMTP",
        (false, false, _) => "SMTP",
    }
}
