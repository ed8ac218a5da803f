//! What this server announces (RFC 9051 §6.1.1). Nothing stands here that is not complete.

/// Before log-in.
pub(crate) const BEFORE_LOGIN: &str =
    "IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE AUTH=PLAIN AUTH=LOGIN";

/// After log-in, without what depends on settings.
const AFTER_LOGIN: &str = "IMAP4rev1 IMAP4rev2 SASL-IR LITERAL+ ID ENABLE IDLE NAMESPACE UNSELECT \
    UIDPLUS MOVE CHILDREN SPECIAL-USE CREATE-SPECIAL-USE LIST-EXTENDED LIST-STATUS STATUS=SIZE \
    CONDSTORE QRESYNC ESEARCH SEARCHRES WITHIN APPENDLIMIT";

/// What is announced after log-in.
pub(crate) fn after_login(append_limit: u64) -> String {
    format!("{AFTER_LOGIN}={append_limit}")
}
