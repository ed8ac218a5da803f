//! From a message in the clear to the records that are kept, and back.

use serde::{Deserialize, Serialize};
use wardpost_keys::{
    AccountCertificate, Body, Index, KeyPacket, Sealed, SealedMessage, SessionKey, Unlocked,
    seal_message,
};
use wardpost_mail::AccountId;
use wardpost_message::{Summary, summarise};

use crate::error::MailboxError;
use crate::layout::{BlobId, new_blob};
use crate::records::{
    EntryRecord, FlagsRecord, SummaryRecord, WaitingRecord, context, decode, encode,
};
use crate::types::{Flags, SystemFlags};

/// Above this many octets, or recipients, sealing and opening leave the async threads.
pub(crate) const SMALL: usize = 64 * 1024;
pub(crate) const FEW: usize = 4;

/// A message sealed once to several accounts, so that each can be given it now or at any later time
/// while nobody else, this server included, can read it.
#[derive(Clone, Serialize, Deserialize)]
pub struct SealedMail {
    pub(crate) size: u32,
    pub(crate) body: Sealed<Body>,
    /// Under the session key.
    pub(crate) summary: Sealed<Index>,
    packets: Vec<(AccountId, KeyPacket)>,
}

impl SealedMail {
    /// Seals a message (RFC 5322, CRLF) to these accounts; nobody can be added later.
    ///
    /// # Errors
    /// When sealing fails.
    pub fn seal(raw: &[u8], to: &[(AccountId, AccountCertificate)]) -> Result<Self, MailboxError> {
        let certificates: Vec<_> = to.iter().map(|(_, certificate)| certificate).collect();
        let Sealing { body, packets, size, session_key, summary, .. } =
            Sealing::new(raw, &certificates)?;
        let summary = session_key.seal_index(&summary);
        let packets = to.iter().map(|(account, _)| *account).zip(packets).collect();
        Ok(Self { size, body, summary, packets })
    }

    /// Whether it was sealed to this account.
    pub fn is_for(&self, account: AccountId) -> bool {
        self.packet(account).is_some()
    }

    pub(crate) fn packet(&self, account: AccountId) -> Option<&KeyPacket> {
        self.packets.iter().find(|(to, _)| *to == account).map(|(_, packet)| packet)
    }

    /// As bytes, to be kept by somebody else.
    pub fn to_bytes(&self) -> Vec<u8> {
        encode(self)
    }

    /// Takes up what [`SealedMail::to_bytes`] wrote.
    ///
    /// # Errors
    /// [`MailboxError::Record`] when it is damaged or of another version.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, MailboxError> {
        decode(bytes, "sealed mail")
    }
}

impl std::fmt::Debug for SealedMail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SealedMail({} octets to {} accounts)", self.size, self.packets.len())
    }
}

/// A message sealed for its recipients, its summary not sealed yet.
pub(crate) struct Sealing {
    pub(crate) blob: BlobId,
    pub(crate) body: Sealed<Body>,
    pub(crate) packets: Vec<KeyPacket>,
    pub(crate) size: u32,
    session_key: SessionKey,
    summary: Vec<u8>,
}

impl Sealing {
    /// Reads and seals a message: one encryption for all.
    pub(crate) fn new(raw: &[u8], to: &[&AccountCertificate]) -> Result<Self, MailboxError> {
        let size = u32::try_from(raw.len()).map_err(|_| MailboxError::Limit("message size"))?;
        let summary = encode(&summarise(raw));
        let SealedMessage { body, packets, session_key } =
            seal_message(raw, to).map_err(|_| MailboxError::Sealed("message"))?;
        Ok(Self { blob: new_blob(), body, packets, size, session_key, summary })
    }

    /// The records for an account that is locked.
    pub(crate) fn waiting(&self, packet: KeyPacket, date: i64) -> (WaitingRecord, SummaryRecord) {
        let entry = WaitingRecord {
            modseq: 0,
            blob: self.blob,
            size: self.size,
            internal_date: date,
            packet,
        };
        (entry, SummaryRecord::BySession(self.session_key.seal_index(&self.summary)))
    }

