//! FETCH (RFC 9051 §6.4.5, §7.5.2, RFC 7162 §3.1.4).
//!
//! Messages are taken a few hundred at a time: their states from memory, their summaries from the
//! sealed index where an item needs them, and their bodies only for sections the summary cannot give.
//! Each answer is complete before the next is begun and is sent as soon as some have gathered.

mod answer;
mod envelope;
mod section;
mod structure;

use crate::outcome::{Failure, Outcome, done};
use crate::select::{resolve, write_vanished};
use crate::selected::Selected;
use crate::session::Session;
use answer::Answer;
use std::collections::HashMap;
use std::sync::Arc;
use wardpost_imap_wire::{Code, FetchItem, FetchRequest, SequenceSet};
use wardpost_mail::Uid;
use wardpost_mailbox::{FlagOp, Flags, MailboxError, MessageState, ModSeq, SystemFlags, UidRange};
use wardpost_message::Summary;

/// Messages taken at a time.
const SLICE: usize = 256;
/// Up to so many messages, summaries are read one by one; more are streamed.
const FEW: usize = 4;
/// A message fetched in pieces is kept open between commands from this size on.
const LARGE: usize = 64 * 1024;

/// A message that is kept open.
pub(crate) struct Opened {
    uid: Uid,
    body: Arc<[u8]>,
}

/// What one message is told by.
struct Message {
    state: MessageState,
    summary: Option<Summary>,
    /// Its flags changed just now because it was read.
    seen_now: bool,
}

/// What a FETCH needs and tells.
struct Plan {
    items: Vec<FetchItem>,
    /// Some item needs the summary.
    summaries: bool,
    /// Some item sets `\Seen`.
    reads: bool,
    /// Some item is a part of a section.
    pieces: bool,
}

impl Plan {
    fn new(request: FetchRequest, uid: bool) -> Self {
        let mut items = request.items;
        if uid && !items.contains(&FetchItem::Uid) {
            items.insert(0, FetchItem::Uid);
        }
        if request.changed_since.is_some() && !items.contains(&FetchItem::ModSeq) {
            items.push(FetchItem::ModSeq);
        }
        Self {
            summaries: items.iter().any(|item| !answer::is_of_state(item)),
            reads: items.iter().any(reads),
            pieces: items.iter().any(is_piece),
            items,
        }
    }

    /// For each item the header fields that the summary knows.
    fn fields(&self, summary: Option<&Summary>) -> Vec<Option<Vec<u8>>> {
        let fields = |item: &FetchItem| match item {
            FetchItem::Section { section, .. } => section::from_summary(summary?, section),
            _ => None,
        };
        self.items.iter().map(fields).collect()
    }
}

/// Whether an item sets `\Seen` (RFC 9051 §6.4.5).
fn reads(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Rfc822
            | FetchItem::Rfc822Text
            | FetchItem::Section { peek: false, .. }
            | FetchItem::Binary { peek: false, .. }
    )
}

/// Whether an item is cut from the message itself.
fn opens(item: &FetchItem) -> bool {
    reads(item)
        || matches!(
            item,
            FetchItem::Rfc822Header
                | FetchItem::Section { .. }
                | FetchItem::Binary { .. }
                | FetchItem::BinarySize(_)
        )
}

/// Whether an item is a part of a section, of which more may be asked for.
fn is_piece(item: &FetchItem) -> bool {
    matches!(
        item,
        FetchItem::Section { partial: Some(_), .. } | FetchItem::Binary { partial: Some(_), .. }
    )
}

