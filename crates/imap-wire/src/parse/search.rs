//! SEARCH (RFC 9051 §6.4.4, RFC 3501 §6.4.4, RFC 4731, RFC 5032, RFC 5182, RFC 7162).

use super::Parsed;
use crate::command::{SearchKey, SearchRequest, SearchReturn};
use crate::cursor::{Cursor, Fault};
use crate::date::Date;
use crate::types::{FieldName, Flag, Keyword, SequenceSet};

/// How deep NOT, OR and parentheses may nest.
const MAX_DEPTH: usize = 30;
/// Keys of one search, those inside others included.
const MAX_KEYS: usize = 500;

/// ABNF: `search = "SEARCH" [search-return-opts] SP search-program`,
/// `search-return-opts = SP "RETURN" SP "(" [search-return-opt *(SP search-return-opt)] ")"`,
/// `search-program = ["CHARSET" SP charset SP] search-key *(SP search-key)`.
pub(super) fn search(c: &mut Cursor<'_>) -> Parsed<SearchRequest> {
    let mut returns = None;
    if c.eat_word("RETURN ") {
        returns = Some(c.list_or_empty(return_option)?);
        c.space()?;
    }
    if c.eat_word("CHARSET ") {
        charset(&c.astring()?)?;
        c.space()?;
    }
    let mut left = MAX_KEYS;
    let mut keys = vec![key(c, 0, &mut left)?];
    while c.eat(b' ') {
        keys.push(key(c, 0, &mut left)?);
    }
    Ok(SearchRequest { returns, keys })
}

/// US-ASCII is a part of UTF-8, and those two are all there is (RFC 9051 §6.4.4).
fn charset(name: &[u8]) -> Parsed<()> {
    let known = [&b"UTF-8"[..], b"US-ASCII"].iter().any(|n| n.eq_ignore_ascii_case(name));
    if known { Ok(()) } else { Err(Fault::BadCharset) }
}

/// ABNF: `search-return-opt = "MIN" / "MAX" / "ALL" / "COUNT" / "SAVE"`.
fn return_option(c: &mut Cursor<'_>) -> Parsed<SearchReturn> {
    Ok(match c.word()?.as_str() {
        "MIN" => SearchReturn::Min,
        "MAX" => SearchReturn::Max,
        "ALL" => SearchReturn::All,
        "COUNT" => SearchReturn::Count,
        "SAVE" => SearchReturn::Save,
        _ => return Err(Fault::Expected("a search result option")),
    })
}

fn key(c: &mut Cursor<'_>, depth: usize, left: &mut usize) -> Parsed<SearchKey> {
    if depth > MAX_DEPTH {
        return Err(Fault::TooDeep);
    }
    *left = left.checked_sub(1).ok_or(Fault::TooMany)?;
    match c.peek() {
        Some(b'(') => return c.list(|c| key(c, depth + 1, left)).map(SearchKey::And),
        Some(b'0'..=b'9' | b'*' | b'$') => return SequenceSet::read(c).map(SearchKey::Sequence),
        _ => {}
    }
    let name = c.word()?;
    if let Some(key) = plain_key(&name) {
        return Ok(key);
    }
    c.space()?;
    match name.as_str() {
        "NOT" => Ok(key(c, depth + 1, left)?.negate()),
        "OR" => {
            let first = key(c, depth + 1, left)?;
            c.space()?;
            Ok(SearchKey::Or(Box::new(first), Box::new(key(c, depth + 1, left)?)))
        }
        name => key_with_argument(c, name),
    }
}

/// `search-key = "ALL" / "ANSWERED" / …`: keys without arguments.
fn plain_key(name: &str) -> Option<SearchKey> {
    use SearchKey as Key;
    Some(match name {
        "ALL" => Key::All,
        "ANSWERED" => Key::Flag(Flag::Answered),
        "DELETED" => Key::Flag(Flag::Deleted),
        "DRAFT" => Key::Flag(Flag::Draft),
        "FLAGGED" => Key::Flag(Flag::Flagged),
        "SEEN" => Key::Flag(Flag::Seen),
        "UNANSWERED" => Key::Flag(Flag::Answered).negate(),
        "UNDELETED" => Key::Flag(Flag::Deleted).negate(),
        "UNDRAFT" => Key::Flag(Flag::Draft).negate(),
        "UNFLAGGED" => Key::Flag(Flag::Flagged).negate(),
        "UNSEEN" => Key::Flag(Flag::Seen).negate(),
        "RECENT" => Key::Recent,
        "OLD" => Key::Recent.negate(),
        "NEW" => Key::And(vec![Key::Recent, Key::Flag(Flag::Seen).negate()]),
        _ => return None,
    })
}

/// `search-key = … / "BEFORE" SP date / "BODY" SP astring / …`
fn key_with_argument(c: &mut Cursor<'_>, name: &str) -> Parsed<SearchKey> {
    use SearchKey as Key;
    Ok(match name {
        "BCC" | "CC" | "FROM" | "SUBJECT" | "TO" => {
            Key::Header(name.to_ascii_lowercase(), text(c)?)
        }
        "HEADER" => {
            let field = FieldName::read(c)?.as_str().to_ascii_lowercase();
            c.space()?;
            Key::Header(field, text(c)?)
        }
        "BODY" => Key::Body(text(c)?),
        "TEXT" => Key::Text(text(c)?),
        "KEYWORD" => Key::keyword(Keyword::parse(c.atom()?)?),
        "UNKEYWORD" => Key::keyword(Keyword::parse(c.atom()?)?).negate(),
        "BEFORE" => Key::Before(Date::read(c)?),
        "ON" => Key::On(Date::read(c)?),
        "SINCE" => Key::Since(Date::read(c)?),
        "SENTBEFORE" => Key::SentBefore(Date::read(c)?),
        "SENTON" => Key::SentOn(Date::read(c)?),
        "SENTSINCE" => Key::SentSince(Date::read(c)?),
        "LARGER" => Key::Larger(c.number64()?),
        "SMALLER" => Key::Smaller(c.number64()?),
        "OLDER" => Key::Older(c.nz_number()?.get()),
        "YOUNGER" => Key::Younger(c.nz_number()?.get()),
        "MODSEQ" => mod_seq(c)?,
        "UID" => Key::Uid(SequenceSet::read(c)?),
        _ => return Err(Fault::Expected("a search key")),
    })
}

/// Text sought. Case is folded once here; what is searched is folded where it is searched.
fn text(c: &mut Cursor<'_>) -> Parsed<String> {
    Ok(Cursor::text(c.astring()?)?.to_lowercase())
}

/// ABNF (RFC 7162 §7): `search-modsequence = "MODSEQ" [search-modseq-ext] SP mod-sequence-valzer`,
/// `search-modseq-ext = SP entry-name SP entry-type-req`. There is one number a message here, so
/// the metadata item named counts for nothing (§3.1.5).
fn mod_seq(c: &mut Cursor<'_>) -> Parsed<SearchKey> {
    if c.peek() == Some(b'"') {
        c.string()?;
        c.space()?;
        if !matches!(c.word()?.as_str(), "PRIV" | "SHARED" | "ALL") {
            return Err(Fault::Expected("priv, shared or all"));
        }
        c.space()?;
    }
    c.number64().map(SearchKey::ModSeq)
}
