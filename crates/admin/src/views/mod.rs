//! Answers: as JSON for programs, as text for people.

mod account;
mod acme;
mod console;
mod dkim;
mod domain;
mod parcel;
mod path;
mod pin;
mod queue;
mod report;
mod route;
mod status;
mod sts;
mod table;
mod tls;
mod wall;

pub use account::{AccountView, AliasView, AppPasswordView, MadeSecret};
pub use acme::{AcmeFailureView, AcmeLeftOutView, AcmeView};
pub use console::{ConsoleView, ServingView, SetUpView, Stage};
pub use dkim::{DkimPairView, DkimView};
pub use domain::{DnsRecordView, DomainView};
pub use parcel::{CodeView, ParcelRow};
pub use path::{DnssecView, FailureView, PathView, PeerCertificateView, StsView, TlsaView};
pub use pin::{PinView, SmarthostView};
pub use queue::{EvidenceView, QueueItemView, QueueRecipientView};
pub use report::{DmarcReportsView, ReportsSentView, TlsReportsView};
pub use route::{HopView, RouteView};
pub use status::{CertificateView, ListenerView, StatusView};
pub use sts::StsPolicyView;
pub use tls::{NextKeyView, TlsKeyView, TlsView};
pub use wall::{CleartextPeerView, CleartextView, ExceptionView};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::SystemTime;
use wardpost_health::Report;

/// An answer. On the wire tagged by its kind; [`Answer::json`] shows what is inside.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was done; there is nothing to say about it.
    Done,
    /// How the daemon is.
    Status(StatusView),
    /// What an examination found.
    Health(Report),
    /// What the status screen shows.
    Console(Box<ConsoleView>),
    /// One account.
    Account(AccountView),
    /// All accounts.
    Accounts(Vec<AccountView>),
    /// An app password, seen this once.
    AppPassword(MadeSecret),
    /// An account's app passwords, without the passwords.
    AppPasswords(Vec<AppPasswordView>),
    /// All aliases.
    Aliases(Vec<AliasView>),
    /// One domain.
    Domain(DomainView),
    /// All domains.
    Domains(Vec<DomainView>),
    /// A domain's DKIM keys.
    Dkim(DkimView),
    /// Our certificate's keys.
    Tls(TlsView),
    /// How a message would go.
    Route(RouteView),
    /// Items of the queue.
    Queue(Vec<QueueItemView>),
    /// One item of the queue.
    QueueItem(QueueItemView),
    /// Parcels.
    Parcels(Vec<ParcelRow>),
    /// One parcel.
    Parcel(ParcelRow),
    /// A new code, seen this once.
    Code(CodeView),
    /// Other domains' MTA-STS policies.
    StsPolicies(Vec<StsPolicyView>),
    /// A rule for a domain.
    Pin(Box<PinView>),
    /// All rules for domains.
    Pins(Vec<PinView>),
    /// What others say of TLS sessions with our servers.
    TlsReports(TlsReportsView),
    /// What others say of mail in our name.
    DmarcReports(DmarcReportsView),
    /// What became of our own reports.
    ReportsSent(ReportsSentView),
    /// Who came without TLS.
    Cleartext(CleartextView),
    /// Exceptions from TLS.
    Exceptions(Vec<ExceptionView>),
}

