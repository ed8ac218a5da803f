//! Changing messages that exist: flags, COPY, MOVE, EXPUNGE.
//!
//! Each holds the source mailbox's `modify` from its first look until its change is visible, so it
//! never builds upon something that another session is changing. Where counts of shared bodies are
//! concerned, the store's preconditions decide and the attempt is repeated.

use std::sync::Arc;

use tokio::sync::OwnedMutexGuard;
use wardpost_mail::{Uid, UidValidity};
use wardpost_store::{Batch, Column, CommitTicket};

use crate::account::{OpenAccount, run};
use crate::add::{Addition, Entry, Pending, settle};
use crate::blob::{ATTEMPTS, Shares};
use crate::error::MailboxError;
use crate::layout::{BlobId, Kind, expunged_key, mailbox_key, message_key};
use crate::read::Found;
use crate::records::{EntryRecord, ExpungedRecord, SummaryRecord, encode};
use crate::seal::{fold, open_flags, seal_flags};
use crate::state::{Core, Effect, MailboxState};
use crate::table::{join_runs, runs_of};
use crate::types::{FlagOp, Flags, MessageState, ModSeq, StoreOutcome, SystemFlags, UidRange};

/// How many keywords a message may have.
const MAX_KEYWORDS: usize = 64;
/// How long a keyword may be, octets.
const MAX_KEYWORD: usize = 128;
/// Changes to so few messages are made in place, not on another thread.
const SMALL: usize = 16;
/// How many messages one batch expunges or moves.
const CHUNK: usize = 2_000;

/// Refuses more or longer keywords than a message may have.
pub(crate) fn check_keywords(flags: &Flags) -> Result<(), MailboxError> {
    if flags.keywords.len() > MAX_KEYWORDS || flags.keywords.iter().any(|k| k.len() > MAX_KEYWORD) {
        return Err(MailboxError::Limit("keywords of a message"));
    }
    Ok(())
}

/// A message's folded record; with it its summary when it had to be folded for this.
struct Source {
    uid: Uid,
    kind: Kind,
    entry: EntryRecord,
    summary: Option<SummaryRecord>,
}

impl OpenAccount {
    fn source(&self, mailbox: &MailboxState, uid: Uid) -> Result<Source, MailboxError> {
        match self.message(mailbox.id, uid)? {
            Found::Folded(entry) => Ok(Source { uid, kind: Kind::Entry, entry, summary: None }),
            Found::Waiting(waiting) => {
                let kept = self.summary_record(mailbox, uid)?;
                let (entry, summary) = fold(&self.keys, &waiting, &kept)?;
                Ok(Source { uid, kind: Kind::Waiting, entry, summary: Some(summary) })
            }
        }
    }

    /// A source with its summary, for a copy elsewhere.
    fn whole(&self, mailbox: &MailboxState, uid: Uid) -> Result<Source, MailboxError> {
        let mut source = self.source(mailbox, uid)?;
        if source.summary.is_none() {
            source.summary = Some(self.summary_record(mailbox, uid)?);
        }
        Ok(source)
    }
}

/// Takes `modify` of a mailbox that is not being deleted, with its table in memory.
async fn hold(
    open: &Arc<OpenAccount>,
    mailbox: &Arc<MailboxState>,
) -> Result<OwnedMutexGuard<()>, MailboxError> {
    let guard = mailbox.modify.clone().lock_owned().await;
    if mailbox.core().closed {
        return Err(MailboxError::NoSuchMailbox);
    }
    open.loaded_under_modify(mailbox).await?;
    Ok(guard)
}

/// STORE.
pub(crate) async fn store_flags(
    open: Arc<OpenAccount>,
    mailbox: Arc<MailboxState>,
    uids: Vec<Uid>,
    op: FlagOp,
    flags: Flags,
    unchanged_since: Option<ModSeq>,
) -> Result<StoreOutcome, MailboxError> {
    let _modify = hold(&open, &mailbox).await?;
    let (mut outcome, changes) = plan_flags(&mailbox, &uids, op, &flags, unchanged_since)?;
    if changes.is_empty() {
        return Ok(outcome);
    }
    let work = (open.clone(), mailbox.clone());
    let (ticket, pending, states) = run(changes.len() <= SMALL, move || {
        let (open, mailbox) = work;
        submit_flags(&open, &mailbox, changes)
    })
    .await?;
    settle(ticket, vec![pending]).await?;
    outcome.modseq = states.first().map(|state| state.modseq);
    outcome.stored.extend(states);
    outcome.stored.sort_by_key(|state| state.uid);
    Ok(outcome)
}

