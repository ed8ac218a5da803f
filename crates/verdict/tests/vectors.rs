//! The golden family in `tests/vectors/verdict` of the repository: facts, grade, and why. What the
//! keys mean is told by the README there.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod pki;

use pki::Pki;
use serde::Deserialize;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_mail::Domain;
use wardpost_verdict::{
    AddressChain, Bound, ChannelBinding, Dnssec, Failure, Floor, FloorSource, Floors,
    HandshakeFacts, LookupFailure, Observation, PathFacts, Policy, StsError, StsFacts, StsPolicy,
    StsProblem, TlsGrade, TlsVersion, TlsaAnswer, tlsa_bases,
};

const BINDING: ChannelBinding = ChannelBinding([7; 32]);

/// One file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Case {
    why: String,
    domain: Domain,
    domain_alias: Option<Domain>,
    host: Domain,
    mx: String,
    address: Option<String>,
    alias: Option<Domain>,
    alias_truth: Option<String>,
    tlsa: Vec<String>,
    sts: Option<String>,
    sts_age: u64,
    sts_problem: Option<String>,
    trust: Vec<String>,
    tls: String,
    chain: String,
    requiretls: bool,
    default: TlsGrade,
    pin: Option<TlsGrade>,
    message: Option<TlsGrade>,
    grade: Option<TlsGrade>,
    result: Vec<String>,
    remarks: Vec<String>,
    route: String,
    set_by: Option<String>,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            why: String::new(),
            domain: domain("example.test"),
            domain_alias: None,
            host: domain("mx.example.test"),
            mx: "insecure".into(),
            address: None,
            alias: None,
            alias_truth: None,
            tlsa: Vec::new(),
            sts: None,
            sts_age: 60,
            sts_problem: None,
            trust: Vec::new(),
            tls: "1.3".into(),
            chain: "webpki-valid mx.example.test".into(),
            requiretls: false,
            default: TlsGrade::T3,
            pin: None,
            message: None,
            grade: None,
            result: Vec::new(),
            remarks: Vec::new(),
            route: String::new(),
            set_by: None,
        }
    }
}

fn domain(text: &str) -> Domain {
    Domain::parse(text).unwrap()
}

fn truth(word: &str) -> Result<Dnssec, LookupFailure> {
    match word {
        "secure" => Ok(Dnssec::Secure),
        "insecure" => Ok(Dnssec::Insecure),
        "indeterminate" => Ok(Dnssec::Indeterminate),
        "bogus" => Err(LookupFailure::Bogus),
        "servfail" => Err(LookupFailure::Temporary),
        other => panic!("{other:?} is no truth"),
    }
}

/// What a case comes to.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    grade: Option<TlsGrade>,
    result: Vec<String>,
    remarks: Vec<String>,
    route: String,
    set_by: Option<String>,
}

impl Case {
    fn facts(&self, pki: &Pki) -> PathFacts {
        let mx = truth(&self.mx);
        let address = truth(self.address.as_ref().unwrap_or(&self.mx)).map(|whole| AddressChain {
            initial: self.alias_truth.as_ref().map_or(whole, |word| truth(word).unwrap()),
            whole,
            canonical: self.alias.clone().unwrap_or_else(|| self.host.clone()),
        });
        let mut tlsa = self.answers(pki);
        // What is asked for and not in the case is not there.
        if let (Ok(mx), Ok(address)) = (&mx, &address) {
            for base in tlsa_bases(&self.host, *mx, address) {
                if tlsa.iter().all(|answer| answer.base != base) {
                    tlsa.push(TlsaAnswer { base, records: Ok((Vec::new(), Dnssec::Secure)) });
                }
            }
        }
        PathFacts {
            next_hop: self.domain.clone(),
            next_hop_canonical: self.domain_alias.clone(),
            host: self.host.clone(),
            mx,
            address,
            tlsa,
            sts: self.sts(),
        }
    }

