//! A throw-away certificate authority.

use crate::Result;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PublicKeyData, date_time_ymd,
};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime};

/// The authority: its certificate in a file, its key in memory.
pub struct Ca {
    folder: PathBuf,
    issuer: Issuer<'static, KeyPair>,
    /// PEM file of the root certificate.
    pub root: PathBuf,
    /// What a TLSA record for this authority holds (DANE-TA, the key's SHA-256).
    pub tlsa: String,
    issued: AtomicU32,
}

impl std::fmt::Debug for Ca {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ca").field("root", &self.root).finish_non_exhaustive()
    }
}

/// A certificate chain and its key, each in a PEM file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Leaf certificate, root last.
    pub certificate: PathBuf,
    /// PKCS#8 private key.
    pub key: PathBuf,
    /// What a TLSA record for the leaf holds (DANE-EE, the key's SHA-256): `3 1 1 …`.
    pub tlsa: String,
}

impl Ca {
    /// A new authority whose files lie in `folder`. A world has one that Wardpost trusts,
    /// [`Lab::ca`](crate::Lab::ca); any other is a stranger.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn create(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name = named("Wardpost throw-away test authority");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        let root = folder.join("root.pem");
        fs::write(&root, certificate.pem())?;
        let tlsa = format!("2 1 1 {}", hash_of(&key));
        let issuer = Issuer::new(params, key);
        Ok(Self { folder: folder.to_owned(), issuer, root, tlsa, issued: AtomicU32::new(0) })
    }

    /// A certificate by this authority for `names`.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn issue(&self, names: &[&str]) -> Result<Pair> {
        self.issue_valid_from(names, 2024, 2046)
    }

    /// A certificate by this authority that has expired.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn issue_expired(&self, names: &[&str]) -> Result<Pair> {
        self.issue_valid_from(names, 2020, 2021)
    }

    /// A certificate by this authority that began a year ago and ends in so many days.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn issue_ending_in(&self, names: &[&str], days: u64) -> Result<Pair> {
        const DAY: Duration = Duration::from_secs(24 * 3600);
        // Half a day, so that it is the same number of days during a flow.
        let until = SystemTime::now() + DAY * u32::try_from(days)? + DAY / 2;
        self.issue_for(names, |params| {
            params.not_before = (SystemTime::now() - DAY * 365).into();
            params.not_after = until.into();
        })
    }

    fn issue_valid_from(&self, names: &[&str], from: i32, until: i32) -> Result<Pair> {
        self.issue_for(names, |params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(until, 1, 1);
        })
    }

    fn issue_for(
        &self,
        names: &[&str],
        times: impl FnOnce(&mut CertificateParams),
    ) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let mut params = leaf(names)?;
        times(&mut params);
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = format!("{}{}", certificate.pem(), fs::read_to_string(&self.root)?);
        self.write(names[0], &chain, &key)
    }

    /// A certificate that nobody vouches for.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn self_signed(&self, names: &[&str]) -> Result<Pair> {
        let key = KeyPair::generate()?;
        let certificate = leaf(names)?.self_signed(&key)?;
        self.write(names[0], &certificate.pem(), &key)
    }

    fn write(&self, name: &str, chain: &str, key: &KeyPair) -> Result<Pair> {
        let tag = self.issued.fetch_add(1, Ordering::Relaxed);
        let pair = Pair {
            certificate: self.folder.join(format!("{name}-{tag}.pem")),
            key: self.folder.join(format!("{name}-{tag}.key")),
            tlsa: format!("3 1 1 {}", hash_of(key)),
        };
        fs::write(&pair.certificate, chain)?;
        fs::write(&pair.key, key.serialize_pem())?;
        fs::set_permissions(&pair.key, fs::Permissions::from_mode(0o600))?;
        Ok(pair)
    }
}

/// SHA-256 of a key as certificates hold it (selector 1, matching type 1 of RFC 6698 §2.1).
fn hash_of(key: &KeyPair) -> String {
    HEXLOWER.encode(digest(&SHA256, &key.subject_public_key_info()).as_ref())
}

fn leaf(names: &[&str]) -> Result<CertificateParams> {
    let mut params =
        CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = named(names[0]);
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}
