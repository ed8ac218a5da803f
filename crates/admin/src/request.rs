//! What can be asked.

use crate::pin_request::PinRequest;
use crate::secret_text;
use serde::{Deserialize, Serialize};
use wardpost_mail::{Address, Domain, QueueId, Secret};

/// A request. On the wire: `{"account":{"add":{"address":"…",…}}}`.
///
/// Accounts are named by their address, or by its local part if it is in the main domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// How the daemon is.
    Status,
    /// An examination of the server, made now; with `boot` only whether the machine came up well.
    Doctor {
        /// Whether to look at this machine alone.
        boot: bool,
    },
    /// What the status screen shows; answered during set-up, too.
    Console,
    /// Make the practice's recovery certificate, if that was not done yet.
    Setup,
    /// Something about accounts.
    Account(AccountRequest),
    /// Something about aliases.
    Alias(AliasRequest),
    /// Something about domains.
    Domain(DomainRequest),
    /// Something about our certificate and its keys.
    Tls(TlsRequest),
    /// How a message would go, and why.
    Route {
        /// The sender.
        from: Address,
        /// The recipient.
        to: Address,
    },
    /// Something about mail that waits to go out.
    Queue(QueueRequest),
    /// Something about messages that wait to be picked up.
    Parcel(ParcelRequest),
    /// Something about other domains' MTA-STS policies.
    Sts(StsRequest),
    /// Something about rules for domains.
    Pin(PinRequest),
    /// What has been counted, and what mail servers tell each other.
    Report(ReportRequest),
    /// Something about exceptions from TLS on port 25.
    Exception(ExceptionRequest),
}

/// About other domains' MTA-STS policies.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum StsRequest {
    /// Those that are kept.
    List,
}

/// What has been counted, and what mail servers tell each other.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ReportRequest {
    /// Who came to port 25 without TLS.
    Cleartext {
        /// Within so many days.
        days: u16,
    },
    /// What others say of TLS sessions with our servers (RFC 8460).
    Tls {
        /// How many days back.
        days: u32,
    },
    /// What others say of mail in our name (DMARC).
    Dmarc {
        /// How many days back.
        days: u32,
    },
    /// Make and send our reports about others, of everything counted so far.
    SendNow,
}

/// About exceptions from TLS on port 25. Who: an address, a network or a sender's domain.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ExceptionRequest {
    /// Make one.
    Add {
        /// For whom.
        who: String,
        /// How long.
        days: u16,
        /// Why.
        reason: String,
    },
    /// All that have not ended.
    List,
    /// Take one back.
    Remove {
        /// Whose.
        who: String,
    },
}

/// About accounts.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AccountRequest {
    /// Make one.
    Add {
        /// Its address.
        address: Address,
        /// The name shown to people.
        #[serde(default)]
        name: String,
        /// Its first password.
        #[serde(with = "secret_text")]
        password: Secret<String>,
        /// Whether this person may look after the box.
        #[serde(default)]
        administrator: bool,
    },
    /// All of them.
    List,
    /// One of them.
    Show {
        /// Which.
        account: String,
    },
    /// Remove one, and all its mail.
    Remove {
        /// Which.
        account: String,
    },
    /// Change a password, knowing the old one.
    Passwd {
        /// Whose.
        account: String,
        /// The password so far.
        #[serde(with = "secret_text")]
        current: Secret<String>,
        /// The new one.
        #[serde(with = "secret_text")]
        new: Secret<String>,
    },
    /// Set a password with the practice's recovery kit.
    Recover {
        /// Whose.
        account: String,
        /// The secret on the kit.
        #[serde(with = "secret_text")]
        kit: Secret<String>,
        /// The new password.
        #[serde(with = "secret_text")]
        new: Secret<String>,
    },
    /// Make somebody an administrator, or no longer.
    Administrator {
        /// Whom.
        account: String,
        /// Which of both.
        administrator: bool,
    },
    /// Take the second factor away, for somebody whose phone is lost.
    RemoveSecondFactor {
        /// Whose.
        account: String,
    },
    /// Something about app passwords.
    AppPassword(AppPasswordRequest),
}

/// About app passwords: one a device, revoked alone.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AppPasswordRequest {
    /// Make one.
    Add {
        /// For whom.
        account: String,
        /// What to call it.
        label: String,
        /// The account's password: without it nobody, not even the administrator, makes a new key.
        #[serde(with = "secret_text")]
        password: Secret<String>,
    },
    /// All of an account.
    List {
        /// Whose.
        account: String,
    },
    /// Revoke one.
    Remove {
        /// Whose.
        account: String,
        /// Its number in the list.
        slot: u32,
    },
}

/// About aliases.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AliasRequest {
    /// Point an address at accounts, instead of what it pointed at.
    Add {
        /// The address.
        address: Address,
        /// Whom it reaches.
        targets: Vec<String>,
    },
    /// All of them.
    List,
    /// Remove one.
    Remove {
        /// Which.
        address: Address,
    },
}

/// About domains.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DomainRequest {
    /// Serve one more.
    Add {
        /// Which.
        domain: Domain,
    },
    /// All of them, with the DNS records to publish.
    List,
    /// One of them, with the DNS records to publish.
    Show {
        /// Which.
        domain: Domain,
    },
    /// Serve it no longer.
    Remove {
        /// Which.
        domain: Domain,
    },
    /// Something about its DKIM keys.
    Dkim {
        /// Which.
        domain: Domain,
        /// What.
        request: DkimRequest,
    },
}

/// About a domain's DKIM keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum DkimRequest {
    /// Where they stand.
    Show,
    /// Make the next pair, unless one waits already.
    Rotate {
        /// And use it now, if its records are published.
        #[serde(default)]
        now: bool,
        /// And use it now, whether or not they are.
        #[serde(default)]
        force: bool,
    },
}

/// About our certificate and its keys.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum TlsRequest {
    /// Where they stand.
    Show,
    /// Make the next key, unless there is one already.
    NextKey {
        /// And a signing request for it.
        #[serde(default)]
        csr: bool,
        /// Make one in any case, in place of the one there is.
        #[serde(default)]
        replace: bool,
    },
    /// Put the next key to use.
    Roll {
        /// Whether or not its record is published.
        #[serde(default)]
        force: bool,
    },
    /// Ask the authority for a certificate now.
    Renew {
        /// With a new account.
        #[serde(default)]
        new_account: bool,
    },
}

/// About mail that waits to go out.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum QueueRequest {
    /// The oldest items after one, in order.
    List {
        /// Start after this one.
        #[serde(default)]
        after: Option<QueueId>,
        /// At most so many.
        limit: usize,
        /// Those that have ended, in place of those that wait.
        #[serde(default)]
        ended: bool,
    },
    /// One item.
    Show {
        /// Which.
        id: QueueId,
    },
    /// Try it now.
    Retry {
        /// Which.
        id: QueueId,
    },
    /// Remove it without telling anybody.
    Drop {
        /// Which.
        id: QueueId,
    },
}

/// About messages that wait to be picked up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum ParcelRequest {
    /// All, or one sender's, newest first.
    List {
        /// Whose.
        #[serde(default)]
        sender: Option<String>,
    },
    /// One.
    Show {
        /// Which.
        id: String,
    },
    /// A new code for a recipient, who lost the old one or their passphrase.
    Code {
        /// For whom.
        recipient: Address,
    },
    /// Let a parcel that is locked after too many wrong codes be tried again.
    Unlock {
        /// Which.
        id: String,
    },
    /// Take one back.
    Recall {
        /// Which.
        id: String,
    },
}