/// Tells what was asked of the messages in a set.
pub(crate) async fn fetch(
    selected: &mut Selected,
    session: &mut Session<'_>,
    uid: bool,
    set: &SequenceSet,
    request: FetchRequest,
) -> Outcome {
    if request.vanished && !(uid && selected.user.features.qresync) {
        return Err(Failure::bad("VANISHED goes with UID FETCH after ENABLE QRESYNC"));
    }
    let places = selected.view.pick(set, uid)?;
    let changed_since = request.changed_since.map(ModSeq);
    let vanished = request.vanished;
    // Asking for change numbers takes them into use (RFC 7162 §3.1).
    selected.user.features.condstore |=
        changed_since.is_some() || request.items.contains(&FetchItem::ModSeq);
    let plan = Plan::new(request, uid);
    let mut runs = selected.view.runs_at(&places);
    let mut asked: usize = places.iter().map(ExactSizeIterator::len).sum();
    if let Some(since) = changed_since {
        if vanished {
            let changes = selected.user.mail.changes_since(selected.view.id, since).await?;
            write_vanished(session, &changes.vanished, &resolve(Some(set)));
        }
        runs = changed_runs(selected, &runs, since).await?;
        asked = 0;
    }
    let mut fetcher = Fetcher { selected, session, plan, told: 0, undecodable: false };
    fetcher.run(runs).await?;
    if fetcher.undecodable {
        return Err(Failure::no(Code::UnknownCte, "A part has an encoding that is not known"));
    }
    let missing = fetcher.told < asked;
    if missing && !uid {
        // RFC 2180 §4.1.2: what is left was told, and the client learns why the rest was not.
        return Err(Failure::no(Code::ExpungeIssued, "Some of the messages are gone"));
    }
    done("FETCH completed")
}

/// Those of the messages that changed after a change number.
async fn changed_runs(
    selected: &Selected,
    runs: &[UidRange],
    since: ModSeq,
) -> Result<Vec<UidRange>, MailboxError> {
    let states = selected.user.mail.states(selected.view.id, runs).await?;
    let changed = states.iter().filter(|state| state.modseq > since);
    Ok(changed.map(|state| UidRange::one(state.uid)).collect())
}

struct Fetcher<'a, 's> {
    selected: &'a mut Selected,
    session: &'a mut Session<'s>,
    plan: Plan,
    /// Messages told of.
    told: usize,
    /// A part's encoding could not be undone (RFC 3516 §4.3).
    undecodable: bool,
}

impl Fetcher<'_, '_> {
    async fn run(&mut self, runs: Vec<UidRange>) -> Result<(), Failure> {
        let uids: usize = runs.iter().map(|run| (run.last.0 - run.first.0) as usize + 1).sum();
        if !self.plan.summaries {
            self.tell_states(&runs).await
        } else if uids <= FEW {
            self.tell_few(&runs).await
        } else {
            self.tell_many(runs).await
        }
    }

    /// Items that are in memory.
    async fn tell_states(&mut self, runs: &[UidRange]) -> Result<(), Failure> {
        for slice in self.slices(runs) {
            let states = self.states(&slice).await?;
            let bare = |state| Message { state, summary: None, seen_now: false };
            self.tell(states.into_iter().map(bare).collect()).await?;
        }
        Ok(())
    }

    /// Runs cut so that none holds more than [`SLICE`] messages.
    fn slices(&self, runs: &[UidRange]) -> Vec<Vec<UidRange>> {
        let (mut slices, mut slice, mut room) = (Vec::new(), Vec::new(), SLICE);
        let uids = &self.selected.view.uids;
        for run in runs {
            let mut rest = uids.places(run.first.0, run.last.0);
            while !rest.is_empty() {
                let taken = rest.start..rest.end.min(rest.start + room);
                slice.extend(uids.span(&taken));
                room -= taken.len();
                rest.start = taken.end;
                if room == 0 {
                    slices.push(std::mem::take(&mut slice));
                    room = SLICE;
                }
            }
        }
        slices.push(slice);
        slices
    }

    async fn tell_few(&mut self, runs: &[UidRange]) -> Result<(), Failure> {
        for state in self.states(runs).await? {
            let (mail, id) = (&self.selected.user.mail, self.selected.view.id);
            let summary = match mail.summary(id, state.uid).await {
                Ok(summary) => Some(summary),
                Err(MailboxError::NoSuchMessage) => continue,
                Err(error) => return Err(error.into()),
            };
            self.tell(vec![Message { state, summary, seen_now: false }]).await?;
        }
        Ok(())
    }

