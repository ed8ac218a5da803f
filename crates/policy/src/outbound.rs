//! How each recipient of a message from our own staff is reached.
//!
//! Rules, first match wins, judged for each recipient alone so that one never decides for another:
//!
//! 1. A message over the size limit, or with a route header that says something unknown, is refused
//!    whole: guessing at what the sender wanted could disclose what they meant to protect.
//! 2. An address at one of our domains is local if it exists and refused if it does not.
//! 3. `X-Wardpost-Route: pickup`, or the word *Secure* in the subject, makes it a pickup.
//! 4. A rule for the recipient's domain ([`PinFacts`]) that says *always pickup* makes it a pickup.
//! 5. Everything else goes by TLS of at least the configured floor, or the domain's own in its place;
//!    REQUIRETLS (RFC 8689) raises it to T5. `TLS-Required: No` (RFC 8689 §3) is not honoured unless the
//!    rules say so, because what it asks for is the thing this server exists to prevent; a domain's own
//!    floor it never lowers.
//!
//! The floor in [`Route::Direct`] is what the path must reach by all that does not end. A rule that
//! lowers it may end while the message waits, so it is not written down with the message: whoever
//! delivers looks the rule up again and lowers the floor only while the rule holds.
//!
//! A pickup asks nothing of local recipients: their mailboxes are sealed anyway.

use crate::secure_word;
use serde::{Deserialize, Serialize};
use std::fmt;
use wardpost_mail::{Address, EnhancedStatus, Reply, TlsGrade};

/// The header with which a sender, or a program that sends for one, forces a route for one message.
/// It is removed before the message goes anywhere.
pub const ROUTE_HEADER: &str = "X-Wardpost-Route";

/// How one recipient is to be reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Route {
    /// A mailbox on this server.
    Local,
    /// SMTP over TLS that was seen to be at least this good.
    Direct {
        /// The worst grade at which the message may be handed over.
        floor: TlsGrade,
    },
    /// The recipient gets a notice and reads the message on our page.
    Pickup,
    /// Waits until somebody decides.
    Held,
    /// Not taken.
    Refused {
        /// What the sender's client is told.
        reply: Reply,
    },
}

impl Route {
    /// A word for metric labels and lists.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Direct { .. } => "direct",
            Self::Pickup => "pickup",
            Self::Held => "held",
            Self::Refused { .. } => "refused",
        }
    }
}

impl fmt::Display for Route {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Direct { floor } => write!(f, "direct (at least {floor})"),
            other => f.write_str(other.name()),
        }
    }
}

/// Where a recipient's address lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// One of our domains, and somebody answers to it.
    Ours,
    /// One of our domains, and nobody does.
    OursUnknown,
    /// Somebody else's domain.
    Elsewhere,
}

/// What is known of one recipient.
#[derive(Debug, Clone, Copy)]
pub struct RecipientFacts<'a> {
    /// The forward-path.
    pub address: &'a Address,
    /// Where it lies.
    pub place: Place,
    /// The rule that holds for its domain, if an administrator set one.
    pub pin: Option<PinFacts>,
}

/// What a rule for a domain says about the way to it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PinFacts {
    /// Stands in place of the configured floor. T2 is an exception for a partner who cannot do better.
    pub floor: Option<TlsGrade>,
    /// Always a pickup.
    pub pickup: bool,
    /// The certificates that the domain's servers must show are pinned.
    pub certificates: bool,
    /// A server of somebody else's passes the mail on.
    pub smarthost: bool,
}

impl PinFacts {
    /// Whether the rule is an exception: unverified TLS will do.
    pub fn is_exception(&self) -> bool {
        self.floor.is_some_and(|floor| floor <= TlsGrade::T2)
    }
}

/// What is known of a message that is about to go out.
#[derive(Debug, Clone, Copy)]
pub struct OutboundFacts<'a> {
    /// The envelope's recipients.
    pub recipients: &'a [RecipientFacts<'a>],
    /// The subject, decoded (RFC 2047), if there is one.
    pub subject: Option<&'a str>,
    /// The value of [`ROUTE_HEADER`], if the message has one.
    pub route_header: Option<&'a str>,
    /// REQUIRETLS was given with MAIL (RFC 8689 §2).
    pub require_tls: bool,
    /// The message says `TLS-Required: No` (RFC 8689 §3).
    pub tls_required_no: bool,
    /// Octets of the message.
    pub size: u64,
}

