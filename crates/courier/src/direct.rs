//! The direct route: TLS that reaches the floor, or not at all.

use crate::approach::{Approached, Target};
use crate::conversation::{Sent, TalkError};
use crate::courier::Courier;
use crate::fate::{Fate, Word, seen, trouble};
use crate::nexthop::{Exchanger, Looked, Way, in_a_circle};
use crate::pool::Pooled;
use crate::smarthost;
use crate::tell;
use std::time::SystemTime;
use wardpost_mail::{Domain, EnhancedStatus, Envelope, Recipient, Reply, TlsGrade};
use wardpost_pins::Pin;
use wardpost_queue::{Evidence, Work};
use wardpost_smtp::Unsendable;
use wardpost_verdict::{Deferral, Floor, FloorSource, Floors, PathEvidence, Verdict};

/// Recipients in one transaction at most: what every server must take (RFC 5321 §4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;

/// What was met on the way from exchanger to exchanger.
#[derive(Default)]
pub(crate) struct Journey {
    /// The best path that was seen and did not reach the floor.
    below: Option<Evidence>,
    /// A host that must not be used until DNS tells the truth about it.
    deferred: Option<Evidence>,
    /// What went wrong last at a host that could not be spoken to.
    trouble: Option<Evidence>,
    /// DNS's last word on a host without addresses.
    nowhere: Option<Reply>,
    /// The domain is told of what its servers were like.
    pub(crate) is_told: bool,
}

impl Journey {
    /// The journey of a piece of work.
    pub(crate) fn of(way: &Way, work: &Work) -> Self {
        Self { is_told: tell::is_told(way, work), ..Self::default() }
    }

    pub(crate) fn met_below(&mut self, evidence: Evidence) {
        let better = |old: &Evidence| evidence.grade > old.grade;
        if self.below.as_ref().is_none_or(better) {
            self.below = Some(evidence);
        }
    }

    pub(crate) fn met_trouble(&mut self, target: &Target, error: &TalkError) {
        self.trouble = Some(trouble(target, error));
    }

    fn met_deferred(&mut self, path: PathEvidence, deferral: &Deferral) {
        let mut evidence = Evidence::new(SystemTime::now(), deferral.to_string());
        evidence.host = Some(path.host.to_string());
        let failure = deferral.failure();
        evidence.reasons = vec![format!("{}: {}", failure.kind, failure.detail)];
        evidence.path = Some(Box::new(path.deferred(deferral.clone())));
        self.deferred = Some(evidence);
    }

    fn met_nowhere(&mut self, reply: Reply) {
        // "Not now" outweighs "never": another look may find the host.
        if self.nowhere.as_ref().is_none_or(Reply::is_permanent) {
            self.nowhere = Some(reply);
        }
    }

    /// The decision when no host took the message. See the crate's table. A host that could not be
    /// judged may turn out good, so it is waited for; but not to the bitter `expired` end, where a
    /// parcel helps the recipient more than a failure does.
    pub(crate) fn end(self, expired: bool) -> Fate {
        let later = |evidence: Evidence, ours: Reply| {
            let theirs = evidence.reply.clone().filter(Reply::is_transient);
            Fate { word: Word::Later(theirs.unwrap_or(ours)), evidence }
        };
        match (self.deferred, self.below, self.trouble) {
            (Some(evidence), None, _) => later(evidence, untold()),
            (Some(evidence), Some(_), _) if !expired => later(evidence, untold()),
            (_, Some(evidence), _) => Fate { word: Word::Pickup, evidence },
            (None, None, Some(evidence)) => {
                let text = "no mail server of the domain could be spoken to";
                later(evidence, Reply::new(451, EnhancedStatus::new(4, 4, 1), text))
            }
            (None, None, None) => Fate::of_ours(self.nowhere.unwrap_or_else(in_a_circle)),
        }
    }
}

/// That DNS could not be believed (RFC 3463 §3.8: security status).
fn untold() -> Reply {
    let text = "DNS does not tell the truth about the domain's mail servers now";
    Reply::new(451, EnhancedStatus::new(4, 7, 0), text)
}

/// What an exchanger is held to for one message.
#[derive(Clone, Copy)]
pub(crate) struct Demand<'a> {
    pub(crate) exchanger: &'a Exchanger,
    pub(crate) floor: Floor,
    pub(crate) set_by: FloorSource,
}

