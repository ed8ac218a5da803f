//! What the judge knows. What nobody looked at is `None`, and nothing is said of it.

use std::net::IpAddr;
use wardpost_mail::Domain;

/// Everything that was found out in one examination.
#[derive(Debug, Clone)]
pub struct Facts {
    /// When, Unix seconds.
    pub when: i64,
    /// The name of our mail host.
    pub hostname: Domain,
    /// The DNS servers.
    pub dns: Option<DnsFacts>,
    /// Our host's addresses.
    pub host: Option<HostFacts>,
    /// The records of all our domains.
    pub records: Vec<RecordFacts>,
    /// Other mail servers; `None` also when none are to be called.
    pub port_out: Option<PortOutFacts>,
    /// Our port 25, from outside.
    pub port_in: Option<PortInFacts>,
    /// Our certificate.
    pub certificate: Option<CertificateFacts>,
    /// The time.
    pub clock: Option<ClockFacts>,
    /// The data directory's disk.
    pub disk: Option<DiskFacts>,
    /// How the disk is opened.
    pub opening: Option<Opening>,
    /// What protects the system key.
    pub system_key: Option<KeyProtection>,
    /// Mail that waits to go out.
    pub queue: Option<QueueFacts>,
    /// Where backups are to go.
    pub backups: Option<BackupFacts>,
    /// Whether the daemon answers.
    pub daemon: Option<bool>,
    /// Whether the store took a write; the error's words.
    pub store: Option<Result<(), String>>,
    /// Which services should listen and do not answer, by name.
    pub ports: Option<Vec<String>>,
    /// Names of failed systemd units; why systemd did not say.
    pub units: Option<Result<Vec<String>, String>>,
}

impl Facts {
    /// Nothing is known yet.
    pub fn new(when: i64, hostname: Domain) -> Self {
        Self {
            when,
            hostname,
            dns: None,
            host: None,
            records: Vec::new(),
            port_out: None,
            port_in: None,
            certificate: None,
            clock: None,
            disk: None,
            opening: None,
            system_key: None,
            queue: None,
            backups: None,
            daemon: None,
            store: None,
            ports: None,
            units: None,
        }
    }
}

/// How the DNS servers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DnsFacts {
    /// Whether any question was answered.
    pub answers: bool,
    /// Whether answers are validated.
    pub validation: DnsValidation,
}

/// Whether DNS answers are validated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DnsValidation {
    /// They are.
    Validated,
    /// Nobody can say yet.
    Undecided,
    /// The servers pass no signatures on.
    Stripped,
    /// It is not known to this examination.
    NotLooked,
}

/// What a look-up gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// These values, in the form that zone files have; of TXT records the text. Empty when the name has
    /// none of this type.
    Values(Vec<String>),
    /// The name does not exist.
    NoSuchName,
    /// The signatures are wrong (DNSSEC).
    Bogus,
    /// No server answered.
    NoAnswer,
}

impl Found {
    /// The values; none in all other cases.
    pub fn values(&self) -> &[String] {
        match self {
            Self::Values(values) => values,
            _ => &[],
        }
    }
}

/// Our host's name and addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// The domain whose zone the name lies in, as far as we know.
    pub domain: Domain,
    /// The public addresses that are configured, or else those of the machine's own that are public; empty
    /// when neither is known.
    pub public: Vec<IpAddr>,
    /// What the name leads to.
    pub found: Found,
    /// Addresses in it that only a network of its own can reach, although nobody said that they are right.
    pub private: Vec<IpAddr>,
    /// For each address that the name should lead to, or else leads to: the reverse names.
    pub reverse: Vec<ReverseFacts>,
    /// Whether the answer was validated; `None` when it cannot be told.
    pub signed: Option<bool>,
}

/// The reverse names of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReverseFacts {
    /// The address.
    pub address: IpAddr,
    /// Its names.
    pub found: Found,
}

/// Which record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// MX.
    Mx,
    /// SPF of a domain.
    Spf,
    /// SPF of our host.
    HostSpf,
    /// DMARC.
    Dmarc,
    /// A DKIM key.
    Dkim,
    /// The announcement of our MTA-STS policy.
    MtaSts,
    /// The host the policy is fetched from: its *addresses*.
    MtaStsHost,
    /// TLS-RPT.
    TlsRpt,
    /// A key of our certificate.
    Tlsa,
    /// A service's host and port.
    Srv,
    /// A host that mail programs ask for settings: its *addresses*.
    Settings,
    /// Certificate authorities.
    Caa,
}

