//! What hickory found without validating, read for one name.

use crate::validate::{Found, Traced};
use crate::{DnsError, Dnssec};
use hickory_resolver::net::{DnsError as WireError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};

/// Records of one answer that are looked at.
const MAX_RECORDS: usize = 64;
/// Aliases that are followed within an answer.
const MAX_ALIASES: usize = 8;

/// Takes the records of the wanted type, following aliases from the name that was asked for. What else
/// the answer holds is nobody's business.
pub(crate) fn follow(name: &Name, kind: RecordType, answers: &[Record]) -> Traced {
    let answers = &answers[..answers.len().min(MAX_RECORDS)];
    let mut at = name;
    for _ in 0..MAX_ALIASES {
        let Some(target) = alias_at(at, answers) else { break };
        at = target;
    }
    let wanted = answers.iter().filter(|r| r.record_type() == kind && r.name == *at);
    let alias = (at != name).then(|| (Dnssec::Indeterminate, at.clone()));
    unvalidated(Found::Records(wanted.cloned().collect()), alias)
}

fn alias_at<'a>(name: &Name, answers: &'a [Record]) -> Option<&'a Name> {
    answers.iter().find_map(|record| match &record.data {
        RData::CNAME(target) if record.name == *name => Some(&target.0),
        _ => None,
    })
}

fn unvalidated(found: Found, alias: Option<(Dnssec, Name)>) -> Traced {
    Traced { found, dnssec: Dnssec::Indeterminate, alias }
}

/// Tells NODATA (an empty answer) and NXDOMAIN from failures.
pub(crate) fn absent(error: &NetError) -> Result<Traced, DnsError> {
    match error {
        NetError::Dns(WireError::NoRecordsFound(no)) => match no.response_code {
            ResponseCode::NoError => Ok(unvalidated(Found::Records(Vec::new()), None)),
            ResponseCode::NXDomain => Ok(unvalidated(Found::NoName, None)),
            code => Err(DnsError::Temporary(code.to_string())),
        },
        error => Err(failure(error)),
    }
}

/// Why there was no answer.
pub(crate) fn failure(error: &NetError) -> DnsError {
    DnsError::Temporary(match error {
        NetError::Dns(WireError::ResponseCode(code)) => code.to_string(),
        NetError::Timeout => "no server answered in time".into(),
        NetError::NoConnections => "no server could be reached".into(),
        NetError::Io(error) => error.to_string(),
        // Other errors' texts may quote the name that was asked for.
        _ => "the answer could not be used".into(),
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use hickory_resolver::proto::rr::rdata::{A, CNAME};

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn alias(from: &str, to: &str) -> Record {
        Record::from_rdata(name(from), 60, RData::CNAME(CNAME(name(to))))
    }

    fn address(at: &str) -> Record {
        Record::from_rdata(name(at), 60, RData::A(A::new(192, 0, 2, 1)))
    }

    fn ask(answers: &[Record]) -> (usize, Option<Name>) {
        let traced = follow(&name("a.test."), RecordType::A, answers);
        assert_eq!(traced.dnssec, Dnssec::Indeterminate, "whatever it is, nobody validated it");
        let Found::Records(records) = traced.found else { panic!() };
        (records.len(), traced.alias.map(|(_, end)| end))
    }

    #[test]
    fn aliases_are_followed_to_their_end() {
        let chain = [alias("a.test.", "b.test."), alias("b.test.", "c.test."), address("c.test.")];
        assert_eq!(ask(&chain), (1, Some(name("c.test."))));
    }

    #[test]
    fn strangers_in_an_answer_are_left_out() {
        assert_eq!(ask(&[address("evil.test.")]), (0, None));
        assert_eq!(ask(&[address("a.test."), address("evil.test.")]), (1, None));
    }

    #[test]
    fn circles_end() {
        assert_eq!(ask(&[alias("a.test.", "b.test."), alias("b.test.", "a.test.")]).0, 0);
    }
}
