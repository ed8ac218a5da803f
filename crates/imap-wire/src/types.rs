//! Values that cannot hold what the grammar forbids.

use crate::cursor::{Cursor, Fault};
use crate::utf7;
use std::fmt;
use std::num::NonZeroU32;

/// A command's tag: `1*<any ASTRING-CHAR except "+">` (RFC 9051 §9).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(String);

impl Tag {
    /// The longest tag taken, in octets. Clients use fewer than twenty.
    const MAX: usize = 64;

    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        let text = c.take_while(|b| is_astring_char(b) && b != b'+');
        match std::str::from_utf8(text) {
            Ok(text) if !text.is_empty() && text.len() <= Self::MAX => Ok(Self(text.to_owned())),
            _ => Err(Fault::Expected("a tag")),
        }
    }

    /// The tag of a command that is complete or not, when it has one.
    pub fn at_start_of(bytes: &[u8]) -> Option<Self> {
        let mut c = Cursor::new(bytes, false);
        let tag = Self::read(&mut c).ok()?;
        c.space().is_ok().then_some(tag)
    }

    /// The tag as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `atom-specials = "(" / ")" / "{" / SP / CTL / list-wildcards / quoted-specials / resp-specials`.
pub(crate) fn is_atom_char(b: u8) -> bool {
    matches!(b, 0x21..=0x7e) && !b"(){%*\"\\]".contains(&b)
}

/// `ASTRING-CHAR = ATOM-CHAR / resp-specials`.
pub(crate) fn is_astring_char(b: u8) -> bool {
    is_atom_char(b) || b == b']'
}

/// A keyword: an atom that clients and servers make up (`$Forwarded`, `Junk`). Keywords differ only
/// in case are the same (RFC 9051 §2.3.2).
#[derive(Debug, Clone, Eq)]
pub struct Keyword(String);

impl Keyword {
    /// The longest keyword taken, in octets.
    pub const MAX: usize = 100;

    /// Reads a keyword.
    ///
    /// # Errors
    /// When the text is no atom or longer than [`Keyword::MAX`].
    pub fn parse(text: &str) -> Result<Self, Fault> {
        match text.len() {
            1..=Self::MAX if text.bytes().all(is_atom_char) => Ok(Self(text.to_owned())),
            _ => Err(Fault::Expected("a keyword")),
        }
    }

    /// The keyword as first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// A flag that a client may set (RFC 9051 §2.3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flag {
    /// `\Seen`
    Seen,
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Draft`
    Draft,
    /// A keyword.
    Keyword(Keyword),
}

impl Flag {
    /// ABNF: `flag = "\Answered" / "\Flagged" / "\Deleted" / "\Seen" / "\Draft" / flag-keyword /
    /// flag-extension`. `None` stands for `\Recent` and extensions, which no client can change
    /// (RFC 3501 §2.3.2) and which are therefore let pass and ignored.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Option<Self>, Fault> {
        if c.eat(b'\\') {
            let name = c.take_while(is_atom_char);
            return Ok(match name.to_ascii_lowercase().as_slice() {
                b"" => return Err(Fault::Expected("a flag")),
                b"seen" => Some(Self::Seen),
                b"answered" => Some(Self::Answered),
                b"flagged" => Some(Self::Flagged),
                b"deleted" => Some(Self::Deleted),
                b"draft" => Some(Self::Draft),
                _ => None,
            });
        }
        Ok(Some(Self::Keyword(Keyword::parse(c.atom()?)?)))
    }

    /// The flag as written on the wire.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Seen => "\\Seen",
            Self::Answered => "\\Answered",
            Self::Flagged => "\\Flagged",
            Self::Deleted => "\\Deleted",
            Self::Draft => "\\Draft",
            Self::Keyword(keyword) => keyword.as_str(),
        }
    }
}

