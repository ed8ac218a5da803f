//! MTA-STS (RFC 8461): the TXT record, the policy, and which hosts it covers.
//!
//! ```text
//! version: STSv1          once, like mode and max_age; later ones are ignored (§3.2)
//! mode: enforce           enforce | testing | none
//! mx: mail.example.com    once or more, save in mode none; *.example.com stands for one label
//! max_age: 604800         seconds, a year at most
//! ```
//! Fetching and keeping policies is not done here. Only `enforce` demands anything; `testing` is
//! reported and never enforced (§5).

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;
use thiserror::Error;
use wardpost_mail::Domain;

/// Longest policy that is read (RFC 8461 §3.3 suggests this).
pub const MAX_POLICY: usize = 64 * 1024;
/// Most hosts that a policy may name.
const MAX_HOSTS: usize = 500;
/// Longest time that a policy may be kept, in seconds (RFC 8461 §3.2).
const MAX_AGE: u64 = 31_557_600;

/// What a policy asks for (RFC 8461 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StsMode {
    /// No delivery to hosts that fail.
    Enforce,
    /// Failures are reported; delivery goes on as if there were no policy.
    Testing,
    /// As if there were no policy.
    None,
}

/// One `mx` of a policy: a host, or all hosts one label below a domain (RFC 8461 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct MxPattern {
    wildcard: bool,
    domain: Domain,
}

impl StsMode {
    /// The word for it in a policy (RFC 8461 §3.2).
    pub fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Testing => "testing",
            Self::None => "none",
        }
    }
}

impl MxPattern {
    /// Whether the host is meant. A wildcard stands for the whole leftmost label and no more.
    pub fn covers(&self, host: &Domain) -> bool {
        if !self.wildcard {
            return *host == self.domain;
        }
        host.as_str().split_once('.').is_some_and(|(_, rest)| rest == self.domain.as_str())
    }
}

impl FromStr for MxPattern {
    type Err = StsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (wildcard, name) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let domain = Domain::parse(name).map_err(|_| StsError::Host)?;
        Ok(Self { wildcard, domain })
    }
}

impl TryFrom<String> for MxPattern {
    type Error = StsError;

    fn try_from(text: String) -> Result<Self, StsError> {
        text.parse()
    }
}

impl From<MxPattern> for String {
    fn from(pattern: MxPattern) -> Self {
        pattern.to_string()
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.wildcard { "*." } else { "" };
        write!(f, "{star}{}", self.domain)
    }
}

/// Why a text is no policy, or a record no MTA-STS record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StsError {
    /// Longer than anybody's policy.
    #[error("the policy is too long")]
    TooLong,
    /// A line that is not `key: value`, or is not text.
    #[error("a line of the policy is not of the form \"key: value\"")]
    Line,
    /// No `version: STSv1`.
    #[error("the policy is not of version STSv1")]
    Version,
    /// No mode, or one that is not known.
    #[error("the policy's mode is none of enforce, testing and none")]
    Mode,
    /// No lifetime, or one that is no number.
    #[error("the policy's max_age is missing or no number")]
    MaxAge,
    /// No host in a policy that demands something.
    #[error("the policy names no mail server")]
    NoHosts,
    /// An `mx` that is no host name or pattern.
    #[error("an mx of the policy is no host name")]
    Host,
    /// The TXT record is no `v=STSv1; id=…`.
    #[error("the MTA-STS record is not of the form \"v=STSv1; id=…\"")]
    Record,
}

/// A policy as its domain published it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StsPolicy {
    mode: StsMode,
    max_age: Duration,
    mx: Vec<MxPattern>,
}

