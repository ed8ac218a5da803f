//! Certificate chains from a description in words.

use aws_lc_rs::digest::{SHA256, SHA512, digest};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use std::time::{Duration, SystemTime};
use wardpost_verdict::{Fingerprint, Roots, Tlsa, Trust};
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// What a server shows, and who is who.
pub(crate) struct Pki {
    /// What it shows, its own first.
    pub(crate) chain: Vec<Vec<u8>>,
    /// Who is trusted.
    pub(crate) roots: Roots,
    leaf: Vec<u8>,
    ca: Vec<u8>,
    root: Vec<u8>,
    other: Vec<u8>,
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

impl Pki {
    /// Makes `kind name…`.
    pub(crate) fn make(description: &str) -> Self {
        let mut words = description.split(' ');
        let kind = words.next().unwrap();
        let names: Vec<String> = words.filter(|&name| name != "-").map(str::to_owned).collect();
        let root = authority("Trusted Root", None);
        let public = authority("Public CA", Some(&root));
        let private = authority("Private CA", None);
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name.push(DnType::CommonName, "a server");
        let now = SystemTime::now();
        if kind.ends_with("-expired") {
            (params.not_before, params.not_after) = ((now - 9 * DAY).into(), (now - DAY).into());
        } else if kind.ends_with("-future") {
            (params.not_before, params.not_after) = ((now + DAY).into(), (now + 9 * DAY).into());
        } else if kind.ends_with("-client") {
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        }
        let key = KeyPair::generate().unwrap();
        let by = |issuer: &Issuer| params.signed_by(&key, issuer).unwrap().der().to_vec();
        let (leaf, ca) = match kind {
            _ if kind.starts_with("webpki") => (by(&public), public.der().to_vec()),
            _ if kind.starts_with("private") => (by(&private), private.der().to_vec()),
            _ => (params.self_signed(&key).unwrap().der().to_vec(), private.der().to_vec()),
        };
        let chain = match kind {
            "empty" => Vec::new(),
            "rubbish" => vec![b"rubbish".to_vec()],
            "private-bare" | "self-signed" | "self-signed-expired" => vec![leaf.clone()],
            "webpki-valid" | "webpki-expired" | "webpki-future" | "webpki-client" | "private"
            | "private-expired" => vec![leaf.clone(), ca.clone()],
            other => panic!("{other:?} is no kind of chain"),
        };
        let mut roots = Roots::new();
        roots.add(root.der()).unwrap();
        let other = authority("Stranger", None).der().to_vec();
        Self { chain, roots, leaf, ca, root: root.der().to_vec(), other }
    }

    /// Makes what was pinned of lines `certificate @who`, `key @who` and `authority @who`.
    pub(crate) fn trust(&self, lines: &[String]) -> Trust {
        let (mut fingerprints, mut authorities) = (Vec::new(), Roots::new());
        for line in lines {
            let (what, who) = line.split_once(' ').unwrap();
            let certificate = self.certificate(who).unwrap();
            match what {
                "certificate" => fingerprints.push(Fingerprint::of_certificate(certificate)),
                "key" => fingerprints.push(Fingerprint::of_key(certificate).unwrap()),
                "authority" => authorities.add(certificate).unwrap(),
                other => panic!("{other:?} cannot be pinned"),
            }
        }
        Trust::new(fingerprints, authorities)
    }

    fn certificate(&self, who: &str) -> Option<&Vec<u8>> {
        match who {
            "@leaf" => Some(&self.leaf),
            "@ca" => Some(&self.ca),
            "@root" => Some(&self.root),
            "@other" => Some(&self.other),
            _ => None,
        }
    }

    /// Makes `usage selector matching data`, data in hexadecimal or `@who`.
    pub(crate) fn tlsa(&self, words: &[&str]) -> Tlsa {
        let [usage, selector, matching, data] = words else { panic!("{words:?} is no record") };
        let Some(certificate) = self.certificate(data) else {
            return words.join(" ").parse().unwrap();
        };
        let selected = match *selector {
            "0" => certificate.clone(),
            _ => {
                let (_, read) = X509Certificate::from_der(certificate).unwrap();
                read.tbs_certificate.subject_pki.raw.to_vec()
            }
        };
        let data = match *matching {
            "0" => selected,
            "1" => digest(&SHA256, &selected).as_ref().to_vec(),
            _ => digest(&SHA512, &selected).as_ref().to_vec(),
        };
        let number = |word: &str| word.parse().unwrap();
        Tlsa { usage: number(usage), selector: number(selector), matching: number(matching), data }
    }
}

fn authority(name: &str, issuer: Option<&Issuer>) -> Issuer {
    let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    match issuer {
        Some(issuer) => CertifiedIssuer::signed_by(params, key, issuer).unwrap(),
        None => CertifiedIssuer::self_signed(params, key).unwrap(),
    }
}