/// What is to change, and what is done without a change.
fn plan_flags(
    mailbox: &MailboxState,
    uids: &[Uid],
    op: FlagOp,
    flags: &Flags,
    unchanged_since: Option<ModSeq>,
) -> Result<(StoreOutcome, Vec<MessageState>), MailboxError> {
    let core = mailbox.core();
    let table = core.table().ok_or(MailboxError::Interrupted)?;
    let (mut outcome, mut changes) = (StoreOutcome::default(), Vec::new());
    let mut uids = uids.to_vec();
    uids.sort_unstable();
    uids.dedup();
    for state in uids.into_iter().filter_map(|uid| table.state(uid)) {
        if unchanged_since.is_some_and(|since| state.modseq > since) {
            outcome.modified.push(state.uid);
            continue;
        }
        let new = apply(op, &state.flags, flags);
        if new == state.flags {
            outcome.stored.push(state);
        } else {
            check_keywords(&new)?;
            changes.push(MessageState { flags: new, ..state });
        }
    }
    Ok((outcome, changes))
}

/// The flags after a STORE.
fn apply(op: FlagOp, old: &Flags, given: &Flags) -> Flags {
    let old_keywords = || old.keywords.iter().map(|k| &**k);
    let given_keywords = || given.keywords.iter().map(|k| &**k);
    match op {
        FlagOp::Set => given.clone(),
        FlagOp::Add if given.keywords.is_empty() => {
            Flags { system: old.system.union(given.system), keywords: old.keywords.clone() }
        }
        FlagOp::Add => Flags::new(
            old.system.union(given.system),
            // The old spelling comes first and stays.
            old_keywords().chain(given_keywords()),
        ),
        FlagOp::Remove if given.keywords.is_empty() => {
            Flags { system: old.system.without(given.system), keywords: old.keywords.clone() }
        }
        FlagOp::Remove => Flags::new(
            old.system.without(given.system),
            old_keywords().filter(|k| !given.has_keyword(k)),
        ),
    }
}

fn submit_flags(
    open: &OpenAccount,
    mailbox: &Arc<MailboxState>,
    mut changes: Vec<MessageState>,
) -> Result<(CommitTicket, Pending, Vec<MessageState>), MailboxError> {
    let account = open.state.id;
    let mut sources = Vec::with_capacity(changes.len());
    for state in &changes {
        let mut source = open.source(mailbox, state.uid)?;
        source.entry.flags = seal_flags(&open.keys, &source.entry.blob, &state.flags);
        sources.push(source);
    }
    let mut batch = Batch::new();
    let key = |kind, uid| message_key(account, kind, mailbox.id, uid);
    let mut core = mailbox.core();
    let modseq = core.take_modseq();
    for (source, state) in sources.iter_mut().zip(&mut changes) {
        (source.entry.modseq, state.modseq) = (modseq.0, modseq);
        batch.put(Column::Mailbox, key(Kind::Entry, source.uid), encode(&source.entry));
        if let Some(summary) = &source.summary {
            batch.delete(Column::Mailbox, key(Kind::Waiting, source.uid));
            batch.put(Column::Mailbox, key(Kind::Summary, source.uid), encode(summary));
        }
    }
    batch.put(Column::Mailbox, mailbox_key(account, Kind::Counters, mailbox.id), core.counters());
    let ticket = open.state.store.submit(batch);
    let effect = Effect { upserts: changes.clone(), removed: Vec::new() };
    let ticket_in_mailbox = core.push(modseq, effect);
    let pending = Pending {
        account: open.state.clone(),
        mailbox: mailbox.clone(),
        ticket: ticket_in_mailbox,
    };
    Ok((ticket, pending, changes))
}

/// What COPY and MOVE answer.
pub(crate) type Transferred = (UidValidity, Pairs);

/// Old and new UIDs.
type Pairs = Vec<(Uid, Uid)>;

/// COPY.
pub(crate) async fn copy(
    open: Arc<OpenAccount>,
    from: Arc<MailboxState>,
    uids: Vec<Uid>,
    to: Arc<MailboxState>,
) -> Result<Transferred, MailboxError> {
    let _modify = hold(&open, &from).await?;
    let uids = existing(&from, uids);
    let validity = to.core().uid_validity;
    transfer(&open, &from, uids, &to, Mode::Copy).await.map(|pairs| (validity, pairs))
}

