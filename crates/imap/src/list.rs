//! LIST and LSUB (RFC 9051 §6.3.9, RFC 3501 §6.3.9, RFC 5258, RFC 5819, RFC 6154).
//!
//! A mailbox's parents always exist, so no name is listed that cannot be selected, but for names that
//! are subscribed and gone.

use crate::manage::write_status;
use crate::outcome::{Outcome, done};
use crate::session::Session;
use crate::user::User;
use std::collections::{BTreeMap, BTreeSet};
use wardpost_imap_wire::{ListPattern, ListRequest, ListReturn, ListSelect, StatusItem, write};
use wardpost_mail::MailboxId;
use wardpost_mailbox::SpecialUse;

/// A name as LIST sees it.
struct Entry {
    /// The mailbox; none for a name that is subscribed and gone.
    id: Option<MailboxId>,
    special_use: Option<SpecialUse>,
    subscribed: bool,
}

/// All names, with what is below them in order right after them.
struct Names(BTreeMap<String, Entry>);

impl Names {
    fn of(user: &User) -> Result<Self, wardpost_mailbox::MailboxError> {
        let mut names = BTreeMap::new();
        for mailbox in user.mail.list()? {
            let entry = Entry {
                id: Some(mailbox.id),
                special_use: mailbox.special_use,
                subscribed: mailbox.subscribed,
            };
            names.insert(mailbox.name, entry);
        }
        for name in user.mail.subscriptions()? {
            names.entry(name).or_insert(Entry { id: None, special_use: None, subscribed: true });
        }
        Ok(Self(names))
    }

    /// The names below a name.
    fn below<'a>(&'a self, name: &str) -> impl Iterator<Item = (&'a String, &'a Entry)> {
        let prefix = format!("{name}/");
        self.0.range(prefix.clone()..).take_while(move |(name, _)| name.starts_with(&prefix))
    }

    fn has_children(&self, name: &str) -> bool {
        self.below(name).any(|(_, entry)| entry.id.is_some())
    }
}

impl Selection {
    /// Whether a name is among those asked for.
    fn wants(&self, entry: &Entry) -> bool {
        (!self.subscribed || entry.subscribed)
            && (!self.special_use || entry.special_use.is_some_and(|u| u.attribute().is_some()))
            && (self.subscribed || entry.id.is_some())
    }
}

/// The selection options, read once.
struct Selection {
    subscribed: bool,
    special_use: bool,
    recursive: bool,
    tell_subscribed: bool,
}

/// LIST.
pub(crate) async fn list(
    user: &mut User,
    session: &mut Session<'_>,
    request: &ListRequest,
) -> Outcome {
    // An empty pattern asks for the delimiter (RFC 9051 §6.3.9).
    if !request.extended && request.patterns.iter().all(|p| p.as_str().is_empty()) {
        session.connection.untagged("LIST (\\Noselect) \"/\" \"\"");
        return done("LIST completed");
    }
    let has = |option| request.select.contains(&option);
    let wanted = Selection {
        subscribed: has(ListSelect::Subscribed),
        special_use: has(ListSelect::SpecialUse),
        recursive: has(ListSelect::RecursiveMatch),
        tell_subscribed: has(ListSelect::Subscribed)
            || request.returns.contains(&ListReturn::Subscribed),
    };
    let names = Names::of(user)?;
    let matches = |name: &str| request.patterns.iter().any(|p| p.matches(&request.reference, name));
    for (name, entry) in names.0.iter().filter(|(name, _)| matches(name)) {
        let below = wanted.recursive
            && names.below(name).any(|(name, entry)| wanted.wants(entry) && !matches(name));
        if !wanted.wants(entry) && !below {
            continue;
        }
        write_entry(session, user.features.rev2, &names, name, entry, &wanted, below);
        if let (Some(id), Some(items)) = (entry.id, status_items(request)) {
            list_status(user, session, id, name, items).await?;
        }
        session.connection.relieve().await?;
    }
    done("LIST completed")
}

fn status_items(request: &ListRequest) -> Option<&[StatusItem]> {
    request.returns.iter().find_map(|option| match option {
        ListReturn::Status(items) => Some(items.as_slice()),
        _ => None,
    })
}

/// The STATUS of LIST-STATUS (RFC 5819 §2).
async fn list_status(
    user: &mut User,
    session: &mut Session<'_>,
    id: MailboxId,
    name: &str,
    items: &[StatusItem],
) -> Result<(), crate::outcome::Failure> {
    user.features.condstore |= items.contains(&StatusItem::HighestModSeq);
    // A mailbox that was deleted just now has no status to tell.
    if let Ok(status) = user.mail.status(id).await {
        let limit = session.imap.settings.append_limit;
        write_status(session.connection.out(), name, user.features.rev2, &status, items, limit);
    }
    Ok(())
}

fn write_entry(
    session: &mut Session<'_>,
    utf8: bool,
    names: &Names,
    name: &str,
    entry: &Entry,
    wanted: &Selection,
    below: bool,
) {
    let mut attributes = Vec::with_capacity(4);
    if entry.id.is_none() {
        attributes.push("\\NonExistent");
    }
    attributes.push(if names.has_children(name) { "\\HasChildren" } else { "\\HasNoChildren" });
    attributes.extend(entry.special_use.and_then(SpecialUse::attribute));
    if wanted.tell_subscribed && entry.subscribed {
        attributes.push("\\Subscribed");
    }
    let out = session.connection.out();
    out.extend_from_slice(b"* LIST ");
    write::list(out, attributes);
    out.extend_from_slice(b" \"/\" ");
    write::mailbox(out, name, utf8);
    if below {
        out.extend_from_slice(b" (\"CHILDINFO\" (\"SUBSCRIBED\"))");
    }
    out.extend_from_slice(b"\r\n");
}

/// LSUB. A name below which something is subscribed that the pattern does not reach is shown with
/// `\Noselect` (RFC 3501 §6.3.9).
pub(crate) async fn lsub(
    user: &User,
    session: &mut Session<'_>,
    reference: &str,
    pattern: &ListPattern,
) -> Outcome {
    let subscribed: BTreeSet<String> = user.mail.subscriptions()?.into_iter().collect();
    let mut shown: BTreeMap<&str, bool> = BTreeMap::new();
    for name in &subscribed {
        if pattern.matches(reference, name) {
            shown.insert(name, true);
            continue;
        }
        for (at, _) in name.match_indices('/') {
            if pattern.matches(reference, &name[..at]) {
                shown.entry(&name[..at]).or_insert(subscribed.contains(&name[..at]));
            }
        }
    }
    for (name, selectable) in shown {
        let out = session.connection.out();
        out.extend_from_slice(if selectable {
            b"* LSUB () \"/\" "
        } else {
            b"* LSUB (\\Noselect) \"/\" "
        });
        write::mailbox(out, name, user.features.rev2);
        out.extend_from_slice(b"\r\n");
        session.connection.relieve().await?;
    }
    done("LSUB completed")
}
