//! From what hickory found to records with their truth.

use crate::{Alias, Answer, DnsError, Dnssec};
use hickory_resolver::net::{DnsError as WireError, NetError, NoRecords};
use hickory_resolver::proto::dnssec::Proof;
use hickory_resolver::proto::dnssec::rdata::DNSSECRData;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use wardpost_mail::Domain;

/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 64;
/// Aliases that are followed within an answer.
const MAX_ALIASES: usize = 8;

/// Takes the records of the wanted type, following aliases from the name that was asked for; at the
/// truth of the weakest record on the way. What else the answer holds is nobody's business.
pub(crate) fn follow(
    name: &Name,
    kind: RecordType,
    answers: &[Record],
) -> Result<Answer<Vec<Record>>, DnsError> {
    let answers = &answers[..answers.len().min(MAX_RECORDS)];
    let mut at = name;
    let mut dnssec = None;
    let mut initial = None;
    for _ in 0..MAX_ALIASES {
        let Some((target, proof)) = alias_at(at, answers) else { break };
        let truth = truth(proof)?;
        initial.get_or_insert(truth);
        dnssec = Some(weaker(dnssec, truth));
        at = target;
    }
    let mut value = Vec::new();
    for record in answers.iter().filter(|r| r.record_type() == kind && r.name == *at) {
        dnssec = Some(weaker(dnssec, truth(record.proof)?));
        value.push(record.clone());
    }
    let dnssec = dnssec.unwrap_or(Dnssec::Indeterminate);
    Ok(Answer { value, dnssec, alias: alias(at, initial)? })
}

fn alias_at<'a>(name: &Name, answers: &'a [Record]) -> Option<(&'a Name, Proof)> {
    answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some((&target.0, record.proof)),
        _ => None,
    })
}

/// An alias that leads to a name that mail cannot use leads nowhere.
fn alias(canonical: &Name, initial: Option<Dnssec>) -> Result<Option<Alias>, DnsError> {
    let Some(initial) = initial else { return Ok(None) };
    let canonical = Domain::parse(&canonical.to_ascii()).map_err(|_| DnsError::NoSuchDomain)?;
    Ok(Some(Alias { initial, canonical }))
}

fn truth(proof: Proof) -> Result<Dnssec, DnsError> {
    match proof {
        Proof::Secure => Ok(Dnssec::Secure),
        Proof::Insecure => Ok(Dnssec::Insecure),
        Proof::Indeterminate => Ok(Dnssec::Indeterminate),
        Proof::Bogus => Err(DnsError::Bogus),
    }
}

fn weaker(so_far: Option<Dnssec>, truth: Dnssec) -> Dnssec {
    so_far.map_or(truth, |so_far| so_far.and(truth))
}

/// Tells NODATA (an empty answer) from NXDOMAIN, bogus answers and failures. `validated` says
/// whether the proofs in it mean anything.
pub(crate) fn absent(error: &NetError, validated: bool) -> Result<Answer<Vec<Record>>, DnsError> {
    match error {
        NetError::Dns(WireError::NoRecordsFound(no)) => {
            let dnssec = if validated { denial(no)? } else { Dnssec::Indeterminate };
            nothing(no.response_code, dnssec)
        }
        NetError::Dns(WireError::Nsec { response, proof, .. }) => {
            nothing(response.response_code, truth(*proof)?)
        }
        NetError::Dns(WireError::DnssecBogus) => Err(DnsError::Bogus),
        NetError::Dns(WireError::ResponseCode(code)) => Err(DnsError::Temporary(code.to_string())),
        NetError::Timeout => Err(DnsError::Temporary("no server answered in time".into())),
        NetError::NoConnections => Err(DnsError::Temporary("no server could be reached".into())),
        NetError::Io(error) => Err(DnsError::Temporary(error.to_string())),
        // Other errors' texts may quote the name that was asked for.
        _ => Err(DnsError::Temporary("the answer could not be used".into())),
    }
}