/// MOVE: one atomic step for each few thousand messages.
pub(crate) async fn move_messages(
    open: Arc<OpenAccount>,
    from: Arc<MailboxState>,
    uids: Option<Vec<Uid>>,
    to: Arc<MailboxState>,
) -> Result<Transferred, MailboxError> {
    let _modify = hold(&open, &from).await?;
    let uids = match uids {
        Some(uids) => existing(&from, uids),
        None => from.core().table().map(crate::table::Table::uids).unwrap_or_default(),
    };
    let validity = to.core().uid_validity;
    let mut pairs = Vec::with_capacity(uids.len());
    for chunk in uids.chunks(CHUNK) {
        pairs.extend(transfer(&open, &from, chunk.to_vec(), &to, Mode::Move).await?);
    }
    Ok((validity, pairs))
}

/// Those of the UIDs that exist, ascending.
fn existing(mailbox: &MailboxState, mut uids: Vec<Uid>) -> Vec<Uid> {
    uids.sort_unstable();
    uids.dedup();
    let core = mailbox.core();
    uids.retain(|uid| core.table().is_some_and(|table| table.state(*uid).is_some()));
    uids
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Copy,
    Move,
}

async fn transfer(
    open: &Arc<OpenAccount>,
    from: &Arc<MailboxState>,
    uids: Vec<Uid>,
    to: &Arc<MailboxState>,
    mode: Mode,
) -> Result<Pairs, MailboxError> {
    if uids.is_empty() {
        return Ok(Vec::new());
    }
    for _ in 0..ATTEMPTS {
        let (open, from, to) = (open.clone(), from.clone(), to.clone());
        let uids = uids.clone();
        let (ticket, pending, pairs) =
            run(uids.len() <= SMALL, move || submit_transfer(&open, &from, &uids, &to, mode))
                .await?;
        match settle(ticket, pending).await {
            Ok(_) => return Ok(pairs),
            Err(MailboxError::Busy) => {}
            Err(error) => return Err(error),
        }
    }
    Err(MailboxError::Busy)
}

type Submitted<T> = Result<(CommitTicket, Vec<Pending>, T), MailboxError>;

fn submit_transfer(
    open: &Arc<OpenAccount>,
    from: &Arc<MailboxState>,
    uids: &[Uid],
    to: &Arc<MailboxState>,
    mode: Mode,
) -> Submitted<Pairs> {
    let (mut additions, mut gone, mut shares) = (Vec::new(), Vec::new(), Shares::default());
    for uid in uids {
        let source = open.whole(from, *uid)?;
        gone.push((source.uid, source.kind));
        if mode == Mode::Copy {
            shares.gain(source.entry.blob);
        }
        additions.push(addition(open, to, source)?);
    }
    let mut batch = Batch::new();
    shares.write(&open.state.store, &mut batch)?;

    let account = open.state.id;
    let mut cores = Cores::lock(from, to, mode);
    if cores.to().closed {
        return Err(MailboxError::NoSuchDestination);
    }
    let (upserts, pairs) = write_additions(cores.to(), &mut batch, &mut additions, uids)?;
    let modseq = upserts.first().map_or(ModSeq(0), |state| state.modseq);
    let mut arrived = Effect { upserts, removed: Vec::new() };
    let mut left = None;
    if mode == Mode::Move {
        let core = cores.from();
        let modseq = if from.id == to.id { modseq } else { core.take_modseq() };
        let runs = write_removal(core, &mut batch, from, &gone, modseq);
        if from.id == to.id {
            arrived.removed = runs;
        } else {
            batch.put(
                Column::Mailbox,
                mailbox_key(account, Kind::Counters, from.id),
                core.counters(),
            );
            left = Some((modseq, Effect { upserts: Vec::new(), removed: runs }));
        }
    }
    let counters = cores.to().counters();
    batch.put(Column::Mailbox, mailbox_key(account, Kind::Counters, to.id), counters);
    let ticket = open.state.store.submit(batch);
    let note = |mailbox: &Arc<MailboxState>, ticket| Pending {
        account: open.state.clone(),
        mailbox: mailbox.clone(),
        ticket,
    };
    let mut pending = vec![note(to, cores.to().push(modseq, arrived))];
    if let Some((modseq, effect)) = left {
        pending.push(note(from, cores.from().push(modseq, effect)));
    }
    Ok((ticket, pending, pairs))
}

