//! One session: who may send as whom.

use crate::login::{Sender, log_in};
use crate::{Submission, submit};
use wardpost_directory::Resolution;
use wardpost_mail::{EnhancedStatus, Recipient, Reply, ReversePath};
use wardpost_smtp::{Event, MailParameters};
use wardpost_smtp_io::{Conversation, Ended};

/// Runs a session to its end.
pub(crate) async fn run(submission: &Submission, mut conversation: Conversation) -> Ended {
    let mut sender: Option<Sender> = None;
    loop {
        let event = match conversation.next().await {
            Ok(event) => event,
            Err(ended) => return ended,
        };
        let reply = match (event, &sender) {
            (Event::Auth(credentials), _) => {
                let (logged_in, reply) = log_in(submission, credentials, conversation.peer()).await;
                sender = logged_in;
                reply
            }
            (Event::Mail(mail), Some(sender)) => mail_from(submission, sender, &mail),
            (Event::Recipient(recipient), Some(_)) => rcpt_to(submission, &recipient),
            (Event::Message { envelope, message }, Some(sender)) => {
                submit::message(submission, &conversation, sender, envelope, message).await
            }
            // The session asks for a log-in first; this cannot be reached while it does.
            (Event::Mail(_) | Event::Recipient(_) | Event::Message { .. }, None) => {
                Reply::new(530, EnhancedStatus::new(5, 7, 0), "Authentication required")
            }
            (Event::Refused(why), _) => {
                submission.metrics.refuse(why.name());
                continue;
            }
            (Event::Hello | Event::Reset | Event::StartTls | Event::Close, _) => continue,
        };
        conversation.answer(reply);
    }
}

/// The sender must be the account's own (RFC 6409 §6.1). `<>` is what read receipts are sent with
/// (RFC 8098 §3).
fn mail_from(submission: &Submission, sender: &Sender, mail: &MailParameters) -> Reply {
    if sender.revocation.is_revoked() {
        submission.metrics.refuse("revoked");
        let text = "Your log-in is no longer valid; log in again";
        return Reply::new(421, EnhancedStatus::new(4, 7, 0), text);
    }
    match &mail.from {
        ReversePath::Address(from)
            if !submission.directory.may_send_as(sender.account.id, from) =>
        {
            submission.metrics.refuse("sender");
            let text = "That sender address is not yours; choose your own as the sender";
            Reply::new(553, EnhancedStatus::new(5, 7, 1), text)
        }
        _ => Reply::new(250, EnhancedStatus::new(2, 1, 0), "Sender taken"),
    }
}

/// Only what we know for sure is refused at once: an address of ours that nobody has.
fn rcpt_to(submission: &Submission, recipient: &Recipient) -> Reply {
    match submission.directory.resolve(&recipient.address) {
        Resolution::Unknown => {
            submission.metrics.refuse("unknown_recipient");
            let text = "Nobody here has this address; check its spelling";
            Reply::new(550, EnhancedStatus::new(5, 1, 1), text)
        }
        Resolution::Accounts(_) | Resolution::NotOurs => {
            Reply::new(250, EnhancedStatus::new(2, 1, 5), "Recipient taken")
        }
    }
}
