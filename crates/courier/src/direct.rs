//! The direct route: TLS that reaches the floor, or not at all.

use crate::approach::{Approached, Target};
use crate::conversation::{Sent, TalkError};
use crate::courier::Courier;
use crate::fate::{Fate, Word, seen, trouble};
use crate::nexthop::{Addresses, in_a_circle};
use crate::pool::Pooled;
use std::time::SystemTime;
use wardpost_mail::{Domain, EnhancedStatus, Envelope, Recipient, Reply, TlsGrade};
use wardpost_queue::{Evidence, Work};
use wardpost_smtp::Unsendable;
use wardpost_verdict::{Floor, Verdict};

/// Recipients in one transaction at most: what every server must take (RFC 5321 §4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;

/// What was met on the way from exchanger to exchanger.
#[derive(Default)]
pub(crate) struct Journey {
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

    pub(crate) fn met_trouble(&mut self, target: &Target, error: &TalkError) {
        self.trouble = Some(trouble(target, error));
    }

    pub(crate) fn met_nowhere(&mut self, reply: Reply) {
        // "Not now" outweighs "never": another look may find the host.
        if self.nowhere.as_ref().is_none_or(Reply::is_permanent) {
            self.nowhere = Some(reply);
        }
    }

    /// The decision when no host took the message. See the crate's table.
    pub(crate) fn end(self) -> Fate {
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
            // When we are the next in line, what is worse than us comes back to us.
            let Some(targets) = self.targets(&hop.host, &mut journey).await else { break };
            for target in targets {
                match self.try_target(&target, floor, work, message, &mut journey).await {
                    Some(fates) => return fates,
                    None => continue,
                }
            }
        }
        all(journey.end())
    }

    /// The addresses of an exchanger, none if there are none; `None` when it is this server.
    pub(crate) async fn targets(
        &self,
        host: &Domain,
        journey: &mut Journey,
    ) -> Option<Vec<Target>> {
        match self.addresses(host).await {
            Addresses::Of(targets) => Some(targets),
            Addresses::Ourselves => None,
            Addresses::None(reply) => {
                journey.met_nowhere(reply);
                Some(Vec::new())
            }
        }
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
            Ok(Approached::Tls(conversation, verdict)) if verdict.grade() >= floor.grade() => {
                (conversation, verdict)
            }
            Ok(
                Approached::Tls(conversation, verdict) | Approached::Clear(conversation, verdict),
            ) => {
                self.note_below(target, &verdict, journey);
                conversation.quit().await;
                return None;
            }
            Ok(Approached::Broken(verdict)) => {
                self.note_below(target, &verdict, journey);
                return None;
            }
            Err(error) => {
                journey.met_trouble(target, &error);
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
                journey.met_trouble(target, &error);
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
}

/// The envelope with these recipients only.
pub(crate) fn part_of(envelope: &Envelope, to: Vec<Recipient>) -> Envelope {
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

pub(crate) fn unsendable(reason: Unsendable, mut evidence: Evidence) -> Fate {
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

pub(crate) fn lost(error: &TalkError, uncertain: bool, mut evidence: Evidence) -> Fate {
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