/// What the practice has set.
#[derive(Debug, Clone)]
pub struct OutboundRules {
    /// The grade a path must reach when nothing else is said.
    pub floor: TlsGrade,
    /// Largest message taken, in octets.
    pub max_size: u64,
    /// Take `TLS-Required: No` at its word: lowers the floor to T2, never below. Off by default.
    pub honour_tls_required_no: bool,
}

impl Default for OutboundRules {
    fn default() -> Self {
        Self { floor: TlsGrade::T3, max_size: 50 * 1024 * 1024, honour_tls_required_no: false }
    }
}

/// Why a recipient got its route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Why {
    /// The address is one of ours.
    OurAddress,
    /// The domain is ours, the address is not.
    NobodyThere,
    /// The default floor applies.
    Default,
    /// The rule for the domain says pickup.
    PinPickup,
    /// The rule for the domain sets the floor.
    PinFloor,
    /// The rule for the domain pins its certificates.
    PinCertificates,
    /// The rule for the domain sends its mail by a smarthost.
    PinSmarthost,
    /// The rule for the domain is an exception for unverified TLS.
    PinException,
    /// REQUIRETLS.
    RequireTls,
    /// `TLS-Required: No`, honoured.
    TlsNotRequired,
    /// The word *Secure* in the subject.
    SubjectWord,
    /// [`ROUTE_HEADER`].
    Header,
    /// [`ROUTE_HEADER`] with a value nobody knows.
    UnknownHeader,
    /// Over the size limit.
    TooLarge,
}

impl Why {
    /// Whether a rule for the domain is the reason.
    pub fn is_pin(self) -> bool {
        matches!(
            self,
            Self::PinPickup
                | Self::PinFloor
                | Self::PinCertificates
                | Self::PinSmarthost
                | Self::PinException
        )
    }

    /// The reason in words for a person.
    pub fn explain(self) -> &'static str {
        match self {
            Self::OurAddress => "the address is one of ours",
            Self::NobodyThere => "the domain is ours and nobody has this address",
            Self::Default => "nothing special applies: verified TLS or pickup",
            Self::PinPickup => "a rule for the domain says always pickup",
            Self::PinFloor => "a rule for the domain says how good its TLS must be",
            Self::PinCertificates => "a rule for the domain says which certificates are trusted",
            Self::PinSmarthost => "a rule for the domain sends its mail by a smarthost",
            Self::PinException => {
                "an exception for the domain lets unverified TLS pass, unless the domain publishes better"
            }
            Self::RequireTls => "the sender asked for TLS on every hop (REQUIRETLS)",
            Self::TlsNotRequired => "the sender lowered the demand (TLS-Required: No)",
            Self::SubjectWord => "the subject has the word Secure",
            Self::Header => "the header X-Wardpost-Route asks for pickup",
            Self::UnknownHeader => "the header X-Wardpost-Route has a value that is not known",
            Self::TooLarge => "the message is larger than the limit",
        }
    }
}

/// The decision for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// How it goes.
    pub route: Route,
    /// Why.
    pub why: Why,
}

/// The decision for a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// One for each recipient, in the order of the facts.
    pub recipients: Vec<Planned>,
    /// The subject without the word *Secure*, decoded; `None` when the subject stays as it is.
    pub subject: Option<String>,
}

/// Decides the route of every recipient of a message. See the module's text for the rules.
pub fn outbound(facts: &OutboundFacts<'_>, rules: &OutboundRules) -> Plan {
    // Guards that look at the message as a whole (too many recipients in sight of each other, a
    // patient's name in the subject) belong here: they turn routes into `Held`.
    if let Some(refusal) = whole_message_refusal(facts, rules) {
        let recipients = vec![refusal; facts.recipients.len()];
        return Plan { recipients, subject: None };
    }
    let subject = facts.subject.and_then(secure_word::strip);
    let word = subject.is_some();
    let recipients = facts
        .recipients
        .iter()
        .map(|recipient| match recipient.place {
            Place::Ours => Planned { route: Route::Local, why: Why::OurAddress },
            Place::OursUnknown => refused(
                Why::NobodyThere,
                Reply::new(550, EnhancedStatus::new(5, 1, 1), "Nobody here has this address"),
            ),
            Place::Elsewhere => elsewhere(facts, rules, word, recipient.pin.unwrap_or_default()),
        })
        .collect();
    Plan { recipients, subject }
}

