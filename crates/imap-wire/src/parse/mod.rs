//! The grammar of commands (RFC 9051 §9, with RFC 3501 where it says more).
//!
//! One function a production, its ABNF above it. `fetch`, `search` and `list` have files of their own.

mod fetch;
mod list;
mod search;
#[cfg(test)]
mod tests;

use crate::command::{
    AppendHead, Capability, Command, ResyncState, SelectOptions, StatusItem, StoreMode,
    StoreRequest, Tagged,
};
use crate::cursor::{Cursor, Fault, Malformed};
use crate::date::DateTime;
use crate::types::{Flag, MailboxName, SequenceSet, SpecialUse, Tag};
use wardpost_mail::Secret;

type Parsed<T> = Result<T, Fault>;

impl Tagged {
    /// Reads one command as [`crate::Event::Command`] gives it, without its final CRLF. `utf8` says
    /// whether the client has enabled UTF-8 mailbox names and quoted strings.
    ///
    /// ABNF: `command = tag SP (command-any / command-auth / command-nonauth / command-select) CRLF`.
    ///
    /// # Errors
    /// When it is no command of this grammar; the answer is BAD (RFC 9051 §7.1.3).
    pub fn parse(bytes: &[u8], utf8: bool) -> Result<Self, Malformed> {
        let mut c = Cursor::new(bytes, utf8);
        let tag = Tag::read(&mut c).map_err(|fault| Malformed { tag: None, fault })?;
        match command(&mut c) {
            Ok(command) => Ok(Self { tag, command }),
            Err(fault) => Err(Malformed { tag: Some(tag), fault }),
        }
    }
}

impl AppendHead {
    /// Reads an APPEND as [`crate::Event::Append`] gives it, up to where its message is announced.
    ///
    /// ABNF: `append = "APPEND" SP mailbox [SP flag-list] [SP date-time] SP literal`.
    ///
    /// # Errors
    /// When it is not that.
    pub fn parse(bytes: &[u8], utf8: bool) -> Result<Self, Malformed> {
        let mut c = Cursor::new(bytes, utf8);
        let tag = Tag::read(&mut c).map_err(|fault| Malformed { tag: None, fault })?;
        append(&mut c, &tag).map_err(|fault| Malformed { tag: Some(tag), fault })
    }
}

fn append(c: &mut Cursor<'_>, tag: &Tag) -> Parsed<AppendHead> {
    c.space()?;
    if !c.eat_word("APPEND") {
        return Err(Fault::Expected("APPEND"));
    }
    c.space()?;
    let mailbox = MailboxName::read(c)?;
    c.space()?;
    let mut flags = Vec::new();
    if c.peek() == Some(b'(') {
        flags = flag_list(c)?;
        c.space()?;
    }
    let mut date = None;
    if c.peek() == Some(b'"') {
        date = Some(DateTime::read(c)?);
        c.space()?;
    }
    c.end()?;
    Ok(AppendHead { tag: tag.clone(), mailbox, flags, date })
}

fn command(c: &mut Cursor<'_>) -> Parsed<Command> {
    c.space()?;
    let name = c.word()?;
    let command = match name.as_str() {
        "UID" => {
            c.space()?;
            let name = c.word()?;
            uid_command(c, &name)?
        }
        name => plain_command(c, name)?,
    };
    c.end()?;
    Ok(command)
}

/// Commands without the UID prefix.
fn plain_command(c: &mut Cursor<'_>, name: &str) -> Parsed<Command> {
    Ok(match name {
        "CAPABILITY" => Command::Capability,
        "NOOP" => Command::Noop,
        "LOGOUT" => Command::Logout,
        "STARTTLS" => Command::StartTls,
        "NAMESPACE" => Command::Namespace,
        "IDLE" => Command::Idle,
        "CHECK" => Command::Check,
        "CLOSE" => Command::Close,
        "UNSELECT" => Command::Unselect,
        "EXPUNGE" => Command::Expunge(None),
        name => {
            c.space().map_err(|fault| if known(name) { fault } else { Fault::UnknownCommand })?;
            command_with_arguments(c, name)?
        }
    })
}

/// Commands that take arguments, for a better text when those are missing.
fn known(name: &str) -> bool {
    const NAMES: [&str; 20] = [
        "ID",
        "AUTHENTICATE",
        "LOGIN",
        "ENABLE",
        "SELECT",
        "EXAMINE",
        "CREATE",
        "DELETE",
        "RENAME",
        "SUBSCRIBE",
        "UNSUBSCRIBE",
        "LIST",
        "LSUB",
        "STATUS",
        "APPEND",
        "SEARCH",
        "FETCH",
        "STORE",
        "COPY",
        "MOVE",
    ];
    NAMES.contains(&name)
}

