//! Commands as values.

use crate::types::{
    FieldName, Flag, Keyword, ListPattern, MailboxName, Partial, SequenceSet, SpecialUse, Tag,
};
use crate::{Date, DateTime};
use std::num::NonZeroU32;
use wardpost_mail::Secret;

/// A command with its tag.
#[derive(Debug)]
pub struct Tagged {
    /// What the answer will begin with.
    pub tag: Tag,
    /// What is wanted.
    pub command: Command,
}

/// Every command but APPEND, whose message is streamed (see [`AppendHead`]).
#[derive(Debug)]
pub enum Command {
    /// RFC 9051 §6.1.1
    Capability,
    /// RFC 9051 §6.1.2
    Noop,
    /// RFC 9051 §6.1.3
    Logout,
    /// RFC 2971. What clients say of themselves is not kept.
    Id,
    /// RFC 9051 §6.2.1. Here TLS comes first, so there is nothing to start.
    StartTls,
    /// RFC 9051 §6.2.2, RFC 4959.
    Authenticate {
        /// The mechanism in upper case.
        mechanism: String,
        /// The initial response, still in base64; `=` stands for an empty one.
        initial: Option<Secret<Vec<u8>>>,
    },
    /// RFC 9051 §6.2.3
    Login {
        /// The address or local part.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// RFC 5161
    Enable(Vec<Capability>),
    /// RFC 9051 §6.3.2
    Select(MailboxName, SelectOptions),
    /// RFC 9051 §6.3.3
    Examine(MailboxName, SelectOptions),
    /// RFC 9051 §6.3.4, RFC 6154 §3. Unknown uses are `None`.
    Create(MailboxName, Vec<Option<SpecialUse>>),
    /// RFC 9051 §6.3.5
    Delete(MailboxName),
    /// RFC 9051 §6.3.6
    Rename {
        /// The name now.
        from: MailboxName,
        /// The name to be.
        to: MailboxName,
    },
    /// RFC 9051 §6.3.7
    Subscribe(MailboxName),
    /// RFC 9051 §6.3.8
    Unsubscribe(MailboxName),
    /// RFC 9051 §6.3.9
    List(ListRequest),
    /// RFC 3501 §6.3.9
    Lsub {
        /// What the pattern is relative to.
        reference: String,
        /// The pattern.
        pattern: ListPattern,
    },
    /// RFC 9051 §6.3.10
    Namespace,
    /// RFC 9051 §6.3.11
    Status(MailboxName, Vec<StatusItem>),
    /// RFC 9051 §6.3.13, RFC 2177
    Idle,
    /// RFC 3501 §6.4.1
    Check,
    /// RFC 9051 §6.4.1
    Close,
    /// RFC 9051 §6.4.2
    Unselect,
    /// RFC 9051 §6.4.3; with a set, UID EXPUNGE (§6.4.9).
    Expunge(Option<SequenceSet>),
    /// RFC 9051 §6.4.4
    Search {
        /// UID SEARCH.
        uid: bool,
        /// What is sought.
        request: SearchRequest,
    },
    /// RFC 9051 §6.4.5
    Fetch {
        /// UID FETCH.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// What of them.
        request: FetchRequest,
    },
    /// RFC 9051 §6.4.6
    Store {
        /// UID STORE.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// What to change.
        request: StoreRequest,
    },
    /// RFC 9051 §6.4.7
    Copy {
        /// UID COPY.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        to: MailboxName,
    },
    /// RFC 9051 §6.4.8, RFC 6851
    Move {
        /// UID MOVE.
        uid: bool,
        /// Which messages.
        set: SequenceSet,
        /// Where to.
        to: MailboxName,
    },
}

/// An APPEND up to its message (RFC 9051 §6.3.12).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppendHead {
    /// What the answer will begin with.
    pub tag: Tag,
    /// Where to.
    pub mailbox: MailboxName,
    /// Flags the message starts with.
    pub flags: Vec<Flag>,
    /// Its internal date; now, when none is given.
    pub date: Option<DateTime>,
}

/// An extension that ENABLE can name (RFC 5161).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// RFC 7162 §3.1
    CondStore,
    /// RFC 7162 §3.2
    QResync,
    /// RFC 9051 §6.3.1
    Imap4Rev2,
    /// RFC 9755
    Utf8Accept,
    /// Anything else, which is let pass (RFC 5161 §3.1).
    Other,
}

/// What SELECT and EXAMINE were asked besides (RFC 7162 §3.1.8, §3.2.5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SelectOptions {
    /// CONDSTORE
    pub condstore: bool,
    /// QRESYNC
    pub resync: Option<ResyncState>,
}

