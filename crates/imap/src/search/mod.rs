//! SEARCH (RFC 9051 §6.4.4, RFC 4731, RFC 5032, RFC 5182, RFC 7162 §3.1.5).
//!
//! Each message is judged by as little as will do: first by its state, which is in memory; if that
//! leaves it open, by its summary; and only then by its text, opened and read off the async threads.

mod test;

use crate::outcome::{Failure, Outcome, done};
use crate::selected::Selected;
use crate::session::Session;
use crate::uids::Uids;
use std::sync::Arc;
use test::{Candidate, Test, Text};
use wardpost_imap_wire::{SearchKey, SearchRequest, SearchReturn, Tag, write};
use wardpost_mail::Uid;
use wardpost_mailbox::{MailboxError, MessageState, ModSeq, UidRange};
use wardpost_message::Summary;

/// A message that was found.
struct Hit {
    uid: Uid,
    modseq: ModSeq,
}

/// Finds messages and tells which.
pub(crate) async fn search(
    selected: &mut Selected,
    session: &mut Session<'_>,
    uid: bool,
    request: &SearchRequest,
    tag: &Tag,
) -> Outcome {
    let test = Test::of(&request.keys, &selected.view);
    let saves = request.returns.iter().flatten().any(|r| *r == SearchReturn::Save);
    if saves {
        // What a failed search saves is nothing (RFC 5182 §2.1). Keys that mean the old result
        // have been read by now.
        selected.view.saved = Uids::default();
    }
    let by_modseq =
        request.keys.iter().any(|key| key.any(&|key| matches!(key, SearchKey::ModSeq(_))));
    selected.user.features.condstore |= by_modseq;
    let hits = find(selected, Arc::new(test)).await?;
    if saves {
        selected.view.saved = to_save(request.returns.as_deref().unwrap_or_default(), &hits);
    }
    let answer = Answer { selected, uid, hits: &hits, by_modseq };
    match &request.returns {
        // IMAP4rev2 has no other form (RFC 9051 §6.4.4).
        None if selected.user.features.rev2 => {
            answer.extended(session.connection.out(), tag, &[]);
        }
        None => answer.plain(session.connection.out()),
        Some(returns) => answer.extended(session.connection.out(), tag, returns),
    }
    done("SEARCH completed")
}

async fn find(selected: &Selected, test: Arc<Test>) -> Result<Vec<Hit>, Failure> {
    let (mail, view) = (&selected.user.mail, &selected.view);
    let everything = view.everything();
    let (mut hits, mut open) = (Vec::new(), Vec::new());
    for state in mail.states(view.id, &everything).await? {
        if view.number(state.uid).is_none() {
            continue;
        }
        match test.judge(&Candidate { state: &state, summary: None, text: None }) {
            Some(true) => hits.push(Hit { uid: state.uid, modseq: state.modseq }),
            Some(false) => {}
            None => open.push(state),
        }
    }
    if !open.is_empty() {
        look_into(selected, &test, open, &mut hits).await?;
        hits.sort_unstable_by_key(|hit| hit.uid);
    }
    Ok(hits)
}

/// Judges messages by their summaries and, where that is not enough, by their texts.
async fn look_into(
    selected: &Selected,
    test: &Arc<Test>,
    open: Vec<MessageState>,
    hits: &mut Vec<Hit>,
) -> Result<(), Failure> {
    let runs: Vec<UidRange> = open.iter().map(|state| UidRange::one(state.uid)).collect();
    let mut open = open.into_iter().peekable();
    let mut summaries = selected.user.mail.summaries(selected.view.id, runs);
    while let Some(chunk) = summaries.next().await {
        for (uid, summary) in chunk? {
            while open.next_if(|state| state.uid < uid).is_some() {}
            let Some(state) = open.next_if(|state| state.uid == uid) else { continue };
            let hit = Hit { uid, modseq: state.modseq };
            let candidate = Candidate { state: &state, summary: Some(&summary), text: None };
            let found = match test.judge(&candidate) {
                Some(found) => found,
                None => read(selected, test, state, summary).await?,
            };
            if found {
                hits.push(hit);
            }
        }
    }
    Ok(())
}

