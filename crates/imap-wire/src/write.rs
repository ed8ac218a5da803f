//! Writing responses.
//!
//! Plain functions that append to a buffer. Strings pick their form: quoted where that can hold them,
//! a literal otherwise, so nothing that comes from a message can break out of its place.

use crate::types::Tag;
use crate::utf7;
use wardpost_mail::{Uid, UidValidity};

/// The longest string that is quoted; longer ones become literals (some clients limit lines).
const MAX_QUOTED: usize = 1000;

/// Appends a string: `string = quoted / literal` (RFC 9051 §9). `utf8` allows UTF-8 in quotes, for
/// clients that have enabled it.
pub fn string(out: &mut Vec<u8>, octets: &[u8], utf8: bool) {
    if quotable(octets, utf8) {
        out.push(b'"');
        for &b in octets {
            if b == b'"' || b == b'\\' {
                out.push(b'\\');
            }
            out.push(b);
        }
        out.push(b'"');
    } else {
        literal(out, octets);
    }
}

fn quotable(octets: &[u8], utf8: bool) -> bool {
    octets.len() <= MAX_QUOTED
        && !octets.iter().any(|b| matches!(b, 0 | b'\r' | b'\n'))
        && (octets.is_ascii() || (utf8 && std::str::from_utf8(octets).is_ok()))
}

/// Appends a literal: `literal = "{" number64 "}" CRLF *CHAR8`.
pub fn literal(out: &mut Vec<u8>, octets: &[u8]) {
    literal_start(out, octets.len());
    out.extend_from_slice(octets);
}

/// Appends the announcement of a literal whose octets follow in pieces.
pub fn literal_start(out: &mut Vec<u8>, length: usize) {
    out.push(b'{');
    number(out, length as u64);
    out.extend_from_slice(b"}\r\n");
}

/// Appends a string or NIL: `nstring = string / nil`.
pub fn nstring(out: &mut Vec<u8>, octets: Option<&[u8]>, utf8: bool) {
    match octets {
        Some(octets) => string(out, octets, utf8),
        None => out.extend_from_slice(b"NIL"),
    }
}

/// Appends a decimal number.
pub fn number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0_u8; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a mailbox name: modified UTF-7 (RFC 3501 §5.1.3), or UTF-8 where enabled.
pub fn mailbox(out: &mut Vec<u8>, name: &str, utf8: bool) {
    if utf8 {
        string(out, name.as_bytes(), true);
    } else {
        string(out, utf7::encode(name).as_bytes(), false);
    }
}

/// Appends ascending numbers as a `sequence-set`; at least one is needed to make one.
pub fn sequence_set(out: &mut Vec<u8>, numbers: impl IntoIterator<Item = u32>) {
    let mut numbers = numbers.into_iter();
    let Some(first) = numbers.next() else { return };
    let (mut low, mut high) = (first, first);
    for next in numbers {
        if high.checked_add(1) == Some(next) {
            high = next;
            continue;
        }
        range(out, low, high);
        out.push(b',');
        (low, high) = (next, next);
    }
    range(out, low, high);
}

/// Appends one range: `low:high`, or the one number it is.
pub fn range(out: &mut Vec<u8>, low: u32, high: u32) {
    number(out, low.into());
    if high != low {
        out.push(b':');
        number(out, high.into());
    }
}

/// Appends a parenthesised list of words.
pub fn list<'a>(out: &mut Vec<u8>, words: impl IntoIterator<Item = &'a str>) {
    out.push(b'(');
    for (i, word) in words.into_iter().enumerate() {
        if i > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
    out.push(b')');
}

/// The outcome in a status response (RFC 9051 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Done.
    Ok,
    /// Not done.
    No,
    /// Not understood.
    Bad,
    /// The connection closes.
    Bye,
}

impl Status {
    /// The outcome in lower case, as in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::No => "no",
            Self::Bad => "bad",
            Self::Bye => "bye",
        }
    }
}