    fn answers(&self, pki: &Pki) -> Vec<TlsaAnswer> {
        let mut answers: Vec<TlsaAnswer> = Vec::new();
        for line in &self.tlsa {
            let words: Vec<&str> = line.split(' ').collect();
            let base = domain(words[0]);
            let records = match &words[1..] {
                [failure] => Err(truth(failure).unwrap_err()),
                ["none", proof] => Ok((Vec::new(), truth(proof).unwrap())),
                [proof, record @ ..] => Ok((vec![pki.tlsa(record)], truth(proof).unwrap())),
                [] => panic!("{line:?} says nothing"),
            };
            match (answers.iter_mut().find(|answer| answer.base == base), records) {
                (Some(TlsaAnswer { records: Ok((set, _)), .. }), Ok((more, _))) => set.extend(more),
                (_, records) => answers.push(TlsaAnswer { base, records }),
            }
        }
        answers
    }

    fn sts(&self) -> StsFacts {
        let policy = self.sts.as_ref().map(|text| {
            (StsPolicy::parse(text.as_bytes()).unwrap(), Duration::from_secs(self.sts_age))
        });
        let problem = self.sts_problem.as_deref().map(|word| match word {
            "fetch" => StsProblem::Fetch("it took too long".into()),
            "certificate" => StsProblem::Certificate("it has expired".into()),
            "invalid" => StsProblem::Invalid(StsError::Version),
            other => panic!("{other:?} is no problem"),
        });
        StsFacts { policy, problem }
    }

    fn seen(&self, pki: &Pki) -> Observation {
        let completed = |version| {
            Observation::Completed(HandshakeFacts {
                version,
                suite: "TLS_AES_256_GCM_SHA384".into(),
                chain: pki.chain.clone(),
                binding: BINDING,
            })
        };
        match self.tls.as_str() {
            "1.3" => completed(TlsVersion::Tls13),
            "1.2" => completed(TlsVersion::Tls12),
            "none" => Observation::NotOffered,
            "refused" => Observation::Refused(454),
            "old" => Observation::OldTls,
            "failed" => Observation::HandshakeFailed("connection reset".into()),
            other => panic!("{other:?} is no handshake"),
        }
    }

    fn run(&self) -> Outcome {
        let pki = Pki::make(&self.chain);
        let policy = match Policy::of(&self.facts(&pki)) {
            Ok(policy) => policy.with_trust(Arc::new(pki.trust(&self.trust))),
            Err(deferral) => {
                return Outcome {
                    grade: None,
                    result: words(std::slice::from_ref(deferral.failure())),
                    remarks: Vec::new(),
                    route: "defer".into(),
                    set_by: None,
                };
            }
        };
        let verdict = policy.grade(&self.seen(&pki), &pki.roots, SystemTime::now());
        let verdict = verdict.with_requiretls(self.requiretls);
        assert_eq!(verdict.published(), policy.published(), "the verdict carries the demand");
        let completed = matches!(self.tls.as_str(), "1.2" | "1.3");
        assert_eq!(verdict.pinned(), completed && !self.trust.is_empty(), "and says who judged");
        let floors = Floors {
            default: Floor::new(self.default),
            pin: self.pin.map(Floor::new),
            message: self.message.map(Floor::new),
        };
        let (floor, source) = floors.demand(policy.published());
        let (grade, result) = (Some(verdict.grade()), words(verdict.failures()));
        let remarks = words(verdict.remarks());
        let admitted = verdict.admit(Connection, floor).is_ok();
        let route = if admitted { "direct" } else { "pickup" }.to_owned();
        let set_by = match source {
            FloorSource::Default => "default".to_owned(),
            FloorSource::Pin => "pin".to_owned(),
            FloorSource::Message => "message".to_owned(),
            FloorSource::Published(published) => published.to_string(),
        };
        Outcome { grade, result, remarks, route, set_by: Some(set_by) }
    }
}

fn words(failures: &[Failure]) -> Vec<String> {
    failures.iter().map(|failure| format!("{}/{}", failure.policy, failure.kind)).collect()
}

/// The connection that was judged.
#[derive(Debug)]
struct Connection;

impl Bound for Connection {
    fn channel_binding(&self) -> Option<ChannelBinding> {
        Some(BINDING)
    }
}

