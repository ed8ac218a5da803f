//! One session: who may send to whom.

use crate::{Mx, intake, receive};
use wardpost_directory::Resolution;
use wardpost_mail::{Domain, EnhancedStatus, Recipient, Reply, ReversePath};
use wardpost_smtp::{Channel, Event, MailParameters, Refusal};
use wardpost_smtp_io::{Conversation, Ended};
use wardpost_wall::Knock;

/// Recipients of a message with the null sender: a report goes to whoever sent the mail it is about,
/// so more than a few are somebody's list (RFC 5321 §4.5.5).
const NULL_SENDER_RECIPIENTS: usize = 5;

/// What is remembered of a session.
#[derive(Debug, Default)]
struct Visit {
    null_sender: bool,
    recipients: usize,
    guesses: u32,
    /// The last try to send in clear that was refused.
    refused: Option<Knock>,
}

/// Runs a session to its end.
pub(crate) async fn run(mx: &Mx, mut conversation: Conversation) -> Ended {
    let mut visit = Visit::default();
    let ended = visit.converse(mx, &mut conversation).await;
    // Who went on in TLS was not kept out.
    if let (Some(knock), Channel::Plain) = (visit.refused, conversation.session().channel()) {
        mx.metrics.kept_out.inc();
        mx.wall.count(knock);
    }
    ended
}

impl Visit {
    async fn converse(&mut self, mx: &Mx, conversation: &mut Conversation) -> Ended {
        loop {
            let event = match conversation.next().await {
                Ok(event) => event,
                Err(ended) => return ended,
            };
            match event {
                Event::Mail(mail) => {
                    let reply = self.mail(mx, conversation, &mail);
                    conversation.answer(reply);
                }
                Event::Recipient(recipient) => {
                    let reply = self.recipient(mx, &recipient).await;
                    conversation.answer(reply);
                }
                Event::Message { envelope, message } => {
                    let reply = receive::message(mx, conversation, envelope, message).await;
                    conversation.answer(reply);
                }
                Event::Refused(why) => {
                    mx.metrics.refuse(why.name());
                    if why == Refusal::Cleartext {
                        let sender = conversation.session().refused_sender().cloned();
                        self.refused = Some(knock(conversation, sender));
                    }
                }
                // Not offered on port 25.
                Event::Auth(_) => conversation.answer(Reply::new(
                    502,
                    EnhancedStatus::new(5, 5, 1),
                    "AUTH is not offered",
                )),
                // Nothing to decide; the conversation deals with the last two.
                Event::Hello | Event::Reset | Event::StartTls | Event::Close => {}
            }
        }
    }

    fn mail(&mut self, mx: &Mx, conversation: &Conversation, mail: &MailParameters) -> Reply {
        let sender = mail.from.address().map(|address| address.domain());
        let in_clear = conversation.session().channel() == Channel::Plain;
        if in_clear {
            let peer = conversation.peer();
            let admitted =
                mx.settings.inbound.accepts_cleartext(peer, sender) || mx.wall.admits(peer, sender);
            let knock = Knock { admitted, ..knock(conversation, sender.cloned()) };
            if !admitted {
                mx.metrics.refuse("cleartext");
                self.refused = Some(knock);
                return mx.settings.cleartext_refusal();
            }
            mx.metrics.let_in.inc();
            mx.wall.count(knock);
            // Who comes in was not kept out.
            self.refused = None;
        }
        let version = conversation.tls().map(|tls| tls.version.to_string());
        mx.metrics.tls.with_label_values(&[version.as_deref().unwrap_or("none")]).inc();
        mx.visited(conversation.peer());
        self.null_sender = mail.from == ReversePath::Null;
        self.recipients = 0;
        Reply::new(250, EnhancedStatus::new(2, 1, 0), "Sender taken")
    }

    async fn recipient(&mut self, mx: &Mx, recipient: &Recipient) -> Reply {
        if self.null_sender && self.recipients >= NULL_SENDER_RECIPIENTS {
            mx.metrics.refuse("null_sender_recipients");
            let text = "Too many recipients for a report";
            return Reply::new(452, EnhancedStatus::new(4, 5, 3), text);
        }
        match mx.directory.resolve(&recipient.address) {
            Resolution::Accounts(_) => {
                self.recipients += 1;
                Reply::new(250, EnhancedStatus::new(2, 1, 5), "Recipient taken")
            }
            Resolution::Unknown if intake::kind(&mx.directory, &recipient.address).is_some() => {
                self.recipients += 1;
                Reply::new(250, EnhancedStatus::new(2, 1, 5), "Reports are taken")
            }
            Resolution::Unknown => {
                mx.metrics.refuse("unknown_recipient");
                let text = "Nobody here has this address";
                self.guessed(mx, Reply::new(550, EnhancedStatus::new(5, 1, 1), text)).await
            }
            Resolution::NotOurs => {
                mx.metrics.refuse("relay");
                let text = "We do not relay mail to other domains";
                self.guessed(mx, Reply::new(550, EnhancedStatus::new(5, 7, 1), text)).await
            }
        }
    }

    /// Makes guessing addresses slow, and then impossible.
    async fn guessed(&mut self, mx: &Mx, reply: Reply) -> Reply {
        let limits = mx.settings.guessing;
        self.guesses += 1;
        if self.guesses > limits.most {
            let text = "Too many wrong recipients";
            return Reply::new(421, EnhancedStatus::new(4, 7, 0), text);
        }
        if self.guesses > limits.free {
            tokio::time::sleep(limits.delay).await;
        }
        reply
    }
}

/// A refused try of this session's client.
fn knock(conversation: &Conversation, sender: Option<Domain>) -> Knock {
    Knock {
        peer: conversation.peer(),
        helo: conversation.session().client_name().unwrap_or_default().to_owned(),
        sender,
        admitted: false,
    }
}
