//! Judging one message.
//!
//! Search keys are made into tests once: sets become ranges of UIDs, flags become bits. A test that
//! cannot be decided from what is known of a message says so, and is asked again with more.

use crate::flags::system_bit;
use crate::view::View;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wardpost_imap_wire::{Date, Flag, SearchKey, SequenceSet};
use wardpost_mailbox::{MessageState, SystemFlags};
use wardpost_message::{SearchField, Summary, headers};

/// A search key, ready to be asked of many messages.
#[derive(Debug)]
pub(super) enum Test {
    Is(bool),
    System(SystemFlags),
    Keyword(String),
    /// UIDs in ascending ranges.
    Uids(Vec<(u32, u32)>),
    /// The day of arrival, in UTC.
    Arrived(Order, Date),
    /// The day in the Date field, in its writer's zone.
    Sent(Order, Date),
    Larger(u64),
    Smaller(u64),
    /// Arrived at this moment or later, Unix seconds.
    Since(i64),
    ModSeq(u64),
    Header(String, String),
    Body(String),
    Text(String),
    Not(Box<Test>),
    All(Vec<Test>),
    Either(Box<Test>, Box<Test>),
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    Before,
    On,
    Since,
}

impl Order {
    fn holds(self, date: Date, than: Date) -> bool {
        match self {
            Self::Before => date < than,
            Self::On => date == than,
            Self::Since => date >= than,
        }
    }
}

/// What is known of a message.
pub(super) struct Candidate<'a> {
    pub(super) state: &'a MessageState,
    pub(super) summary: Option<&'a Summary>,
    pub(super) text: Option<&'a Text>,
}

/// A message opened for searching: all decoded and in lower case.
pub(super) struct Text {
    raw: Arc<[u8]>,
    header: String,
    /// All text parts, and the headers of messages inside.
    body: String,
}

impl Text {
    pub(super) fn of(raw: Arc<[u8]>, summary: &Summary) -> Self {
        let header = headers::decoded_all(raw.get(summary.header_range()).unwrap_or_default());
        Self { header, body: summary.body_text(&raw), raw }
    }
}

/// Fields whose decoded text the summary holds.
const LISTED: [(&str, SearchField); 5] = [
    ("from", SearchField::From),
    ("to", SearchField::To),
    ("cc", SearchField::Cc),
    ("bcc", SearchField::Bcc),
    ("subject", SearchField::Subject),
];

impl Test {
    /// All of the keys, for messages of this mailbox.
    pub(super) fn of(keys: &[SearchKey], view: &View) -> Self {
        Self::All(keys.iter().map(|key| Self::of_key(key, view)).collect())
    }

    fn of_key(key: &SearchKey, view: &View) -> Self {
        match key {
            SearchKey::All => Self::Is(true),
            // No message is recent here (RFC 9051 has done away with it).
            SearchKey::Recent => Self::Is(false),
            SearchKey::Flag(Flag::Keyword(keyword)) => Self::Keyword(keyword.as_str().to_owned()),
            SearchKey::Flag(flag) => Self::System(system_bit(flag)),
            SearchKey::Header(field, text) => Self::Header(field.clone(), text.clone()),
            SearchKey::Body(text) => Self::Body(text.clone()),
            SearchKey::Text(text) => Self::Text(text.clone()),
            SearchKey::Before(date) => Self::Arrived(Order::Before, *date),
            SearchKey::On(date) => Self::Arrived(Order::On, *date),
            SearchKey::Since(date) => Self::Arrived(Order::Since, *date),
            SearchKey::SentBefore(date) => Self::Sent(Order::Before, *date),
            SearchKey::SentOn(date) => Self::Sent(Order::On, *date),
            SearchKey::SentSince(date) => Self::Sent(Order::Since, *date),
            SearchKey::Larger(octets) => Self::Larger(*octets),
            SearchKey::Smaller(octets) => Self::Smaller(*octets),
            // RFC 5032 §3: older is at least so many seconds ago, younger at most.
            SearchKey::Older(seconds) => {
                Self::Not(Box::new(Self::Since(now() - i64::from(*seconds) + 1)))
            }
            SearchKey::Younger(seconds) => Self::Since(now() - i64::from(*seconds)),
            SearchKey::ModSeq(modseq) => Self::ModSeq(*modseq),
            SearchKey::Sequence(set) => Self::Uids(uids_of_numbers(set, view)),
            SearchKey::Uid(set) => Self::Uids(uids_of_places(view, &view.pick_uids(set))),
            SearchKey::Not(key) => Self::Not(Box::new(Self::of_key(key, view))),
            SearchKey::Or(a, b) => {
                Self::Either(Box::new(Self::of_key(a, view)), Box::new(Self::of_key(b, view)))
            }
            SearchKey::And(keys) => Self::of(keys, view),
        }
    }

