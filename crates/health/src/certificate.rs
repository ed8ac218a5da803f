//! Our certificate, and where it comes from.

use crate::facts::{AuthorityFacts, CertificateFacts, Facts};
use crate::words::{bad, day, good, joined, moment, shown, time, told, warning};
use crate::{Check, Finding};

/// A certificate from files is told so long before its end, in seconds.
const SOON: i64 = 21 * 24 * 3600;
/// And urgently so long before.
const URGENT: i64 = 3 * 24 * 3600;

pub(crate) fn certificate(facts: &Facts, certificate: &CertificateFacts) -> Vec<Finding> {
    let mut findings = vec![itself(facts, certificate)];
    findings.extend(certificate.authority.as_ref().map(|authority| renewal(facts, authority)));
    findings
}

fn itself(facts: &Facts, certificate: &CertificateFacts) -> Finding {
    let (check, now, host) = (Check::Certificate, facts.when, &facts.hostname);
    let end = certificate.not_after;
    let get = match &certificate.authority {
        Some(authority) if authority.failure.is_none() => {
            "It is fetched by itself within some minutes; look here again in an hour.".to_owned()
        }
        Some(_) => {
            "It comes by itself; the finding about the authority says what keeps it.".to_owned()
        }
        None => format!(
            "Get a certificate for {host} from an authority: set up [acme] in the configuration, and it comes \
             and is renewed by itself; or put new files in the place that [tls] names, and restart the \
             machine."
        ),
    };
    if end <= now {
        let says = format!(
            "The certificate ended on {}: mail programs warn, and careful servers bring no mail.",
            day(end)
        );
        return bad(check, says, get);
    }
    if certificate.not_before > now {
        let says = format!(
            "The certificate begins on {} only, by this machine's clock.",
            day(certificate.not_before)
        );
        return bad(
            check,
            says,
            "Look at the finding about the clock first. If the clock is right, put a \
                                 certificate in place that is valid now.",
        );
    }
    if certificate.self_signed {
        return warning(
            check,
            "The certificate is self-signed: browsers and mail programs warn, and careful servers bring no \
             mail.",
            get,
        );
    }
    if !certificate.names_host {
        let says = format!(
            "The certificate is not for {host}: mail programs warn, and careful servers bring no mail."
        );
        return bad(check, says, get);
    }
    let left = end.saturating_sub(now);
    let lifetime = end.saturating_sub(certificate.not_before);
    // Some authorities give certificates for some days only.
    let ends = format!("The certificate ends in {}, on {}.", time(left.unsigned_abs()), day(end));
    if left < URGENT.min(lifetime / 6) {
        let says =
            format!("{ends} From then on mail programs warn, and careful servers bring no mail.");
        return bad(check, says, get);
    }
    if left < SOON.min(lifetime / 4) {
        return warning(check, ends, get);
    }
    if !certificate.missing.is_empty() {
        let missing: Vec<String> = certificate.missing.iter().map(|name| shown(name)).collect();
        let says = format!(
            "The certificate is good until {}, but not for {}: what is under these names does not work.",
            day(end),
            joined(&missing)
        );
        let left_out = certificate.authority.iter().flat_map(|authority| &authority.left_out);
        if let Some(left) =
            left_out.into_iter().find(|left| certificate.missing.contains(&left.name))
        {
            let why = told(&left.says);
            let says = format!(
                "{says} The authority did not take {}: {}.",
                shown(&left.name),
                why.trim_end_matches('.')
            );
            let to_do = match told(&left.to_do) {
                empty if empty.is_empty() => {
                    "It is tried again by itself; look here again tomorrow.".to_owned()
                }
                to_do => to_do,
            };
            return warning(check, says, to_do);
        }
        let to_do = match &certificate.authority {
            Some(_) => format!(
                "Enter the records of these names that the page \"DNS records\" shows; once they lead here, \
                 the certificate is extended by itself. {}",
                "If you have just done it, wait an hour."
            ),
            None => format!("Get a certificate that names them besides {host}."),
        };
        return warning(check, says, to_do);
    }
    good(check, format!("The certificate is good until {}.", day(end)))
}

/// What the authority says.
fn renewal(facts: &Facts, authority: &AuthorityFacts) -> Finding {
    let check = Check::CertificateRenewal;
    let Some(failure) = &authority.failure else {
        return good(check, "Certificates come from the authority by themselves.");
    };
    let again = match authority.next_try {
        Some(next) if next > facts.when => format!(" It is tried again on {}.", moment(next)),
        _ => " It is tried again soon.".to_owned(),
    };
    let failure = match told(failure) {
        empty if empty.is_empty() => "no reason is known".to_owned(),
        failure => failure,
    };
    let says = format!(
        "The last try to get a certificate failed: {}.{again}",
        failure.trim_end_matches('.')
    );
    let to_do = match authority.to_do.trim() {
        "" => format!(
            "Mostly the authority cannot reach this server: on the router, lead TCP ports 80 and 443 to it; \
             and the name {} must lead to your public address (see the finding about it).",
            facts.hostname
        ),
        to_do => told(to_do),
    };
    warning(check, says, to_do)
}
