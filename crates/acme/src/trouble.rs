//! What can go wrong between us and an authority, in words: what it is, and what to do about it.

use crate::order::Way;
use crate::words;
use instant_acme::Problem;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use wardpost_mail::Domain;

/// What went wrong. The order is that of records: add at the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// The authority cannot connect to us.
    NotReachable,
    /// A name does not exist in the DNS, or its DNS does not answer.
    Dns,
    /// The domain's CAA records forbid it (RFC 8659).
    Caa,
    /// Somebody else answers in our place.
    WrongAnswer,
    /// The authority asks us to wait.
    RateLimited,
    /// The authority cannot be reached.
    Unreachable,
    /// The authority's own certificate is not trusted.
    Untrusted,
    /// This machine's clock is wrong.
    Clock,
    /// The authority wants to know whose account it is (external account binding), and does not yet.
    Binding,
    /// The authority does not know our account, or has closed it.
    Account,
    /// The authority issues nothing for a name.
    Refused,
    /// The authority has trouble of its own.
    Authority,
    /// Something on this machine.
    Here,
    /// There is no port at which a name could be proven.
    NoWay,
    /// The authority does not take the contact address.
    Contact,
}

impl Kind {
    /// Its name, for programs and metric labels.
    pub fn name(self) -> &'static str {
        match self {
            Self::NotReachable => "not-reachable",
            Self::Dns => "dns",
            Self::Caa => "caa",
            Self::WrongAnswer => "wrong-answer",
            Self::RateLimited => "rate-limited",
            Self::Unreachable => "authority-unreachable",
            Self::Untrusted => "authority-untrusted",
            Self::Clock => "clock",
            Self::Binding => "account-binding",
            Self::Account => "account",
            Self::Refused => "refused",
            Self::Authority => "authority",
            Self::Here => "here",
            Self::NoWay => "no-way",
            Self::Contact => "contact",
        }
    }

    /// Whether proving the name at the other port may help.
    pub(crate) fn other_way_may_help(self) -> bool {
        matches!(self, Self::NotReachable | Self::WrongAnswer | Self::Authority)
    }

    /// Whether it is about a name: something that somebody can mend where that leads.
    pub(crate) fn is_about_a_name(self) -> bool {
        matches!(
            self,
            Self::NotReachable | Self::WrongAnswer | Self::Dns | Self::Caa | Self::Refused
        )
    }

    /// What an RFC 8555 §6.7 problem is about, by its type.
    fn of(problem: &Problem) -> Self {
        let name = problem.r#type.as_deref().unwrap_or_default();
        match name.strip_prefix("urn:ietf:params:acme:error:").unwrap_or_default() {
            "connection" | "tls" => Self::NotReachable,
            "dns" => Self::Dns,
            "caa" => Self::Caa,
            // Some authorities say so of whom they never reached.
            "unauthorized" | "incorrectResponse" if never_reached(problem) => Self::NotReachable,
            "unauthorized" | "incorrectResponse" => Self::WrongAnswer,
            "rateLimited" => Self::RateLimited,
            "externalAccountRequired" => Self::Binding,
            "accountDoesNotExist" | "userActionRequired" => Self::Account,
            "rejectedIdentifier" | "unsupportedIdentifier" => Self::Refused,
            "invalidContact" | "unsupportedContact" => Self::Contact,
            _ => Self::Authority,
        }
    }
}

/// Where in the conversation with an authority something went wrong: the same problem means different
/// things.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Making the account; whether we said whose customer we are.
    Account {
        /// With an external account.
        bound: bool,
    },
    /// Asking for a certificate.
    Order,
    /// Proving a name, in this way.
    Proof(Way),
}

/// Something that went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trouble {
    /// What kind of thing.
    pub(crate) kind: Kind,
    /// What happened, in a sentence or two for a person.
    pub(crate) says: String,
    /// What to do about it.
    pub(crate) to_do: String,
    /// How long the authority asks us to wait.
    pub(crate) wait: Option<Duration>,
}

impl Trouble {
    pub(crate) fn new(kind: Kind, says: impl Into<String>) -> Self {
        Self { kind, says: says.into(), to_do: words::to_do(kind).to_owned(), wait: None }
    }

    /// This, and what happened when it was tried in the other way or once more. That the authority then wants no
    /// more tries for a while is no news: what this is about still has to be mended.
    pub(crate) fn and(self, then: Self) -> Self {
        let says = match then.kind {
            Kind::RateLimited if self.says.ends_with(words::WAITS) => self.says,
            Kind::RateLimited => format!("{} {}", self.says, words::WAITS),
            _ => format!("{} {}", self.says, then.says),
        };
        Self { says, wait: self.wait.max(then.wait), ..self }
    }