    /// Whether the message passes; nothing when more must be known to tell.
    pub(super) fn judge(&self, message: &Candidate<'_>) -> Option<bool> {
        let state = message.state;
        Some(match self {
            Self::Is(answer) => *answer,
            Self::System(bit) => state.flags.system.contains(*bit),
            Self::Keyword(keyword) => state.flags.has_keyword(keyword),
            Self::Uids(ranges) => holds(ranges, state.uid.0),
            Self::Arrived(order, date) => order.holds(Date::of_unix(state.internal_date), *date),
            Self::Larger(octets) => u64::from(state.size) > *octets,
            Self::Smaller(octets) => u64::from(state.size) < *octets,
            Self::Since(moment) => state.internal_date >= *moment,
            Self::ModSeq(modseq) => state.modseq.0 >= *modseq,
            Self::Sent(order, date) => {
                // Time and zone are disregarded: the day as its writer wrote it.
                let sent = message.summary?.sent();
                sent.is_some_and(|sent| {
                    let local = sent.unix.saturating_add(i64::from(sent.offset_minutes) * 60);
                    order.holds(Date::of_unix(local), *date)
                })
            }
            Self::Header(field, text) => return judge_header(message, field, text),
            Self::Body(text) => message.text?.body.contains(text.as_str()),
            Self::Text(text) => {
                let opened = message.text?;
                opened.body.contains(text.as_str()) || opened.header.contains(text.as_str())
            }
            Self::Not(test) => !test.judge(message)?,
            Self::All(tests) => return judge_all(tests, message),
            Self::Either(a, b) => match (a.judge(message), b.judge(message)) {
                (Some(true), _) | (_, Some(true)) => true,
                (Some(false), Some(false)) => false,
                _ => return None,
            },
        })
    }
}

/// One that fails settles it, whatever is still open.
fn judge_all(tests: &[Test], message: &Candidate<'_>) -> Option<bool> {
    let mut answer = Some(true);
    for test in tests {
        match test.judge(message) {
            Some(false) => return Some(false),
            Some(true) => {}
            None => answer = None,
        }
    }
    answer
}

/// A header field, from the summary where that holds it.
fn judge_header(message: &Candidate<'_>, field: &str, text: &str) -> Option<bool> {
    let summary = message.summary?;
    let listed = LISTED.iter().find(|(name, _)| *name == field);
    if let Some((_, listed)) = listed.filter(|_| !text.is_empty()) {
        return Some(summary.search_text(*listed).contains(text));
    }
    match summary.header_fields(&[field]) {
        Some(fields) if fields.is_empty() => Some(false),
        Some(_) if text.is_empty() => Some(true),
        Some(fields) => Some(holds_text(&fields, field, text)),
        None => Some(holds_text(&message.text?.raw, field, text)),
    }
}

/// Whether a field is in a header and its values hold a text.
fn holds_text(header: &[u8], field: &str, text: &str) -> bool {
    headers::decoded(header, field).is_some_and(|values| values.contains(text))
}

/// The UIDs of message numbers. Numbers beyond the last mean nothing here.
fn uids_of_numbers(set: &SequenceSet, view: &View) -> Vec<(u32, u32)> {
    if *set == SequenceSet::Saved {
        return uids_of_places(view, &view.pick_uids(set));
    }
    let count = view.uids.len();
    let ranges = set.resolve(count as u32).into_iter();
    let places: Vec<_> = ranges
        .map(|(low, high)| low.max(1) as usize - 1..(high as usize).min(count))
        .filter(|range| range.start < range.end)
        .collect();
    uids_of_places(view, &places)
}

