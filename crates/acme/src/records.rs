//! What is kept in the store: the account, the certificate with its key, and how things stand.
//!
//! Each record is written as a whole, so that an end at any moment leaves the one before or the one after.

use crate::order::Way;
use crate::schedule::Window;
use crate::trouble::Kind;
use crate::{AcmeError, Failed, LeftOut};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wardpost_mail::Domain;
use wardpost_store::{Batch, Column, Store, record};
use zeroize::Zeroize;

/// The version of the records that this program writes.
const VERSION: u8 = 1;
const ACCOUNT: &[u8] = b"acme-account";
const CERTIFICATE: &[u8] = b"acme-certificate";
const PROGRESS: &[u8] = b"acme-progress";
const ASKED: &[u8] = b"acme-asked";

/// Our account with an authority. Kept before the authority hears of it: whatever happens between, the
/// key still opens it (RFC 8555 §7.3.1).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// The authority's directory.
    pub(crate) directory: String,
    /// The private key.
    pub(crate) pkcs8: Vec<u8>,
    /// The account's address, once it exists.
    pub(crate) url: Option<String>,
    /// The contact that the authority was told.
    pub(crate) contact: Option<String>,
}

/// The certificate in use, with its key: one record, so that a roll-over is one write.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CertificateRecord {
    /// Who issued it.
    pub(crate) directory: String,
    /// The chain in PEM.
    pub(crate) chain: String,
    /// The private key.
    pub(crate) pkcs8: Vec<u8>,
    /// When we got it, Unix seconds.
    pub(crate) since: i64,
}

impl Drop for AccountRecord {
    fn drop(&mut self) {
        self.pkcs8.zeroize();
    }
}

impl Drop for CertificateRecord {
    fn drop(&mut self) {
        self.pkcs8.zeroize();
    }
}

/// How things stand. Times are Unix seconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// Failures since the last success.
    pub(crate) failures: u32,
    pub(crate) last_failure: Option<Failed>,
    /// Not before this, by itself.
    pub(crate) next_try: Option<i64>,
    pub(crate) left_out: Vec<LeftOut>,
    /// How the host name was proven last.
    pub(crate) works: Option<Way>,
    /// When certificates were issued lately.
    pub(crate) issued: Vec<i64>,
    /// When the authority would have the certificate renewed.
    pub(crate) window: Option<Window>,
    /// When to ask for that again.
    pub(crate) ask_window: i64,
    /// The host's name was not in the DNS when it failed last: once it is, there is no reason to wait.
    pub(crate) leads_nowhere: bool,
}

/// Reads and writes the records.
#[derive(Clone)]
pub(crate) struct Records {
    store: Store,
    /// As if the disk were full.
    #[cfg(test)]
    pub(crate) full: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Records {
    pub(crate) fn of(store: &Store) -> Self {
        Self {
            store: store.clone(),
            #[cfg(test)]
            full: std::sync::Arc::default(),
        }
    }

    pub(crate) fn account(&self) -> Result<Option<AccountRecord>, AcmeError> {
        self.get(ACCOUNT)
    }

    pub(crate) fn certificate(&self) -> Result<Option<CertificateRecord>, AcmeError> {
        self.get(CERTIFICATE)
    }

    pub(crate) fn progress(&self) -> Result<Progress, AcmeError> {
        Ok(self.get(PROGRESS)?.unwrap_or_default())
    }

    /// When certificates were issued lately that somebody had asked for.
    pub(crate) fn asked(&self) -> Result<Vec<i64>, AcmeError> {
        Ok(self.get(ASKED)?.unwrap_or_default())
    }

    fn get<T: DeserializeOwned>(&self, key: &[u8]) -> Result<Option<T>, AcmeError> {
        let Some(mut bytes) = self.store.get(Column::System, key)? else { return Ok(None) };
        let read = record::decode(VERSION, &bytes);
        bytes.zeroize();
        Ok(Some(read?))
    }

    pub(crate) async fn keep_account(&self, account: &AccountRecord) -> Result<(), AcmeError> {
        self.put(&[(ACCOUNT, record::encode(VERSION, account))]).await
    }

    /// Forgets the account; the next order makes another.
    pub(crate) async fn forget_account(&self) -> Result<(), AcmeError> {
        let mut batch = Batch::new();
        batch.delete(Column::System, ACCOUNT);
        self.store.commit(batch).await?;
        Ok(())
    }

    pub(crate) async fn keep_progress(&self, progress: &Progress) -> Result<(), AcmeError> {
        self.put(&[(PROGRESS, record::encode(VERSION, progress))]).await
    }

    /// Keeps a new certificate, and how things stand with it, in one write.
    pub(crate) async fn keep_certificate(
        &self,
        certificate: &CertificateRecord,
        progress: &Progress,
        asked: &[i64],
    ) -> Result<(), AcmeError> {
        self.put(&[
            (CERTIFICATE, record::encode(VERSION, certificate)),
            (PROGRESS, record::encode(VERSION, progress)),
            (ASKED, record::encode(VERSION, &asked.to_vec())),
        ])
        .await
    }

    async fn put(&self, values: &[(&[u8], Vec<u8>)]) -> Result<(), AcmeError> {
        let mut batch = Batch::new();
        for (key, value) in values {
            batch.put(Column::System, *key, value);
        }
        #[cfg(test)]
        if self.full.load(std::sync::atomic::Ordering::SeqCst) {
            return Err(wardpost_store::CommitError::DiskFull.into());
        }
        self.store.commit(batch).await?;
        Ok(())
    }
}

impl Progress {
    /// Whether the name is left out for now.
    pub(crate) fn leaves_out(&self, name: &Domain, now: i64) -> bool {
        self.left_out.iter().any(|left| left.name == *name && left.until > now)
    }

