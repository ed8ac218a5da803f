//! Names of mailboxes (RFC 9051 §5.1).

use crate::error::MailboxError;

/// The hierarchy separator.
pub(crate) const SEPARATOR: char = '/';
/// The one name that is special in any case (RFC 9051 §5.1).
pub(crate) const INBOX: &str = "INBOX";
/// Longest level, octets.
const MAX_LEVEL: usize = 255;
/// Longest name, octets.
const MAX_NAME: usize = 1_000;
/// Most levels.
const MAX_LEVELS: usize = 32;

/// Checks a name and gives it its one spelling: no separator at the end, INBOX in capitals.
///
/// Control characters would garble listings; `*` and `%` could never be listed (RFC 9051 §6.3.9).
pub(crate) fn normalise(name: &str) -> Result<String, MailboxError> {
    let name = name.strip_suffix(SEPARATOR).unwrap_or(name);
    let levels: Vec<&str> = name.split(SEPARATOR).collect();
    let level_ok = |level: &&str| {
        (1..=MAX_LEVEL).contains(&level.len())
            && !level
                .chars()
                .any(|c| c.is_control() || matches!(c, '*' | '%' | '\u{2028}' | '\u{2029}'))
    };
    if name.len() > MAX_NAME || levels.len() > MAX_LEVELS || !levels.iter().all(level_ok) {
        return Err(MailboxError::BadName);
    }
    match name.split_once(SEPARATOR) {
        None if name.eq_ignore_ascii_case(INBOX) => Ok(INBOX.to_owned()),
        Some((first, rest)) if first.eq_ignore_ascii_case(INBOX) => {
            Ok(format!("{INBOX}{SEPARATOR}{rest}"))
        }
        _ => Ok(name.to_owned()),
    }
}

/// The names above a name, outermost first.
pub(crate) fn superiors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(SEPARATOR).map(|(at, _)| &name[..at])
}

/// What a name below `parent` is called there; `None` when it is not below it.
pub(crate) fn below<'a>(name: &'a str, parent: &str) -> Option<&'a str> {
    name.strip_prefix(parent)?.strip_prefix(SEPARATOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_get_one_spelling() {
        for (given, kept) in [
            ("inbox", "INBOX"),
            ("Inbox/Lab", "INBOX/Lab"),
            ("inboxes", "inboxes"),
            ("Lab/", "Lab"),
            ("Jürgen/Müller", "Jürgen/Müller"),
        ] {
            assert_eq!(normalise(given).unwrap(), kept);
        }
    }

    #[test]
    fn bad_names_are_refused() {
        let long = "x".repeat(256);
        let deep = vec!["a"; 33].join("/");
        for bad in ["", "/", "a//b", "/a", "a\r\nb", "a\0", "a*", "a%b", &long, &deep] {
            assert!(matches!(normalise(bad), Err(MailboxError::BadName)), "{bad:?}");
        }
    }

    #[test]
    fn hierarchy() {
        assert_eq!(superiors("a/b/c").collect::<Vec<_>>(), ["a", "a/b"]);
        assert_eq!(below("a/b", "a"), Some("b"));
        assert_eq!(below("ab", "a"), None);
    }
}
