//! Settings: read, check, explain.
//!
//! One TOML file, every key optional but `hostname` and `domain`. Reading it is the edge at which
//! text becomes typed values: what [`Config::load`] returns needs no second look anywhere else.
//! A mistake is never skipped over: an unknown key, a value of the wrong kind or out of range is an
//! error that names file, line and, for a slip of the pen, the key that was probably meant. All
//! mistakes in a file are told at once.
//!
//! What people change while the server runs (accounts, aliases, consent) is in the store, not here.

mod error;
mod reader;
mod sections;
mod values;

pub use error::{ConfigError, Problem};
pub use values::{CleartextException, NetworkError};

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use wardpost_mail::{Address, Domain, TlsGrade};

/// Where every command looks when `--config` is not given.
pub const DEFAULT_FILE: &str = "/etc/wardpost/wardpost.toml";

/// The whole configuration, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file this was read from, as it was named.
    pub file: PathBuf,
    /// This machine's mail host name: greeting, EHLO, `Received`, the MX record's target.
    pub hostname: Domain,
    /// The practice's first mail domain; more are added with `wardpost domain add`.
    pub domain: Domain,
    /// Where the sealed store, its keyring and the control socket live (`/var/lib/wardpost`).
    pub data_dir: PathBuf,
    /// `[listen]`
    pub listen: Listen,
    /// `[tls]`, where given.
    pub tls: Option<TlsFiles>,
    /// `[acme]`, where given.
    pub acme: Option<Acme>,
    /// `[dns]`
    pub dns: Dns,
    /// `[transport]`
    pub transport: Transport,
    /// `[inbound]`
    pub inbound: Inbound,
    /// `[publish]`
    pub publish: Publish,
    /// `[metrics]`
    pub metrics: Metrics,
    /// `[keys]`
    pub keys: Keys,
    /// `[practice]`
    pub practice: Practice,
    /// `[backup]`
    pub backup: Backup,
    /// `[portal]`
    pub portal: Portal,
    /// `[limits]`
    pub limits: Limits,
    /// `[queue]`
    pub queue: Queue,
    /// `[doctor]`
    pub doctor: Doctor,
    /// `[log]`
    pub log: Log,
}

/// `[listen]`: addresses of each service; an empty list means that it is off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// SMTP from other servers; default `0.0.0.0:25`.
    pub mx: Vec<SocketAddr>,
    /// Submission with STARTTLS (RFC 6409); default `0.0.0.0:587`.
    pub submission: Vec<SocketAddr>,
    /// Submission in TLS from the first byte (RFC 8314); default `0.0.0.0:465`.
    pub submissions: Vec<SocketAddr>,
    /// IMAP in TLS from the first byte (RFC 8314); default `0.0.0.0:993`.
    pub imaps: Vec<SocketAddr>,
    /// The portal; default `0.0.0.0:443`.
    pub https: Vec<SocketAddr>,
    /// Redirects to https; default `0.0.0.0:80`.
    pub http: Vec<SocketAddr>,
    /// Prometheus metrics and health; default `127.0.0.1:9464`.
    pub metrics: Vec<SocketAddr>,
    /// ManageSieve (RFC 5804); default `0.0.0.0:4190`.
    pub managesieve: Vec<SocketAddr>,
}

/// `[tls]`: certificate files, read again on SIGHUP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// PEM chain, our certificate first.
    pub certificate: PathBuf,
    /// PEM private key.
    pub private_key: PathBuf,
}

/// `[acme]`: a certificate authority to fetch certificates from (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// The directory URL; default Let's Encrypt.
    pub directory: String,
    /// A mail address for the authority's warnings.
    pub contact: Option<String>,
    /// PEM roots trusted for the authority's own HTTPS, besides the system's.
    pub extra_root: Option<PathBuf>,
    /// What an authority that knows its customers calls us (RFC 8555 §7.3.4); where given.
    pub external: Option<AcmeExternal>,
}

/// `[acme] eab_key_id` and `eab_key_file`: an external account binding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeExternal {
    /// What the authority calls the key.
    pub key_id: String,
    /// The file of the HMAC key, in base64url.
    pub key_file: PathBuf,
}

/// `[dns]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dns {
    /// Resolvers to ask; empty means those of the system.
    pub servers: Vec<SocketAddr>,
    /// File of DNSKEY or DS records in zone-file form; absent means the real root.
    pub trust_anchor: Option<PathBuf>,
}

/// `[transport]`: the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transport {
    /// The least grade a path must reach for a message to take it; default T3, never below it.
    pub floor: TlsGrade,
    /// Whether a sender's `TLS-Required: No` (RFC 8689 §3) lowers the floor to T2; default not.
    pub honour_tls_required_no: bool,
    /// PEM roots trusted besides the system's, for MX hosts and MTA-STS policy hosts.
    pub extra_roots: Option<PathBuf>,
    /// The port other mail servers listen on; default 25.
    pub smtp_port: u16,
}

/// `[inbound]`: mail from other servers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// What happens to mail that comes without TLS.
    pub cleartext: Cleartext,
    /// Peers and sender domains that may write without TLS although others may not.
    pub cleartext_exceptions: Vec<CleartextException>,
    /// Domains whose seals (ARC, RFC 8617) are believed when they say that a message was proven before they
    /// handed it on: mailing lists and forwarders. Default none.
    pub trusted_arc_sealers: Vec<Domain>,
}