    /// The records for an account that is open.
    pub(crate) fn folded(
        &self,
        keys: &Unlocked,
        packet: KeyPacket,
        date: i64,
        flags: &Flags,
    ) -> (EntryRecord, SummaryRecord) {
        let entry = EntryRecord {
            modseq: 0,
            blob: self.blob,
            size: self.size,
            internal_date: date,
            packet,
            session_key: wrap(keys, &self.blob, &self.session_key),
            flags: seal_flags(keys, &self.blob, flags),
        };
        (entry, by_account(keys, &self.blob, &self.summary))
    }
}

/// Folds what was delivered while locked: asymmetric work once, symmetric ever after.
pub(crate) fn fold(
    keys: &Unlocked,
    waiting: &WaitingRecord,
    summary: &SummaryRecord,
) -> Result<(EntryRecord, SummaryRecord), MailboxError> {
    let session_key = unwrap(keys, &waiting.packet)?;
    let summary = match summary {
        SummaryRecord::BySession(sealed) => {
            by_account(keys, &waiting.blob, &open_index(&session_key, sealed)?)
        }
        by_account @ SummaryRecord::ByAccount { .. } => by_account.clone(),
    };
    let entry = EntryRecord {
        modseq: waiting.modseq,
        blob: waiting.blob,
        size: waiting.size,
        internal_date: waiting.internal_date,
        packet: waiting.packet.clone(),
        session_key: wrap(keys, &waiting.blob, &session_key),
        flags: seal_flags(keys, &waiting.blob, &Flags::default()),
    };
    Ok((entry, summary))
}

/// Opens a key packet: about 100 µs.
pub(crate) fn unwrap(keys: &Unlocked, packet: &KeyPacket) -> Result<SessionKey, MailboxError> {
    keys.unwrap_packet(packet).map_err(|_| MailboxError::Sealed("key packet"))
}

fn wrap(keys: &Unlocked, blob: &BlobId, session_key: &SessionKey) -> Vec<u8> {
    keys.wrap_session_key(session_key, &context(b"key", blob))
}

/// A folded message's session key.
pub(crate) fn session_key(
    keys: &Unlocked,
    entry: &EntryRecord,
) -> Result<SessionKey, MailboxError> {
    keys.open_session_key(&entry.session_key, &context(b"key", &entry.blob))
        .map_err(|_| MailboxError::Sealed("session key"))
}

/// Seals flags for an entry.
pub(crate) fn seal_flags(
    keys: &Unlocked,
    blob: &BlobId,
    flags: &Flags,
) -> Sealed<wardpost_keys::Record> {
    let record = FlagsRecord {
        system: flags.system.0,
        keywords: flags.keywords.iter().map(|k| k.to_string()).collect(),
    };
    keys.seal(&context(b"flags", blob), &encode(&record))
}

/// Opens the flags of an entry.
pub(crate) fn open_flags(keys: &Unlocked, entry: &EntryRecord) -> Result<Flags, MailboxError> {
    let plain = keys
        .open(&context(b"flags", &entry.blob), &entry.flags)
        .map_err(|_| MailboxError::Sealed("flags"))?;
    let record: FlagsRecord = decode(&plain, "flags")?;
    let system = SystemFlags(record.system);
    if record.keywords.is_empty() {
        return Ok(Flags::system(system));
    }
    Ok(Flags::new(system, record.keywords.iter().map(String::as_str)))
}

fn by_account(keys: &Unlocked, blob: &BlobId, summary: &[u8]) -> SummaryRecord {
    SummaryRecord::ByAccount { blob: *blob, sealed: keys.seal(&context(b"summary", blob), summary) }
}

fn open_index(key: &SessionKey, sealed: &Sealed<Index>) -> Result<Vec<u8>, MailboxError> {
    key.open_index(sealed).map_err(|_| MailboxError::Sealed("summary"))
}

/// Opens a summary; `session_key` is asked only for one that was not folded.
pub(crate) fn open_summary(
    keys: &Unlocked,
    record: &SummaryRecord,
    session_key: impl FnOnce() -> Result<SessionKey, MailboxError>,
) -> Result<Summary, MailboxError> {
    let plain = match record {
        SummaryRecord::ByAccount { blob, sealed } => keys
            .open(&context(b"summary", blob), sealed)
            .map_err(|_| MailboxError::Sealed("summary"))?,
        SummaryRecord::BySession(sealed) => open_index(&session_key()?, sealed)?,
    };
    decode(&plain, "summary")
}