/// The locks of a transfer, taken in order of id; one lock when both are the same mailbox or the source
/// is not changed.
struct Cores<'a> {
    to: parking_lot::MutexGuard<'a, Core>,
    from: Option<parking_lot::MutexGuard<'a, Core>>,
}

impl<'a> Cores<'a> {
    fn lock(from: &'a MailboxState, to: &'a MailboxState, mode: Mode) -> Self {
        if from.id == to.id || mode == Mode::Copy {
            return Self { to: to.core(), from: None };
        }
        if from.id < to.id {
            let from = from.core();
            return Self { to: to.core(), from: Some(from) };
        }
        let to = to.core();
        Self { to, from: Some(from.core()) }
    }

    fn to(&mut self) -> &mut Core {
        &mut self.to
    }

    fn from(&mut self) -> &mut Core {
        self.from.as_mut().unwrap_or(&mut self.to)
    }
}

/// A message for its new mailbox: the same sealed bytes, which are bound to the blob, not to the place.
fn addition(
    open: &Arc<OpenAccount>,
    to: &Arc<MailboxState>,
    source: Source,
) -> Result<Addition, MailboxError> {
    let flags = open_flags(&open.keys, &source.entry)?;
    Ok(Addition {
        account: open.state.clone(),
        mailbox: to.clone(),
        entry: Entry::Folded(source.entry),
        summary: source.summary.ok_or(MailboxError::NoSuchMessage)?,
        flags,
    })
}

/// Gives the messages their new UIDs, all under one change number.
fn write_additions(
    core: &mut Core,
    batch: &mut Batch,
    additions: &mut [Addition],
    uids: &[Uid],
) -> Result<(Vec<MessageState>, Pairs), MailboxError> {
    let modseq = core.take_modseq();
    let (mut states, mut pairs) = (Vec::new(), Vec::new());
    for (addition, old) in additions.iter_mut().zip(uids) {
        let uid = core.take_uid()?;
        states.push(addition.write(batch, uid, modseq));
        pairs.push((*old, uid));
    }
    Ok((states, pairs))
}

/// Removes messages' records, remembers their UIDs and forgets what is too old to be remembered.
fn write_removal(
    core: &mut Core,
    batch: &mut Batch,
    mailbox: &MailboxState,
    gone: &[(Uid, Kind)],
    modseq: ModSeq,
) -> Vec<UidRange> {
    let (account, id) = (mailbox.account, mailbox.id);
    for (uid, kind) in gone {
        batch.delete(Column::Mailbox, message_key(account, *kind, id, *uid));
        batch.delete(Column::Mailbox, message_key(account, Kind::Summary, id, *uid));
    }
    let uids: Vec<Uid> = gone.iter().map(|(uid, _)| *uid).collect();
    let runs = runs_of(&uids);
    let record = encode(&ExpungedRecord(runs.clone()));
    batch.put(Column::Mailbox, expunged_key(account, id, modseq.0), record);
    let old = core.table().map(|table| table.overflow(runs.len())).unwrap_or_default();
    for forgotten in old {
        batch.delete(Column::Mailbox, expunged_key(account, id, forgotten));
        core.floor = core.floor.max(forgotten);
    }
    runs
}

/// EXPUNGE and UID EXPUNGE.
pub(crate) async fn expunge(
    open: Arc<OpenAccount>,
    mailbox: Arc<MailboxState>,
    only: Option<Vec<UidRange>>,
) -> Result<Vec<Uid>, MailboxError> {
    let _modify = hold(&open, &mailbox).await?;
    let uids = {
        let only = only.map(|mut runs| {
            runs.sort_unstable();
            join_runs(runs)
        });
        let core = mailbox.core();
        let table = core.table().ok_or(MailboxError::Interrupted)?;
        table.with_flag(SystemFlags::DELETED, only.as_deref())
    };
    for chunk in uids.chunks(CHUNK) {
        expunge_chunk(&open, &mailbox, chunk).await?;
    }
    Ok(uids)
}

