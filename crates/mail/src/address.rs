//! Mail addresses and domains (RFC 5321 §4.1.2, RFC 6531 §3.3).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use thiserror::Error;

/// Longest local part taken, in octets (RFC 5321 §4.5.3.1.1).
const MAX_LOCAL: usize = 64;
/// Longest domain taken, in octets (RFC 5321 §4.5.3.1.2, RFC 1035 §2.3.4).
const MAX_DOMAIN: usize = 253;

/// A mail domain in lower-case ASCII (A-label) form.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Domain(String);

/// Why a text is not a mail domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DomainError {
    /// Nothing, or an empty label.
    #[error("the domain is empty or has an empty part between dots")]
    Empty,
    /// Longer than DNS allows.
    #[error("the domain is longer than DNS allows (253 characters, 63 between dots)")]
    TooLong,
    /// A character, or an IDN, that DNS names do not take.
    #[error("the domain has a character that host names do not take")]
    Character,
}

impl Domain {
    /// Reads a domain; international names become A-labels, case is folded.
    ///
    /// # Errors
    /// When the text is not a host name (RFC 5321 §4.1.2 `Domain`). Address literals are not domains.
    pub fn parse(text: &str) -> Result<Self, DomainError> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii_strict(text).map_err(|_| DomainError::Character)?
        };
        if ascii.len() > MAX_DOMAIN || ascii.split('.').any(|label| label.len() > 63) {
            return Err(DomainError::TooLong);
        }
        if ascii.split('.').any(str::is_empty) {
            return Err(DomainError::Empty);
        }
        let label_ok = |label: &str| {
            label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if !ascii.split('.').all(label_ok) {
            return Err(DomainError::Character);
        }
        Ok(Self(ascii))
    }

    /// The lower-case ASCII form, without a final dot.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this domain is `other` or lies below it.
    pub fn is_within(&self, other: &Domain) -> bool {
        self == other
            || self.0.strip_suffix(other.as_str()).is_some_and(|prefix| prefix.ends_with('.'))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Domain {
    type Err = DomainError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::parse(s)
    }
}

impl TryFrom<String> for Domain {
    type Error = DomainError;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::parse(&s)
    }
}

impl From<Domain> for String {
    fn from(domain: Domain) -> Self {
        domain.0
    }
}

/// A mailbox address, `local-part@domain` (RFC 5321 §4.1.2).
///
/// The local part keeps its case and is held unquoted; [`fmt::Display`] quotes it where it must be.
/// Equality is exact; [`Address::folded`] is what local look-ups compare.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    local: String,
    domain: Domain,
}

/// Why a text is not a mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No `@`.
    #[error("the address has no @")]
    NoAt,
    /// The part before `@` is empty.
    #[error("there is nothing before the @")]
    EmptyLocal,
    /// The part before `@` is longer than 64 octets.
    #[error("the part before the @ is longer than 64 characters")]
    LocalTooLong,
    /// The part before `@` has a character, a dot or a quote where none may stand.
    #[error("the part before the @ has a character that addresses do not take")]
    Local,
    /// The part after `@` is not a domain.
    #[error(transparent)]
    Domain(#[from] DomainError),
}

impl Address {
    /// Reads `local-part@domain` without angle brackets. Quoted local parts and UTF-8 (RFC 6531) are
    /// taken; source routes and address literals are not.
    ///
    /// # Errors
    /// When the text is not such an address.
    pub fn parse(text: &str) -> Result<Self, AddressError> {
        let (local, domain) = text.rsplit_once('@').ok_or(AddressError::NoAt)?;
        let local = parse_local(local)?;
        Ok(Self { local, domain: Domain::parse(domain)? })
    }

    /// The local part, unquoted.
    pub fn local(&self) -> &str {
        &self.local
    }

    /// The domain.
    pub fn domain(&self) -> &Domain {
        &self.domain
    }

    /// The form that look-ups in our own directory use: the local part in lower case, so that
    /// `Dr.Lee@…` and `dr.lee@…` are one person.
    pub fn folded(&self) -> Address {
        Address { local: self.local.to_lowercase(), domain: self.domain.clone() }
    }

    /// The address without a sub-address (`dana+lab@…` → `dana@…`, RFC 5233 §1), or itself.
    pub fn without_detail(&self) -> Address {
        match self.local.split_once('+') {
            Some((user, _)) if !user.is_empty() => {
                Address { local: user.to_owned(), domain: self.domain.clone() }
            }
            _ => self.clone(),
        }
    }

    /// Whether the local part needs SMTPUTF8 (RFC 6531).
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }
}