    async fn tell_many(&mut self, runs: Vec<UidRange>) -> Result<(), Failure> {
        let mut summaries = self.selected.user.mail.summaries(self.selected.view.id, runs);
        while let Some(chunk) = summaries.next().await {
            let chunk = chunk?;
            let uids: Vec<UidRange> = chunk.iter().map(|(uid, _)| UidRange::one(*uid)).collect();
            let mut states = self.states(&uids).await?.into_iter().peekable();
            let mut messages = Vec::with_capacity(chunk.len());
            for (uid, summary) in chunk {
                // Both ascend; a message may be gone from either.
                while states.next_if(|state| state.uid < uid).is_some() {}
                if let Some(state) = states.next_if(|state| state.uid == uid) {
                    messages.push(Message { state, summary: Some(summary), seen_now: false });
                }
            }
            self.tell(messages).await?;
        }
        Ok(())
    }

    async fn states(&self, runs: &[UidRange]) -> Result<Vec<MessageState>, MailboxError> {
        self.selected.user.mail.states(self.selected.view.id, runs).await
    }

    async fn tell(&mut self, mut messages: Vec<Message>) -> Result<(), Failure> {
        if self.plan.reads && !self.selected.view.read_only {
            self.mark_seen(&mut messages).await?;
        }
        for message in &messages {
            self.message(message).await?;
        }
        Ok(())
    }

    /// Sets `\Seen` on messages whose text is fetched (RFC 9051 §6.4.5); their flags are told with it.
    async fn mark_seen(&mut self, messages: &mut [Message]) -> Result<(), Failure> {
        let unseen = |m: &&Message| !m.state.flags.system.contains(SystemFlags::SEEN);
        let uids: Vec<Uid> = messages.iter().filter(unseen).map(|m| m.state.uid).collect();
        if uids.is_empty() {
            return Ok(());
        }
        let (mail, id) = (&self.selected.user.mail, self.selected.view.id);
        let seen = Flags::system(SystemFlags::SEEN);
        let outcome = mail.store_flags(id, &uids, FlagOp::Add, &seen, None).await?;
        self.selected.view.own_change(outcome.modseq);
        let mut stored: HashMap<Uid, MessageState> =
            outcome.stored.into_iter().map(|state| (state.uid, state)).collect();
        for message in messages {
            if let Some(state) = stored.remove(&message.state.uid) {
                message.state = state;
                message.seen_now = true;
            }
        }
        Ok(())
    }

    /// Writes one message's answer, opening its body first if it is needed. One that is gone is
    /// passed over.
    async fn message(&mut self, message: &Message) -> Result<(), Failure> {
        let Some(number) = self.selected.view.number(message.state.uid) else { return Ok(()) };
        let fields = self.plan.fields(message.summary.as_ref());
        let needs =
            |(item, fields): (&FetchItem, &Option<Vec<u8>>)| opens(item) && fields.is_none();
        let body = match self.plan.items.iter().zip(&fields).any(needs) {
            false => None,
            true => match self.body(message.state.uid).await {
                Ok(body) => Some(body),
                Err(MailboxError::NoSuchMessage) => return Ok(()),
                Err(error) => return Err(error.into()),
            },
        };
        let mut answer = Answer {
            connection: &mut self.session.connection,
            features: self.selected.user.features,
            plan: &self.plan,
            body: body.as_deref(),
            undecodable: false,
        };
        answer.write(number, message, fields).await?;
        self.undecodable |= answer.undecodable;
        self.told += 1;
        Ok(())
    }

    async fn body(&mut self, uid: Uid) -> Result<Arc<[u8]>, MailboxError> {
        if let Some(opened) = self.selected.opened.as_ref().filter(|opened| opened.uid == uid) {
            return Ok(opened.body.clone());
        }
        self.selected.opened = None;
        let body = self.selected.user.mail.body(self.selected.view.id, uid).await?;
        if self.plan.pieces && body.len() >= LARGE {
            self.selected.opened = Some(Opened { uid, body: body.clone() });
        }
        Ok(body)
    }
}