/// Whether a record is needed now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// It is.
    Now,
    /// It will be.
    Coming,
    /// It was, and should stay a while.
    Leaving,
}

/// A record as it should be, and what is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordFacts {
    /// Which.
    pub kind: RecordKind,
    /// The domain of ours that it belongs to.
    pub domain: Domain,
    /// The name it stands under.
    pub name: String,
    /// Its type.
    pub type_name: String,
    /// What it should say.
    pub wanted: String,
    /// Whether it is needed now.
    pub phase: Phase,
    /// What is there.
    pub found: Found,
}

/// Calls to other mail servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortOutFacts {
    /// All mail to others goes by a smarthost.
    pub smarthost: bool,
    /// What came of each.
    pub calls: Vec<Call>,
}

/// A call to port 25 of somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// No mail server of that name was found.
    NotFound,
    /// Nobody answered in time.
    Silence,
    /// The connection was refused, or there was no way.
    Refused,
    /// Somebody answered who turns us away with the first words.
    TurnedAway,
    /// Somebody answered, but not as a mail server does.
    Odd,
    /// A mail server greeted us.
    Greeted(Tls),
}

/// What a mail server said about TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tls {
    /// It offers STARTTLS.
    Offered,
    /// It does not.
    Missing,
    /// Somebody on the way wrote over it (`XXXXXXXA`), or over the greeting.
    Overwritten,
}

/// Our own port 25, called at our public addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInFacts {
    /// When a server from outside was here last, Unix seconds.
    pub last_visit: Option<i64>,
    /// What came of each call.
    pub calls: Vec<OwnCall>,
}

/// A call to ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnCall {
    /// Where.
    pub address: IpAddr,
    /// The address is one of this machine's own: the call did not leave it.
    pub own: bool,
    /// Who answered.
    pub answer: OwnAnswer,
}

/// Who answers at our address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OwnAnswer {
    /// We.
    We,
    /// Another mail server, or something else.
    SomebodyElse,
    /// Nobody, or we may not call there.
    Nobody,
}

/// Our certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// No authority vouches for it.
    pub self_signed: bool,
    /// Begin, Unix seconds.
    pub not_before: i64,
    /// End, Unix seconds.
    pub not_after: i64,
    /// Whether it names our host.
    pub names_host: bool,
    /// Other names that it should have and has not.
    pub missing: Vec<String>,
    /// The authority that certificates come from, if they do.
    pub authority: Option<AuthorityFacts>,
}

/// How ordering certificates goes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuthorityFacts {
    /// The last failure since the last success, in words.
    pub failure: Option<String>,
    /// What to do about it, in words; empty when nobody can say.
    pub to_do: String,
    /// When it is tried again, Unix seconds.
    pub next_try: Option<i64>,
    /// Names that the authority did not take: what happened, in words, and what to do.
    pub left_out: Vec<LeftOutFacts>,
}

/// A name that is not in the certificate because the authority did not take it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOutFacts {
    /// The name.
    pub name: String,
    /// What happened, in words.
    pub says: String,
    /// What to do about it.
    pub to_do: String,
}

/// The time.
#[derive(Debug, Clone, PartialEq)]
pub struct ClockFacts {
    /// By how many seconds our clock is ahead of each time server that answered.
    pub ahead: Vec<f64>,
    /// Whether the system's time service says that the clock is set.
    pub synchronized: bool,
}

/// A disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskFacts {
    /// Its size in octets.
    pub total: u64,
    /// What we may still write.
    pub free: u64,
}

/// How the disk is opened at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// By the machine's TPM.
    Tpm,
    /// Somebody types the passphrase.
    Passphrase,
    /// It is not encrypted.
    Unencrypted,
    /// Nobody said: a plain Debian.
    NotKnown,
}

/// What protects the system key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyProtection {
    /// The machine's TPM.
    Tpm,
    /// A key that lies on the same disk.
    Host,
    /// systemd; nobody says by what.
    Systemd,
    /// Nothing: a file.
    File,
}

/// The queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueFacts {
    /// Messages that wait.
    pub messages: usize,
    /// The age of the oldest in seconds.
    pub oldest: u64,
    /// From which age on senders are told that it is late, in seconds.
    pub late: u64,
}

/// Backups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackupFacts {
    /// Whether it is known where they are to go.
    pub destination: bool,
}