/// A response code (RFC 9051 §7.1, RFC 5530, RFC 7162 §3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// `ALREADYEXISTS`
    AlreadyExists,
    /// `APPENDUID` (RFC 4315 §3)
    AppendUid(UidValidity, Uid),
    /// `AUTHENTICATIONFAILED`
    AuthenticationFailed,
    /// `BADCHARSET`
    BadCharset,
    /// `CANNOT`
    Cannot,
    /// `CAPABILITY`
    Capability(String),
    /// `CLIENTBUG`
    ClientBug,
    /// `CLOSED` (RFC 7162 §3.2.11)
    Closed,
    /// `COPYUID` (RFC 4315 §3): pairs of old and new UIDs, at least one, ascending by the old
    CopyUid(UidValidity, Vec<(Uid, Uid)>),
    /// `EXPUNGEISSUED`
    ExpungeIssued,
    /// `HASCHILDREN`
    HasChildren,
    /// `HIGHESTMODSEQ`
    HighestModSeq(u64),
    /// `INUSE`
    InUse,
    /// `LIMIT`
    Limit,
    /// `MODIFIED`: message numbers or UIDs, at least one, ascending (RFC 7162 §3.1.3)
    Modified(Vec<u32>),
    /// `NONEXISTENT`
    NonExistent,
    /// `OVERQUOTA`
    OverQuota,
    /// `PERMANENTFLAGS`, without its parentheses
    PermanentFlags(String),
    /// `READ-ONLY`
    ReadOnly,
    /// `READ-WRITE`
    ReadWrite,
    /// `SERVERBUG`
    ServerBug,
    /// `TOOBIG` (RFC 4469 §5)
    TooBig,
    /// `TRYCREATE`
    TryCreate,
    /// `UIDNEXT`
    UidNext(Uid),
    /// `UIDVALIDITY`
    UidValidity(UidValidity),
    /// `UNAVAILABLE`
    Unavailable,
    /// `UNKNOWN-CTE` (RFC 3516 §4.3)
    UnknownCte,
    /// `UNSEEN`: the first message without `\Seen` (RFC 3501 §7.1)
    Unseen(u32),
    /// `USEATTR` (RFC 6154 §3)
    UseAttr,
}

impl Code {
    fn write(&self, out: &mut Vec<u8>) {
        let mut numbered = |word: &str, n: u64| {
            out.extend_from_slice(word.as_bytes());
            number(out, n);
        };
        match self {
            Self::UidNext(uid) => numbered("UIDNEXT ", uid.0.into()),
            Self::UidValidity(validity) => numbered("UIDVALIDITY ", validity.0.into()),
            Self::Unseen(sequence) => numbered("UNSEEN ", (*sequence).into()),
            Self::HighestModSeq(modseq) => numbered("HIGHESTMODSEQ ", *modseq),
            Self::AppendUid(validity, uid) => {
                numbered("APPENDUID ", validity.0.into());
                out.push(b' ');
                number(out, uid.0.into());
            }
            Self::CopyUid(validity, pairs) => copy_uid(out, *validity, pairs),
            Self::Modified(numbers) => {
                out.extend_from_slice(b"MODIFIED ");
                sequence_set(out, numbers.iter().copied());
            }
            Self::PermanentFlags(flags) => {
                out.extend_from_slice(format!("PERMANENTFLAGS ({flags})").as_bytes());
            }
            Self::Capability(words) => {
                out.extend_from_slice(b"CAPABILITY ");
                out.extend_from_slice(words.as_bytes());
            }
            plain => out.extend_from_slice(plain.word().as_bytes()),
        }
    }

    /// The word of a code that has no arguments.
    fn word(&self) -> &'static str {
        match self {
            Self::AlreadyExists => "ALREADYEXISTS",
            Self::AuthenticationFailed => "AUTHENTICATIONFAILED",
            Self::BadCharset => "BADCHARSET (US-ASCII UTF-8)",
            Self::Cannot => "CANNOT",
            Self::ClientBug => "CLIENTBUG",
            Self::Closed => "CLOSED",
            Self::ExpungeIssued => "EXPUNGEISSUED",
            Self::HasChildren => "HASCHILDREN",
            Self::InUse => "INUSE",
            Self::Limit => "LIMIT",
            Self::NonExistent => "NONEXISTENT",
            Self::OverQuota => "OVERQUOTA",
            Self::ReadOnly => "READ-ONLY",
            Self::ReadWrite => "READ-WRITE",
            Self::ServerBug => "SERVERBUG",
            Self::TooBig => "TOOBIG",
            Self::TryCreate => "TRYCREATE",
            Self::Unavailable => "UNAVAILABLE",
            Self::UnknownCte => "UNKNOWN-CTE",
            Self::UseAttr => "USEATTR",
            Self::AppendUid(..)
            | Self::CopyUid(..)
            | Self::Capability(_)
            | Self::HighestModSeq(_)
            | Self::Modified(_)
            | Self::PermanentFlags(_)
            | Self::UidNext(_)
            | Self::UidValidity(_)
            | Self::Unseen(_) => "",
        }
    }
}

