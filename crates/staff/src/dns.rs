//! What belongs into the DNS, one record after the other, for administrators.

use crate::Staff;
use crate::session::{Administrator, SignedIn};
use crate::words;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use wardpost_health::{Finding, Report, State as Health};
use wardpost_mail::Domain;
use wardpost_publish::records::{Listing, Record};
use wardpost_web::{Shell, page, with_script};

#[derive(Template)]
#[template(path = "dns.html")]
struct DnsPage<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    when: Option<String>,
    domains: Vec<Zone>,
}

/// A domain's records.
struct Zone {
    domain: Domain,
    /// Those to do something about, or that nobody has looked for.
    open: Vec<Line>,
    fine: Vec<Line>,
    notes: Vec<String>,
}

/// A record on the page.
struct Line {
    /// Names its parts on the page, for the copy buttons.
    id: String,
    purpose: String,
    kind: String,
    name: String,
    /// The name within the zone, as many providers want it.
    short: String,
    value: String,
    is_known: bool,
    state: Option<Health>,
    says: String,
    to_do: String,
}

/// All records of all domains.
pub(crate) async fn show(
    State(staff): State<Arc<Staff>>,
    Administrator(who): Administrator,
) -> Response {
    let records = Arc::clone(&staff.parts.records);
    let report = staff.parts.examiner.latest();
    let domains = records.domains();
    let listings = domains.iter().filter_map(|domain| records.listing(domain));
    let zones = listings.enumerate().map(|(n, listing)| Zone::new(n, listing, report.as_deref()));
    let dns = DnsPage {
        shell: &staff.shell,
        who: &who,
        here: "/admin/dns",
        when: report.as_ref().map(|report| words::ago(report.when)),
        domains: zones.collect(),
    };
    with_script(page(StatusCode::OK, &dns))
}

impl Zone {
    fn new(number: usize, listing: Listing, report: Option<&Report>) -> Self {
        let lines = listing.records.into_iter().enumerate().map(|(n, record)| {
            let finding = report.and_then(|report| finding_of(report, &record));
            Line::new(format!("r{number}-{n}"), &listing.domain, record, finding)
        });
        let (fine, open) = lines.partition(|line| line.state == Some(Health::Good));
        Self { domain: listing.domain, open, fine, notes: listing.notes }
    }
}

impl Line {
    fn new(id: String, domain: &Domain, record: Record, finding: Option<&Finding>) -> Self {
        Self {
            id,
            short: short_name(&record.name, domain),
            is_known: record.is_known(),
            purpose: record.purpose,
            kind: record.kind,
            name: record.name,
            value: record.value,
            state: finding.map(|finding| finding.state),
            says: finding.map(|finding| finding.says.clone()).unwrap_or_default(),
            to_do: finding.map(|finding| finding.to_do.clone()).unwrap_or_default(),
        }
    }
}

/// What was found out about a record.
fn finding_of<'a>(report: &'a Report, record: &Record) -> Option<&'a Finding> {
    let check = format!("dns-{}", record.id.name());
    report.findings.iter().find(|finding| finding.check == check)
}

/// A name without the zone that it stands in; `@` is the zone itself.
fn short_name(name: &str, domain: &Domain) -> String {
    let rest = name.strip_suffix(domain.as_str());
    match rest.map(|rest| rest.strip_suffix('.').unwrap_or(rest)) {
        Some("") => "@".to_owned(),
        Some(short) => short.to_owned(),
        None => name.to_owned(),
    }
}

/// The records of a domain as a zone file.
pub(crate) async fn zone(
    State(staff): State<Arc<Staff>>,
    Path(domain): Path<String>,
    Administrator(_): Administrator,
) -> Response {
    let domain = Domain::parse(&domain).ok();
    let Some(listing) = domain.and_then(|domain| staff.parts.records.listing(&domain)) else {
        return staff.not_found();
    };
    let name = format!("attachment; filename=\"{}.zone\"", listing.domain);
    let name = HeaderValue::from_str(&name).unwrap_or(HeaderValue::from_static("attachment"));
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    let headers = [(header::CONTENT_TYPE, kind), (header::CONTENT_DISPOSITION, name)];
    (headers, listing.zone()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_within_a_zone_are_short() {
        let domain = Domain::parse("clinic.test").unwrap();
        assert_eq!(short_name("clinic.test", &domain), "@");
        assert_eq!(short_name("_dmarc.clinic.test", &domain), "_dmarc");
        assert_eq!(short_name("_25._tcp.mail.clinic.test", &domain), "_25._tcp.mail");
        assert_eq!(short_name("mail.other.test", &domain), "mail.other.test");
    }
}
