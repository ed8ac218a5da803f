//! Authentication-Results (RFC 8601): written, read, and removed where somebody wrote them in our name.
//!
//! A reader's mail program believes the field that bears our host name (the `authserv-id`), so only ours
//! may bear it. What is removed is therefore wider than the grammar: whatever a lenient reader could take
//! for our name counts as our name. Quotes, comments, folding, letter case, versions, a final dot,
//! internationalised spellings and encoded words make no difference, and a field without any name is
//! nobody's and goes, too. Results of other hosts stay (RFC 8601 §5 lets us keep what cannot be mistaken).
//!
//! Reading is for ARC (RFC 8617 §4.1.1), whose first set tells what a forwarder had found.

use crate::decode;
use crate::headers::{harmless, without};
use std::borrow::Cow;
use std::fmt::Write;
use wardpost_mail::Domain;

/// Results of one field that are read; more are not believed.
const MAX_RESULTS: usize = 64;

/// One method's result (RFC 8601 §2.2), to be written.
#[derive(Debug, Clone)]
pub struct AuthResult<'a> {
    /// `spf`, `dkim`, `dmarc`, `auth`.
    pub method: &'a str,
    /// `pass`, `fail`, `none`, …
    pub result: &'a str,
    /// Free text, shown as `reason="…"`.
    pub reason: Option<&'a str>,
    /// Properties as `("smtp.mailfrom", "a@b.test")`.
    pub properties: &'a [(&'a str, &'a str)],
}

/// An Authentication-Results field, folded, with its final CRLF. No results means `none`.
pub fn authentication_results(authserv_id: &str, results: &[AuthResult<'_>]) -> String {
    format!("Authentication-Results: {}\r\n", value(authserv_id, results))
}

/// The same without the field's name and final CRLF.
pub fn value(authserv_id: &str, results: &[AuthResult<'_>]) -> String {
    let mut out = harmless(authserv_id);
    if results.is_empty() {
        out.push_str("; none");
    }
    for result in results {
        let _ = write!(out, ";\r\n\t{}={}", harmless(result.method), harmless(result.result));
        if let Some(reason) = result.reason {
            let _ = write!(out, " reason={}", quoted(reason));
        }
        for (property, value) in result.properties {
            let _ = write!(out, "\r\n\t {}={}", harmless(property), property_value(value));
        }
    }
    out
}

/// `pvalue` (RFC 8601 §2.2): a token or address as it is, anything else quoted.
fn property_value(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "@.-_+!#$%&'*^`{|}~".contains(c);
    if !value.is_empty() && value.len() <= 320 && value.chars().all(plain) {
        return value.to_owned();
    }
    quoted(value)
}

/// Letters beyond ASCII may stand in mail with SMTPUTF8 (RFC 6532 §3.2), and only such mail has them. A
/// semicolon is allowed in quotes, and kept out for the sake of readers that do not know quotes.
fn quoted(text: &str) -> String {
    let fits = |c: char| c == ' ' || c.is_ascii_graphic() || (!c.is_ascii() && c.is_alphanumeric());
    let inner: String = text
        .chars()
        .take(320)
        .map(|c| if fits(c) && !"\"\\;".contains(c) { c } else { '?' })
        .collect();
    format!("\"{inner}\"")
}

/// The mail without Authentication-Results that claim to be ours or nobody's, and without ARC's in our
/// name, which we never write (RFC 8601 §5, RFC 8617 §4.1.1).
pub fn remove_forged_results<'a>(raw: &'a [u8], authserv_id: &str) -> Cow<'a, [u8]> {
    without(raw, |field| {
        if field.is("Authentication-Results") {
            may_be_taken_for(segments(field.value).next(), authserv_id)
        } else if field.is("ARC-Authentication-Results") {
            let mut segments = segments(field.value);
            segments.next();
            segments.next().is_some_and(|id| may_be_taken_for(Some(id), authserv_id))
        } else {
            false
        }
    })
}

/// Whether a reader could hold what stands before the first semicolon to be our name.
fn may_be_taken_for(segment: Option<Vec<Word>>, authserv_id: &str) -> bool {
    let words = segment.unwrap_or_default();
    // No name, or a result in its place.
    let Some(first) = words.first().filter(|word| !word.text.contains('=')) else { return true };
    let all: String = words.iter().map(|word| word.text.as_str()).collect();
    is_named(&first.text, authserv_id) || is_named(&all, authserv_id)
}

