//! LIST and LSUB (RFC 9051 §6.3.9, RFC 5258, RFC 5819, RFC 6154).

use super::{Parsed, status_item};
use crate::command::{Command, ListRequest, ListReturn, ListSelect};
use crate::cursor::{Cursor, Fault};
use crate::types::{ListPattern, MailboxName};

/// Patterns of one LIST. Each is looked for in every name.
const MAX_PATTERNS: usize = 32;

/// ABNF: `list = "LIST" [SP list-select-opts] SP mailbox SP mbox-or-pat [SP list-return-opts]`,
/// `mbox-or-pat = list-mailbox / patterns`, `patterns = "(" list-mailbox *(SP list-mailbox) ")"`.
pub(super) fn list(c: &mut Cursor<'_>) -> Parsed<ListRequest> {
    let mut extended = false;
    let mut select = Vec::new();
    if c.peek() == Some(b'(') {
        extended = true;
        select = c.list_or_empty(select_option)?;
        c.space()?;
    }
    let reference = reference(c)?;
    c.space()?;
    let patterns = if c.peek() == Some(b'(') {
        extended = true;
        c.list(ListPattern::read)?
    } else {
        vec![ListPattern::read(c)?]
    };
    if patterns.len() > MAX_PATTERNS {
        return Err(Fault::TooMany);
    }
    let mut returns = Vec::new();
    if c.eat(b' ') {
        extended = true;
        if c.word()? != "RETURN" {
            return Err(Fault::Expected("RETURN"));
        }
        c.space()?;
        returns = c.list_or_empty(return_option)?;
    }
    // RECURSIVEMATCH narrows another selection and means nothing alone (RFC 5258 §3.1).
    let recursive = select.contains(&ListSelect::RecursiveMatch);
    if recursive && !select.contains(&ListSelect::Subscribed) {
        return Err(Fault::Expected("SUBSCRIBED beside RECURSIVEMATCH"));
    }
    Ok(ListRequest { select, reference, patterns, returns, extended })
}

/// ABNF (RFC 3501 §9): `lsub = "LSUB" SP mailbox SP list-mailbox`.
pub(super) fn lsub(c: &mut Cursor<'_>) -> Parsed<Command> {
    let reference = reference(c)?;
    c.space()?;
    Ok(Command::Lsub { reference, pattern: ListPattern::read(c)? })
}

fn reference(c: &mut Cursor<'_>) -> Parsed<String> {
    // A reference is written like a name and, unlike one, may be empty.
    MailboxName::read(c).map(|name| name.as_str().to_owned())
}

/// ABNF: `list-select-opt = "SUBSCRIBED" / "REMOTE" / "RECURSIVEMATCH" / "SPECIAL-USE"`.
fn select_option(c: &mut Cursor<'_>) -> Parsed<ListSelect> {
    Ok(match c.word()?.as_str() {
        "SUBSCRIBED" => ListSelect::Subscribed,
        "REMOTE" => ListSelect::Remote,
        "RECURSIVEMATCH" => ListSelect::RecursiveMatch,
        "SPECIAL-USE" => ListSelect::SpecialUse,
        _ => return Err(Fault::Expected("a selection option")),
    })
}

/// ABNF: `return-option = "SUBSCRIBED" / "CHILDREN" / "SPECIAL-USE" / status-option`,
/// `status-option = "STATUS" SP "(" status-att *(SP status-att) ")"`.
fn return_option(c: &mut Cursor<'_>) -> Parsed<ListReturn> {
    Ok(match c.word()?.as_str() {
        "SUBSCRIBED" => ListReturn::Subscribed,
        "CHILDREN" => ListReturn::Children,
        "SPECIAL-USE" => ListReturn::SpecialUse,
        "STATUS" => {
            c.space()?;
            ListReturn::Status(c.list(status_item)?)
        }
        _ => return Err(Fault::Expected("a return option")),
    })
}
