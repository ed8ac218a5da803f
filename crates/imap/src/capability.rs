//! What this server announces (RFC 9051 §6.1.1). Nothing stands here that is not complete.
//!
//! A stranger is told all of it, together with how to log in: many clients read the first list they
//! see and never ask again.

const EXTENSIONS: &str = "IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE UNSELECT \
    UIDPLUS MOVE CHILDREN SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE \
    CONDSTORE QRESYNC ESEARCH SEARCHRES WITHIN APPENDLIMIT";

/// What is announced before and after log-in.
#[derive(Debug)]
pub(crate) struct Capabilities {
    pub(crate) before_login: String,
    pub(crate) after_login: String,
}

impl Capabilities {
    /// For a server that takes messages of so many octets (RFC 7889).
    pub(crate) fn new(append_limit: u64) -> Self {
        let after_login = format!("{EXTENSIONS}={append_limit}");
        Self { before_login: format!("{after_login} AUTH=PLAIN AUTH=LOGIN"), after_login }
    }
}