    /// What the authority's problem means; `name` is what it is about.
    pub(crate) fn of(problem: &Problem, step: Step, name: &Domain) -> Self {
        let kind = match (Kind::of(problem), step) {
            // The key was used for an account that is closed now.
            (Kind::WrongAnswer, Step::Account { bound }) if !bound || is_closed(problem) => {
                Kind::Account
            }
            // What was said of whose customer we are does not convince.
            (Kind::WrongAnswer | Kind::Authority, Step::Account { bound: true })
                if is_refusal(problem) =>
            {
                Kind::Binding
            }
            // Nobody answers anything when an order is refused: it is the account.
            (Kind::WrongAnswer, Step::Order) => Kind::Account,
            (kind, _) => kind,
        };
        let mut says = words::says(kind, step, name);
        if let Some(detail) = words::detail(problem) {
            says.push_str(" The authority says: ");
            says.push_str(&detail);
            if !detail.ends_with(['.', '!', '?']) {
                says.push('.');
            }
        }
        let to_do = words::to_do_at(kind, step);
        Self { kind, says, to_do: to_do.to_owned(), wait: None }
    }
}

fn never_reached(problem: &Problem) -> bool {
    let detail = problem.detail.as_deref().unwrap_or_default().to_lowercase();
    ["failed to connect", "connection refused", "timeout"]
        .iter()
        .any(|words| detail.contains(words))
}

/// Whether the authority took a nonce of its own for a used one (RFC 8555 §6.5), and that again and again.
pub(crate) fn is_bad_nonce(problem: &Problem) -> bool {
    problem.r#type.as_deref() == Some("urn:ietf:params:acme:error:badNonce")
}

fn is_closed(problem: &Problem) -> bool {
    problem.detail.as_deref().is_some_and(|detail| detail.to_lowercase().contains("deactivated"))
}

fn is_refusal(problem: &Problem) -> bool {
    problem.status.is_none_or(|status| (400..500).contains(&status))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    fn trouble(kind: &str, status: u16, step: Step) -> Trouble {
        let problem = Problem {
            r#type: Some(format!("urn:ietf:params:acme:error:{kind}")),
            detail: Some("A\n detail\u{7} of theirs".into()),
            status: Some(status),
            subproblems: Vec::new(),
        };
        Trouble::of(&problem, step, &Domain::parse("mail.clinic.test").unwrap())
    }

    #[test]
    fn each_problem_of_rfc_8555_has_its_meaning() {
        let proof = Step::Proof(Way::Http);
        for (name, step, kind) in [
            ("connection", proof, Kind::NotReachable),
            ("tls", proof, Kind::NotReachable),
            ("dns", proof, Kind::Dns),
            ("caa", proof, Kind::Caa),
            ("caa", Step::Order, Kind::Caa),
            ("unauthorized", proof, Kind::WrongAnswer),
            ("incorrectResponse", proof, Kind::WrongAnswer),
            ("unauthorized", Step::Order, Kind::Account),
            ("accountDoesNotExist", Step::Order, Kind::Account),
            ("unauthorized", Step::Account { bound: true }, Kind::Binding),
            ("unauthorized", Step::Account { bound: false }, Kind::Account),
            ("malformed", Step::Account { bound: true }, Kind::Binding),
            ("malformed", Step::Account { bound: false }, Kind::Authority),
            ("invalidContact", Step::Account { bound: false }, Kind::Contact),
            ("externalAccountRequired", Step::Account { bound: false }, Kind::Binding),
            ("rateLimited", Step::Order, Kind::RateLimited),
            ("rejectedIdentifier", Step::Order, Kind::Refused),
            ("serverInternal", Step::Order, Kind::Authority),
            ("badCSR", Step::Order, Kind::Authority),
            ("something new", proof, Kind::Authority),
        ] {
            let trouble = trouble(name, 403, step);
            assert_eq!(trouble.kind, kind, "{name}");
            assert!(!trouble.to_do.is_empty() && trouble.says.contains("mail.clinic.test"));
            assert!(
                trouble.says.ends_with("The authority says: A detail of theirs."),
                "{trouble:?}"
            );
        }
        let busy = trouble("serverInternal", 500, Step::Account { bound: true });
        assert_eq!(busy.kind, Kind::Authority, "its own trouble is not ours");
    }

    #[test]
    fn whoever_was_never_reached_did_not_answer() {
        let problem = Problem {
            r#type: Some("urn:ietf:params:acme:error:incorrectResponse".into()),
            detail: Some("Failed to connect to 192.0.2.1:443 for the tls-alpn-01 challenge".into()),
            status: Some(403),
            subproblems: Vec::new(),
        };
        assert_eq!(Kind::of(&problem), Kind::NotReachable);
    }

    #[test]
    fn that_it_asks_to_wait_hides_nothing() {
        let first = trouble("connection", 400, Step::Proof(Way::Http));
        let busy = || Trouble {
            wait: Some(Duration::from_secs(720)),
            ..trouble("rateLimited", 429, Step::Order)
        };
        let both = first.clone().and(busy());
        assert_eq!((both.kind, &both.to_do), (first.kind, &first.to_do));
        assert_eq!(both.wait, Some(Duration::from_secs(720)));
        assert_eq!(both.says, format!("{} {}", first.says, words::WAITS));
        assert_eq!(both.clone().and(busy()).says, both.says, "said once");
    }

    #[test]
    fn what_to_do_names_the_port() {
        assert!(trouble("connection", 400, Step::Proof(Way::Http)).to_do.contains("port 80"));
        assert!(trouble("connection", 400, Step::Proof(Way::TlsAlpn)).to_do.contains("port 443"));
    }
}