impl StsPolicy {
    /// Reads a policy file (RFC 8461 §3.2). Strict, since a policy half understood is worse than
    /// none; only a `max_age` beyond a year is taken as a year, so that a slip of the pen in the
    /// careful direction does not cost the domain its protection.
    ///
    /// # Errors
    /// [`StsError`]; reported as `sts-policy-invalid`.
    pub fn parse(text: &[u8]) -> Result<Self, StsError> {
        if text.len() > MAX_POLICY {
            return Err(StsError::TooLong);
        }
        let text = std::str::from_utf8(text).map_err(|_| StsError::Line)?;
        let (mut version, mut mode, mut max_age) = (None, None, None);
        let mut mx: Vec<MxPattern> = Vec::new();
        let text = text.strip_suffix('\n').unwrap_or(text);
        for line in text.split('\n') {
            let (key, value) = field(line.strip_suffix('\r').unwrap_or(line))?;
            match key {
                "version" => _ = version.get_or_insert(value),
                "mode" => _ = mode.get_or_insert(value),
                "max_age" => _ = max_age.get_or_insert(value),
                "mx" if mx.len() >= MAX_HOSTS => return Err(StsError::TooLong),
                "mx" => mx.push(value.parse()?),
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err(StsError::Version);
        }
        let mode = match mode {
            Some("enforce") => StsMode::Enforce,
            Some("testing") => StsMode::Testing,
            Some("none") => StsMode::None,
            _ => return Err(StsError::Mode),
        };
        if mx.is_empty() && mode != StsMode::None {
            return Err(StsError::NoHosts);
        }
        Ok(Self { mode, max_age: lifetime(max_age.unwrap_or_default())?, mx })
    }

    /// What it asks for.
    pub fn mode(&self) -> StsMode {
        self.mode
    }

    /// How long it holds from the time it was fetched.
    pub fn max_age(&self) -> Duration {
        self.max_age
    }

    /// The hosts it names.
    pub fn mx(&self) -> &[MxPattern] {
        &self.mx
    }

    /// Whether it names the host (RFC 8461 §4.1).
    pub fn covers(&self, host: &Domain) -> bool {
        self.mx.iter().any(|pattern| pattern.covers(host))
    }

    /// Its lines, as a report about TLS quotes them (`policy-string`, RFC 8460 §4.2): the known keys
    /// in this order, each spelt as this program understood it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec!["version: STSv1".to_owned(), format!("mode: {}", self.mode.name())];
        lines.extend(self.mx.iter().map(|pattern| format!("mx: {pattern}")));
        lines.push(format!("max_age: {}", self.max_age.as_secs()));
        lines
    }

    /// Whether it still holds when it was fetched this long ago.
    pub fn holds(&self, age: Duration) -> bool {
        age < self.max_age
    }
}

/// Splits `key: value`. Keys are compared exactly (`%s"version"` in the ABNF).
fn field(line: &str) -> Result<(&str, &str), StsError> {
    let (key, value) = line.split_once(':').ok_or(StsError::Line)?;
    let white = |c: char| c == ' ' || c == '\t';
    let value = value.trim_matches(white);
    let key_ok = (1..=32).contains(&key.len())
        && key.starts_with(|c: char| c.is_ascii_alphanumeric())
        && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
    if key_ok && !value.is_empty() && !value.contains(char::is_control) {
        Ok((key, value))
    } else {
        Err(StsError::Line)
    }
}

fn lifetime(digits: &str) -> Result<Duration, StsError> {
    if digits.len() > 10 || digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(StsError::MaxAge);
    }
    let seconds: u64 = digits.parse().map_err(|_| StsError::MaxAge)?;
    Ok(Duration::from_secs(seconds.min(MAX_AGE)))
}

