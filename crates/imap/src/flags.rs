//! Flags between wire and mailbox.

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

/// The keywords that are in use in a mailbox, as far as a session has seen.
#[derive(Debug, Default)]
pub(crate) struct Keywords(Vec<Arc<str>>);

impl Keywords {
    /// Takes note of a message's keywords; tells whether there was a new one.
    pub(crate) fn learn(&mut self, flags: &Flags) -> bool {
        let before = self.0.len();
        for keyword in flags.keywords.iter() {
            if !self.0.iter().any(|known| known.eq_ignore_ascii_case(keyword)) {
                self.0.push(keyword.clone());
            }
        }
        self.0.len() > before
    }

    /// System flags and keywords, as FLAGS lists them, without parentheses.
    pub(crate) fn listed(&self) -> String {
        let mut text = ALL_SYSTEM.to_owned();
        for keyword in &self.0 {
            text.push(' ');
            text.push_str(keyword);
        }
        text
    }
}