impl Inbound {
    /// Whether this peer, writing for this sender domain, may do so without TLS.
    pub fn accepts_cleartext(&self, peer: IpAddr, sender: Option<&Domain>) -> bool {
        self.cleartext == Cleartext::AcceptAndMark
            || self.cleartext_exceptions.iter().any(|exception| exception.matches(peer, sender))
    }
}

/// `[inbound] cleartext`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleartext {
    /// MAIL is refused before STARTTLS (530 5.7.0).
    Refuse,
    /// Mail is taken and marked as having come in clear.
    AcceptAndMark,
}

/// `[publish]`: what we tell others about ourselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish {
    /// The public addresses of this server, for its A and AAAA records; empty when nobody said.
    pub addresses: Vec<IpAddr>,
    /// What our MTA-STS policy asks of senders (RFC 8461); default enforce.
    pub mta_sts: MtaSts,
    /// How long senders keep the policy; `mta_sts_days`, default 14 days.
    pub mta_sts_max_age: Duration,
}

/// `[publish] mta_sts`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MtaSts {
    /// Deliver to us over verified TLS or not at all.
    Enforce,
    /// Report failures, and deliver all the same.
    Testing,
    /// There was a policy, and it holds no longer (RFC 8461 §2.3).
    None,
    /// We say nothing about it.
    Off,
}

/// `[metrics]`: who may read the metrics. With either of the two the port speaks TLS with our certificate, and
/// off loopback one of them must be there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metrics {
    /// File with the token that a scraper shows (RFC 6750 §2.1).
    pub token_file: Option<PathBuf>,
    /// PEM file of the authorities whose client certificates are taken instead.
    pub client_ca: Option<PathBuf>,
}

impl Metrics {
    /// Whether the port asks who is there.
    pub fn is_guarded(&self) -> bool {
        self.token_file.is_some() || self.client_ca.is_some()
    }
}

/// `[keys]`
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Keys {
    /// File of the system key; absent means the systemd credential `wardpost.system-key`.
    pub system_key_file: Option<PathBuf>,
}

/// `[practice]`: what a notice says about who it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Practice {
    /// The practice's name as patients know it; default the domain.
    pub name: String,
    /// A telephone number at which a patient can ask whether a notice is real.
    pub phone: Option<String>,
    /// The mail address of whoever looks after this server, for notices about it.
    pub contact: Option<Address>,
}

/// `[backup]`: asked at set-up and kept; this version makes no backups yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Backup {
    /// Where backups are to go, in the practice's own words or as an address of a server.
    pub destination: Option<String>,
}

/// `[portal]`: the pages patients see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portal {
    /// What links begin with, without a final slash; default `https://HOSTNAME`, with the port of
    /// `[listen] https` unless that is 443.
    pub url: String,
    /// How long a parcel waits; `parcel_days`, default 30 days.
    pub parcel_lifetime: Duration,
}

/// `[limits]`: bounds that keep one peer or one message from taking the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Largest message taken, in octets (RFC 1870); default 50 MiB.
    pub message_bytes: usize,
    /// Most recipients of one message; default 200 (at least 100, RFC 5321 §4.5.3.1.8).
    pub recipients: usize,
    /// Most connections each service holds at once; default 2,000.
    pub connections: usize,
    /// Most connections from one address to submission, IMAP and the portal: an office is one
    /// address; default 1,000.
    pub connections_per_address: usize,
    /// Most connections from one address to port 25; default 50.
    pub mx_connections_per_address: usize,
}

/// `[queue]`: mail that waits to go out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// When the sender is told that a message is late; `delay_report_hours`, default 4.
    pub delay_report: Duration,
    /// When it is given up and the sender told; `give_up_hours`, default 120.
    pub give_up: Duration,
    /// How long what was seen of a message's way is kept once it ended; `history_days`, default 30.
    pub history: Duration,
}

/// `[doctor]`: whom the examination of this server asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doctor {
    /// Domains whose mail servers are called on port 25, to see whether it is open and TLS gets through;
    /// nothing is sent to them but EHLO and QUIT. Default some large providers.
    pub probe_hosts: Vec<Domain>,
    /// Time servers (SNTP, RFC 5905 §14) that our clock is compared with. Default some public ones.
    pub time_servers: Vec<TimeServer>,
}

/// A time server: a name or an address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TimeServer {
    /// Its name, or its address as text.
    pub host: String,
    /// Its port; 123 unless given.
    pub port: u16,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Text for people or one JSON object a line; default text.
    pub format: LogFormat,
    /// The least severe level written; default info.
    pub level: LogLevel,
}

/// `[log] format`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

/// `[log] level`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Only what needs somebody.
    Error,
    /// And what may need somebody.
    Warn,
    /// And what was done.
    Info,
    /// And how.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The name, as written in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

impl Config {
    /// Reads and checks a configuration file. Relative paths in it count from the file's directory.
    ///
    /// # Errors
    /// When the file cannot be read, is not TOML, or has anything wrong in it: all mistakes at once.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| ConfigError::Unreadable { file: file.to_owned(), error })?;
        Self::parse(&text, file)
    }

    /// As [`Config::load`], from a text already read; `file` names it in errors and anchors relative
    /// paths.
    ///
    /// # Errors
    /// As for [`Config::load`].
    pub fn parse(text: &str, file: &Path) -> Result<Self, ConfigError> {
        sections::read(text, file)
            .map_err(|problems| ConfigError::Invalid { file: file.to_owned(), problems })
    }

    /// The control socket of the daemon (`DATA/admin.sock`).
    pub fn admin_socket(&self) -> PathBuf {
        self.data_dir.join("admin.sock")
    }
}

#[cfg(test)]
mod tests;
