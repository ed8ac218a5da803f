//! Reports between mail servers, as shown.

use super::{table, unix_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_reports::{DmarcReporter, DmarcView, SentNow, TlsReporter, TlsView};

/// What others say of TLS sessions with our servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TlsReportsView(pub TlsView);

/// What others say of mail in our name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DmarcReportsView(pub DmarcView);

/// What became of our own reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportsSentView {
    /// Domains that something was counted of.
    pub domains: usize,
    /// Reports made for those that want one.
    pub made: usize,
    /// Reports that could not be sent yet, and are tried again.
    pub waiting: usize,
}

impl From<SentNow> for ReportsSentView {
    fn from(sent: SentNow) -> Self {
        let SentNow { domains, made, waiting } = sent;
        Self { domains, made, waiting }
    }
}

impl fmt::Display for ReportsSentView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { domains, made, waiting } = self;
        writeln!(f, "{domains} domains were counted, {made} reports made, {waiting} still wait")
    }
}

impl fmt::Display for TlsReportsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(view) = self;
        writeln!(
            f,
            "TLS to our servers, as others saw it in the last {} days: {} sessions without fault, \
             {} failed ({} reports)",
            view.days,
            view.success,
            view.failure,
            view.reporters.len()
        )?;
        for failure in &view.failures {
            writeln!(f, "\n{}: {} sessions", failure.kind, failure.count)?;
            writeln!(f, "  {}", failure.advice)?;
            let servers = view.servers.iter().filter(|server| server.kind == failure.kind);
            for server in servers {
                let from = server.sending.map_or("somewhere".to_owned(), |ip| ip.to_string());
                let to = server.host.as_deref().unwrap_or("our server");
                write!(f, "  {} times from {from} to {to}", server.count)?;
                match &server.reason {
                    Some(reason) => writeln!(f, ": {reason}")?,
                    None => writeln!(f)?,
                }
            }
        }
        tls_reporters("\nWho reported:\n", &view.reporters, f)?;
        tls_reporters(UNPROVEN, &view.unproven, f)
    }
}

/// Said above reports that anybody may have made up.
const UNPROVEN: &str =
    "\nNot counted, because nothing proves that they come from whom they name:\n";

fn tls_reporters(
    title: &str,
    reporters: &[TlsReporter],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if reporters.is_empty() {
        return Ok(());
    }
    f.write_str(title)?;
    let row = |one: &TlsReporter| {
        [
            one.submitter.clone(),
            one.organization.clone(),
            period(one.begin, one.end),
            one.success.to_string(),
            one.failure.to_string(),
        ]
    };
    let rows: Vec<_> = reporters.iter().map(row).collect();
    table::write(f, ["DOMAIN", "NAME", "PERIOD (UTC)", "OK", "FAILED"], &rows)
}

impl fmt::Display for DmarcReportsView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(view) = self;
        writeln!(
            f,
            "Mail in our name, as others saw it in the last {} days: {} messages proven to be ours, \
             {} not ({} reports)",
            view.days,
            view.pass,
            view.fail,
            view.reporters.len()
        )?;
        if view.fail > 0 {
            writeln!(
                f,
                "\nAn address below that is a service of yours (billing, newsletters) and fails needs \
                 a DKIM key of your domain\nor a place in its SPF record. One that nobody knows is \
                 somebody else, writing in your name: p=reject stops it."
            )?;
        }
        if !view.sources.is_empty() {
            let row = |one: &wardpost_reports::DmarcSource| {
                [
                    one.source.map_or("unknown".to_owned(), |ip| ip.to_string()),
                    one.header_from.clone(),
                    one.pass.to_string(),
                    one.fail.to_string(),
                    one.stopped.to_string(),
                    one.signers.join(" "),
                ]
            };
            let rows: Vec<_> = view.sources.iter().map(row).collect();
            let head = ["SENDER", "AS", "PASSED", "FAILED", "STOPPED", "SIGNED BY"];
            writeln!(f)?;
            table::write(f, head, &rows)?;
        }
        dmarc_reporters("\nWho reported:\n", &view.reporters, f)?;
        dmarc_reporters(UNPROVEN, &view.unproven, f)
    }
}

fn dmarc_reporters(
    title: &str,
    reporters: &[DmarcReporter],
    f: &mut fmt::Formatter<'_>,
) -> fmt::Result {
    if reporters.is_empty() {
        return Ok(());
    }
    f.write_str(title)?;
    let row = |one: &DmarcReporter| {
        [
            one.submitter.clone(),
            one.organization.clone(),
            period(one.begin, one.end),
            one.pass.to_string(),
            one.fail.to_string(),
        ]
    };
    let rows: Vec<_> = reporters.iter().map(row).collect();
    table::write(f, ["DOMAIN", "NAME", "PERIOD (UTC)", "PASSED", "FAILED"], &rows)
}

/// A day where it is one, else both ends.
fn period(begin: u64, end: u64) -> String {
    let text = |unix: u64| unix_text(i64::try_from(unix).unwrap_or(i64::MAX));
    let (begin, end) = (text(begin), text(end));
    match (begin.split_once('T'), end.split_once('T')) {
        (Some((first, _)), Some((last, _))) if first == last => first.to_owned(),
        (Some((first, _)), Some((last, _))) => format!("{first} to {last}"),
        _ => format!("{begin} to {end}"),
    }
}
