//! What lies outside the pages: the network, the disk, and what the answers become.

use crate::answers::{Answers, Practice};
use async_trait::async_trait;
use wardpost_keys::RecoveryCertificate;
use wardpost_mail::{Domain, Secret};
use wardpost_pins::Smarthost;

/// Least free space for a practice's mail, in octets; with less the pages say so.
pub(crate) const ENOUGH_SPACE: u64 = 8 << 30;

/// What the DNS says of a domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DomainLook {
    /// Its mail goes to this server, or nowhere yet.
    Free,
    /// Its mail goes to other servers.
    Elsewhere(Vec<Domain>),
    /// There is no such domain.
    Missing,
    /// The DNS could not be asked.
    Unknown,
}

/// What came of a try of a smarthost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RelayLook {
    /// Whether mail would go through it.
    pub(crate) works: bool,
    /// What was seen and, where it does not work, what to do: a sentence or a few.
    pub(crate) says: String,
}

/// The disk's own recovery key, where the machine has made one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Disk {
    /// The key, as long as nobody confirmed that it is on paper.
    pub(crate) recovery_key: Option<Secret<String>>,
    /// Somebody confirmed it in a set-up before that did not come to its end: it is on that sheet.
    pub(crate) on_paper: bool,
    /// How the disk opens: `tpm`, `passphrase` or `none`; absent where the machine does not say.
    pub(crate) unlock: Option<String>,
    /// The machine has a place to tell all this, and tells nothing: something went wrong there.
    pub(crate) silent: bool,
}

impl Disk {
    /// Whether the disk opens by a key or a passphrase, as far as anybody can tell, and nothing that would open
    /// it otherwise is on paper or could be.
    pub(crate) fn lacks_key(&self) -> bool {
        let encrypted = self.unlock.as_deref().is_some_and(|unlock| unlock != "none");
        (encrypted || self.silent) && self.recovery_key.is_none() && !self.on_paper
    }
}

/// Why the answers could not be put to work, with what to do about it. Nothing is half done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotApplied(pub(crate) String);

/// Whatever the pages need from outside.
#[async_trait]
pub(crate) trait World: Send + Sync {
    /// Where a domain's mail goes today.
    async fn domain(&self, practice: &Practice) -> DomainLook;

    /// Tries a smarthost, without sending anything.
    async fn relay(&self, practice: &Practice, relay: &Smarthost) -> RelayLook;

    /// Whether the Internet can be reached.
    async fn is_online(&self) -> bool;

    /// Free space on the disk of the data, in octets.
    fn free_space(&self) -> Option<u64>;

    /// What the disk wants to have on paper.
    fn disk(&self) -> Disk;

    /// Whether certificates will be fetched from an authority whose terms one agrees to.
    fn fetches_certificates(&self) -> bool;

    /// Makes everything of the answers, or nothing.
    async fn apply(
        &self,
        answers: &Answers,
        recovery: &RecoveryCertificate,
        disk_key_confirmed: bool,
    ) -> Result<(), NotApplied>;
}
