//! A reader over one complete command, with the terminals of the grammar (RFC 9051 §9).

use crate::types::{Tag, is_astring_char, is_atom_char};
use std::borrow::Cow;
use std::num::NonZeroU32;
use thiserror::Error;

/// Why a command could not be read. The text never quotes the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Fault {
    /// The grammar wanted something else here.
    #[error("expected {0}")]
    Expected(&'static str),
    /// No command of this name.
    #[error("unknown command")]
    UnknownCommand,
    /// A SEARCH in a character set other than US-ASCII and UTF-8 (RFC 9051 §6.4.4).
    #[error("character sets are US-ASCII and UTF-8")]
    BadCharset,
    /// Nested deeper than any client has reason to.
    #[error("nested too deeply")]
    TooDeep,
    /// More of something than any client has reason to ask for at once.
    #[error("too many items in one command")]
    TooMany,
}

/// A command that could not be read, with its tag if that much could.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{fault}")]
pub struct Malformed {
    /// The tag to answer with; an untagged BAD is all there is without one.
    pub tag: Option<Tag>,
    /// What is wrong.
    pub fault: Fault,
}

/// Items of one parenthesised list. Some are looked for in every message.
const MAX_ITEMS: usize = 200;

/// The rest of a command that has not been read.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    rest: &'a [u8],
    utf8: bool,
}

impl<'a> Cursor<'a> {
    /// Reads from the start; `utf8` says whether the client has enabled UTF-8 (RFC 9051 §5.1,
    /// RFC 9755), in which case quoted strings hold it and mailbox names are written in it.
    pub(crate) fn new(bytes: &'a [u8], utf8: bool) -> Self {
        Self { rest: bytes, utf8 }
    }

    pub(crate) fn utf8(&self) -> bool {
        self.utf8
    }

    pub(crate) fn peek(&self) -> Option<u8> {
        self.rest.first().copied()
    }

