//! The direct route: TLS that reaches the floor, or not at all.

use crate::approach::{Approached, Target};
use crate::conversation::{NoticeMail, Sent, TalkError};
use crate::courier::Courier;
use crate::fate::{Fate, Word, seen, trouble};
use crate::nexthop::{Addresses, in_a_circle};
use crate::pool::Pooled;
use std::time::SystemTime;
use wardpost_mail::{EnhancedStatus, Envelope, Recipient, Reply, TlsGrade};
use wardpost_queue::{Evidence, Work};
use wardpost_smtp::Unsendable;
use wardpost_verdict::{Floor, Verdict};

/// Recipients in one transaction at most: what every server must take (RFC 5321 §4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;

/// What was met on the way from exchanger to exchanger.
#[derive(Default)]
struct Journey {
    /// The best path that was seen and did not reach the floor.
    below: Option<Evidence>,
    /// What went wrong last at a host that could not be spoken to.
    trouble: Option<Evidence>,
    /// DNS's last word on a host without addresses.
    nowhere: Option<Reply>,
}

impl Journey {
    fn met_below(&mut self, evidence: Evidence) {
        let better = |old: &Evidence| evidence.grade > old.grade;
        if self.below.as_ref().is_none_or(better) {
            self.below = Some(evidence);
        }
    }

    fn met_nowhere(&mut self, reply: Reply) {
        // "Not now" outweighs "never": another look may find the host.
        if self.nowhere.as_ref().is_none_or(Reply::is_permanent) {
            self.nowhere = Some(reply);
        }
    }

    /// The decision when no host took the message. See the crate's table.
    fn end(self) -> Fate {
        if let Some(evidence) = self.below {
            return Fate { word: Word::Pickup, evidence };
        }
        if let Some(evidence) = self.trouble {
            let text = "no mail server of the domain could be spoken to";
            let ours = Reply::new(451, EnhancedStatus::new(4, 4, 1), text);
            let theirs = evidence.reply.clone().filter(Reply::is_transient);
            return Fate { word: Word::Later(theirs.unwrap_or(ours)), evidence };
        }
        Fate::of_ours(self.nowhere.unwrap_or_else(in_a_circle))
    }
}

/// What came of offering a message over one conversation.
enum Carried {
    /// Every recipient has its fate.
    Ended(Vec<Fate>),
    /// The conversation broke before the server can have taken anything.
    NotBegun(TalkError),
}

impl Courier {
    /// Tries to hand a message over, to every recipient of `work`; one fate for each.
    pub(crate) async fn try_direct(&self, work: &Work, floor: Floor, message: &[u8]) -> Vec<Fate> {
        let all = |fate: Fate| vec![fate; work.recipients.len()];
        let hops = match self.next_hops(&work.domain).await {
            Ok(hops) => hops,
            Err(reply) => return all(Fate::of_ours(reply)),
        };
        let mut journey = Journey::default();
        for hop in hops {
            if let Some(pooled) = self.pool.take(&hop.host, floor)
                && let Carried::Ended(fates) = self.carry(pooled, work, message).await
            {
                return fates;
            }
            let targets = match self.addresses(&hop.host).await {
                Addresses::Of(targets) => targets,
                // We are the next in line: what is worse than us comes back to us.
                Addresses::Ourselves => break,
                Addresses::None(reply) => {
                    journey.met_nowhere(reply);
                    continue;
                }
            };
            for target in targets {
                match self.try_target(&target, floor, work, message, &mut journey).await {
                    Some(fates) => return fates,
                    None => continue,
                }
            }
        }
        all(journey.end())
    }

    /// Tries one address: `None` means that another may be tried.
    async fn try_target(
        &self,
        target: &Target,
        floor: Floor,
        work: &Work,
        message: &[u8],
        journey: &mut Journey,
    ) -> Option<Vec<Fate>> {
        let (conversation, verdict) = match self.approach(target).await {
            Ok(Approached::Tls(conversation, verdict)) => (conversation, verdict),
            Ok(Approached::Clear(conversation, verdict)) => {
                self.note_below(target, &verdict, journey);
                conversation.quit().await;
                return None;
            }
            Ok(Approached::Broken(verdict)) => {
                self.note_below(target, &verdict, journey);
                return None;
            }
            Err(error) => {
                journey.trouble = Some(trouble(target, &error));
                return None;
            }
        };
        let admitted = match conversation.admit(verdict, floor) {
            Ok(admitted) => admitted,
            Err(below) => {
                self.note_below(target, &below.verdict, journey);
                return None;
            }
        };
        match self.carry(Pooled::new(admitted, target.clone()), work, message).await {
            Carried::Ended(fates) => Some(fates),
            Carried::NotBegun(error) => {
                journey.trouble = Some(trouble(target, &error));
                None
            }
        }
    }

    fn note_below(&self, target: &Target, verdict: &Verdict, journey: &mut Journey) {
        for failure in verdict.failures() {
            self.metrics.tls_failure(failure.kind.name());
        }
        journey.met_below(seen(target, verdict));
    }