/// What a mailbox is for (RFC 6154 §2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    const NAMES: [(Self, &'static str); 7] = [
        (Self::All, "\\All"),
        (Self::Archive, "\\Archive"),
        (Self::Drafts, "\\Drafts"),
        (Self::Flagged, "\\Flagged"),
        (Self::Junk, "\\Junk"),
        (Self::Sent, "\\Sent"),
        (Self::Trash, "\\Trash"),
    ];

    /// ABNF: `use-attr = "\All" / "\Archive" / … / use-attr-ext`; `None` for extensions.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Option<Self>, Fault> {
        c.expect(b'\\')?;
        let name = c.atom()?;
        let found = Self::NAMES.iter().find(|(_, n)| n[1..].eq_ignore_ascii_case(name));
        Ok(found.map(|(special_use, _)| *special_use))
    }

    /// The attribute as written on the wire.
    pub fn as_str(self) -> &'static str {
        Self::NAMES.iter().find(|(u, _)| *u == self).map_or("", |(_, name)| name)
    }
}

/// A mailbox name, decoded. `INBOX` is folded to upper case (RFC 9051 §5.1); all other names keep
/// their case. Whether such a mailbox can exist is for the mailbox store to say.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct MailboxName(String);

impl MailboxName {
    /// The longest name taken, in octets of UTF-8.
    pub const MAX: usize = 1000;

    /// Folds a decoded name.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        match name.split_once('/') {
            None if name.eq_ignore_ascii_case("INBOX") => Self("INBOX".to_owned()),
            Some((top, rest)) if top.eq_ignore_ascii_case("INBOX") => Self(format!("INBOX/{rest}")),
            _ => Self(name),
        }
    }

    /// ABNF: `mailbox = "INBOX" / astring`. In UTF-8 mode (RFC 9051 §5.1) the octets are UTF-8, else
    /// modified UTF-7 (RFC 3501 §5.1.3).
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        let octets = c.astring()?;
        decode_name(&octets, c.utf8()).map(Self::new)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn decode_name(octets: &[u8], utf8: bool) -> Result<String, Fault> {
    const FAULT: Fault = Fault::Expected("a mailbox name");
    let text = std::str::from_utf8(octets).map_err(|_| FAULT)?;
    let name = if utf8 { Some(text.to_owned()) } else { utf7::decode(text) };
    name.filter(|name| name.len() <= MailboxName::MAX && !name.chars().any(char::is_control))
        .ok_or(FAULT)
}

/// A LIST pattern, decoded: `*` matches anything, `%` anything but the hierarchy delimiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListPattern(String);

impl ListPattern {
    /// ABNF: `list-mailbox = 1*list-char / string`,
    /// `list-char = ATOM-CHAR / list-wildcards / resp-specials`.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        let octets = match c.peek() {
            Some(b'"' | b'{') => c.string()?,
            _ => {
                let utf8 = c.utf8();
                let text = c.take_while(|b| {
                    is_astring_char(b) || b == b'*' || b == b'%' || (utf8 && b >= 0x80)
                });
                if text.is_empty() {
                    return Err(Fault::Expected("a mailbox pattern"));
                }
                text.into()
            }
        };
        decode_name(&octets, c.utf8()).map(Self)
    }

    /// The pattern as the client means it, wild cards included.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether a name matches this pattern after a reference, `/` being the delimiter
    /// (RFC 9051 §6.3.9). `INBOX` matches in any case. Time is bounded by name × pattern.
    pub fn matches(&self, reference: &str, name: &str) -> bool {
        let pattern: Vec<char> = reference.chars().chain(self.0.chars()).collect();
        let name: Vec<char> = name.chars().collect();
        // `reach[i]`: the name's first i characters are matched by the pattern so far.
        let mut reach = vec![false; name.len() + 1];
        reach[0] = true;
        for &p in &pattern {
            match p {
                '*' | '%' => {
                    for i in 0..name.len() {
                        reach[i + 1] |= reach[i] && (p == '*' || name[i] != '/');
                    }
                }
                p => {
                    for i in (0..name.len()).rev() {
                        reach[i + 1] = reach[i] && same(p, name[i], &name);
                    }
                    reach[0] = false;
                }
            }
        }
        reach[name.len()]
    }
}

