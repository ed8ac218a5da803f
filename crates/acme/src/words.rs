//! The words of [`Trouble`](crate::trouble::Trouble).

use crate::order::Way;
use crate::schedule::MAX_ASKED;
use crate::trouble::{Kind, Step};
use instant_acme::Problem;
use wardpost_mail::Domain;

/// Most characters of what an authority says that are shown.
const MAX_DETAIL: usize = 300;

/// What else there is to say of a name that failed, once there were too many tries.
pub(crate) const WAITS: &str = "It asks to wait before the next try.";

/// What happened.
pub(crate) fn says(kind: Kind, step: Step, name: &Domain) -> String {
    match kind {
        Kind::NotReachable => match step {
            Step::Proof(Way::TlsAlpn) => {
                format!("The certificate authority could not connect to {name} on port 443.")
            }
            _ => format!("The certificate authority could not connect to {name} on port 80."),
        },
        Kind::Dns => format!("The certificate authority could not find {name} in the DNS."),
        Kind::Caa => format!(
            "The domain's CAA records in the DNS do not allow this certificate authority to issue \
             certificates for {name}."
        ),
        Kind::WrongAnswer => format!(
            "The certificate authority connected to {name}, but somebody else than this server answered."
        ),
        Kind::RateLimited => format!(
            "The certificate authority has had too many requests for {name} and asks to wait."
        ),
        Kind::Binding => format!(
            "The certificate authority gives certificates (for {name}) only to customers it knows, and it \
             did not accept who we say we are."
        ),
        Kind::Account => format!(
            "The certificate authority does not accept our account any longer, so there is no \
             certificate for {name}."
        ),
        Kind::Contact => format!(
            "The certificate authority does not take our contact address, so there is no certificate for \
             {name}."
        ),
        Kind::Refused => format!("The certificate authority issues no certificates for {name}."),
        _ => format!("The certificate authority did not issue a certificate for {name}."),
    }
}

/// What to do.
pub(crate) fn to_do_at(kind: Kind, step: Step) -> &'static str {
    match (kind, step) {
        (Kind::NotReachable, Step::Proof(Way::TlsAlpn)) => {
            "Let port 443 through to this server: in the router (port forwarding), in every firewall on the \
             way, and where the server is rented. Nothing in between may answer in its place."
        }
        (Kind::WrongAnswer, Step::Proof(Way::TlsAlpn)) => {
            "Check that the name's A and AAAA records have this server's public address, and that no \
             other device (a router's own page, a proxy) answers on port 443."
        }
        _ => to_do(kind),
    }
}

/// What to do, wherever it happened.
pub(crate) fn to_do(kind: Kind) -> &'static str {
    match kind {
        Kind::NotReachable => {
            "Let port 80 through to this server: in the router (port forwarding), in every firewall on the \
             way, and where the server is rented. Port 443 alone is enough too. If the name has an AAAA \
             record, IPv6 must get through as well; if it does not, remove the record."
        }
        Kind::Dns => {
            "Make the name's A record (and AAAA, if you have IPv6) with this server's public address where \
             your domain is administered; after a change it can take an hour until everybody sees it. If it \
             is there, ask the DNS provider whether DNSSEC is set up correctly."
        }
        Kind::Caa => {
            "Add a CAA record for this authority where your domain is administered, or remove those that are \
             there. `wardpost domain show` lists the record that is right."
        }
        Kind::WrongAnswer => {
            "Check that the name's A and AAAA records have this server's public address, and that no other \
             device (a router's own page, a proxy, a web server) answers on port 80."
        }
        Kind::RateLimited => {
            "Nothing: it is tried again by itself when the authority allows it. Do not remove the server's \
             data or set it up anew meanwhile: that would only begin the count again."
        }
        Kind::Unreachable => {
            "Check that this server has a connection to the Internet and that DNS works; it must be allowed \
             to open HTTPS connections (port 443). If others have the same trouble, the authority has it: \
             then wait. It is tried again by itself."
        }
        Kind::Untrusted => {
            "If it is a private authority, put its root certificate into a file and name that in [acme] \
             extra_root. If it is a public one, somebody on the way opens encrypted connections (a \
             firewall that inspects TLS): make an exception for this server."
        }
        Kind::Clock => {
            "Set this machine's clock (time zone does not matter, but date and time do). A virtual machine \
             takes it from its host. It is tried again by itself."
        }
        Kind::Binding => {
            "Ask the authority for an external account binding (EAB): a key id and an HMAC key. Set [acme] \
             eab_key_id, put the key into a file and name that in eab_key_file, and run `systemctl restart \
             wardpost`. If both are there, ask for new ones: some may be used only once."
        }
        Kind::Account => {
            "Run `wardpost tls renew --new-account`. If the authority closed the account on purpose, ask it \
             why, or use another one."
        }
        Kind::Refused => {
            "The name must be one of the public Internet and not on the authority's list of exceptions. For \
             a name of your own network use a private authority (docs/certificates.md)."
        }
        Kind::Authority => {
            "Nothing for now: it is tried again by itself. If it stays so for a day, look at the \
             authority's status page, or use another one."
        }
        Kind::Here => {
            "Look into the log (`journalctl -u wardpost`); a full disk is the usual reason. It is tried \
             again by itself."
        }
        Kind::Contact => {
            "Give an address in [acme] contact that exists, or leave it out, and run `systemctl restart \
             wardpost`."
        }
        Kind::NoWay => {
            "Names are proven on port 80 or 443: switch on http or https in [listen], or use certificate \
             files with [tls]."
        }
    }
}

/// Why nobody may ask for a certificate until that moment.
pub(crate) fn asked_too_often(from: i64) -> String {
    let from = jiff::Timestamp::from_second(from)
        .map(|from| from.strftime("%Y-%m-%d %H:%M UTC").to_string())
        .unwrap_or_default();
    format!(
        "{MAX_ASKED} certificates were issued within a day because somebody asked for them, and authorities \
         give out only a few a week. The one in use stays, and is renewed by itself when it is time. If you \
         need another all the same, ask again after {from}."
    )
}

/// What the authority says, on one line, cut to a decent length.
pub(crate) fn detail(problem: &Problem) -> Option<String> {
    let theirs = problem.detail.iter().chain(
        // What is wrong with one name says more than that something is wrong.
        problem.subproblems.iter().filter_map(|sub| sub.detail.as_ref()).take(1),
    );
    let mut detail = String::new();
    for text in theirs {
        if !detail.is_empty() {
            detail.push_str("; ");
        }
        let words: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        detail.push_str(&words.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    let detail: String = detail.chars().take(MAX_DETAIL).collect();
    (!detail.is_empty()).then_some(detail)
}