impl<'a> Demand<'a> {
    /// The demand that these floors and the domain's own policy add up to.
    pub(crate) fn of(exchanger: &'a Exchanger, floors: &Floors) -> Self {
        let (floor, set_by) = floors.demand(exchanger.policy.published());
        Self { exchanger, floor, set_by }
    }

    /// Evidence of a path that was judged.
    pub(crate) fn evidence(&self, target: &Target, verdict: &Verdict) -> Evidence {
        let path = PathEvidence::of(&self.exchanger.facts);
        let mut evidence = seen(target, verdict);
        if self.exchanger.smarthost().is_some() {
            evidence.summary = format!("by the smarthost {}", evidence.summary);
        }
        evidence.path = Some(Box::new(path.judged(verdict, (self.floor, self.set_by))));
        evidence
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
        // A rule that was set after the message was queued.
        if self.parts.pins.of(&work.domain).is_some_and(|pin| pin.pickup()) {
            let text = "a rule for the domain says always pickup";
            let evidence = Evidence::new(SystemTime::now(), text);
            return all(Fate { word: Word::Pickup, evidence });
        }
        let way = match self.way_to(&work.domain).await {
            Ok(way) => way,
            Err(reply) => return all(Fate::of_ours(reply)),
        };
        let message_floor = work.envelope.require_tls.then_some(Floor::REQUIRETLS);
        let floors = Pin::floors(way.pin.as_deref(), floor, message_floor);
        self.along(&way, &floors, work, message).await
    }

    /// Goes from exchanger to exchanger until one takes the message.
    pub(crate) async fn along(
        &self,
        way: &Way,
        floors: &Floors,
        work: &Work,
        message: &[u8],
    ) -> Vec<Fate> {
        let mut journey = Journey::of(way, work);
        for hop in &way.hops {
            // When we are the next in line, what is worse than us comes back to us.
            let Some(exchanger) = self.visit(way, &hop.host, &mut journey).await else { break };
            let Some(exchanger) = exchanger else { continue };
            let demand = Demand::of(&exchanger, floors);
            if let Some(pooled) = self.take_pooled(&demand)
                && let Carried::Ended(fates) = self.carry(pooled, &demand, work, message).await
            {
                return fates;
            }
            for target in &exchanger.targets {
                if let Some(fates) =
                    self.try_target(target, &demand, work, message, &mut journey).await
                {
                    return fates;
                }
            }
        }
        let mut fate = journey.end(work.expired);
        if way.smarthost().is_some() {
            fate = smarthost::patient(fate);
        }
        vec![fate; work.recipients.len()]
    }

    /// Looks at an exchanger and notes why it cannot be used, if so; `None` when it is this server.
    pub(crate) async fn visit(
        &self,
        way: &Way,
        host: &Domain,
        journey: &mut Journey,
    ) -> Option<Option<Box<Exchanger>>> {
        match self.look_at(way, host).await {
            Looked::At(exchanger) => return Some(Some(exchanger)),
            Looked::Ourselves => return None,
            Looked::None(reply) => journey.met_nowhere(reply),
            Looked::Deferred(path, deferral) => {
                self.metrics.tls_failure(deferral.failure().kind.name());
                if journey.is_told {
                    self.tell_deferred(&way.domain, host, &deferral);
                }
                journey.met_deferred(*path, &deferral);
            }
        }
        Some(None)
    }

    /// An open connection to the exchanger that meets the demand. It is judged anew where the demand
    /// is another than the one that it was opened for.
    fn take_pooled(&self, demand: &Demand<'_>) -> Option<Pooled> {
        let target = demand.exchanger.targets.first()?;
        let pooled = self.pool.take(target)?;
        pooled.held_to(demand, &self.parts.roots)
    }

