//! The certificate that is kept, and using it from the start.

use crate::AcmeError;
use crate::authority::unix;
use crate::records::{CertificateRecord, Records};
use std::path::Path;
use std::time::SystemTime;
use wardpost_mail::{Domain, Secret};
use wardpost_net::{CertificateFacts, OwnKey, ServerTls, SetUpCertificate};
use wardpost_publish::KeyPlan;
use wardpost_store::Store;

/// The certificate that is kept.
#[derive(Clone)]
pub(crate) struct Kept {
    pub(crate) directory: String,
    pub(crate) chain: String,
    pub(crate) since: i64,
    pub(crate) facts: CertificateFacts,
}

impl Kept {
    pub(crate) fn of(record: &CertificateRecord) -> Option<Self> {
        let facts = CertificateFacts::of_chain(&record.chain).ok()?;
        let (directory, chain) = (record.directory.clone(), record.chain.clone());
        Some(Self { directory, chain, since: record.since, facts })
    }

    /// The names in it besides the host's.
    pub(crate) fn others(&self, host: &Domain) -> Vec<Domain> {
        let names = self.facts.names.iter().filter_map(|name| Domain::parse(name).ok());
        names.filter(|name| name != host).collect()
    }

    pub(crate) fn is_good(&self, host: &Domain, now: i64) -> bool {
        now < self.facts.not_after && self.facts.covers(host)
    }
}

/// Our side of TLS with the certificate that is kept, or the self-signed one as long as there is none
/// that is good. Touches the disk.
///
/// # Errors
/// When a record cannot be read, or a file not be written.
pub fn open_tls(
    store: &Store,
    keys: &KeyPlan,
    dir: &Path,
    host: &Domain,
    set_up: SetUpCertificate,
) -> Result<ServerTls, AcmeError> {
    let tls = ServerTls::issued(dir, host, set_up)?;
    let record = Records::of(store).certificate()?;
    if let Some(record) = record
        && let Some(kept) = Kept::of(&record)
    {
        let key = OwnKey::from_pkcs8(&Secret::new(record.pkcs8.clone()))?;
        // One that is neither in use nor comes next is from before somebody used another key.
        if !keys.is_current_or_next(&key.public_key_info()) {
            return Ok(tls);
        }
        tls.install(&record.chain, &key)?;
        if !kept.is_good(host, unix(SystemTime::now())) {
            tls.fall_back()?;
        }
    }
    Ok(tls)
}