/// What refuses a message whoever it goes to.
fn whole_message_refusal(facts: &OutboundFacts<'_>, rules: &OutboundRules) -> Option<Planned> {
    if facts.size > rules.max_size {
        // RFC 1870 §6.1, RFC 3463 §3.4.
        let status = EnhancedStatus::new(5, 3, 4);
        let text = format!("The message is larger than {} bytes", rules.max_size);
        return Some(refused(Why::TooLarge, Reply::new(552, status, text)));
    }
    let header = facts.route_header.map(str::trim);
    if header.is_some_and(|value| !value.eq_ignore_ascii_case("pickup")) {
        let status = EnhancedStatus::new(5, 6, 0);
        let text = format!("{ROUTE_HEADER} has an unknown value; the one known is: pickup");
        return Some(refused(Why::UnknownHeader, Reply::new(554, status, text)));
    }
    None
}

/// The route of somebody whose domain is not ours.
fn elsewhere(
    facts: &OutboundFacts<'_>,
    rules: &OutboundRules,
    subject_word: bool,
    pin: PinFacts,
) -> Planned {
    let pickup = |why| Planned { route: Route::Pickup, why };
    let direct = |floor, why| Planned { route: Route::Direct { floor }, why };
    // What lowers is left to whoever delivers; see the module's text.
    let floor = rules.floor.max(pin.floor.unwrap_or(rules.floor));
    if facts.route_header.is_some() {
        pickup(Why::Header)
    } else if subject_word {
        pickup(Why::SubjectWord)
    } else if pin.pickup {
        pickup(Why::PinPickup)
    } else if facts.require_tls {
        // RFC 8689 §4.2.1; when both are there, REQUIRETLS wins.
        direct(floor.max(TlsGrade::T5), Why::RequireTls)
    } else if let Some(why) = pin_why(pin) {
        direct(floor, why)
    } else if facts.tls_required_no && rules.honour_tls_required_no {
        direct(rules.floor.min(TlsGrade::T2), Why::TlsNotRequired)
    } else {
        direct(floor, Why::Default)
    }
}

/// What of a rule for a domain is worth telling, the most unusual first.
fn pin_why(pin: PinFacts) -> Option<Why> {
    if pin.is_exception() {
        Some(Why::PinException)
    } else if pin.smarthost {
        Some(Why::PinSmarthost)
    } else if pin.certificates {
        Some(Why::PinCertificates)
    } else {
        pin.floor.map(|_| Why::PinFloor)
    }
}