    /// Whether the last failure was of this kind, and its time to wait is not over.
    pub(crate) fn waits_for(&self, kind: Kind, now: i64) -> bool {
        self.next_try.is_some_and(|next| next > now)
            && self.last_failure.as_ref().is_some_and(|failed| failed.kind == kind)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use proptest::prelude::*;

    fn domain(name: &str) -> Domain {
        Domain::parse(name).unwrap()
    }

    /// Bytes that version 1 wrote. If this fails, old records would not open: write a migration.
    #[test]
    fn version_1_records_still_open() {
        let account = AccountRecord {
            directory: "d".into(),
            pkcs8: vec![1, 2],
            url: Some("u".into()),
            contact: None,
        };
        let bytes = b"\x01\x01d\x02\x01\x02\x01\x01u\x00";
        assert_eq!(record::encode(VERSION, &account), bytes);
        assert!(record::decode::<AccountRecord>(VERSION, bytes).unwrap() == account);

        let certificate = CertificateRecord {
            directory: "d".into(),
            chain: "c".into(),
            pkcs8: vec![3],
            since: 300,
        };
        let bytes = b"\x01\x01d\x01c\x01\x03\xd8\x04";
        assert_eq!(record::encode(VERSION, &certificate), bytes);
        assert!(record::decode::<CertificateRecord>(VERSION, bytes).unwrap() == certificate);

        let progress = Progress {
            failures: 2,
            last_failure: Some(Failed {
                when: 1,
                kind: Kind::RateLimited,
                says: "s".into(),
                to_do: "t".into(),
            }),
            next_try: Some(2),
            left_out: vec![LeftOut {
                name: domain("a.b"),
                until: 3,
                times: 1,
                says: "s".into(),
                to_do: "t".into(),
            }],
            works: Some(Way::TlsAlpn),
            issued: vec![4],
            window: Some(Window { start: 5, end: 6, chosen: 7 }),
            ask_window: 8,
            leads_nowhere: true,
        };
        let bytes =
            b"\x01\x02\x01\x02\x04\x01s\x01t\x01\x04\x01\x03a.b\x06\x01\x01s\x01t\x01\x01\x01\x08\
                      \x01\x0a\x0c\x0e\x10\x01";
        assert_eq!(record::encode(VERSION, &progress), bytes);
        assert!(record::decode::<Progress>(VERSION, bytes).unwrap() == progress);

        assert_eq!(record::encode(VERSION, &vec![4_i64]), b"\x01\x01\x08");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(0u8.., 0..200)) {
            let bytes = [&[VERSION], bytes.as_slice()].concat();
            let _ = record::decode::<Progress>(VERSION, &bytes);
            let _ = record::decode::<AccountRecord>(VERSION, &bytes);
            let _ = record::decode::<CertificateRecord>(VERSION, &bytes);
        }
    }
}
