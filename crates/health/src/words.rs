//! Putting things into words.

use crate::{Check, Finding, State};
use jiff::Timestamp;
use wardpost_mail::Domain;

/// Longest piece of somebody else's text that is repeated, in characters.
const LONGEST: usize = 160;

pub(crate) fn finding(
    check: Check,
    state: State,
    says: impl Into<String>,
    to_do: impl Into<String>,
) -> Finding {
    Finding {
        check: check.id().to_owned(),
        about: String::new(),
        title: check.title().to_owned(),
        state,
        says: says.into(),
        to_do: to_do.into(),
    }
}

pub(crate) fn good(check: Check, says: impl Into<String>) -> Finding {
    finding(check, State::Good, says, "")
}

pub(crate) fn unknown(check: Check, says: impl Into<String>, to_do: impl Into<String>) -> Finding {
    finding(check, State::Unknown, says, to_do)
}

pub(crate) fn warning(check: Check, says: impl Into<String>, to_do: impl Into<String>) -> Finding {
    finding(check, State::Warning, says, to_do)
}

pub(crate) fn bad(check: Check, says: impl Into<String>, to_do: impl Into<String>) -> Finding {
    finding(check, State::Bad, says, to_do)
}

/// Somebody else's text as it may be shown: one line, not too long, printable, and no mail address.
pub(crate) fn shown(text: &str) -> String {
    tamed(text, LONGEST)
}

/// The same for what parts of ours put into words.
pub(crate) fn told(text: &str) -> String {
    tamed(text, 4 * LONGEST)
}

fn tamed(text: &str, longest: usize) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let text: String = text.chars().take(4 * longest).map(printable).collect();
    let word = |word: &str| if word.contains('@') { "…".to_owned() } else { word.to_owned() };
    let text = text.split_whitespace().map(word).collect::<Vec<_>>().join(" ");
    match text.char_indices().nth(longest) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// `a`, `a and b`, `a, b and c`.
pub(crate) fn joined<T: ToString>(items: &[T]) -> String {
    let items: Vec<String> = items.iter().map(ToString::to_string).collect();
    match items.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `3 days`, `1 day`.
pub(crate) fn count(n: u64, one: &str, many: &str) -> String {
    format!("{n} {}", if n == 1 { one } else { many })
}

/// A length of time in its largest unit, rounded down: `90 seconds`, `2 hours`.
pub fn time(seconds: u64) -> String {
    match seconds {
        0..=119 => count(seconds, "second", "seconds"),
        120..=7199 => count(seconds / 60, "minute", "minutes"),
        7200..=172_799 => count(seconds / 3600, "hour", "hours"),
        _ => count(seconds / 86_400, "day", "days"),
    }
}

/// Words on lines of at most `width` characters, save for words that are longer.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    hanging("", "", text, width)
}

/// The same, with what stands before the first line and before the others.
pub(crate) fn hanging(first: &str, rest: &str, text: &str, width: usize) -> Vec<String> {
    let (mut lines, mut line, mut empty) = (Vec::new(), first.to_owned(), true);
    for word in text.split_whitespace() {
        let so_far = line.chars().count() + usize::from(!empty) + word.chars().count();
        if !empty && so_far > width {
            lines.push(std::mem::replace(&mut line, rest.to_owned()));
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push(line);
    lines
}

/// What to do about wrong signatures in a domain's zone.
pub(crate) fn mend_dnssec(domain: &Domain) -> String {
    format!(
        "Call the company where the domain {domain} was bought, and say: \"DNSSEC of our domain is \
         broken, the DS record does not fit the zone; please mend it or switch DNSSEC off\"."
    )
}

/// A day, UTC.
pub(crate) fn day(unix: i64) -> String {
    match Timestamp::from_second(unix) {
        Ok(when) => when.strftime("%-d %B %Y").to_string(),
        Err(_) => "a day beyond the calendar".to_owned(),
    }
}

/// A time of day with its day, UTC.
pub(crate) fn moment(unix: i64) -> String {
    match Timestamp::from_second(unix) {
        Ok(when) => when.strftime("%-d %B %Y, %H:%M UTC").to_string(),
        Err(_) => "a time beyond the calendar".to_owned(),
    }
}

/// A size for people.
pub(crate) fn size(octets: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)];
    match UNITS.iter().find(|(_, unit)| octets >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}", octets as f64 / *unit as f64),
        None => count(octets, "byte", "bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_texts_are_tamed() {
        assert_eq!(shown("v=spf1\r\n include:x.test\u{7} -all"), "v=spf1 include:x.test -all");
        assert_eq!(shown("rua=mailto:joe@home.test; p=none"), "… p=none");
        assert_eq!(shown(&"é".repeat(1000)).chars().count(), LONGEST + 1);
    }

    #[test]
    fn words_are_wrapped_where_they_must() {
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap(" ab  cd ef ", 5), ["ab cd", "ef"]);
        assert_eq!(wrap("a éééééé bc", 4), ["a", "éééééé", "bc"]);
        assert_eq!(hanging("- ", "    ", "ab cd ef", 7), ["- ab cd", "    ef"]);
    }

    #[test]
    fn lists_times_and_sizes() {
        assert_eq!(joined::<&str>(&[]), "");
        assert_eq!(joined(&["a"]), "a");
        assert_eq!(joined(&["a", "b", "c"]), "a, b and c");
        assert_eq!(
            (time(1), time(90), time(7199)),
            ("1 second".into(), "90 seconds".into(), "119 minutes".into())
        );
        assert_eq!((time(7200), time(200_000)), ("2 hours".into(), "2 days".into()));
        assert_eq!(
            (size(0), size(1 << 20), size(3 << 29)),
            ("0 bytes".into(), "1.0 MB".into(), "1.5 GB".into())
        );
        assert_eq!(day(0), "1 January 1970");
        assert_eq!(moment(86_400), "2 January 1970, 00:00 UTC");
        assert_eq!(day(i64::MAX), "a day beyond the calendar");
    }
}