/// Compares exactly, except within the name INBOX.
fn same(pattern: char, c: char, name: &[char]) -> bool {
    let inbox = || name.len() == 5 && name.iter().collect::<String>() == "INBOX";
    pattern == c || (pattern.eq_ignore_ascii_case(&c) && inbox())
}

/// A header field name: `1*ftext` (RFC 5322 §3.6.8). Compares without case.
#[derive(Debug, Clone, Eq)]
pub struct FieldName(String);

impl FieldName {
    /// ABNF: `header-fld-name = astring`, narrowed to what a field name can be.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        let octets = c.astring()?;
        let ftext =
            !octets.is_empty() && octets.iter().all(|b| (0x21..=0x7e).contains(b) && *b != b':');
        match String::from_utf8(octets.into_owned()) {
            Ok(name) if ftext => Ok(Self(name)),
            _ => Err(Fault::Expected("a header field name")),
        }
    }

    /// The name as the client wrote it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for FieldName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

/// A message number or unique identifier in a set, or `*`, the greatest in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeqNumber {
    /// A number.
    Number(NonZeroU32),
    /// `*`
    Last,
}

impl SeqNumber {
    /// ABNF: `seq-number = nz-number / "*"`.
    fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        if c.eat(b'*') { Ok(Self::Last) } else { c.nz_number().map(Self::Number) }
    }

    fn resolve(self, last: u32) -> u32 {
        match self {
            Self::Number(number) => number.get(),
            Self::Last => last,
        }
    }
}

/// One number (`first == last`) or a range of them, in either order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SeqRange {
    /// One end.
    pub first: SeqNumber,
    /// The other end, included.
    pub last: SeqNumber,
}

/// A set of message numbers or unique identifiers (RFC 9051 §9 `sequence-set`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SequenceSet {
    /// Ranges; at least one.
    Ranges(Vec<SeqRange>),
    /// `$`, the result saved by the last SEARCH (RFC 5182, RFC 9051 §6.4.4.1).
    Saved,
}

impl SequenceSet {
    /// ABNF: `sequence-set = (seq-number / seq-range) ["," sequence-set] / seq-last-command`.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Self, Fault> {
        if c.eat(b'$') {
            return Ok(Self::Saved);
        }
        let mut ranges = Vec::new();
        loop {
            let first = SeqNumber::read(c)?;
            let last = if c.eat(b':') { SeqNumber::read(c)? } else { first };
            ranges.push(SeqRange { first, last });
            if !c.eat(b',') {
                return Ok(Self::Ranges(ranges));
            }
        }
    }

    /// The set as inclusive ranges, low end first, ascending, merged where they touch; `greatest` is
    /// what `*` means. Nothing is clipped: `5:*` with three messages gives 3..=5, as RFC 9051 §9 says.
    ///
    /// `$` has no ranges of its own and gives none.
    pub fn resolve(&self, greatest: u32) -> Vec<(u32, u32)> {
        let Self::Ranges(ranges) = self else { return Vec::new() };
        let mut resolved: Vec<(u32, u32)> = ranges
            .iter()
            .map(|range| {
                let (a, b) = (range.first.resolve(greatest), range.last.resolve(greatest));
                (a.min(b), a.max(b))
            })
            .collect();
        resolved.sort_unstable();
        resolved.dedup_by(|next, kept| {
            let touches = next.0 <= kept.1.saturating_add(1);
            if touches {
                kept.1 = kept.1.max(next.1);
            }
            touches
        });
        resolved
    }
}

/// A part of a section: `<offset.length>` (RFC 9051 §9 `partial`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Partial {
    /// The first octet wanted.
    pub offset: u64,
    /// How many octets are wanted at most.
    pub length: NonZeroU32,
}