fn nothing(code: ResponseCode, dnssec: Dnssec) -> Result<Answer<Vec<Record>>, DnsError> {
    match code {
        ResponseCode::NoError => Ok(Answer::new(Vec::new(), dnssec)),
        ResponseCode::NXDomain => Err(DnsError::NoSuchDomain),
        code => Err(DnsError::Temporary(code.to_string())),
    }
}

/// How far an absence can be believed. The validator lets it pass only when it is proven or when the
/// zone is proven to be unsigned; it was proven if the records that deny are themselves secure.
fn denial(no: &NoRecords) -> Result<Dnssec, DnsError> {
    let authorities = no.authorities.iter().flat_map(|records| records.iter());
    let (mut proven, mut weakest) = (false, None);
    for record in authorities.take(MAX_RECORDS) {
        let denies =
            matches!(&record.data, RData::DNSSEC(DNSSECRData::NSEC(_) | DNSSECRData::NSEC3(_)));
        if denies || record.record_type() == RecordType::SOA {
            weakest = Some(weaker(weakest, truth(record.proof)?));
            proven |= denies;
        }
    }
    Ok(match weakest {
        Some(Dnssec::Secure) if proven => Dnssec::Secure,
        _ => Dnssec::Insecure,
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    fn record(name: &str, data: RData, proof: Proof) -> Record {
        let mut record = Record::from_rdata(Name::from_ascii(name).unwrap(), 60, data);
        record.proof = proof;
        record
    }

    fn alias(name: &str, to: &str, proof: Proof) -> Record {
        record(name, RData::CNAME(CNAME(Name::from_ascii(to).unwrap())), proof)
    }

    fn address(name: &str, proof: Proof) -> Record {
        record(name, RData::A(A::new(192, 0, 2, 1)), proof)
    }

    fn ask(answers: &[Record]) -> Result<Answer<Vec<Record>>, DnsError> {
        follow(&Name::from_ascii("a.test.").unwrap(), RecordType::A, answers)
    }

    #[test]
    fn truth_is_that_of_the_weakest_link() {
        use Proof::{Bogus, Indeterminate, Insecure, Secure};
        for (first, second, last, truth) in [
            (Secure, Secure, Secure, Ok(Dnssec::Secure)),
            (Secure, Insecure, Secure, Ok(Dnssec::Insecure)),
            (Secure, Secure, Insecure, Ok(Dnssec::Insecure)),
            (Insecure, Indeterminate, Secure, Ok(Dnssec::Indeterminate)),
            (Secure, Bogus, Secure, Err(DnsError::Bogus)),
            (Secure, Secure, Bogus, Err(DnsError::Bogus)),
        ] {
            let chain = [
                alias("a.test.", "b.test.", first),
                alias("b.test.", "c.test.", second),
                address("c.test.", last),
            ];
            let found = ask(&chain);
            assert_eq!(found.as_ref().map(|answer| answer.dnssec), truth.as_ref().copied());
            if let Ok(answer) = found {
                assert_eq!(answer.value.len(), 1);
                let alias = answer.alias.unwrap();
                assert_eq!(alias.canonical.as_str(), "c.test");
                assert_eq!(alias.initial, super::truth(first).unwrap());
            }
        }
    }

    #[test]
    fn strangers_in_an_answer_are_left_out() {
        let answer = ask(&[address("evil.test.", Proof::Secure)]).unwrap();
        assert!(answer.value.is_empty());
        let mixed = [address("a.test.", Proof::Secure), address("evil.test.", Proof::Bogus)];
        let answer = ask(&mixed).unwrap();
        assert_eq!((answer.value.len(), answer.dnssec), (1, Dnssec::Secure));
    }

    #[test]
    fn circles_end() {
        let circle = [
            alias("a.test.", "b.test.", Proof::Secure),
            alias("b.test.", "a.test.", Proof::Secure),
        ];
        assert!(ask(&circle).unwrap().value.is_empty());
    }
}
