//! The word *Secure* in a subject, with which staff send one message to the pickup page.
//!
//! It counts at either end of the subject, bare or in brackets, in any case, alone as a word:
//! `Secure: results`, `[secure] results`, `#secure results`, `results (SECURE)`, `results #secure`,
//! `Secure results`. Reply and forward prefixes may stand before it. In the middle of the text it is
//! ordinary text (`how secure is this`), and so is a word that merely begins with it (`securely`,
//! `Secure-mail`).
//!
//! A bare word at the start of an ordinary sentence counts too. That errs on the safe side: the message is
//! picked up instead of mailed, and nothing is disclosed.

const WORD: &str = "secure";

/// Brackets in which the word may stand.
const BRACKETS: [(char, char); 3] = [('[', ']'), ('(', ')'), ('{', '}')];

/// Takes the word *Secure* off either end of a subject. `None` when it is at neither.
pub(crate) fn strip(subject: &str) -> Option<String> {
    let subject = subject.trim();
    let (prefixes, text) = split_reply_prefixes(subject);
    let (start, text) = match strip_start(text) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (end, text) = match strip_end(text) {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    (start || end).then(|| format!("{prefixes}{text}").trim().to_owned())
}

/// Splits `Re: Fwd: text` after the prefixes (RFC 5322 §3.6.5 knows only `Re:`; clients know more).
fn split_reply_prefixes(subject: &str) -> (&str, &str) {
    let mut text = subject;
    while let Some((prefix, rest)) = text.split_once(':') {
        let known = ["re", "fw", "fwd", "aw", "wg", "sv", "vs", "tr", "rv", "antw"];
        if !known.iter().any(|known| prefix.eq_ignore_ascii_case(known)) {
            break;
        }
        text = rest.trim_start();
    }
    subject.split_at(subject.len() - text.len())
}

/// The text after a leading word and what separates it from the text.
fn strip_start(text: &str) -> Option<&str> {
    let marked = text.strip_prefix('#');
    let (rest, delimited) = match bracketed_start(text) {
        Some(rest) => (rest, true),
        None => (strip_prefix_ignoring_case(marked.unwrap_or(text))?, false),
    };
    if let Some(rest) = rest.strip_prefix([':', '|']) {
        return Some(rest.trim_start());
    }
    let trimmed = rest.trim_start();
    if !rest.is_empty() && trimmed.len() == rest.len() && !delimited {
        return None; // `Secureness`, `secure-mail`, `secure.`
    }
    // `Secure - results`: a dash with space around it separates; `-5` does not.
    Some(match trimmed.strip_prefix(['-', '–', '—', ':', '|']) {
        Some(after) if after.is_empty() || after.starts_with(char::is_whitespace) => {
            after.trim_start()
        }
        _ => trimmed,
    })
}

fn bracketed_start(text: &str) -> Option<&str> {
    BRACKETS.iter().find_map(|&(open, close)| {
        strip_prefix_ignoring_case(text.strip_prefix(open)?.trim_start())?
            .trim_start()
            .strip_prefix(close)
    })
}

/// The text before a trailing word and what separates it from the text.
fn strip_end(text: &str) -> Option<&str> {
    let (rest, delimited) = match bracketed_end(text) {
        Some(rest) => (rest, true),
        None => {
            let rest = strip_suffix_ignoring_case(text)?;
            (rest.strip_suffix('#').unwrap_or(rest), false)
        }
    };
    let trimmed = rest.trim_end();
    if !rest.is_empty() && trimmed.len() == rest.len() && !delimited {
        return None; // `insecure`, `not-secure`
    }
    Some(match trimmed.strip_suffix(['-', '–', '—', ':', '|']) {
        Some(before) if before.is_empty() || before.ends_with(char::is_whitespace) => {
            before.trim_end()
        }
        _ => trimmed,
    })
}

fn bracketed_end(text: &str) -> Option<&str> {
    BRACKETS.iter().find_map(|&(open, close)| {
        strip_suffix_ignoring_case(text.strip_suffix(close)?.trim_end())?
            .trim_end()
            .strip_suffix(open)
    })
}

fn strip_prefix_ignoring_case(text: &str) -> Option<&str> {
    let head = text.get(..WORD.len())?;
    head.eq_ignore_ascii_case(WORD).then(|| &text[WORD.len()..])
}

fn strip_suffix_ignoring_case(text: &str) -> Option<&str> {
    let at = text.len().checked_sub(WORD.len())?;
    let tail = text.get(at..)?;
    tail.eq_ignore_ascii_case(WORD).then(|| &text[..at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn is_taken_off_either_end() {
        for (subject, stripped) in [
            ("Secure: results", "results"),
            ("secure:results", "results"),
            ("SECURE results", "results"),
            ("[secure] results", "results"),
            ("[ Secure ]results", "results"),
            ("(Secure): results", "results"),
            ("{secure} - results", "results"),
            ("#secure results", "results"),
            ("Secure - results", "results"),
            ("Secure — results", "results"),
            ("secure | results", "results"),
            ("results #secure", "results"),
            ("results [SECURE]", "results"),
            ("results[secure]", "results"),
            ("results secure", "results"),
            ("results - secure", "results"),
            ("results: Secure", "results:"), // the colon is the text's own
            ("[secure] results #secure", "results"),
            ("Re: [secure] results", "Re: results"),
            ("RE: Fwd: Secure: results", "RE: Fwd: results"),
            ("Secure: Re: results", "Re: results"),
            ("Secure", ""),
            ("[secure]", ""),
            ("Re: secure", "Re:"),
            ("  secure   results  ", "results"),
            ("Secure Blutwerte für Jürgen", "Blutwerte für Jürgen"),
            ("secure -5 degrees", "-5 degrees"),
        ] {
            assert_eq!(strip(subject).as_deref(), Some(stripped), "{subject:?}");
        }
    }

    #[test]
    fn ordinary_text_stays_as_it_is() {
        for subject in [
            "",
            "results",
            "how secure is this",
            "a [secure] place",
            "Securely yours",
            "Secure-mail set-up",
            "secure.example is down",
            "we are insecure",
            "not-secure",
            "is it secure?",
            "results secure.",
            "[not secure] results",
            "Sécure results",
            "ſecure",
        ] {
            assert_eq!(strip(subject), None, "{subject:?}");
        }
    }

    proptest! {
        #[test]
        fn only_ends_are_ever_cut(subject in "([Ss]ecure|\\[secure\\]|#|:|-| |é|x|Re:|.){0,12}") {
            if let Some(stripped) = strip(&subject) {
                prop_assert!(stripped.len() < subject.len());
                prop_assert!(subject.to_lowercase().contains(WORD));
            }
        }

        #[test]
        fn a_marked_subject_always_counts(text in "\\PC{0,40}") {
            let (before, after) = (format!("[secure] {text}"), format!("{text} #secure"));
            prop_assert!(strip(&before).is_some());
            prop_assert!(strip(&after).is_some());
        }
    }
}