fn refused(why: Why, reply: Reply) -> Planned {
    Planned { route: Route::Refused { reply }, why }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T3: Route = Route::Direct { floor: TlsGrade::T3 };

    /// A rule for a domain.
    fn pin(change: impl Fn(&mut PinFacts)) -> PinFacts {
        let mut pin = PinFacts::default();
        change(&mut pin);
        pin
    }

    struct Case {
        why_tested: &'static str,
        change: fn(&mut OutboundFacts<'_>, &mut OutboundRules),
        /// Route and reason of the recipient elsewhere.
        route: Route,
        why: Why,
        subject: Option<&'static str>,
    }

    fn cases() -> Vec<Case> {
        fn case(
            why_tested: &'static str,
            change: fn(&mut OutboundFacts<'_>, &mut OutboundRules),
            (route, why): (Route, Why),
            subject: Option<&'static str>,
        ) -> Case {
            Case { why_tested, change, route, why, subject }
        }
        let floor = |floor| Route::Direct { floor };
        vec![
            case("an ordinary message goes by the floor", |_, _| {}, (T3, Why::Default), None),
            case(
                "the practice's own floor counts",
                |_, rules| rules.floor = TlsGrade::T4,
                (floor(TlsGrade::T4), Why::Default),
                None,
            ),
            case(
                "Secure makes it a pickup and is taken off",
                |facts, _| facts.subject = Some("Secure: results"),
                (Route::Pickup, Why::SubjectWord),
                Some("results"),
            ),
            case(
                "ordinary subjects do nothing",
                |facts, _| facts.subject = Some("how secure is this"),
                (T3, Why::Default),
                None,
            ),
            case(
                "the header makes it a pickup, in any case and with spaces",
                |facts, _| facts.route_header = Some(" PickUp\t"),
                (Route::Pickup, Why::Header),
                None,
            ),
            case(
                "the header does not keep the word in the subject",
                |facts, _| {
                    facts.route_header = Some("pickup");
                    facts.subject = Some("[secure] results");
                },
                (Route::Pickup, Why::Header),
                Some("results"),
            ),
            case(
                "REQUIRETLS raises the floor",
                |facts, _| facts.require_tls = true,
                (floor(TlsGrade::T5), Why::RequireTls),
                None,
            ),
            case(
                "a pickup is better than any path: REQUIRETLS adds nothing",
                |facts, _| {
                    facts.require_tls = true;
                    facts.route_header = Some("pickup");
                },
                (Route::Pickup, Why::Header),
                None,
            ),
            case(
                "TLS-Required: No is a stranger's wish, not the practice's",
                |facts, _| facts.tls_required_no = true,
                (T3, Why::Default),
                None,
            ),
            case(
                "TLS-Required: No counts where the practice says so, and still means TLS",
                |facts, rules| {
                    facts.tls_required_no = true;
                    rules.honour_tls_required_no = true;
                },
                (floor(TlsGrade::T2), Why::TlsNotRequired),
                None,
            ),
            case(
                "REQUIRETLS wins over TLS-Required: No",
                |facts, rules| {
                    facts.require_tls = true;
                    facts.tls_required_no = true;
                    rules.honour_tls_required_no = true;
                },
                (floor(TlsGrade::T5), Why::RequireTls),
                None,
            ),
        ]
    }

    fn plan_with(change: impl Fn(&mut OutboundFacts<'_>, &mut OutboundRules)) -> Plan {
        let address = Address::parse("x@elsewhere.test").unwrap();
        let recipients = [Place::Elsewhere, Place::Ours, Place::OursUnknown]
            .map(|place| RecipientFacts { address: &address, place, pin: None });
        let mut rules = OutboundRules::default();
        let mut facts = OutboundFacts {
            recipients: &recipients,
            subject: Some("results"),
            route_header: None,
            require_tls: false,
            tls_required_no: false,
            size: 1000,
        };
        change(&mut facts, &mut rules);
        outbound(&facts, &rules)
    }

    #[test]
    fn each_recipient_gets_its_route() {
        for case in cases() {
            let plan = plan_with(case.change);
            let elsewhere = Planned { route: case.route, why: case.why };
            assert_eq!(plan.recipients[0], elsewhere, "{}", case.why_tested);
            assert_eq!(plan.subject.as_deref(), case.subject, "{}", case.why_tested);
            // Whatever is asked for elsewhere, our own mailboxes are sealed and our unknowns unknown.
            assert_eq!(plan.recipients[1].route, Route::Local, "{}", case.why_tested);
            assert_eq!(plan.recipients[2].why, Why::NobodyThere, "{}", case.why_tested);
        }
    }

    #[test]
    fn a_rule_for_the_domain_comes_after_the_sender_s_wish_and_before_the_default() {
        type Change = fn(&mut OutboundFacts<'_>, &mut OutboundRules);
        let floor = |floor| Route::Direct { floor };
        let ordinary: Change = |_, _| {};
        let required: Change = |facts, _| facts.require_tls = true;
        let lowered: Change = |facts, rules| {
            facts.tls_required_no = true;
            rules.honour_tls_required_no = true;
        };
        let strict: Change = |_, rules| rules.floor = TlsGrade::T4;
        let word: Change = |facts, _| facts.subject = Some("secure: results");
        let header: Change = |facts, _| facts.route_header = Some("pickup");
        let pickup = pin(|pin| pin.pickup = true);
        let high = pin(|pin| pin.floor = Some(TlsGrade::T4));
        let low = pin(|pin| pin.floor = Some(TlsGrade::T3));
        let exception = pin(|pin| pin.floor = Some(TlsGrade::T2));
        let certificates = pin(|pin| pin.certificates = true);
        let smarthost = pin(|pin| (pin.certificates, pin.smarthost) = (true, true));
        for (pin, change, route, why) in [
            (pickup, ordinary, Route::Pickup, Why::PinPickup),
            (pickup, word, Route::Pickup, Why::SubjectWord),
            (pickup, header, Route::Pickup, Why::Header),
            (pickup, required, Route::Pickup, Why::PinPickup),
            (high, ordinary, floor(TlsGrade::T4), Why::PinFloor),
            (high, word, Route::Pickup, Why::SubjectWord),
            (high, required, floor(TlsGrade::T5), Why::RequireTls),
            (high, lowered, floor(TlsGrade::T4), Why::PinFloor),
            (low, ordinary, T3, Why::PinFloor),
            // What lowers is not written down with the message.
            (low, strict, floor(TlsGrade::T4), Why::PinFloor),
            (exception, ordinary, T3, Why::PinException),
            (exception, required, floor(TlsGrade::T5), Why::RequireTls),
            (exception, header, Route::Pickup, Why::Header),
            (certificates, ordinary, T3, Why::PinCertificates),
            (certificates, lowered, T3, Why::PinCertificates),
            (smarthost, ordinary, T3, Why::PinSmarthost),
            (smarthost, strict, floor(TlsGrade::T4), Why::PinSmarthost),
            (PinFacts::default(), lowered, floor(TlsGrade::T2), Why::TlsNotRequired),
        ] {
            let address = Address::parse("x@elsewhere.test").unwrap();
            let recipients =
                [RecipientFacts { address: &address, place: Place::Elsewhere, pin: Some(pin) }];
            let mut rules = OutboundRules::default();
            let mut facts = OutboundFacts {
                recipients: &recipients,
                subject: None,
                route_header: None,
                require_tls: false,
                tls_required_no: false,
                size: 1000,
            };
            change(&mut facts, &mut rules);
            let planned = outbound(&facts, &rules).recipients.remove(0);
            assert_eq!(planned, Planned { route, why }, "{pin:?}");
        }
    }

    #[test]
    fn a_rule_for_one_domain_decides_for_that_one_alone() {
        let address = Address::parse("x@elsewhere.test").unwrap();
        let pickup = Some(PinFacts { pickup: true, ..PinFacts::default() });
        let recipient = |place, pin| RecipientFacts { address: &address, place, pin };
        let recipients = [
            recipient(Place::Elsewhere, pickup),
            recipient(Place::Elsewhere, None),
            recipient(Place::Ours, pickup),
        ];
        let facts = OutboundFacts {
            recipients: &recipients,
            subject: None,
            route_header: None,
            require_tls: false,
            tls_required_no: false,
            size: 1000,
        };
        let plan = outbound(&facts, &OutboundRules::default());
        let routes: Vec<&Route> = plan.recipients.iter().map(|planned| &planned.route).collect();
        assert_eq!(routes, [&Route::Pickup, &T3, &Route::Local]);
    }

    #[test]
    fn some_messages_are_refused_whole() {
        let too_large = plan_with(|facts, rules| facts.size = rules.max_size + 1);
        let unknown = plan_with(|facts, _| facts.route_header = Some("carrier pigeon"));
        let empty = plan_with(|facts, _| facts.route_header = Some(""));
        for (plan, why, code) in [
            (too_large, Why::TooLarge, 552),
            (unknown, Why::UnknownHeader, 554),
            (empty, Why::UnknownHeader, 554),
        ] {
            assert_eq!(plan.subject, None);
            for planned in plan.recipients {
                assert_eq!(planned.why, why);
                let Route::Refused { reply } = planned.route else { panic!("{why:?}") };
                assert_eq!(reply.code, code);
            }
        }
    }

    #[test]
    fn the_limit_itself_is_taken() {
        let plan = plan_with(|facts, rules| facts.size = rules.max_size);
        assert_eq!(plan.recipients[0].route, T3);
    }
}
