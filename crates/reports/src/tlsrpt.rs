//! From counts to a TLS report (RFC 8460 §4.4).

use crate::layout::TlsDay;
use jiff::Timestamp;
use wardpost_message::report::{
    DateRange, FailureDetails, Policy, PolicyDetails, Summary, TlsReport,
};

/// What was counted, as a report.
pub(crate) fn report(
    counts: &TlsDay,
    period: (u64, u64),
    organization: &str,
    contact: &str,
    id: &str,
) -> TlsReport {
    let policies = counts.policies.iter().map(|count| Policy {
        policy: PolicyDetails {
            policy_type: count.policy.kind.name().to_owned(),
            policy_string: count.policy.lines.clone(),
            policy_domain: counts.domain.to_string(),
            mx_host: count.policy.mx.clone(),
        },
        summary: Summary {
            total_successful_session_count: count.success.into(),
            total_failure_session_count: count.failure.into(),
        },
        failure_details: count
            .rows
            .iter()
            .map(|row| FailureDetails {
                result_type: row.kind.name().to_owned(),
                sending_mta_ip: row.sending,
                receiving_mx_hostname: row.host.as_ref().map(ToString::to_string),
                receiving_mx_helo: None,
                receiving_ip: row.receiving,
                failed_session_count: row.count.into(),
                additional_information: None,
                failure_reason_code: Some(row.detail.clone()).filter(|text| !text.is_empty()),
            })
            .collect(),
    });
    TlsReport {
        organization_name: organization.to_owned(),
        date_range: DateRange { start_datetime: stamp(period.0), end_datetime: stamp(period.1) },
        contact_info: contact.to_owned(),
        report_id: id.to_owned(),
        policies: policies.collect(),
    }
}

fn stamp(unix: u64) -> Timestamp {
    i64::try_from(unix).ok().and_then(|s| Timestamp::from_second(s).ok()).unwrap_or(Timestamp::MAX)
}