fn command_with_arguments(c: &mut Cursor<'_>, name: &str) -> Parsed<Command> {
    Ok(match name {
        "ID" => id(c)?,
        "AUTHENTICATE" => authenticate(c)?,
        "LOGIN" => login(c)?,
        "ENABLE" => enable(c)?,
        "SELECT" => Command::Select(MailboxName::read(c)?, select_options(c)?),
        "EXAMINE" => Command::Examine(MailboxName::read(c)?, select_options(c)?),
        "CREATE" => create(c)?,
        "DELETE" => Command::Delete(MailboxName::read(c)?),
        "RENAME" => {
            let from = MailboxName::read(c)?;
            c.space()?;
            Command::Rename { from, to: MailboxName::read(c)? }
        }
        "SUBSCRIBE" => Command::Subscribe(MailboxName::read(c)?),
        "UNSUBSCRIBE" => Command::Unsubscribe(MailboxName::read(c)?),
        "LIST" => Command::List(list::list(c)?),
        "LSUB" => list::lsub(c)?,
        "STATUS" => {
            let mailbox = MailboxName::read(c)?;
            c.space()?;
            Command::Status(mailbox, c.list(status_item)?)
        }
        "APPEND" => return Err(Fault::Expected("a literal")),
        name => message_command(c, name, false)?,
    })
}

/// ABNF: `uid = "UID" SP (copy / move / fetch / search / store / uid-expunge)`.
fn uid_command(c: &mut Cursor<'_>, name: &str) -> Parsed<Command> {
    c.space()?;
    match name {
        "EXPUNGE" => Ok(Command::Expunge(Some(SequenceSet::read(c)?))),
        name => message_command(c, name, true),
    }
}

fn message_command(c: &mut Cursor<'_>, name: &str, uid: bool) -> Parsed<Command> {
    if name == "SEARCH" {
        return Ok(Command::Search { uid, request: search::search(c)? });
    }
    if !matches!(name, "FETCH" | "STORE" | "COPY" | "MOVE") {
        return Err(Fault::UnknownCommand);
    }
    let set = SequenceSet::read(c)?;
    c.space()?;
    Ok(match name {
        "FETCH" => Command::Fetch { uid, set, request: fetch::fetch(c)? },
        "STORE" => Command::Store { uid, set, request: store(c)? },
        "COPY" => Command::Copy { uid, set, to: MailboxName::read(c)? },
        _ => Command::Move { uid, set, to: MailboxName::read(c)? },
    })
}

/// ABNF (RFC 2971 §3): `id-params-list = "(" [string SP nstring *(SP string SP nstring)] ")" / nil`.
fn id(c: &mut Cursor<'_>) -> Parsed<Command> {
    if !c.eat_word("NIL") {
        c.list_or_empty(|c| {
            c.string()?;
            c.space()?;
            c.nstring().map(drop)
        })?;
    }
    Ok(Command::Id)
}

/// ABNF: `authenticate = "AUTHENTICATE" SP auth-type [SP initial-resp]`,
/// `initial-resp = base64 / "="`. The base64 itself is read by who knows the mechanism.
fn authenticate(c: &mut Cursor<'_>) -> Parsed<Command> {
    let mechanism = c.atom()?.to_ascii_uppercase();
    let mut initial = None;
    if c.eat(b' ') {
        let text = c.take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
        if text.is_empty() {
            return Err(Fault::Expected("an initial response"));
        }
        initial = Some(Secret::new(text.to_vec()));
    }
    Ok(Command::Authenticate { mechanism, initial })
}

/// ABNF: `login = "LOGIN" SP userid SP password`, both `astring`.
fn login(c: &mut Cursor<'_>) -> Parsed<Command> {
    let user = Cursor::text(c.astring()?)?;
    c.space()?;
    let password = Secret::new(Cursor::text(c.astring()?)?);
    Ok(Command::Login { user, password })
}

/// ABNF (RFC 5161 §4): `enable = "ENABLE" 1*(SP capability)`.
fn enable(c: &mut Cursor<'_>) -> Parsed<Command> {
    let mut wanted = Vec::new();
    loop {
        let name = c.atom()?;
        wanted.push(match name.to_ascii_uppercase().as_str() {
            "CONDSTORE" => Capability::CondStore,
            "QRESYNC" => Capability::QResync,
            "IMAP4REV2" => Capability::Imap4Rev2,
            "UTF8=ACCEPT" => Capability::Utf8Accept,
            _ => Capability::Other,
        });
        if !c.eat(b' ') {
            return Ok(Command::Enable(wanted));
        }
    }
}