#[test]
fn every_case_is_judged_as_it_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/vectors/verdict");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "toml"));
    files.sort();
    assert!(files.len() >= 120, "{} cases", files.len());
    let mut wrong = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let case: Case = toml::from_str(&text).unwrap_or_else(|e| panic!("{file:?}: {e}"));
        assert!(!case.why.is_empty(), "{file:?} does not say why");
        let mut outcome = case.run();
        if case.set_by.is_none() {
            outcome.set_by = None;
        }
        let expected = Outcome {
            grade: case.grade,
            result: case.result,
            remarks: case.remarks,
            route: case.route,
            set_by: case.set_by,
        };
        if outcome != expected {
            let name = file.file_name().unwrap_or_default();
            wrong.push(format!(
                "{name:?}: {}\n  wanted {expected:?}\n  got    {outcome:?}",
                case.why
            ));
        }
    }
    assert!(wrong.is_empty(), "{} cases:\n{}", wrong.len(), wrong.join("\n"));
}

/// Facts about a path, each on a scale where more is better. Truth is left at secure and policies at
/// enforce unless the scale says otherwise: a demand that goes away is no fact that got worse.
#[derive(Debug, Clone)]
struct Scales {
    tls: usize,
    chain: usize,
    tlsa: usize,
    truth: usize,
    listed: bool,
    mode: usize,
    requiretls: bool,
    pin: usize,
}

impl Scales {
    fn case(&self) -> Case {
        let record = [
            "mx.example.test secure 3 1 1 @other",
            "mx.example.test none secure",
            "mx.example.test secure 3 1 1 @leaf",
        ][self.tlsa];
        let listed = if self.listed { "mx.example.test" } else { "other.example.test" };
        let mode = ["none", "testing", "enforce"][self.mode];
        Case {
            tls: ["none", "old", "1.2", "1.3"][self.tls].into(),
            chain: [
                "rubbish",
                "self-signed-expired mx.other.test",
                "self-signed mx.example.test",
                "webpki-expired mx.example.test",
                "webpki-valid mx.example.test",
            ][self.chain]
                .into(),
            mx: ["servfail", "bogus", "indeterminate", "insecure", "secure"][self.truth].into(),
            address: Some("secure".into()),
            tlsa: vec![record.into()],
            sts: Some(format!("version: STSv1\nmode: {mode}\nmx: {listed}\nmax_age: 60000\n")),
            requiretls: self.requiretls,
            trust: [&["key @other"][..], &[], &["key @other", "key @leaf"]][self.pin]
                .iter()
                .map(|&line| line.to_owned())
                .collect(),
            ..Case::default()
        }
    }

    /// Every way to make one fact worse. Proof of a record that does not fit counts for nothing
    /// worse, and absent records are better than such only because they ask for nothing. So with pins:
    /// one that fits beats none, and none beats one that does not fit.
    fn worse(&self) -> Vec<Self> {
        let mut worse = Vec::new();
        let mut push = |change: &dyn Fn(&mut Self)| {
            let mut other = self.clone();
            change(&mut other);
            worse.push(other);
        };
        if self.tls > 0 {
            push(&|s| s.tls -= 1);
        }
        if self.chain > 0 {
            push(&|s| s.chain -= 1);
        }
        if self.tlsa == 2 {
            push(&|s| s.tlsa = 0);
        }
        if self.truth > 0 && self.tlsa > 0 {
            push(&|s| s.truth -= 1);
        }
        if self.listed {
            push(&|s| s.listed = false);
        }
        if self.mode > 0 {
            push(&|s| s.mode -= 1);
        }
        if self.requiretls {
            push(&|s| s.requiretls = false);
        }
        if self.pin > 0 {
            push(&|s| s.pin -= 1);
        }
        worse
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(400))]
    #[test]
    fn a_fact_made_worse_never_raises_the_grade(
        (tls, chain, tlsa, truth) in (0..4_usize, 0..5_usize, 0..3_usize, 0..5_usize),
        (listed, mode, requiretls) in (proptest::bool::ANY, 0..3_usize, proptest::bool::ANY),
        pin in 0..3_usize,
    ) {
        let scales = Scales { tls, chain, tlsa, truth, listed, mode, requiretls, pin };
        let grade = scales.case().run().grade;
        for worse in scales.worse() {
            // A deferral is no grade at all, and less than any.
            proptest::prop_assert!(worse.case().run().grade <= grade, "{scales:?} -> {worse:?}");
        }
    }
}