/// Judges one message by its text.
async fn read(
    selected: &Selected,
    test: &Arc<Test>,
    state: MessageState,
    summary: Summary,
) -> Result<bool, Failure> {
    let raw = match selected.user.mail.body(selected.view.id, state.uid).await {
        Ok(raw) => raw,
        Err(MailboxError::NoSuchMessage) => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    let test = Arc::clone(test);
    let judged = tokio::task::spawn_blocking(move || {
        let text = Text::of(raw, &summary);
        let candidate = Candidate { state: &state, summary: Some(&summary), text: Some(&text) };
        test.judge(&candidate).unwrap_or(false)
    });
    // A reader that panicked has found nothing; the panic itself was reported where it happened.
    Ok(judged.await.unwrap_or(false))
}

/// What SAVE keeps: everything, or only what MIN and MAX tell when nothing else is asked
/// (RFC 5182 §2.4).
fn to_save(returns: &[SearchReturn], hits: &[Hit]) -> Uids {
    use SearchReturn::{All, Count, Max, Min};
    let has = |wanted| returns.contains(&wanted);
    if has(All) || has(Count) || !(has(Min) || has(Max)) {
        return hits.iter().map(|hit| hit.uid.0).collect();
    }
    let mut saved = Vec::new();
    saved.extend(hits.first().filter(|_| has(Min)).map(|hit| hit.uid.0));
    saved.extend(hits.last().filter(|_| has(Max)).map(|hit| hit.uid.0));
    saved.dedup();
    saved.into_iter().collect()
}

struct Answer<'a> {
    selected: &'a Selected,
    uid: bool,
    hits: &'a [Hit],
    by_modseq: bool,
}

impl Answer<'_> {
    /// The UID, or the number.
    fn named(&self, hit: &Hit) -> Option<u32> {
        if self.uid { Some(hit.uid.0) } else { self.selected.view.number(hit.uid) }
    }

    /// `* SEARCH` (RFC 3501 §7.2.5, RFC 7162 §3.1.6).
    fn plain(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"* SEARCH");
        for number in self.hits.iter().filter_map(|hit| self.named(hit)) {
            out.push(b' ');
            write::number(out, number.into());
        }
        if let Some(highest) = self.highest(self.hits.iter()) {
            out.extend_from_slice(b" (MODSEQ ");
            write::number(out, highest);
            out.push(b')');
        }
        out.extend_from_slice(b"\r\n");
    }

    /// `* ESEARCH` (RFC 4731 §3, RFC 9051 §7.3.4). A search that only saves tells nothing.
    fn extended(&self, out: &mut Vec<u8>, tag: &Tag, returns: &[SearchReturn]) {
        use SearchReturn::{All, Count, Max, Min, Save};
        if returns == [Save] {
            return;
        }
        let all = returns.is_empty() || returns.contains(&All);
        out.extend_from_slice(b"* ESEARCH (TAG ");
        write::string(out, tag.as_str().as_bytes(), false);
        out.extend_from_slice(if self.uid { b") UID".as_slice() } else { b")".as_slice() });
        let mut one = |word: &str, hit: Option<&Hit>| {
            if let Some(number) = hit.and_then(|hit| self.named(hit)) {
                out.extend_from_slice(word.as_bytes());
                write::number(out, number.into());
            }
        };
        let ends = [
            self.hits.first().filter(|_| returns.contains(&Min)),
            self.hits.last().filter(|_| returns.contains(&Max)),
        ];
        one(" MIN ", ends[0]);
        one(" MAX ", ends[1]);
        if all && !self.hits.is_empty() {
            out.extend_from_slice(b" ALL ");
            write::sequence_set(out, self.hits.iter().filter_map(|hit| self.named(hit)));
        }
        if returns.contains(&Count) {
            out.extend_from_slice(b" COUNT ");
            write::number(out, self.hits.len() as u64);
        }
        // The change number is that of what is told (RFC 4731 §3.2).
        let highest = if all || returns.contains(&Count) {
            self.highest(self.hits.iter())
        } else {
            self.highest(ends.into_iter().flatten())
        };
        if let Some(highest) = highest {
            out.extend_from_slice(b" MODSEQ ");
            write::number(out, highest);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The highest change number among hits, when the search was by change number.
    fn highest<'h>(&self, hits: impl Iterator<Item = &'h Hit>) -> Option<u64> {
        if self.by_modseq { hits.map(|hit| hit.modseq.0).max() } else { None }
    }
}