fn is_named(text: &str, authserv_id: &str) -> bool {
    let text = decode::text(text.as_bytes()).trim().to_lowercase();
    let ours = authserv_id.to_lowercase();
    // `mail.clinic.test.`, `mail.clinic.test1` (a version without its space), `mail.clinic.test/1`.
    let is_ours = |text: &str| {
        text.strip_prefix(&ours).is_some_and(|rest| {
            rest.starts_with('/') || rest.bytes().all(|b| b.is_ascii_digit() || b == b'.')
        })
    };
    is_ours(&text)
        || !text.is_ascii()
            && Domain::parse(text.trim_end_matches(|c: char| c == '.' || c.is_ascii_digit()))
                .is_ok_and(|domain| is_ours(domain.as_str()))
}

/// What an Authentication-Results field says (RFC 8601 §2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Results {
    /// Who says it.
    pub authserv_id: String,
    /// What, in order.
    pub results: Vec<Reported>,
}

/// One method's result, as another host reported it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Reported {
    /// `spf`, `dkim`, …, in lower case.
    pub method: String,
    /// `pass`, `fail`, …, in lower case.
    pub result: String,
    /// Properties, names in lower case.
    pub properties: Vec<(String, String)>,
}

impl Reported {
    /// The first property of this name.
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// Reads the value of an Authentication-Results field. Of what breaks the grammar as much is read as can
/// be; comments are dropped, so nothing in them counts.
pub fn read(value: &[u8]) -> Results {
    reported(segments(value))
}

/// Reads the value of an ARC-Authentication-Results field: its instance, and the rest (RFC 8617 §4.1.1).
/// `None` without an instance in front.
pub fn read_arc(value: &[u8]) -> Option<(u32, Results)> {
    let mut segments = segments(value);
    let first = segments.next()?;
    let text: String = first.iter().map(|word| word.text.as_str()).collect();
    let instance = text.strip_prefix(['i', 'I'])?.strip_prefix('=')?.parse().ok()?;
    Some((instance, reported(segments)))
}

fn reported(mut segments: Segments<'_>) -> Results {
    let id = segments.next().unwrap_or_default();
    let results = segments.filter_map(|words| one(&words)).take(MAX_RESULTS).collect();
    Results { authserv_id: id.first().map(|word| word.text.clone()).unwrap_or_default(), results }
}

/// `method[/version] = result [reason=…] *(ptype.property = pvalue)`.
fn one(words: &[Word]) -> Option<Reported> {
    let mut pairs = words.iter().filter_map(|word| {
        let (name, value) = word.pair.as_ref()?;
        Some((name.to_lowercase(), value.clone()))
    });
    let (method, result) = pairs.next()?;
    let method = method.split('/').next().unwrap_or_default().to_owned();
    let properties = pairs.filter(|(name, _)| name != "reason").collect();
    Some(Reported { method, result: result.to_lowercase(), properties })
}

/// A run of text without white space: quotes removed, `name = value` drawn together.
#[derive(Debug, Default)]
struct Word {
    text: String,
    /// What stands before and after its first `=` outside quotes.
    pair: Option<(String, String)>,
}

/// What stands between semicolons, as words; comments passed over.
fn segments(value: &[u8]) -> Segments<'_> {
    Segments { rest: Some(value) }
}

struct Segments<'a> {
    rest: Option<&'a [u8]>,
}

impl Iterator for Segments<'_> {
    type Item = Vec<Word>;

    fn next(&mut self) -> Option<Vec<Word>> {
        let mut rest = self.rest.take()?;
        let mut words = Words::default();
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b';' => {
                    self.rest = Some(rest);
                    break;
                }
                b'(' => rest = after_comment(rest),
                b'"' => rest = words.quoted(rest),
                b'=' => words.equals(),
                b' ' | b'\t' => words.spaced = true,
                b'\r' | b'\n' | 0 => {}
                _ => words.push(byte),
            }
        }
        Some(words.finish())
    }
}

/// Words as they come together.
#[derive(Default)]
struct Words {
    done: Vec<Word>,
    bytes: Vec<u8>,
    equals: Option<usize>,
    spaced: bool,
    /// The value after `=` has yet to come.
    open: bool,
}

impl Words {
    fn push(&mut self, byte: u8) {
        // `name = value` is one word, however it is spaced.
        let open = std::mem::take(&mut self.open);
        if std::mem::take(&mut self.spaced) && !self.bytes.is_empty() && !open {
            self.close();
        }
        self.bytes.push(byte);
    }

