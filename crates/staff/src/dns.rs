//! What belongs into the DNS, one record after the other, for administrators.

use crate::Staff;
use crate::session::{Administrator, SignedIn};
use crate::words;
use askama::Template;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::sync::Arc;
use wardpost_health::{Check, Finding, Report, State as Health};
use wardpost_mail::Domain;
use wardpost_publish::records::{Listing, Record, RecordId};
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
    /// Those to do something about, or that nobody has looked for; the worst first.
    open: Vec<Group>,
    fine: Vec<Group>,
    notes: Vec<String>,
}

/// Records that serve one purpose and are looked at together.
struct Group {
    check: Check,
    state: Option<Health>,
    says: String,
    to_do: String,
    lines: Vec<Line>,
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
        let domain = listing.domain;
        let mut groups: Vec<Group> = Vec::new();
        for (n, record) in listing.records.into_iter().enumerate() {
            let check = check_of(record.id);
            let line = Line::new(format!("r{number}-{n}"), &domain, record);
            match groups.iter_mut().find(|group| group.check == check) {
                Some(group) => group.lines.push(line),
                None => groups.push(Group::new(check, &domain, report, line)),
            }
        }
        let (fine, mut open): (Vec<_>, Vec<_>) =
            groups.into_iter().partition(|group| group.state == Some(Health::Good));
        open.sort_by_key(|group| std::cmp::Reverse(group.state));
        Self { domain, open, fine, notes: listing.notes }
    }

    /// How many records are there as they should be.
    fn there(&self) -> usize {
        self.fine.iter().map(|group| group.lines.len()).sum()
    }
}

impl Group {
    fn new(check: Check, domain: &Domain, report: Option<&Report>, line: Line) -> Self {
        let finding = report.and_then(|report| finding_of(report, check, domain));
        Self {
            check,
            state: finding.map(|finding| finding.state),
            says: finding.map(|finding| finding.says.clone()).unwrap_or_default(),
            to_do: finding.map(|finding| to_do_here(&finding.to_do)).unwrap_or_default(),
            lines: vec![line],
        }
    }
}

impl Line {
    fn new(id: String, domain: &Domain, record: Record) -> Self {
        Self {
            id,
            short: short_name(&record.name, domain),
            is_known: record.is_known(),
            purpose: record.purpose,
            kind: record.kind,
            name: record.name,
            value: record.value,
        }
    }
}

/// What was found out about a group of records.
fn finding_of<'a>(report: &'a Report, check: Check, domain: &Domain) -> Option<&'a Finding> {
    let of_check = || report.findings.iter().filter(|finding| finding.check == check.id());
    let own = of_check().find(|finding| finding.about == domain.as_str());
    own.or_else(|| of_check().find(|finding| finding.about.is_empty()))
}

/// What to do, said on this page: nobody is sent where they are already.
fn to_do_here(to_do: &str) -> String {
    match to_do.starts_with("Open the page \"DNS records\"") {
        true => "Enter this at the company where the domain was bought, on its DNS page. If you have just \
                 done so, wait an hour and look again."
            .to_owned(),
        false => to_do.to_owned(),
    }
}

/// Which check a record is looked at in.
fn check_of(id: RecordId) -> Check {
    match id {
        RecordId::Mx => Check::DnsMx,
        RecordId::Address => Check::DnsAddress,
        RecordId::Spf | RecordId::HostSpf => Check::DnsSpf,
        RecordId::Dmarc => Check::DnsDmarc,
        RecordId::Dkim => Check::DnsDkim,
        RecordId::MtaSts | RecordId::MtaStsHost => Check::DnsMtaSts,
        RecordId::TlsRpt => Check::DnsTlsRpt,
        RecordId::Tlsa => Check::DnsTlsa,
        RecordId::SrvImaps
        | RecordId::SrvSubmissions
        | RecordId::SrvSubmission
        | RecordId::SrvAutodiscover
        | RecordId::Autoconfig
        | RecordId::Autodiscover => Check::DnsClients,
        RecordId::Caa => Check::DnsCaa,
    }
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