impl Partial {
    /// ABNF: `partial = "<" number64 "." nz-number64 ">"`.
    pub(crate) fn read(c: &mut Cursor<'_>) -> Result<Option<Self>, Fault> {
        if !c.eat(b'<') {
            return Ok(None);
        }
        let offset = c.number64()?;
        c.expect(b'.')?;
        let length = c.number64()?;
        c.expect(b'>')?;
        let length = u32::try_from(length).unwrap_or(u32::MAX);
        let length = NonZeroU32::new(length).ok_or(Fault::Expected("a length above zero"))?;
        Ok(Some(Self { offset, length }))
    }

    /// The range of a text of so many octets that is meant, clipped to it.
    pub fn of(self, length: usize) -> std::ops::Range<usize> {
        let start = usize::try_from(self.offset).unwrap_or(usize::MAX).min(length);
        let end = start.saturating_add(self.length.get() as usize).min(length);
        start..end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn set(text: &str) -> Result<SequenceSet, Fault> {
        let mut c = Cursor::new(text.as_bytes(), false);
        let set = SequenceSet::read(&mut c)?;
        c.end()?;
        Ok(set)
    }

    fn pattern(text: &str) -> ListPattern {
        ListPattern(text.to_owned())
    }

    #[test]
    fn sets_resolve_stars_and_turned_ranges() {
        assert_eq!(set("*").unwrap().resolve(7), [(7, 7)]);
        assert_eq!(set("5:*").unwrap().resolve(3), [(3, 5)]);
        assert_eq!(set("*:5").unwrap().resolve(9), [(5, 9)]);
        assert_eq!(set("4:2,9,1,3").unwrap().resolve(9), [(1, 4), (9, 9)]);
        assert_eq!(set("1:4294967295,2").unwrap().resolve(1), [(1, u32::MAX)]);
        for bad in ["", "0", "1:", ",1", "1,", "4294967296", "01", "-1", "1 2", "*:0"] {
            assert!(set(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_match_by_hierarchy() {
        for (p, name, matches) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a*c", "a/b/c", true),
            ("inbox", "INBOX", true),
            ("inb%", "INBOX", true),
            ("sent", "Sent", false),
            ("", "a", false),
            ("", "", true),
            ("**%%*", "abc", true),
        ] {
            assert_eq!(pattern(p).matches("", name), matches, "{p} {name}");
        }
        assert!(pattern("b%").matches("a/", "a/bc"));
    }

    #[test]
    fn a_hostile_pattern_costs_no_more_than_its_length() {
        let name = "a".repeat(MailboxName::MAX);
        assert!(!pattern(&"*a".repeat(500)).matches("", &format!("{name}b")));
    }

    #[test]
    fn inbox_folds_and_nothing_else_does() {
        assert_eq!(MailboxName::new("inBox").as_str(), "INBOX");
        assert_eq!(MailboxName::new("inbox/Lab").as_str(), "INBOX/Lab");
        assert_eq!(MailboxName::new("Inboxes").as_str(), "Inboxes");
    }

    #[test]
    fn partials_are_clipped() {
        let partial = Partial { offset: 3, length: NonZeroU32::MAX };
        assert_eq!(partial.of(10), 3..10);
        assert_eq!(partial.of(2), 2..2);
        assert_eq!(Partial { offset: u64::MAX, length: NonZeroU32::MIN }.of(5), 5..5);
    }

    proptest! {
        #[test]
        fn resolved_ranges_are_ordered_and_apart(text in "[0-9*:,]{1,30}", greatest in 1_u32..100) {
            if let Ok(set) = set(&text) {
                let ranges = set.resolve(greatest);
                prop_assert!(!ranges.is_empty());
                prop_assert!(ranges.iter().all(|(a, b)| a <= b));
                prop_assert!(ranges.windows(2).all(|w| u64::from(w[0].1) + 1 < u64::from(w[1].0)));
            }
        }
    }
}
