//! The way of notices: to the best exchanger that answers, over whatever TLS it has.
//!
//! A notice says nothing private, so it may go where a message may not; but it is mail, and where a
//! domain publishes that its mail servers have TLS, somebody who strips it is at work: there the notice
//! waits like any other mail (RFC 7672 §2.2, RFC 8461 §5). Where a rule sends a domain's mail by a
//! smarthost, notices go that way too, to a server as good as for messages: it learns our password.

use crate::approach::{Approached, Target};
use crate::conversation::{Conversation, NoticeMail, Opportunistic, Sent, TalkError};
use crate::courier::Courier;
use crate::direct::{Demand, Journey, lost, part_of, unsendable};
use crate::fate::{Fate, Word};
use wardpost_mail::{EnhancedStatus, Reply, TlsGrade};
use wardpost_pins::Pin;
use wardpost_queue::{Evidence, Work};
use wardpost_verdict::{Floor, FloorSource};

impl Courier {
    /// Sends a notice by the best way there is: the best exchanger that answers, over TLS of any
    /// grade where it has TLS, in clear where it has none and its domain does not forbid that.
    pub(crate) async fn try_notice(&self, work: &Work, message: &[u8]) -> Vec<Fate> {
        let all = |fate: Fate| vec![fate; work.recipients.len()];
        let way = match self.way_to(&work.domain).await {
            Ok(way) => way.for_notice(),
            Err(reply) => return all(Fate::of_ours(reply)),
        };
        if let Some(smarthost) = way.smarthost() {
            let text = format!("no verified TLS to the smarthost {} now", smarthost.host);
            let floors = Pin::floors(way.pin.as_deref(), Floor::default(), None);
            let fates = self.along(&way, &floors, work, message).await;
            return fates.into_iter().map(|fate| not_as_a_parcel(fate, &text)).collect();
        }
        let mut journey = Journey::of(&way, work);
        for hop in &way.hops {
            let Some(exchanger) = self.visit(&way, &hop.host, &mut journey).await else { break };
            let Some(exchanger) = exchanger else { continue };
            let published = exchanger.policy.published();
            // What is shown as demanded of a notice; what it is held to is the policy alone.
            let demand = Demand {
                exchanger: &exchanger,
                floor: Floor::new(TlsGrade::T2).raised_by(published),
                set_by: published.map_or(FloorSource::Default, FloorSource::Published),
            };
            for target in &exchanger.targets {
                match self.open_for_notice(target, &demand, &mut journey).await {
                    Ok(Some((conversation, evidence))) => {
                        match self.notify(conversation, evidence, work, message).await {
                            Ok(fates) => return fates,
                            Err(error) => journey.met_trouble(target, &error),
                        }
                    }
                    Ok(None) => {}
                    Err(error) => journey.met_trouble(target, &error),
                }
            }
        }
        let text = "the domain forbids mail without verified TLS, and no server of it has that now";
        all(not_as_a_parcel(journey.end(false), text))
    }

    /// Opens a conversation that the domain permits a notice on; `None` when it does not.
    async fn open_for_notice(
        &self,
        target: &Target,
        demand: &Demand<'_>,
        journey: &mut Journey,
    ) -> Result<Option<(Conversation<Opportunistic>, Evidence)>, TalkError> {
        let policy = &demand.exchanger.policy;
        let approached = self.approach(target, policy).await?;
        if journey.is_told {
            self.tell(target, demand.exchanger, &approached);
        }
        let (conversation, verdict) = match approached {
            Approached::Tls(conversation, verdict, _)
            | Approached::Clear(conversation, verdict) => (Some(conversation), verdict),
            Approached::Broken(verdict) => (None, verdict),
        };
        if !policy.permits_notice(&verdict) {
            self.note_below(target, demand, &verdict, journey);
            if let Some(conversation) = conversation {
                conversation.quit().await;
            }
            return Ok(None);
        }
        let evidence = demand.evidence(target, &verdict);
        let conversation = match conversation {
            Some(conversation) => conversation,
            // The server's TLS does not work at all: the notice, and only it, goes without.
            None => self.greet(target).await?,
        };
        Ok(conversation.for_notices(policy, &verdict).map(|open| (open, evidence)))
    }

    /// Sends a notice over an open conversation.
    async fn notify(
        &self,
        mut conversation: Conversation<Opportunistic>,
        evidence: Evidence,
        work: &Work,
        message: &[u8],
    ) -> Result<Vec<Fate>, TalkError> {
        let to = work.recipients.iter().map(|r| r.recipient.clone()).collect();
        let envelope = part_of(&work.envelope, to);
        let Some(notice) = NoticeMail::of(work, &envelope, message) else {
            return Err(TalkError::OutOfTurn);
        };
        let dsn = conversation.capabilities().dsn;
        let fates = match conversation.send(notice).await {
            Sent::Answered(replies) => replies
                .into_iter()
                .map(|reply| Fate::of_reply(reply, evidence.clone(), dsn))
                .collect(),
            Sent::Unsendable(reason) => {
                vec![unsendable(reason, evidence); work.recipients.len()]
            }
            Sent::Lost { error, uncertain: false, .. } => return Err(error),
            Sent::Lost { error, uncertain: true, .. } => {
                return Ok(vec![lost(&error, true, evidence); work.recipients.len()]);
            }
        };
        conversation.quit().await;
        Ok(fates)
    }
}

/// A notice cannot become a parcel: where no host may have it, it waits until one shows its TLS.
fn not_as_a_parcel(fate: Fate, text: &str) -> Fate {
    match fate.word {
        Word::Pickup => {
            // RFC 5248: X.7.10, encryption needed.
            let reply = Reply::new(451, EnhancedStatus::new(4, 7, 10), text);
            Fate { word: Word::Later(reply), ..fate }
        }
        _ => fate,
    }
}