    fn equals(&mut self) {
        self.spaced = false;
        self.open = true;
        self.equals.get_or_insert(self.bytes.len());
        self.bytes.push(b'=');
    }

    fn quoted<'a>(&mut self, mut rest: &'a [u8]) -> &'a [u8] {
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'"' => break,
                b'\\' => {
                    if let Some((&byte, after)) = rest.split_first() {
                        rest = after;
                        self.push(byte);
                    }
                }
                b'\r' | b'\n' | 0 => {}
                _ => self.push(byte),
            }
        }
        // An empty value is one, too.
        self.open = false;
        rest
    }

    fn close(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let pair = self.equals.take().map(|at| (text(&bytes[..at]), text(&bytes[at + 1..])));
        self.done.push(Word { text: text(&bytes), pair });
    }

    fn finish(mut self) -> Vec<Word> {
        if !self.bytes.is_empty() {
            self.close();
        }
        self.done
    }
}

/// What follows a comment whose `(` was read; comments nest (RFC 5322 §3.2.2).
fn after_comment(mut rest: &[u8]) -> &[u8] {
    let mut depth = 1_usize;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        match byte {
            b'\\' => rest = rest.get(1..).unwrap_or_default(),
            b'(' => depth += 1,
            b')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    rest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers::prepend;
    use proptest::prelude::*;

    const HOST: &str = "mail.clinic.test";
    const MAIL: &[u8] = b"From: a@b.test\r\nSubject: x\r\n\r\nAuthentication-Results: body\r\n";

    #[test]
    fn results_are_written() {
        let ours = authentication_results(
            HOST,
            &[AuthResult {
                method: "spf",
                result: "pass",
                reason: None,
                properties: &[("smtp.mailfrom", "a@b.test"), ("smtp.helo", "x y\r\nz")],
            }],
        );
        assert_eq!(
            ours,
            "Authentication-Results: mail.clinic.test;\r\n\tspf=pass\r\n\t smtp.mailfrom=a@b.test\r\n\t \
             smtp.helo=\"x y??z\"\r\n"
        );
        assert!(authentication_results("h.test", &[]).ends_with("h.test; none\r\n"));
    }

    #[test]
    fn what_bears_our_name_or_none_is_removed() {
        for forged in [
            "Authentication-Results: mail.clinic.test; spf=pass\r\n",
            "authentication-results:\r\n (c;) \"Mail.Clinic.Test\" 1; none\r\n",
            "Authentication-Results: mail.clinic.test\r\n",
            "AUTHENTICATION-RESULTS : mail.clinic.test; dkim=pass\r\n",
            "Authentication-Results:mail.clinic.test;dkim=pass\r\n",
            "Authentication-Results: mail.clinic.test 1 ; dkim=pass\r\n",
            "Authentication-Results: mail.clinic.test/1; dkim=pass\r\n",
            "Authentication-Results: mail.clinic.test.; dkim=pass\r\n",
            "Authentication-Results: MAIL.CLINIC.TEST(our own); dkim=pass\r\n",
            "Authentication-Results: (a (nested;) one \\) ) mail.clinic.test; dkim=pass\r\n",
            "Authentication-Results: \"mail\\.clinic.test\"; dkim=pass\r\n",
            "Authentication-Results: mail(x).clinic(y).test; dkim=pass\r\n",
            "Authentication-Results: mail . clinic . test; dkim=pass\r\n",
            "Authentication-Results:\r\n\t\r\n\tmail.clinic.test;\r\n\tdkim=pass\r\n",
            "Authentication-Results: \"mail.clinic\".test; dkim=pass\r\n",
            "Authentication-Results: =?utf-8?q?mail=2Eclinic=2Etest?=; dkim=pass\r\n",
            "Authentication-Results: ｍａｉｌ.clinic.test; dkim=pass\r\n",
            "Authentication-Results: mail.clinic\u{ad}.test; dkim=pass\r\n",
            "Authentication-Results: mail。clinic。test; dkim=pass\r\n",
            "Authentication-Results: dkim=pass header.d=bank.test\r\n",
            "Authentication-Results: ; dkim=pass\r\n",
            "Authentication-Results: (mail.clinic.test; dkim=pass\r\n",
            "Authentication-Results:\r\n",
            "Authentication-Results: mail.clinic.test x; dkim=pass\r\n",
            "ARC-Authentication-Results: i=1; mail.clinic.test; dmarc=pass\r\n",
            "arc-authentication-results : i = 7 ; (x) \"MAIL.clinic.test\" 1; dmarc=pass\r\n",
        ] {
            let mail = prepend(&[forged], MAIL);
            assert_eq!(&*remove_forged_results(&mail, HOST), MAIL, "{forged}");
        }
        let umlaut = prepend(&["Authentication-Results: mail.müller.test; dkim=pass\r\n"], MAIL);
        assert_eq!(&*remove_forged_results(&umlaut, "mail.xn--mller-kva.test"), MAIL);
    }

    #[test]
    fn what_bears_another_name_stays() {
        for foreign in [
            "Authentication-Results: other.test; spf=pass\r\n",
            "Authentication-Results: mail.clinic.test.evil.example; spf=pass\r\n",
            "Authentication-Results: clinic.test; spf=pass\r\n",
            "Authentication-Results: xmail.clinic.test; spf=pass\r\n",
            "Authentication-Results: other.test (mail.clinic.test); spf=pass\r\n",
            "ARC-Authentication-Results: i=1; list.test; dmarc=pass\r\n",
            "X-Authentication-Results: mail.clinic.test; spf=pass\r\n",
        ] {
            let mail = prepend(&[foreign], MAIL);
            assert!(matches!(remove_forged_results(&mail, HOST), Cow::Borrowed(_)), "{foreign}");
        }
    }

    #[test]
    fn results_are_read_and_comments_are_not() {
        let read = read(
            b" list.test 1; spf=pass (dmarc=pass;) smtp.mailfrom = \"a b\"@lab.test;\r\n\tdmarc/1 = Pass \
            reason=\"x; dkim=pass\" Header.From=lab.test (p=reject); none",
        );
        assert_eq!(read.authserv_id, "list.test");
        let found: Vec<_> =
            read.results.iter().map(|r| (r.method.as_str(), r.result.as_str())).collect();
        assert_eq!(found, [("spf", "pass"), ("dmarc", "pass")]);
        assert_eq!(read.results[0].property("smtp.mailfrom"), Some("a b@lab.test"));
        assert_eq!(read.results[1].properties, [("header.from".to_owned(), "lab.test".to_owned())]);
        let (instance, results) = read_arc(b" i=1; list.test; dkim=pass header.d=a.test").unwrap();
        assert_eq!((instance, results.results.len()), (1, 1));
        for bad in ["list.test; dkim=pass", "i=x; list.test", "", "i; a"] {
            assert_eq!(read_arc(bad.as_bytes()), None, "{bad}");
        }
    }

    fn noise() -> impl Strategy<Value = String> {
        proptest::sample::select(vec![
            "",
            " ",
            "\t",
            "\r\n ",
            "(c)",
            " ((;)\\)) ",
            "\r\n\t(x)\r\n ",
        ])
        .prop_map(str::to_owned)
    }

    proptest! {
        /// However our name is dressed up where the grammar allows it, the field goes.
        #[test]
        fn our_name_is_known_in_any_dress(
            upper in proptest::collection::vec(any::<bool>(), HOST.len()),
            quote: bool, before in noise(), after in noise(), version in "( [0-9]{1,3})?",
            rest in "[^\r\n\0]{0,40}",
        ) {
            let name: String = HOST.chars().zip(&upper)
                .map(|(c, up)| if *up { c.to_ascii_uppercase() } else { c }).collect();
            let name = if quote { format!("\"{name}\"") } else { name };
            let field = format!("Authentication-Results:{before}{name}{after}{version}{after};{rest}\r\n");
            let mail = prepend(&[&field], MAIL);
            prop_assert_eq!(&*remove_forged_results(&mail, HOST), MAIL, "{}", field);
        }

        /// What we write is read back the same, and no value of a peer's becomes a result.
        #[test]
        fn what_is_written_is_read_back(text in ".{0,60}") {
            let properties = [("smtp.helo", text.as_str())];
            let ours = AuthResult {
                method: "spf", result: "none", reason: Some(&text), properties: &properties,
            };
            let value = value(HOST, &[ours]);
            prop_assert!(!value.contains("\r\n\r\n"));
            let read = read(value.as_bytes());
            prop_assert_eq!(read.results.len(), 1);
            prop_assert_eq!(read.results[0].properties.len(), 1);
            prop_assert_eq!(read.authserv_id, HOST);
        }

        #[test]
        fn anything_can_be_read(value in proptest::collection::vec(any::<u8>(), 0..300)) {
            let (_, _) = (read(&value), read_arc(&value));
        }
    }
}
