//! Flags between wire and mailbox.

use std::collections::HashSet;
use std::sync::Arc;
use wardpost_imap_wire::Flag;
use wardpost_mailbox::{Flags, SystemFlags};

/// The system flags with their names (RFC 9051 §2.3.2).
const SYSTEM: [(SystemFlags, &str); 5] = [
    (SystemFlags::ANSWERED, "\\Answered"),
    (SystemFlags::FLAGGED, "\\Flagged"),
    (SystemFlags::DELETED, "\\Deleted"),
    (SystemFlags::SEEN, "\\Seen"),
    (SystemFlags::DRAFT, "\\Draft"),
];

/// All system flags as in FLAGS and PERMANENTFLAGS.
pub(crate) const ALL_SYSTEM: &str = "\\Answered \\Flagged \\Deleted \\Seen \\Draft";

/// The bit of a system flag; none for a keyword.
pub(crate) fn system_bit(flag: &Flag) -> SystemFlags {
    match flag {
        Flag::Seen => SystemFlags::SEEN,
        Flag::Answered => SystemFlags::ANSWERED,
        Flag::Flagged => SystemFlags::FLAGGED,
        Flag::Deleted => SystemFlags::DELETED,
        Flag::Draft => SystemFlags::DRAFT,
        Flag::Keyword(_) => SystemFlags::NONE,
    }
}

/// Flags as a client lists them.
pub(crate) fn from_wire(flags: &[Flag]) -> Flags {
    let system = flags.iter().fold(SystemFlags::NONE, |all, flag| all | system_bit(flag));
    let keywords = flags.iter().filter_map(|flag| match flag {
        Flag::Keyword(keyword) => Some(keyword.as_str()),
        _ => None,
    });
    Flags::new(system, keywords)
}

/// Appends `(\Seen $Forwarded)`.
pub(crate) fn write(out: &mut Vec<u8>, flags: &Flags) {
    let system =
        SYSTEM.iter().filter(|(bit, _)| flags.system.contains(*bit)).map(|(_, name)| *name);
    let keywords = flags.keywords.iter().map(|keyword| &**keyword);
    wardpost_imap_wire::write::list(out, system.chain(keywords));
}

/// How many keywords FLAGS lists. Others are told with the messages that have them.
const MAX_LISTED: usize = 1_000;

/// The keywords that are in use in a mailbox, as far as a session has seen.
#[derive(Debug, Default)]
pub(crate) struct Keywords {
    listed: Vec<Arc<str>>,
    /// The same in lower case.
    known: HashSet<String>,
}

impl Keywords {
    /// Takes note of a message's keywords; tells whether there was a new one to be listed.
    pub(crate) fn learn(&mut self, flags: &Flags) -> bool {
        let before = self.listed.len();
        for keyword in flags.keywords.iter() {
            if self.listed.len() == MAX_LISTED {
                break;
            }
            if self.known.insert(keyword.to_ascii_lowercase()) {
                self.listed.push(keyword.clone());
            }
        }
        self.listed.len() > before
    }

    /// System flags and keywords, as FLAGS lists them, without parentheses.
    pub(crate) fn listed(&self) -> String {
        let mut text = ALL_SYSTEM.to_owned();
        for keyword in &self.listed {
            text.push(' ');
            text.push_str(keyword);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_are_listed_once_and_not_without_end() {
        let mut keywords = Keywords::default();
        let flags = |name: &str| Flags::new(SystemFlags::NONE, [name]);
        assert!(keywords.learn(&flags("$Forwarded")));
        assert!(!keywords.learn(&flags("$forwarded")));
        for n in 0..2 * MAX_LISTED {
            keywords.learn(&flags(&format!("k{n}")));
        }
        assert_eq!(keywords.listed.len(), MAX_LISTED);
        assert!(keywords.listed().starts_with(&format!("{ALL_SYSTEM} $Forwarded k0 k1 ")));
        assert!(!keywords.learn(&flags("one-more")));
    }
}