impl Answer {
    /// What is inside, as JSON for programs: an object or a list.
    ///
    /// # Errors
    /// When it cannot be written as JSON.
    pub fn json(&self) -> serde_json::Result<String> {
        match self {
            Self::Done => Ok("{}".to_owned()),
            Self::Status(it) => serde_json::to_string_pretty(it),
            Self::Console(it) => serde_json::to_string_pretty(it),
            Self::Health(it) => serde_json::to_string_pretty(it),
            Self::Account(it) => serde_json::to_string_pretty(it),
            Self::Accounts(it) => serde_json::to_string_pretty(it),
            Self::AppPassword(it) => serde_json::to_string_pretty(it),
            Self::AppPasswords(it) => serde_json::to_string_pretty(it),
            Self::Aliases(it) => serde_json::to_string_pretty(it),
            Self::Domain(it) => serde_json::to_string_pretty(it),
            Self::Domains(it) => serde_json::to_string_pretty(it),
            Self::Dkim(it) => serde_json::to_string_pretty(it),
            Self::Tls(it) => serde_json::to_string_pretty(it),
            Self::Route(it) => serde_json::to_string_pretty(it),
            Self::Queue(it) => serde_json::to_string_pretty(it),
            Self::QueueItem(it) => serde_json::to_string_pretty(it),
            Self::Parcels(it) => serde_json::to_string_pretty(it),
            Self::Parcel(it) => serde_json::to_string_pretty(it),
            Self::Code(it) => serde_json::to_string_pretty(it),
            Self::StsPolicies(it) => serde_json::to_string_pretty(it),
            Self::Pin(it) => serde_json::to_string_pretty(it),
            Self::Pins(it) => serde_json::to_string_pretty(it),
            Self::TlsReports(it) => serde_json::to_string_pretty(it),
            Self::DmarcReports(it) => serde_json::to_string_pretty(it),
            Self::ReportsSent(it) => serde_json::to_string_pretty(it),
            Self::Cleartext(it) => serde_json::to_string_pretty(it),
            Self::Exceptions(it) => serde_json::to_string_pretty(it),
        }
    }
}

/// For people: several lines, the last one ended too; nothing at all where there is nothing to say.
impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => Ok(()),
            Self::Status(it) => it.fmt(f),
            Self::Console(it) => it.fmt(f),
            Self::Health(it) => it.fmt(f),
            Self::Account(it) => it.fmt(f),
            Self::Accounts(it) => account::accounts(it, f),
            Self::AppPassword(it) => it.fmt(f),
            Self::AppPasswords(it) => account::app_passwords(it, f),
            Self::Aliases(it) => account::aliases(it, f),
            Self::Domain(it) => it.fmt(f),
            Self::Domains(it) => domain::domains(it, f),
            Self::Dkim(it) => it.fmt(f),
            Self::Tls(it) => it.fmt(f),
            Self::Route(it) => it.fmt(f),
            Self::Queue(it) => queue::items(it, f),
            Self::QueueItem(it) => it.fmt(f),
            Self::Parcels(it) => parcel::parcels(it, f),
            Self::Parcel(it) => it.fmt(f),
            Self::Code(it) => it.fmt(f),
            Self::StsPolicies(it) => sts::policies(it, f),
            Self::Pin(it) => it.fmt(f),
            Self::Pins(it) => pin::pins(it, f),
            Self::TlsReports(it) => it.fmt(f),
            Self::DmarcReports(it) => it.fmt(f),
            Self::ReportsSent(it) => it.fmt(f),
            Self::Cleartext(it) => it.fmt(f),
            Self::Exceptions(it) => wall::exceptions(it, f),
        }
    }
}

/// A time as people and programs read it: RFC 3339, UTC, whole seconds.
pub fn time_text(time: SystemTime) -> String {
    let seconds = match time.duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => i64::try_from(since.as_secs()).unwrap_or(i64::MAX),
        Err(before) => -i64::try_from(before.duration().as_secs()).unwrap_or(i64::MAX),
    };
    unix_text(seconds)
}

/// As [`time_text`], from Unix seconds.
pub fn unix_text(seconds: i64) -> String {
    // Times outside the calendar's years are shown as its ends.
    let seconds = seconds.clamp(Timestamp::MIN.as_second() + 1, Timestamp::MAX.as_second());
    Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

/// Octets for people.
pub(crate) fn size_text(octets: u64) -> String {
    match octets {
        0..1024 => format!("{octets} B"),
        1024..1_048_576 => format!("{} KiB", octets.div_ceil(1024)),
        _ => format!("{}.{} MiB", octets >> 20, ((octets & 0xf_ffff) * 10) >> 20),
    }
}

#[cfg(test)]
mod tests;