fn uids_of_places(view: &View, places: &[std::ops::Range<usize>]) -> Vec<(u32, u32)> {
    view.runs_at(places).into_iter().map(|run| (run.first.0, run.last.0)).collect()
}

fn holds(ranges: &[(u32, u32)], uid: u32) -> bool {
    let at = ranges.partition_point(|(_, high)| *high < uid);
    ranges.get(at).is_some_and(|(low, _)| *low <= uid)
}

fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |duration| duration.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use wardpost_mail::Uid;
    use wardpost_mailbox::{Flags, ModSeq};

    const MAIL: &[u8] = b"From: Ana <ana@lab.test>\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n\
        Date: Sat, 02 May 2026 01:30:00 +0500\r\nX-Lab: Nine\r\n\r\nThe Result\r\n";

    fn state() -> MessageState {
        MessageState {
            uid: Uid(7),
            modseq: ModSeq(12),
            flags: Flags::new(SystemFlags::SEEN, ["$Junk"]),
            size: 100,
            internal_date: 86_400,
        }
    }

    /// What a test says of the message when only its state, then its summary, then all is known.
    fn judged(test: &Test) -> [Option<bool>; 3] {
        let (state, summary) = (state(), wardpost_message::summarise(MAIL));
        let text = Text::of(MAIL.into(), &summary);
        let (summary, text) = (Some(&summary), Some(&text));
        [(None, None), (summary, None), (summary, text)]
            .map(|(summary, text)| test.judge(&Candidate { state: &state, summary, text }))
    }

    fn day(text: &str) -> Date {
        let line = format!("a SEARCH ON {text}");
        match wardpost_imap_wire::Tagged::parse(line.as_bytes(), false).unwrap().command {
            wardpost_imap_wire::Command::Search { request, .. } => match request.keys[..] {
                [SearchKey::On(date)] => date,
                _ => panic!(),
            },
            _ => panic!(),
        }
    }

    #[test]
    fn states_decide_what_they_can() {
        for (test, answer) in [
            (Test::System(SystemFlags::SEEN), true),
            (Test::Keyword("$junk".into()), true),
            (Test::Uids(vec![(1, 3), (6, 9)]), true),
            (Test::Uids(vec![(1, 6), (8, 9)]), false),
            (Test::Larger(100), false),
            (Test::Smaller(101), true),
            (Test::ModSeq(12), true),
            (Test::ModSeq(13), false),
            (Test::Arrived(Order::On, day("2-Jan-1970")), true),
            (Test::Arrived(Order::Before, day("2-Jan-1970")), false),
            (Test::Since(86_401), false),
        ] {
            assert_eq!(judged(&test), [Some(answer); 3], "{test:?}");
        }
    }

    #[test]
    fn more_is_read_only_where_needed() {
        let header = |field: &str, text: &str| Test::Header(field.into(), text.into());
        for (test, answers) in [
            (header("subject", "grüße"), [None, Some(true), Some(true)]),
            (header("from", "ana@lab"), [None, Some(true), Some(true)]),
            (header("x-missing", ""), [None, Some(false), Some(false)]),
            (header("x-lab", "nine"), [None, None, Some(true)]),
            (Test::Sent(Order::On, day("2-May-2026")), [None, Some(true), Some(true)]),
            (Test::Body("result".into()), [None, None, Some(true)]),
            (Test::Text("ana".into()), [None, None, Some(true)]),
            (Test::Text("absent".into()), [None, None, Some(false)]),
        ] {
            assert_eq!(judged(&test), answers, "{test:?}");
        }
    }

    #[test]
    fn what_is_settled_asks_for_nothing_more() {
        let open = || Test::Body("result".into());
        let all = |tests| Test::All(tests);
        assert_eq!(judged(&all(vec![open(), Test::Is(false)])), [Some(false); 3]);
        assert_eq!(judged(&all(vec![open(), Test::Is(true)])), [None, None, Some(true)]);
        let either = |test| Test::Either(Box::new(open()), Box::new(test));
        assert_eq!(judged(&either(Test::Is(true))), [Some(true); 3]);
        assert_eq!(judged(&either(Test::Is(false))), [None, None, Some(true)]);
        assert_eq!(judged(&Test::Not(Box::new(open()))), [None, None, Some(false)]);
    }
}
