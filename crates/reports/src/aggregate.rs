//! The XML of DMARC aggregate reports (RFC 7489 Appendix C, RFC 9990), written and read by mail-auth.

use crate::dmarc::{Asked, Disposition, DmarcRow, Outcome, Published};
use crate::layout::DmarcDay;
use mail_auth::report::{
    ActionDisposition, Alignment, DKIMAuthResult, Discovery, DkimResult, DmarcResult,
    PolicyOverride, PolicyOverrideReason, PolicyPublished, Record, Report, SPFAuthResult,
    SPFDomainScope, SpfResult,
};
use wardpost_mail::Domain;

/// Tags in one report at most: each may cost memory, however short it is.
const MAX_TAGS: usize = 500_000;

/// A text is no DMARC aggregate report.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum XmlError {
    /// It is no XML, or not of that form.
    #[error("not a DMARC aggregate report")]
    Form,
    /// It has more elements than any report needs.
    #[error("the report has too many entries")]
    TooMany,
}

/// Reads a report.
///
/// # Errors
/// [`XmlError`].
pub(crate) fn parse(xml: &[u8]) -> Result<Report, XmlError> {
    if memchr::memchr_iter(b'<', xml).count() > MAX_TAGS {
        return Err(XmlError::TooMany);
    }
    // The reader knows no entities but XML's own five, so nothing expands, and it does not recurse.
    Report::parse_xml(xml).map_err(|_| XmlError::Form)
}

/// Who makes a report, and for what.
pub(crate) struct Frame<'a> {
    /// Our name.
    pub(crate) organization: &'a str,
    /// Whom to ask.
    pub(crate) contact: &'a str,
    /// The report's name.
    pub(crate) id: &'a str,
    /// First and last second.
    pub(crate) period: (u64, u64),
}

/// What was counted of messages under one policy, as a report.
pub(crate) fn report(frame: &Frame<'_>, day: &DmarcDay) -> Report {
    let mut report = Report::new()
        .with_version(1.0)
        .with_org_name(frame.organization)
        .with_email(frame.contact)
        .with_report_id(frame.id)
        .with_date_range_begin(frame.period.0)
        .with_date_range_end(frame.period.1)
        .with_generator(concat!("Wardpost/", env!("CARGO_PKG_VERSION")))
        .with_policy_published(policy_published(&day.domain, &day.published));
    let beyond = day.beyond;
    if beyond > 0 {
        report = report.with_error(format!("{beyond} more messages are not itemised"));
    }
    for (row, count) in &day.rows {
        report.add_record(record(row, *count));
    }
    report
}

fn policy_published(domain: &Domain, published: &Published) -> PolicyPublished {
    let asked = |asked| match asked {
        Asked::None => mail_auth::report::Disposition::None,
        Asked::Quarantine => mail_auth::report::Disposition::Quarantine,
        Asked::Reject => mail_auth::report::Disposition::Reject,
    };
    let alignment = |strict| if strict { Alignment::Strict } else { Alignment::Relaxed };
    PolicyPublished {
        domain: domain.to_string(),
        version_published: None,
        adkim: alignment(published.strict_dkim),
        aspf: alignment(published.strict_spf),
        p: asked(published.p),
        sp: asked(published.sp),
        np: asked(published.np),
        testing: published.testing,
        discovery_method: Discovery::Treewalk,
        fo: None,
    }
}

fn record(row: &DmarcRow, count: u32) -> Record {
    let passed = |pass| if pass { DmarcResult::Pass } else { DmarcResult::Fail };
    let mut record = Record::new()
        .with_source_ip(row.source)
        .with_count(count)
        .with_action_disposition(match row.disposition {
            Disposition::None => ActionDisposition::None,
            Disposition::Pass => ActionDisposition::Pass,
            Disposition::Quarantine => ActionDisposition::Quarantine,
            Disposition::Reject => ActionDisposition::Reject,
        })
        .with_dmarc_dkim_result(passed(row.dkim_aligned))
        .with_dmarc_spf_result(passed(row.spf_aligned))
        .with_header_from(row.header_from.as_str())
        .with_envelope_from(row.envelope_from.as_ref().map_or("", Domain::as_str));
    if row.overridden {
        let reason = PolicyOverrideReason::new(PolicyOverride::LocalPolicy);
        record = record.with_policy_override_reason(reason);
    }
    for dkim in &row.dkim {
        record = record.with_dkim_auth_result(
            DKIMAuthResult::new()
                .with_domain(dkim.domain.as_str())
                .with_selector(dkim.selector.as_str())
                .with_result(dkim_result(dkim.outcome)),
        );
    }
    // RFC 9990 §3.1.1.11 knows no scope but mfrom; mail-auth leaves out what has another.
    let scope = SPFDomainScope::MailFrom;
    let scope = if row.spf.helo { SPFDomainScope::Unspecified } else { scope };
    record.with_spf_auth_result(
        SPFAuthResult::new()
            .with_domain(row.spf.domain.as_str())
            .with_scope(scope)
            .with_result(spf_result(row.spf.outcome)),
    )
}

fn dkim_result(outcome: Outcome) -> DkimResult {
    match outcome {
        Outcome::None => DkimResult::None,
        Outcome::Pass => DkimResult::Pass,
        Outcome::Fail | Outcome::SoftFail => DkimResult::Fail,
        Outcome::Neutral => DkimResult::Neutral,
        Outcome::TempError => DkimResult::TempError,
        Outcome::PermError => DkimResult::PermError,
    }
}

fn spf_result(outcome: Outcome) -> SpfResult {
    match outcome {
        Outcome::None => SpfResult::None,
        Outcome::Pass => SpfResult::Pass,
        Outcome::Fail => SpfResult::Fail,
        Outcome::SoftFail => SpfResult::SoftFail,
        Outcome::Neutral => SpfResult::Neutral,
        Outcome::TempError => SpfResult::TempError,
        Outcome::PermError => SpfResult::PermError,
    }
}