/// ABNF (RFC 4466, RFC 7162 §7): `select-params = SP "(" select-param *(SP select-param) ")"`,
/// `select-param = "CONDSTORE" / "QRESYNC" SP "(" uidvalidity SP mod-sequence-value
/// [SP known-uids] [SP seq-match-data] ")"`.
fn select_options(c: &mut Cursor<'_>) -> Parsed<SelectOptions> {
    let mut options = SelectOptions::default();
    if !c.eat(b' ') {
        return Ok(options);
    }
    c.list(|c| {
        match c.word()?.as_str() {
            "CONDSTORE" => options.condstore = true,
            "QRESYNC" => {
                c.space()?;
                options.resync = Some(resync(c)?);
            }
            _ => return Err(Fault::Expected("CONDSTORE or QRESYNC")),
        }
        Ok(())
    })?;
    Ok(options)
}

/// `seq-match-data = "(" known-sequence-set SP known-uid-set ")"`
fn resync(c: &mut Cursor<'_>) -> Parsed<ResyncState> {
    c.expect(b'(')?;
    let uid_validity = c.nz_number()?;
    c.space()?;
    let mod_seq = c.nz_number64()?;
    let mut known = None;
    let mut more = c.eat(b' ');
    if more && c.peek() != Some(b'(') {
        known = Some(SequenceSet::read(c)?);
        more = c.eat(b' ');
    }
    if more {
        c.expect(b'(')?;
        SequenceSet::read(c)?;
        c.space()?;
        SequenceSet::read(c)?;
        c.expect(b')')?;
    }
    c.expect(b')')?;
    Ok(ResyncState { uid_validity, mod_seq, known })
}

/// ABNF (RFC 6154 §6): `create-param = "USE" SP "(" [use-attr *(SP use-attr)] ")"`.
fn create(c: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = MailboxName::read(c)?;
    let mut uses = Vec::new();
    if c.eat(b' ') {
        c.list(|c| {
            if c.word()? != "USE" {
                return Err(Fault::Expected("USE"));
            }
            c.space()?;
            uses = c.list_or_empty(SpecialUse::read)?;
            Ok(())
        })?;
    }
    Ok(Command::Create(mailbox, uses))
}

/// ABNF: `status-att = "MESSAGES" / "UIDNEXT" / "UIDVALIDITY" / "UNSEEN" / "DELETED" / "SIZE"`, with
/// RECENT (RFC 3501), HIGHESTMODSEQ (RFC 7162) and APPENDLIMIT (RFC 7889).
fn status_item(c: &mut Cursor<'_>) -> Parsed<StatusItem> {
    Ok(match c.word()?.as_str() {
        "MESSAGES" => StatusItem::Messages,
        "RECENT" => StatusItem::Recent,
        "UIDNEXT" => StatusItem::UidNext,
        "UIDVALIDITY" => StatusItem::UidValidity,
        "UNSEEN" => StatusItem::Unseen,
        "DELETED" => StatusItem::Deleted,
        "SIZE" => StatusItem::Size,
        "HIGHESTMODSEQ" => StatusItem::HighestModSeq,
        "APPENDLIMIT" => StatusItem::AppendLimit,
        _ => return Err(Fault::Expected("a status item")),
    })
}

/// ABNF: `flag-list = "(" [flag *(SP flag)] ")"`. What no client can change is left out.
fn flag_list(c: &mut Cursor<'_>) -> Parsed<Vec<Flag>> {
    Ok(c.list_or_empty(Flag::read)?.into_iter().flatten().collect())
}

/// ABNF: `store-modifiers = "(" "UNCHANGEDSINCE" SP mod-sequence-valzer ")" SP` (RFC 7162 §7),
/// `store-att-flags = (["+" / "-"] "FLAGS" [".SILENT"]) SP (flag-list / (flag *(SP flag)))`.
fn store(c: &mut Cursor<'_>) -> Parsed<StoreRequest> {
    let mut unchanged_since = None;
    if c.peek() == Some(b'(') {
        c.list(|c| {
            if c.word()? != "UNCHANGEDSINCE" {
                return Err(Fault::Expected("UNCHANGEDSINCE"));
            }
            c.space()?;
            unchanged_since = Some(c.number64()?);
            Ok(())
        })?;
        c.space()?;
    }
    let mode = if c.eat(b'+') {
        StoreMode::Add
    } else if c.eat(b'-') {
        StoreMode::Remove
    } else {
        StoreMode::Replace
    };
    let silent = match c.word()?.as_str() {
        "FLAGS" => false,
        "FLAGS.SILENT" => true,
        _ => return Err(Fault::Expected("FLAGS")),
    };
    c.space()?;
    let flags = if c.peek() == Some(b'(') { flag_list(c)? } else { bare_flags(c)? };
    Ok(StoreRequest { mode, silent, flags, unchanged_since })
}

/// `flag *(SP flag)`
fn bare_flags(c: &mut Cursor<'_>) -> Parsed<Vec<Flag>> {
    let mut flags = Vec::new();
    loop {
        flags.extend(Flag::read(c)?);
        if !c.eat(b' ') {
            return Ok(flags);
        }
    }
}