/// What the client of a quick resynchronisation remembers (RFC 7162 §3.2.5). The sequence match data
/// it may add is an optimisation this server has no need of; it is read and dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResyncState {
    /// The last known UIDVALIDITY.
    pub uid_validity: NonZeroU32,
    /// The last known modification sequence.
    pub mod_seq: u64,
    /// The UIDs the client knows; all, when absent.
    pub known: Option<SequenceSet>,
}

/// Which mailboxes LIST shows (RFC 5258 §3.1, RFC 6154 §5.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListSelect {
    /// SUBSCRIBED
    Subscribed,
    /// REMOTE: there are none here.
    Remote,
    /// RECURSIVEMATCH
    RecursiveMatch,
    /// SPECIAL-USE
    SpecialUse,
}

/// What LIST tells of each mailbox besides (RFC 5258 §3.2, RFC 5819, RFC 6154).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListReturn {
    /// SUBSCRIBED
    Subscribed,
    /// CHILDREN
    Children,
    /// SPECIAL-USE
    SpecialUse,
    /// STATUS
    Status(Vec<StatusItem>),
}

/// LIST (RFC 9051 §6.3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Selection options.
    pub select: Vec<ListSelect>,
    /// What the patterns are relative to.
    pub reference: String,
    /// The patterns; at least one.
    pub patterns: Vec<ListPattern>,
    /// Return options.
    pub returns: Vec<ListReturn>,
    /// The command had options or several patterns, so the extended rules hold (RFC 5258 §3).
    pub extended: bool,
}

/// What STATUS tells (RFC 9051 §6.3.11, RFC 7162 §3.1.7, RFC 7889, RFC 8474).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusItem {
    /// MESSAGES
    Messages,
    /// RECENT (RFC 3501)
    Recent,
    /// UIDNEXT
    UidNext,
    /// UIDVALIDITY
    UidValidity,
    /// UNSEEN
    Unseen,
    /// DELETED
    Deleted,
    /// SIZE
    Size,
    /// HIGHESTMODSEQ
    HighestModSeq,
    /// APPENDLIMIT
    AppendLimit,
}

/// Which text of a message or of a message inside it (RFC 9051 §6.4.5.1 `section-msgtext`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MessageText {
    /// HEADER
    Header,
    /// HEADER.FIELDS
    HeaderFields(Vec<FieldName>),
    /// HEADER.FIELDS.NOT
    HeaderFieldsNot(Vec<FieldName>),
    /// TEXT
    Text,
}

/// What of a part (RFC 9051 §9 `section-text`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SectionPart {
    /// The part's body.
    Body,
    /// MIME: the part's own header.
    Mime,
    /// A text of the message that the part holds.
    Message(MessageText),
}

/// A section of a message (RFC 9051 §9 `section`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Section {
    /// `[]`
    Whole,
    /// A text of the message itself.
    Message(MessageText),
    /// Something of a part, named by its numbers; at least one.
    Part(Vec<NonZeroU32>, SectionPart),
}

/// One thing to fetch (RFC 9051 §6.4.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItem {
    /// FLAGS
    Flags,
    /// UID
    Uid,
    /// INTERNALDATE
    InternalDate,
    /// RFC822.SIZE
    Size,
    /// ENVELOPE
    Envelope,
    /// BODY without a section
    Body,
    /// BODYSTRUCTURE
    BodyStructure,
    /// MODSEQ (RFC 7162 §3.1.4)
    ModSeq,
    /// `BODY[…]` and `BODY.PEEK[…]`
    Section {
        /// Does not set `\Seen`.
        peek: bool,
        /// Which section.
        section: Section,
        /// Which part of it.
        partial: Option<Partial>,
    },
    /// `BINARY[…]` and `BINARY.PEEK[…]` (RFC 3516)
    Binary {
        /// Does not set `\Seen`.
        peek: bool,
        /// Which part; empty for the whole message.
        part: Vec<NonZeroU32>,
        /// Which part of it.
        partial: Option<Partial>,
    },
    /// `BINARY.SIZE[…]` (RFC 3516)
    BinarySize(Vec<NonZeroU32>),
    /// RFC822 (RFC 3501 §6.4.5)
    Rfc822,
    /// RFC822.HEADER
    Rfc822Header,
    /// RFC822.TEXT
    Rfc822Text,
}

/// FETCH besides its set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchRequest {
    /// What is wanted, in the order it was asked; macros are spelled out.
    pub items: Vec<FetchItem>,
    /// CHANGEDSINCE (RFC 7162 §3.1.4.1)
    pub changed_since: Option<u64>,
    /// VANISHED (RFC 7162 §3.2.6)
    pub vanished: bool,
}