    /// Tries one address: `None` means that another may be tried.
    async fn try_target(
        &self,
        target: &Target,
        demand: &Demand<'_>,
        work: &Work,
        message: &[u8],
        journey: &mut Journey,
    ) -> Option<Vec<Fate>> {
        let approached = self.approach(target, &demand.exchanger.policy).await;
        if let (true, Ok(approached)) = (journey.is_told, &approached) {
            self.tell(target, demand.exchanger, approached);
        }
        let (conversation, verdict, observation) = match approached {
            Ok(Approached::Tls(conversation, verdict, observation))
                if verdict.grade() >= demand.floor.grade() =>
            {
                (conversation, verdict, observation)
            }
            Ok(
                Approached::Tls(conversation, verdict, _)
                | Approached::Clear(conversation, verdict),
            ) => {
                self.note_below(target, demand, &verdict, journey);
                conversation.quit().await;
                return None;
            }
            Ok(Approached::Broken(verdict)) => {
                self.note_below(target, demand, &verdict, journey);
                return None;
            }
            Err(error) => {
                journey.met_trouble(target, &error);
                return None;
            }
        };
        let mut admitted = match conversation.admit(verdict, demand.floor) {
            Ok(admitted) => admitted,
            Err(below) => {
                self.note_below(target, demand, &below.verdict, journey);
                return None;
            }
        };
        if let Some(login) = demand.login()
            && let Err(error) = admitted.log_in(login).await
        {
            tracing::error!("a smarthost did not take our log-in; see `wardpost queue show`");
            journey.met_trouble(target, &error);
            return None;
        }
        let policy = demand.exchanger.policy.clone();
        let pooled = Pooled::new(admitted, target.clone(), policy, observation);
        match self.carry(pooled, demand, work, message).await {
            Carried::Ended(fates) => Some(fates),
            Carried::NotBegun(error) => {
                journey.met_trouble(target, &error);
                None
            }
        }
    }

    pub(crate) fn note_below(
        &self,
        target: &Target,
        demand: &Demand<'_>,
        verdict: &Verdict,
        journey: &mut Journey,
    ) {
        for failure in verdict.failures() {
            self.metrics.tls_failure(failure.kind.name());
        }
        journey.met_below(demand.evidence(target, verdict));
    }

    /// Offers the message over an admitted conversation, in as many transactions as the server's
    /// recipient limit makes necessary, and keeps the conversation for the next message.
    async fn carry(
        &self,
        mut pooled: Pooled,
        demand: &Demand<'_>,
        work: &Work,
        message: &[u8],
    ) -> Carried {
        let evidence = demand.evidence(&pooled.target, pooled.conversation.verdict());
        let capabilities = pooled.conversation.capabilities();
        let dsn = capabilities.dsn;
        let at_once = capabilities
            .rcpt_max
            .and_then(|max| usize::try_from(max).ok())
            .map_or(MAX_RECIPIENTS, |max| max.clamp(1, MAX_RECIPIENTS));
        let mut fates: Vec<Fate> = Vec::with_capacity(work.recipients.len());
        for group in work.recipients.chunks(at_once) {
            let to = group.iter().map(|r| r.recipient.clone()).collect();
            let mut envelope = part_of(&work.envelope, to);
            envelope.require_tls |= demand.asks_onward(work.kind);
            pooled.count_use();
            match pooled.conversation.send(&envelope, message).await {
                Sent::Answered(replies) => fates.extend(
                    replies.into_iter().map(|reply| demand.fate(reply, evidence.clone(), dsn)),
                ),
                Sent::Unsendable(reason) => {
                    fates.extend(vec![unsendable(reason, evidence.clone()); group.len()]);
                }
                Sent::Lost { error, uncertain: false, replies }
                    if fates.is_empty() && !replies.iter().any(is_refusal) =>
                {
                    return Carried::NotBegun(error);
                }
                Sent::Lost { error, uncertain, replies } => {
                    // Who was refused before the connection broke is refused; the rest is not held
                    // up by them the next time.
                    fates.extend(replies.into_iter().map(|reply| match reply {
                        Some(reply) if reply.is_permanent() => {
                            demand.fate(reply, evidence.clone(), dsn)
                        }
                        _ => lost(&error, uncertain, evidence.clone()),
                    }));
                    let rest = work.recipients.len().saturating_sub(fates.len());
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
        if let Some(left_over) = self.pool.put(pooled) {
            left_over.conversation.quit().await;
        }
    }
}

fn is_refusal(reply: &Option<Reply>) -> bool {
    reply.as_ref().is_some_and(Reply::is_permanent)
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