async fn expunge_chunk(
    open: &Arc<OpenAccount>,
    mailbox: &Arc<MailboxState>,
    uids: &[Uid],
) -> Result<(), MailboxError> {
    for _ in 0..ATTEMPTS {
        let (open, mailbox, uids) = (open.clone(), mailbox.clone(), uids.to_vec());
        let (ticket, pending, ()) =
            run(uids.len() <= SMALL, move || submit_expunge(&open, &mailbox, &uids)).await?;
        match settle(ticket, pending).await {
            Ok(_) => return Ok(()),
            Err(MailboxError::Busy) => {}
            Err(error) => return Err(error),
        }
    }
    Err(MailboxError::Busy)
}

fn submit_expunge(
    open: &Arc<OpenAccount>,
    mailbox: &Arc<MailboxState>,
    uids: &[Uid],
) -> Submitted<()> {
    let (mut gone, mut shares) = (Vec::new(), Shares::default());
    for uid in uids {
        let (kind, blob): (Kind, BlobId) = match open.message(mailbox.id, *uid)? {
            Found::Waiting(record) => (Kind::Waiting, record.blob),
            Found::Folded(record) => (Kind::Entry, record.blob),
        };
        gone.push((*uid, kind));
        shares.lose(blob);
    }
    let mut batch = Batch::new();
    shares.write(&open.state.store, &mut batch)?;
    let mut core = mailbox.core();
    let modseq = core.take_modseq();
    let removed = write_removal(&mut core, &mut batch, mailbox, &gone, modseq);
    let counters = mailbox_key(open.state.id, Kind::Counters, mailbox.id);
    batch.put(Column::Mailbox, counters, core.counters());
    let ticket = open.state.store.submit(batch);
    let noted = core.push(modseq, Effect { upserts: Vec::new(), removed });
    let pending = Pending { account: open.state.clone(), mailbox: mailbox.clone(), ticket: noted };
    Ok((ticket, vec![pending], ()))
}

#[cfg(test)]
mod tests {
    use wardpost_mail::{AccountId, MailboxId};

    use super::*;
    use crate::records::{CountersRecord, decode};
    use crate::table::{HISTORY, Table};

    #[test]
    fn store_adds_removes_and_sets() {
        let old = Flags::new(SystemFlags::SEEN, ["$Junk", "b"]);
        let given = Flags::new(SystemFlags::FLAGGED, ["$JUNK", "c"]);
        let names =
            |flags: &Flags| flags.keywords.iter().map(|k| k.to_string()).collect::<Vec<_>>();
        let added = apply(FlagOp::Add, &old, &given);
        assert_eq!(added.system, SystemFlags::SEEN | SystemFlags::FLAGGED);
        assert_eq!(names(&added), ["$Junk", "b", "c"]);
        assert_eq!(names(&apply(FlagOp::Remove, &old, &given)), ["b"]);
        assert_eq!(apply(FlagOp::Set, &old, &given), given);
        assert_eq!(
            apply(FlagOp::Remove, &old, &Flags::system(SystemFlags::SEEN)).system,
            SystemFlags::NONE
        );
    }

    #[test]
    fn what_is_forgotten_raises_the_floor_for_good() {
        let id = (AccountId(1), MailboxId(1));
        let mailbox = MailboxState::new(id.0, id.1, Core::fresh(1));
        let mut table = Table::default();
        for n in 0..HISTORY as u64 {
            let uid = Uid(2 * n as u32 + 1);
            table.remember(n + 2, vec![UidRange::one(uid)]);
        }
        mailbox.core().end_loading(Some(table));
        let mut batch = Batch::new();
        let gone = [(Uid(90_001), Kind::Entry), (Uid(90_003), Kind::Entry)];
        let mut core = mailbox.core();
        write_removal(&mut core, &mut batch, &mailbox, &gone, ModSeq(70_000));
        // Two runs came, so the two oldest went, from the record of the counters too.
        assert_eq!(core.floor, 3);
        let kept: CountersRecord = decode(&core.counters(), "counters").unwrap();
        assert_eq!(kept.floor, 3);
    }

    #[test]
    fn keywords_are_limited() {
        let many: Vec<String> = (0..=MAX_KEYWORDS).map(|n| format!("k{n}")).collect();
        let flags = Flags::new(SystemFlags::NONE, many.iter().map(String::as_str));
        assert!(matches!(check_keywords(&flags), Err(MailboxError::Limit(_))));
        let long = "x".repeat(MAX_KEYWORD + 1);
        assert!(check_keywords(&Flags::new(SystemFlags::NONE, [long.as_str()])).is_err());
        assert!(check_keywords(&Flags::new(SystemFlags::NONE, ["$MDNSent"])).is_ok());
    }
}