/// How STORE changes flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreMode {
    /// FLAGS
    Replace,
    /// +FLAGS
    Add,
    /// -FLAGS
    Remove,
}

/// STORE besides its set (RFC 9051 §6.4.6).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreRequest {
    /// How.
    pub mode: StoreMode,
    /// Do not tell the outcome.
    pub silent: bool,
    /// Which flags.
    pub flags: Vec<Flag>,
    /// UNCHANGEDSINCE (RFC 7162 §3.1.3)
    pub unchanged_since: Option<u64>,
}

/// What an extended SEARCH returns (RFC 4731, RFC 5182).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchReturn {
    /// MIN
    Min,
    /// MAX
    Max,
    /// ALL
    All,
    /// COUNT
    Count,
    /// SAVE
    Save,
}

/// SEARCH (RFC 9051 §6.4.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchRequest {
    /// The RETURN options; `None` for a SEARCH without RETURN. An empty list was `RETURN ()`.
    pub returns: Option<Vec<SearchReturn>>,
    /// What is sought: all of these.
    pub keys: Vec<SearchKey>,
}

/// A search key (RFC 9051 §6.4.4, RFC 3501, RFC 5032, RFC 7162 §3.1.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// ALL
    All,
    /// ANSWERED, DELETED, … and KEYWORD
    Flag(Flag),
    /// RECENT
    Recent,
    /// A header the summary holds or the message must be opened for; lower-cased name, text sought.
    /// An empty text asks only that the field be there. BCC, CC, FROM, SUBJECT, TO and HEADER.
    Header(String, String),
    /// BODY
    Body(String),
    /// TEXT
    Text(String),
    /// BEFORE
    Before(Date),
    /// ON
    On(Date),
    /// SINCE
    Since(Date),
    /// SENTBEFORE
    SentBefore(Date),
    /// SENTON
    SentOn(Date),
    /// SENTSINCE
    SentSince(Date),
    /// LARGER
    Larger(u64),
    /// SMALLER
    Smaller(u64),
    /// OLDER, in seconds
    Older(u32),
    /// YOUNGER, in seconds
    Younger(u32),
    /// MODSEQ
    ModSeq(u64),
    /// Message numbers
    Sequence(SequenceSet),
    /// UID
    Uid(SequenceSet),
    /// NOT and the UN… keys
    Not(Box<SearchKey>),
    /// OR
    Or(Box<SearchKey>, Box<SearchKey>),
    /// A parenthesised list: all of these.
    And(Vec<SearchKey>),
}

impl Command {
    /// The command's name in lower case, as in metrics. UID forms bear the plain name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Capability => "capability",
            Self::Noop => "noop",
            Self::Logout => "logout",
            Self::Id => "id",
            Self::StartTls => "starttls",
            Self::Authenticate { .. } => "authenticate",
            Self::Login { .. } => "login",
            Self::Enable(_) => "enable",
            Self::Select(..) => "select",
            Self::Examine(..) => "examine",
            Self::Create(..) => "create",
            Self::Delete(_) => "delete",
            Self::Rename { .. } => "rename",
            Self::Subscribe(_) => "subscribe",
            Self::Unsubscribe(_) => "unsubscribe",
            Self::List(_) => "list",
            Self::Lsub { .. } => "lsub",
            Self::Namespace => "namespace",
            Self::Status(..) => "status",
            Self::Idle => "idle",
            Self::Check => "check",
            Self::Close => "close",
            Self::Unselect => "unselect",
            Self::Expunge(_) => "expunge",
            Self::Search { .. } => "search",
            Self::Fetch { .. } => "fetch",
            Self::Store { .. } => "store",
            Self::Copy { .. } => "copy",
            Self::Move { .. } => "move",
        }
    }
}

impl SearchKey {
    /// The key turned round.
    pub(crate) fn negate(self) -> Self {
        Self::Not(Box::new(self))
    }

    /// A keyword key.
    pub(crate) fn keyword(keyword: Keyword) -> Self {
        Self::Flag(Flag::Keyword(keyword))
    }

    /// Whether this key, or one inside it, is of the wanted kind.
    pub fn any(&self, wanted: &dyn Fn(&Self) -> bool) -> bool {
        wanted(self)
            || match self {
                Self::Not(key) => key.any(wanted),
                Self::Or(a, b) => a.any(wanted) || b.any(wanted),
                Self::And(keys) => keys.iter().any(|key| key.any(wanted)),
                _ => false,
            }
    }
}