    /// Takes exactly `n` octets.
    pub(crate) fn take(&mut self, n: usize) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Fault::Expected("more"))?;
        self.rest = rest;
        Ok(head)
    }

    pub(crate) fn take_while(&mut self, wanted: impl Fn(u8) -> bool) -> &'a [u8] {
        let n = self.rest.iter().position(|&b| !wanted(b)).unwrap_or(self.rest.len());
        let (head, rest) = self.rest.split_at(n);
        self.rest = rest;
        head
    }

    /// Takes this octet if it is next.
    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let next = self.peek() == Some(byte);
        if next {
            self.rest = &self.rest[1..];
        }
        next
    }

    /// Takes this word, in any case, if it is next. The caller looks at what follows.
    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        let next =
            self.rest.get(..word.len()).is_some_and(|b| b.eq_ignore_ascii_case(word.as_bytes()));
        if next {
            self.rest = &self.rest[word.len()..];
        }
        next
    }

    pub(crate) fn expect(&mut self, byte: u8) -> Result<(), Fault> {
        if self.eat(byte) {
            return Ok(());
        }
        Err(Fault::Expected(match byte {
            b' ' => "a space",
            b'(' => "an opening parenthesis",
            b')' => "a closing parenthesis",
            b'[' | b']' => "a bracket",
            b'"' => "a quote",
            _ => "other punctuation",
        }))
    }

    /// `SP`
    pub(crate) fn space(&mut self) -> Result<(), Fault> {
        self.expect(b' ')
    }

    /// The end of the command.
    pub(crate) fn end(&self) -> Result<(), Fault> {
        if self.rest.is_empty() { Ok(()) } else { Err(Fault::Expected("the end of the line")) }
    }

    /// `atom = 1*ATOM-CHAR`
    pub(crate) fn atom(&mut self) -> Result<&'a str, Fault> {
        let text = self.take_while(is_atom_char);
        match std::str::from_utf8(text) {
            Ok(text) if !text.is_empty() => Ok(text),
            _ => Err(Fault::Expected("an atom")),
        }
    }

    /// A word of letters, digits, dots and hyphens, in upper case: names of commands, items and keys.
    /// Nothing longer than any of those is taken.
    pub(crate) fn word(&mut self) -> Result<String, Fault> {
        let text = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'.' || b == b'-');
        match std::str::from_utf8(text) {
            Ok(text) if (1..=32).contains(&text.len()) => Ok(text.to_ascii_uppercase()),
            _ => Err(Fault::Expected("a word")),
        }
    }

    /// `astring = 1*ASTRING-CHAR / string`
    pub(crate) fn astring(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        if matches!(self.peek(), Some(b'"' | b'{')) {
            return self.string();
        }
        let text = self.take_while(is_astring_char);
        if text.is_empty() { Err(Fault::Expected("a string")) } else { Ok(text.into()) }
    }

    /// `string = quoted / literal`
    pub(crate) fn string(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Cow::Borrowed),
            _ => Err(Fault::Expected("a string")),
        }
    }

    /// `nstring = string / nil`
    pub(crate) fn nstring(&mut self) -> Result<Option<Cow<'a, [u8]>>, Fault> {
        if self.eat_word("NIL") { Ok(None) } else { self.string().map(Some) }
    }

    /// `quoted = DQUOTE *QUOTED-CHAR DQUOTE`. Octets above ASCII are taken in any mode, as long as
    /// they are UTF-8: many clients send them and nothing else they could mean is lost.
    fn quoted(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        const FAULT: Fault = Fault::Expected("a quoted string");
        self.expect(b'"')?;
        let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
        let mut text = Cow::Borrowed(plain);
        while !self.eat(b'"') {
            if !self.eat(b'\\') || !matches!(self.peek(), Some(b'"' | b'\\')) {
                return Err(FAULT);
            }
            let owned = text.to_mut();
            owned.extend_from_slice(self.take(1)?);
            owned.extend_from_slice(
                self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0)),
            );
        }
        std::str::from_utf8(&text).map_err(|_| FAULT)?;
        Ok(text)
    }

    /// `literal = "{" number64 ["+"] "}" CRLF *CHAR8` (RFC 9051 §9, RFC 7888). `CHAR8` excludes NUL.
    fn literal(&mut self) -> Result<&'a [u8], Fault> {
        self.expect(b'{')?;
        let length = self.number64()?;
        self.eat(b'+');
        self.expect(b'}')?;
        if self.take(2)? != b"\r\n" {
            return Err(Fault::Expected("a line end"));
        }
        let octets = self.take(usize::try_from(length).unwrap_or(usize::MAX))?;
        if octets.contains(&0) { Err(Fault::Expected("a literal without NUL")) } else { Ok(octets) }
    }

    /// Between `least` and `most` digits, of which at most nine.
    pub(crate) fn digits(&mut self, least: usize, most: usize) -> Result<u32, Fault> {
        let run = self.rest.iter().take(most.min(9)).take_while(|b| b.is_ascii_digit()).count();
        if run < least {
            return Err(Fault::Expected("digits"));
        }
        let text = self.take(run)?;
        Ok(text.iter().fold(0, |n, d| n * 10 + u32::from(d - b'0')))
    }

    /// `number64 = 1*DIGIT`, below 2^63.
    pub(crate) fn number64(&mut self) -> Result<u64, Fault> {
        const FAULT: Fault = Fault::Expected("a number");
        let text = self.take_while(|b| b.is_ascii_digit());
        if text.is_empty() {
            return Err(FAULT);
        }
        text.iter()
            .try_fold(0_u64, |n, d| n.checked_mul(10)?.checked_add(u64::from(d - b'0')))
            .filter(|n| i64::try_from(*n).is_ok())
            .ok_or(FAULT)
    }

    /// `number = 1*DIGIT`, below 2^32.
    pub(crate) fn number(&mut self) -> Result<u32, Fault> {
        u32::try_from(self.number64()?).map_err(|_| Fault::Expected("a number below 2^32"))
    }

    /// `nz-number = digit-nz *DIGIT`, below 2^32.
    pub(crate) fn nz_number(&mut self) -> Result<NonZeroU32, Fault> {
        const FAULT: Fault = Fault::Expected("a number above zero");
        if self.peek() == Some(b'0') {
            return Err(FAULT);
        }
        NonZeroU32::new(self.number()?).ok_or(FAULT)
    }

    /// `mod-sequence-value = 1*DIGIT`, above zero and below 2^63 (RFC 7162 §7).
    pub(crate) fn nz_number64(&mut self) -> Result<u64, Fault> {
        self.number64()
            .and_then(|n| if n == 0 { Err(Fault::Expected("a number above zero")) } else { Ok(n) })
    }

    /// `"(" item *(SP item) ")"`, at most [`MAX_ITEMS`] of them.
    pub(crate) fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        self.expect(b'(')?;
        let mut items = vec![item(self)?];
        while !self.eat(b')') {
            self.space()?;
            if items.len() == MAX_ITEMS {
                return Err(Fault::TooMany);
            }
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// `"(" [item *(SP item)] ")"`
    pub(crate) fn list_or_empty<T>(
        &mut self,
        item: impl FnMut(&mut Self) -> Result<T, Fault>,
    ) -> Result<Vec<T>, Fault> {
        if self.eat_word("()") { Ok(Vec::new()) } else { self.list(item) }
    }

    /// A string that must be UTF-8, such as a SEARCH text or an ID value.
    pub(crate) fn text(octets: Cow<'_, [u8]>) -> Result<String, Fault> {
        String::from_utf8(octets.into_owned()).map_err(|_| Fault::Expected("UTF-8"))
    }
}