    /// Offers the message over an admitted conversation, in as many transactions as the server's
    /// recipient limit makes necessary, and keeps the conversation for the next message.
    async fn carry(&self, mut pooled: Pooled, work: &Work, message: &[u8]) -> Carried {
        let evidence = seen(&pooled.target, pooled.conversation.verdict());
        let capabilities = pooled.conversation.capabilities();
        let dsn = capabilities.dsn;
        let at_once = capabilities
            .rcpt_max
            .and_then(|max| usize::try_from(max).ok())
            .map_or(MAX_RECIPIENTS, |max| max.clamp(1, MAX_RECIPIENTS));
        let mut fates: Vec<Fate> = Vec::with_capacity(work.recipients.len());
        for group in work.recipients.chunks(at_once) {
            let to = group.iter().map(|r| r.recipient.clone()).collect();
            let envelope = part_of(&work.envelope, to);
            pooled.count_use();
            match pooled.conversation.send(&envelope, message).await {
                Sent::Answered(replies) => fates.extend(
                    replies.into_iter().map(|reply| Fate::of_reply(reply, evidence.clone(), dsn)),
                ),
                Sent::Unsendable(reason) => {
                    fates.extend(vec![unsendable(reason, evidence.clone()); group.len()]);
                }
                Sent::Lost { error, uncertain: false } if fates.is_empty() => {
                    return Carried::NotBegun(error);
                }
                Sent::Lost { error, uncertain } => {
                    let rest = work.recipients.len() - fates.len();
                    fates.extend(vec![lost(&error, uncertain, evidence); rest]);
                    return Carried::Ended(fates);
                }
            }
        }
        self.keep(pooled).await;
        Carried::Ended(fates)
    }

    /// Keeps a conversation for the next message to the same host.
    async fn keep(&self, pooled: Pooled) {
        let host = pooled.target.host.clone();
        let floor = pooled.conversation.floor();
        if let Some(left_over) = self.pool.put(&host, floor, pooled) {
            left_over.conversation.quit().await;
        }
    }

    /// Sends a notice by the best way there is: the best exchanger that answers, over TLS of any
    /// grade where it has TLS, in clear where it has none.
    pub(crate) async fn try_notice(&self, work: &Work, message: &[u8]) -> Vec<Fate> {
        let all = |fate: Fate| vec![fate; work.recipients.len()];
        let hops = match self.next_hops(&work.domain).await {
            Ok(hops) => hops,
            Err(reply) => return all(Fate::of_ours(reply)),
        };
        let mut journey = Journey::default();
        for hop in hops {
            let targets = match self.addresses(&hop.host).await {
                Addresses::Of(targets) => targets,
                Addresses::Ourselves => break,
                Addresses::None(reply) => {
                    journey.met_nowhere(reply);
                    continue;
                }
            };
            for target in targets {
                match self.notify_target(&target, work, message).await {
                    Ok(fates) => return fates,
                    Err(error) => journey.trouble = Some(trouble(&target, &error)),
                }
            }
        }
        all(journey.end())
    }

    /// Sends a notice to one address.
    async fn notify_target(
        &self,
        target: &Target,
        work: &Work,
        message: &[u8],
    ) -> Result<Vec<Fate>, TalkError> {
        let (conversation, verdict) = match self.approach(target).await? {
            Approached::Tls(conversation, verdict) | Approached::Clear(conversation, verdict) => {
                (conversation, verdict)
            }
            // The server's TLS does not work at all: the notice, and only it, goes without.
            Approached::Broken(verdict) => (self.greet(target).await?, verdict),
        };
        let evidence = seen(target, &verdict);
        let to = work.recipients.iter().map(|r| r.recipient.clone()).collect();
        let envelope = part_of(&work.envelope, to);
        let Some(notice) = NoticeMail::of(work, &envelope, message) else {
            return Err(TalkError::OutOfTurn);
        };
        let mut conversation = conversation.for_notices();
        let dsn = conversation.capabilities().dsn;
        let fates = match conversation.send(notice).await {
            Sent::Answered(replies) => replies
                .into_iter()
                .map(|reply| Fate::of_reply(reply, evidence.clone(), dsn))
                .collect(),
            Sent::Unsendable(reason) => {
                vec![unsendable(reason, evidence); work.recipients.len()]
            }
            Sent::Lost { error, uncertain: false } => return Err(error),
            Sent::Lost { error, uncertain: true } => {
                return Ok(vec![lost(&error, true, evidence); work.recipients.len()]);
            }
        };
        conversation.quit().await;
        Ok(fates)
    }
}

/// The envelope with these recipients only.
fn part_of(envelope: &Envelope, to: Vec<Recipient>) -> Envelope {
    Envelope {
        from: envelope.from.clone(),
        to,
        body: envelope.body,
        smtputf8: envelope.smtputf8,
        require_tls: envelope.require_tls,
        ret: envelope.ret,
        envid: envelope.envid.clone(),
    }
}

fn unsendable(reason: Unsendable, mut evidence: Evidence) -> Fate {
    evidence.summary = reason.to_string();
    let never = |code, subject, detail| {
        Word::Never(Reply::new(code, EnhancedStatus::new(5, subject, detail), reason.to_string()))
    };
    let word = match reason {
        // RFC 1870 §6.1.
        Unsendable::TooLarge { .. } => never(552, 3, 4),
        // RFC 6531 §3.5.
        Unsendable::SmtpUtf8 => never(553, 6, 7),
        // The next hop would not keep the promise that was asked of us: the path is not good
        // enough, whatever its TLS is (RFC 8689 §4.2.1).
        Unsendable::RequireTls => {
            evidence.grade = evidence.grade.map(|grade| grade.min(TlsGrade::T4));
            Word::Pickup
        }
    };
    Fate { word, evidence }
}

fn lost(error: &TalkError, uncertain: bool, mut evidence: Evidence) -> Fate {
    evidence.at = SystemTime::now();
    evidence.summary = if uncertain {
        format!("{error}, after the whole message was sent: the server may have it")
    } else {
        error.to_string()
    };
    evidence.reply = error.reply().cloned();
    // RFC 3463 §3.5: a bad connection.
    let reply = Reply::new(451, EnhancedStatus::new(4, 4, 2), evidence.summary.clone());
    Fate { word: Word::Later(reply), evidence }
}
