//! Whatever the facts are: every finding has words, what is wrong has something to do, and nobody's address
//! is repeated.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod support;

use proptest::prelude::*;
use proptest::sample::select;
use std::net::IpAddr;
use support::{NOW, records, well};
use wardpost_health::facts::*;
use wardpost_health::{Check, State, judge};

/// What others may have put into the DNS, or into an error's words.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,60}",
        "\\PC{0,40}",
        select(vec![
            "v=spf1 include:joe@home.test -all",
            "v=DMARC1; p=none; rua=mailto:joe@home.test",
            "10 joe@home.test.",
            "0 issue \"joe@home.test\"",
            "v=TLSRPTv1;rua=mailto:joe@home.test",
            "0 1 993 joe@home.test",
            "joe@home.test",
            "10 mail.clinic.test.",
            "203.0.113.7",
            "v=STSv1; id=joe@home.test",
            "x\r\njoe@home.test\u{0}",
        ])
        .prop_map(str::to_owned),
    ]
}

fn found() -> impl Strategy<Value = Found> {
    prop_oneof![
        4 => prop::collection::vec(text(), 0..4).prop_map(Found::Values),
        1 => select(vec![Found::NoSuchName, Found::Bogus, Found::NoAnswer]),
    ]
}

fn record() -> impl Strategy<Value = RecordFacts> {
    let phase = select(vec![Phase::Now, Phase::Coming, Phase::Leaving]);
    (select(records()), phase, found()).prop_map(|(record, phase, found)| RecordFacts {
        phase,
        found,
        ..record
    })
}

fn call() -> impl Strategy<Value = Call> {
    use Call::*;
    let tls = [Tls::Offered, Tls::Missing, Tls::Overwritten].map(Greeted);
    select([vec![NotFound, Silence, Refused, TurnedAway, Odd], tls.into()].concat())
}

fn address() -> impl Strategy<Value = IpAddr> {
    select(vec!["203.0.113.7", "198.51.100.9", "2001:db8::7"]).prop_map(|it| it.parse().unwrap())
}

fn own_call() -> impl Strategy<Value = OwnCall> {
    let answer = select(vec![OwnAnswer::We, OwnAnswer::SomebodyElse, OwnAnswer::Nobody]);
    (address(), any::<bool>(), answer).prop_map(|(address, own, answer)| OwnCall {
        address,
        own,
        answer,
    })
}

fn certificate() -> impl Strategy<Value = CertificateFacts> {
    // What parts of ours say to do is a sentence.
    let to_do =
        select(vec!["", "Write a letter to joe@home.test, and wait."]).prop_map(str::to_owned);
    let authority = (prop::option::of(text()), to_do, any::<Option<i64>>()).prop_map(
        |(failure, to_do, next_try)| AuthorityFacts {
            failure,
            to_do,
            next_try,
            left_out: vec![LeftOutFacts {
                name: "joe@home.test".into(),
                says: "joe@home.test".into(),
                to_do: "Ask joe@home.test to mend it soon.".into(),
            }],
        },
    );
    let times = (any::<i64>(), any::<i64>());
    let missing = prop::collection::vec(text(), 0..3);
    (any::<bool>(), times, any::<bool>(), missing, prop::option::of(authority)).prop_map(
        |(self_signed, (not_before, not_after), names_host, missing, authority)| CertificateFacts {
            self_signed,
            not_before,
            not_after,
            names_host,
            missing,
            authority,
        },
    )
}

fn network() -> impl Strategy<Value = Facts> {
    let host = (prop::collection::vec(address(), 0..3), found(), found(), any::<Option<bool>>());
    let calls = prop::collection::vec(call(), 0..5);
    let port_in = (any::<Option<i64>>(), prop::collection::vec(own_call(), 0..3));
    let validation =
        select(vec![DnsValidation::Validated, DnsValidation::Stripped, DnsValidation::Undecided]);
    let records = prop::collection::vec(record(), 0..8);
    (host, records, calls, any::<bool>(), port_in, any::<bool>(), validation).prop_map(
        |(
            (public, name, reverse, signed),
            records,
            calls,
            smarthost,
            port_in,
            answers,
            validation,
        )| {
            let mut facts = well();
            let host = facts.host.as_mut().unwrap();
            host.reverse[0].found = reverse;
            (host.public, host.found, host.signed) = (public, name, signed);
            facts.records = records;
            facts.port_out = Some(PortOutFacts { smarthost, calls });
            facts.port_in = Some(PortInFacts { last_visit: port_in.0, calls: port_in.1 });
            facts.dns = Some(DnsFacts { answers, validation });
            facts
        },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    let disk = (any::<u64>(), any::<u64>()).prop_map(|(total, free)| DiskFacts { total, free });
    let queue = (any::<usize>(), any::<u64>(), any::<u64>())
        .prop_map(|(messages, oldest, late)| QueueFacts { messages, oldest, late });
    let clock = (prop::collection::vec(any::<f64>(), 0..4), any::<bool>())
        .prop_map(|(ahead, synchronized)| ClockFacts { ahead, synchronized });
    let names = || prop::option::of(prop::collection::vec(text(), 0..3));
    let store = prop::option::of(prop_oneof![Just(Ok(())), text().prop_map(Err)]);
    let units =
        prop_oneof![prop::collection::vec(text(), 0..3).prop_map(Ok), text().prop_map(Err),];
    let units = prop::option::of(units);
    let now = prop_oneof![Just(NOW), any::<i64>()];
    (network(), certificate(), disk, queue, clock, store, names(), units, now).prop_map(
        |(facts, certificate, disk, queue, clock, store, ports, units, when)| Facts {
            when,
            certificate: Some(certificate),
            disk: Some(disk),
            queue: Some(queue),
            clock: Some(clock),
            store,
            ports,
            units,
            ..facts
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn every_finding_has_words_and_nobody_is_named(facts in facts()) {
        let report = judge(&facts);
        let mut before = State::Bad;
        for finding in &report.findings {
            prop_assert!(Check::ALL.iter().any(|check| check.id() == finding.check));
            prop_assert!(finding.says.len() > 10 && finding.says.ends_with('.'), "{finding:?}");
            prop_assert!(!finding.title.is_empty());
            if finding.state >= State::Warning {
                prop_assert!(finding.to_do.len() > 20, "{finding:?}");
            }
            if finding.state == State::Good {
                prop_assert!(finding.to_do.is_empty(), "{finding:?}");
            }
            for said in [&finding.says, &finding.to_do] {
                prop_assert!(!said.contains('@') && !said.contains("joe"), "{finding:?}");
                prop_assert!(!said.chars().any(char::is_control), "{finding:?}");
                prop_assert!(said.len() < 3000, "{finding:?}");
            }
            prop_assert!(finding.state <= before, "worst first");
            before = finding.state;
        }
        // Any report can be printed, in lines that fit.
        for line in report.to_string().lines() {
            let longest = line.split_whitespace().map(|word| word.chars().count()).max();
            prop_assert!(line.chars().count() <= 100.max(longest.unwrap_or(0) + 11), "{line}");
        }
    }
}
