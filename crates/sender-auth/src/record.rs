//! A DMARC policy record (RFC 9989 §4.7, §4.8).

use crate::tags::Tags;
use wardpost_policy::DmarcPolicy;

/// `psd=`: what the owner of a name says about its place in the tree (RFC 9989 §4.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Psd {
    /// A public suffix: what lies below belongs to others.
    Yes,
    /// The Organizational Domain.
    No,
    /// Not said.
    Unsaid,
}

/// What is asked for mail that fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asked {
    /// For the domain itself.
    pub(crate) p: DmarcPolicy,
    /// For its subdomains.
    pub(crate) sp: DmarcPolicy,
    /// For its subdomains that do not exist.
    pub(crate) np: DmarcPolicy,
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// `None`: there is nothing to apply (RFC 9989 §4.10.1).
    pub(crate) asked: Option<Asked>,
    pub(crate) psd: Psd,
    pub(crate) strict_dkim: bool,
    pub(crate) strict_spf: bool,
    /// `t=y`: the owner is trying it out.
    pub(crate) testing: bool,
}

impl Record {
    /// The policy among the TXT records at one name. Others than DMARC's do not count; of several none does
    /// (RFC 9989 §4.10 step 2).
    pub(crate) fn among(records: &[Vec<u8>]) -> Option<Self> {
        let mut policies = records.iter().filter_map(|text| Self::parse(text));
        let policy = policies.next()?;
        policies.next().is_none().then_some(policy)
    }

    /// `None` when it is no DMARC record: `v=DMARC1` must come first, in this case. Unknown tags are passed
    /// over, values that cannot be read count as absent (RFC 9989 §4.7).
    pub(crate) fn parse(text: &[u8]) -> Option<Self> {
        let tags = Tags::parse(text);
        if tags.first() != Some(("v", "DMARC1")) {
            return None;
        }
        let is = |name: &str, value: &str| {
            tags.value(name).is_some_and(|found| found.eq_ignore_ascii_case(value))
        };
        Some(Self {
            asked: asked(&tags),
            psd: match (is("psd", "y"), is("psd", "n")) {
                (true, _) => Psd::Yes,
                (_, true) => Psd::No,
                _ => Psd::Unsaid,
            },
            strict_dkim: is("adkim", "s"),
            strict_spf: is("aspf", "s"),
            testing: is("t", "y"),
        })
    }
}

/// A policy that cannot be read, or none at all, is `none` for those who want reports and makes the record
/// void for others (RFC 9989 §4.10.1).
fn asked(tags: &Tags) -> Option<Asked> {
    let read = || {
        let p = policy(tags.value("p")?)?;
        let or = |name, otherwise| tags.value(name).map_or(Some(otherwise), policy);
        let sp = or("sp", p)?;
        Some(Asked { p, sp, np: or("np", sp)? })
    };
    let none = DmarcPolicy::None;
    read().or_else(|| wants_reports(tags).then_some(Asked { p: none, sp: none, np: none }))
}

fn policy(text: &str) -> Option<DmarcPolicy> {
    let known = [
        ("none", DmarcPolicy::None),
        ("quarantine", DmarcPolicy::Quarantine),
        ("reject", DmarcPolicy::Reject),
    ];
    known.into_iter().find(|(name, _)| text.eq_ignore_ascii_case(name)).map(|(_, policy)| policy)
}

/// Whether `rua` has at least one address.
fn wants_reports(tags: &Tags) -> bool {
    tags.value("rua").is_some_and(|list| {
        list.split(',').any(|uri| {
            let scheme = uri.trim().split_once(':').map(|(scheme, rest)| (scheme, rest.trim()));
            scheme.is_some_and(|(scheme, rest)| !scheme.is_empty() && !rest.is_empty())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use DmarcPolicy::{None as Nothing, Quarantine, Reject};

    fn asked(text: &str) -> Option<(DmarcPolicy, DmarcPolicy, DmarcPolicy)> {
        let asked = Record::parse(text.as_bytes()).unwrap().asked?;
        Some((asked.p, asked.sp, asked.np))
    }

    #[test]
    fn policies_for_subdomains_follow_the_nearest_that_is_given() {
        for (text, expected) in [
            ("v=DMARC1; p=reject", Some((Reject, Reject, Reject))),
            ("v=DMARC1;p=reject;sp=quarantine", Some((Reject, Quarantine, Quarantine))),
            ("v=DMARC1; p=none; np=reject", Some((Nothing, Nothing, Reject))),
            ("v = DMARC1 ; P=none; p = REJECT ;", Some((Reject, Reject, Reject))),
            ("v=DMARC1; rua=mailto:a@b.test; p=quarantine; pct=0", {
                Some((Quarantine, Quarantine, Quarantine))
            }),
            ("v=DMARC1; p=reject; x=y; adkim=wrong", Some((Reject, Reject, Reject))),
            ("v=DMARC1", None),
            ("v=DMARC1; p=maybe", None),
            ("v=DMARC1; p=reject; sp=maybe", None),
            ("v=DMARC1; p=maybe; rua=mailto:a@b.test", Some((Nothing, Nothing, Nothing))),
            ("v=DMARC1; p=reject; np=; rua=nonsense", None),
        ] {
            assert_eq!(asked(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_record_or_one_too_many_is_none() {
        for text in
            ["", "v=DMARC2; p=reject", "p=reject; v=DMARC1", "v=dmarc1; p=reject", "V=DMARC1"]
        {
            assert_eq!(Record::parse(text.as_bytes()), None, "{text}");
        }
        let one = || b"v=DMARC1; p=reject".to_vec();
        assert!(Record::among(&[b"v=spf1 -all".to_vec(), one()]).is_some());
        assert_eq!(Record::among(&[one(), one()]), None);
        assert_eq!(Record::among(&[]), None);
    }

    #[test]
    fn the_rest_has_its_defaults() {
        let record = Record::parse(b"v=DMARC1; p=none").unwrap();
        let flags = (record.strict_dkim, record.strict_spf, record.testing, record.psd);
        assert_eq!(flags, (false, false, false, Psd::Unsaid));
        let record = Record::parse(b"v=DMARC1; p=none; adkim=s; aspf=S; t=y; psd=n").unwrap();
        let flags = (record.strict_dkim, record.strict_spf, record.testing, record.psd);
        assert_eq!(flags, (true, true, true, Psd::No));
    }
}