/// The n-th UID of the second set is the copy of the n-th of the first (RFC 4315 §3), so neither may
/// be reordered; runs are shortened where both ascend together.
fn copy_uid(out: &mut Vec<u8>, validity: UidValidity, pairs: &[(Uid, Uid)]) {
    out.extend_from_slice(b"COPYUID ");
    number(out, validity.0.into());
    out.push(b' ');
    sequence_set(out, pairs.iter().map(|(old, _)| old.0));
    out.push(b' ');
    sequence_set(out, pairs.iter().map(|(_, new)| new.0));
}

/// Appends a status response: `tag SP resp-cond-state CRLF`, or untagged without a tag.
pub fn status(
    out: &mut Vec<u8>,
    tag: Option<&Tag>,
    status: Status,
    code: Option<&Code>,
    text: &str,
) {
    out.extend_from_slice(tag.map_or("*", Tag::as_str).as_bytes());
    out.extend_from_slice(match status {
        Status::Ok => b" OK ",
        Status::No => b" NO ",
        Status::Bad => b" BAD ",
        Status::Bye => b" BYE ",
    });
    if let Some(code) = code {
        out.push(b'[');
        code.write(out);
        out.extend_from_slice(b"] ");
    }
    // `text = 1*TEXT-CHAR`: a line end inside would start a response of its own.
    out.extend(text.bytes().map(|b| if matches!(b, b'\r' | b'\n' | 0) { b' ' } else { b }));
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::Cursor;
    use crate::types::{MailboxName, SequenceSet};
    use proptest::prelude::*;

    fn shown(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn codes_look_as_the_rfcs_show_them() {
        for (code, text) in [
            (Code::AppendUid(UidValidity(38_505), Uid(3955)), "APPENDUID 38505 3955"),
            (
                Code::CopyUid(
                    UidValidity(38_505),
                    vec![(Uid(304), Uid(3956)), (Uid(319), Uid(3957)), (Uid(320), Uid(3958))],
                ),
                "COPYUID 38505 304,319:320 3956:3958",
            ),
            (Code::Modified(vec![7, 9, 10]), "MODIFIED 7,9:10"),
            (Code::PermanentFlags("\\Seen \\*".into()), "PERMANENTFLAGS (\\Seen \\*)"),
            (Code::BadCharset, "BADCHARSET (US-ASCII UTF-8)"),
            (Code::HighestModSeq(u64::MAX), "HIGHESTMODSEQ 18446744073709551615"),
        ] {
            assert_eq!(shown(|out| code.write(out)), text);
        }
    }

    #[test]
    fn a_status_is_one_line() {
        let line = shown(|out| {
            status(out, None, Status::No, Some(&Code::TryCreate), "a\r\n* BYE forged");
        });
        assert_eq!(line, "* NO [TRYCREATE] a  * BYE forged\r\n");
    }

    #[test]
    fn names_take_the_form_the_client_reads() {
        assert_eq!(shown(|out| mailbox(out, "Entwürfe", false)), "\"Entw&APw-rfe\"");
        assert_eq!(shown(|out| mailbox(out, "Entwürfe", true)), "\"Entwürfe\"");
    }

    proptest! {
        #[test]
        fn strings_come_back(octets in proptest::collection::vec(1_u8.., 0..50), utf8: bool) {
            let mut out = Vec::new();
            string(&mut out, &octets, utf8);
            let mut c = Cursor::new(&out, utf8);
            prop_assert_eq!(c.string().unwrap().into_owned(), octets);
            prop_assert!(c.end().is_ok());
        }

        #[test]
        fn mailbox_names_come_back(name in "[^\\p{C}/]{1,30}", utf8: bool) {
            let name = MailboxName::new(name);
            let mut out = Vec::new();
            mailbox(&mut out, name.as_str(), utf8);
            prop_assert_eq!(MailboxName::read(&mut Cursor::new(&out, utf8)).unwrap(), name);
        }

        #[test]
        fn sets_come_back(numbers in proptest::collection::btree_set(1_u32..200, 1..50)) {
            let mut out = Vec::new();
            sequence_set(&mut out, numbers.iter().copied());
            let set = SequenceSet::read(&mut Cursor::new(&out, false)).unwrap();
            let back: Vec<u32> = set.resolve(0).into_iter().flat_map(|(a, b)| a..=b).collect();
            prop_assert_eq!(back, numbers.into_iter().collect::<Vec<_>>());
        }

        #[test]
        fn numbers_are_decimal(n: u64) {
            prop_assert_eq!(shown(|out| number(out, n)), n.to_string());
        }
    }
}