/// The `id` out of the TXT records at `_mta-sts.` and the domain (RFC 8461 §3.1): it changes when
/// the policy does. `Ok(None)` when the domain does not take part.
///
/// # Errors
/// When there is more than one record, or the one there is cannot be read: then the domain is
/// treated as if it took no part, but a policy that is kept still holds.
pub fn sts_record_id(records: &[Vec<u8>]) -> Result<Option<String>, StsError> {
    let mut ours = records.iter().filter(|record| record.starts_with(b"v=STSv1;"));
    let Some(record) = ours.next() else {
        return Ok(None);
    };
    if ours.next().is_some() {
        return Err(StsError::Record);
    }
    let text = std::str::from_utf8(record).map_err(|_| StsError::Record)?;
    let id = text
        .split(';')
        .skip(1)
        .find_map(|field| field.trim_matches([' ', '\t']).strip_prefix("id="))
        .ok_or(StsError::Record)?;
    let id_ok = (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
    if id_ok { Ok(Some(id.to_owned())) } else { Err(StsError::Record) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    const GOOD: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\n\
                        mx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n";

    #[test]
    fn the_example_of_the_rfc_is_read() {
        let policy = StsPolicy::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(policy.mode(), StsMode::Enforce);
        assert_eq!(policy.max_age(), Duration::from_secs(604_800));
        assert_eq!(policy.mx().len(), 3);
        let unix = GOOD.replace('\r', "");
        assert_eq!(StsPolicy::parse(unix.as_bytes()), Ok(policy.clone()));
        assert_eq!(StsPolicy::parse(unix.trim_end().as_bytes()), Ok(policy));
    }

    #[test]
    fn lines_say_the_same_again() {
        let policy = StsPolicy::parse(GOOD.replace(": ", ":\t ").as_bytes()).unwrap();
        assert_eq!(policy.lines(), GOOD.lines().collect::<Vec<_>>());
        assert_eq!(StsPolicy::parse(policy.lines().join("\n").as_bytes()), Ok(policy));
    }

    #[test]
    fn a_wildcard_is_one_label() {
        let pattern: MxPattern = "*.example.net".parse().unwrap();
        let covers = |host: &str| pattern.covers(&Domain::parse(host).unwrap());
        assert!(covers("mx1.example.net") && covers("MX.Example.NET"));
        assert!(!covers("example.net") && !covers("a.b.example.net") && !covers("mxexample.net"));
    }

    #[test]
    fn what_is_no_policy_is_refused() {
        for (from, to, error) in [
            ("STSv1", "STSv2", StsError::Version),
            ("version: STSv1\r\n", "", StsError::Version),
            ("enforce", "Enforce", StsError::Mode),
            ("mode: enforce\r\n", "", StsError::Mode),
            ("max_age: 604800\r\n", "", StsError::MaxAge),
            ("604800", "-1", StsError::MaxAge),
            ("604800", "12345678901", StsError::MaxAge),
            ("mail.example.com", "mail..example.com", StsError::Host),
            ("mail.example.com", "m*.example.com", StsError::Host),
            ("mail.example.com", "*.*.example.com", StsError::Host),
            ("mode: enforce", "mode enforce", StsError::Line),
            ("mode: enforce", "mode: enforce\r\n\r\n", StsError::Line),
            ("mode: enforce", "mode: enforce\r\nx\u{0}: 1", StsError::Line),
        ] {
            let text = GOOD.replace(from, to);
            assert_eq!(StsPolicy::parse(text.as_bytes()), Err(error), "{text}");
        }
        assert_eq!(StsPolicy::parse(&vec![b'a'; MAX_POLICY + 1]), Err(StsError::TooLong));
        let none = "version: STSv1\nmode: testing\nmax_age: 1";
        assert_eq!(StsPolicy::parse(none.as_bytes()), Err(StsError::NoHosts));
    }

    #[test]
    fn first_ones_count_and_unknown_ones_do_not() {
        let text = format!("{GOOD}mode: none\r\nmax_age: 1\r\nx-more: a b:c\r\n");
        let policy = StsPolicy::parse(text.as_bytes()).unwrap();
        assert_eq!((policy.mode(), policy.max_age().as_secs()), (StsMode::Enforce, 604_800));
        let none = StsPolicy::parse(b"version: STSv1\nmode: none\nmax_age: 9999999999").unwrap();
        assert_eq!(none.max_age().as_secs(), MAX_AGE);
    }

    #[test]
    fn records_have_one_id() {
        let id = |records: &[&str]| {
            sts_record_id(&records.iter().map(|text| text.as_bytes().to_vec()).collect::<Vec<_>>())
        };
        assert_eq!(id(&["v=STSv1; id=20160831085700Z;"]), Ok(Some("20160831085700Z".into())));
        assert_eq!(id(&["v=spf1 -all", "v=STSv1;id=a"]), Ok(Some("a".into())));
        assert_eq!(id(&[]), Ok(None));
        assert_eq!(id(&["v=STSv1x; id=a"]), Ok(None));
        for bad in [&["v=STSv1; id=a", "v=STSv1; id=b"][..], &["v=STSv1;"], &["v=STSv1; id=a-b"]] {
            assert_eq!(id(bad), Err(StsError::Record), "{bad:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn bytes_of_strangers_do_no_harm(bytes in proptest::collection::vec(0u8.., 0..200), lines in "(version|mode|mx|max_age|x):? ?(STSv1|enforce|none|[*a.]{0,9}|[0-9]{0,12})\r?\n{0,2}") {
            let _ = (StsPolicy::parse(&bytes), sts_record_id(&[bytes]));
            let _ = StsPolicy::parse(lines.repeat(3).as_bytes());
        }

        #[test]
        fn a_wildcard_never_covers_more_than_one_label(labels in proptest::collection::vec("[a-z]{1,4}", 1..5)) {
            let host = Domain::parse(&format!("{}.example.net", labels.join("."))).unwrap();
            let pattern: MxPattern = "*.example.net".parse().unwrap();
            proptest::prop_assert_eq!(pattern.covers(&host), labels.len() == 1);
        }
    }
}
