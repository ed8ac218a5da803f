//! The way of notices: to the best exchanger that answers, over whatever TLS it has.

use crate::approach::{Approached, Target};
use crate::conversation::{NoticeMail, Sent, TalkError};
use crate::courier::Courier;
use crate::direct::{Journey, lost, part_of, unsendable};
use crate::fate::{Fate, seen};
use wardpost_queue::Work;

impl Courier {
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
            let Some(targets) = self.targets(&hop.host, &mut journey).await else { break };
            for target in targets {
                match self.notify_target(&target, work, message).await {
                    Ok(fates) => return fates,
                    Err(error) => journey.met_trouble(&target, &error),
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