/// ABNF (RFC 5321 §4.1.2, RFC 6531 §3.3):
/// `Local-part = Dot-string / Quoted-string`, `Dot-string = Atom *("." Atom)`.
fn parse_local(text: &str) -> Result<String, AddressError> {
    let local = match text.strip_prefix('"') {
        Some(rest) => unquote(rest)?,
        None => {
            if text.is_empty() {
                return Err(AddressError::EmptyLocal);
            }
            if !is_dot_string(text) {
                return Err(AddressError::Local);
            }
            text.to_owned()
        }
    };
    match local.len() {
        0 => Err(AddressError::EmptyLocal),
        1..=MAX_LOCAL => Ok(local),
        _ => Err(AddressError::LocalTooLong),
    }
}

/// Reads what follows an opening quote: `*QcontentSMTP DQUOTE`.
fn unquote(text: &str) -> Result<String, AddressError> {
    let mut local = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' if chars.as_str().is_empty() => return Ok(local),
            '\\' => match chars.next() {
                Some(escaped @ ' '..='~') => local.push(escaped),
                _ => return Err(AddressError::Local),
            },
            '"' | '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => return Err(AddressError::Local),
            c => local.push(c),
        }
    }
    Err(AddressError::Local)
}

fn is_dot_string(text: &str) -> bool {
    text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// `atext` (RFC 5322 §3.2.3) with UTF-8 beyond ASCII (RFC 6531 §3.3), control characters excepted.
fn is_atext(c: char) -> bool {
    match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' => true,
        c if c.is_ascii() => "!#$%&'*+-/=?^_`{|}~".contains(c),
        c => !c.is_control() && !c.is_whitespace(),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.local) {
            return write!(f, "{}@{}", self.local, self.domain);
        }
        f.write_str("\"")?;
        for c in self.local.chars() {
            if c == '"' || c == '\\' {
                f.write_str("\\")?;
            }
            write!(f, "{c}")?;
        }
        write!(f, "\"@{}", self.domain)
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        Self::parse(s)
    }
}

impl TryFrom<String> for Address {
    type Error = AddressError;

    fn try_from(s: String) -> Result<Self, Self::Error> {
        Self::parse(&s)
    }
}

impl From<Address> for String {
    fn from(address: Address) -> Self {
        address.to_string()
    }
}

/// A reverse-path (RFC 5321 §4.1.2): an address, or `<>` for reports that must not be answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ReversePath {
    /// `<>`: never answer this with a report of its own (RFC 5321 §4.5.5).
    Null,
    /// An ordinary sender.
    Address(Address),
}

impl ReversePath {
    /// The address, unless null.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Self::Null => None,
            Self::Address(address) => Some(address),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => Ok(()),
            Self::Address(address) => address.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_ordinary_and_odd_addresses() {
        for (text, shown) in [
            ("dana@Clinic.TEST", "dana@clinic.test"),
            ("\"a b\"@clinic.test", "\"a b\"@clinic.test"),
            ("\"plain\"@clinic.test", "plain@clinic.test"),
            ("\"a\\\"b\"@clinic.test", "\"a\\\"b\"@clinic.test"),
            ("\"a@b\"@clinic.test", "\"a@b\"@clinic.test"),
            ("jürgen@bücher.test", "jürgen@xn--bcher-kva.test"),
        ] {
            assert_eq!(Address::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn refuses_what_could_smuggle() {
        for text in [
            "",
            "@",
            "a@",
            "@b",
            "a b@c.test",
            "a..b@c.test",
            ".a@c.test",
            "a@b..c",
            "a@-b.test",
            "a\r\n@c.test",
            "a@[127.0.0.1]",
            "<a@b.test>",
            "\"a\"b@c.test",
            "\"a@c.test",
            "a@b c",
            "\"a\0\"@c.test",
        ] {
            assert!(Address::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn sub_addresses_fold_to_their_person() {
        let address = Address::parse("Dana+Lab@clinic.test").unwrap();
        assert_eq!(address.without_detail().folded().to_string(), "dana@clinic.test");
        let plus = Address::parse("+x@clinic.test").unwrap();
        assert_eq!(plus.without_detail(), plus);
    }

    #[test]
    fn within_is_by_label() {
        let parent = Domain::parse("clinic.test").unwrap();
        assert!(Domain::parse("mail.clinic.test").unwrap().is_within(&parent));
        assert!(!Domain::parse("badclinic.test").unwrap().is_within(&parent));
    }

    proptest! {
        #[test]
        fn whatever_parses_shows_itself_in_a_form_that_parses_to_the_same(text in ".{0,40}@[a-z.]{1,12}") {
            if let Ok(address) = Address::parse(&text) {
                prop_assert_eq!(Address::parse(&address.to_string()).unwrap(), address.clone());
                prop_assert!(!address.to_string().contains(['\r', '\n', '\0']));
            }
        }
    }
}
