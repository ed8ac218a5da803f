//! Records as they are kept: a version byte, then postcard. The store seals each.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wardpost_keys::{AccountKeys, RecoveryCertificate};
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_store::{Column, Store, record};

use crate::error::DirectoryError;
use crate::types::{DkimAlgorithm, DkimKey};

/// The version that this program writes.
const VERSION: u8 = 1;

/// Writes a record.
pub(crate) fn encode<T: Serialize>(record: &T) -> Vec<u8> {
    record::encode(VERSION, record)
}

/// Reads a record; `what` names its kind in the error.
pub(crate) fn decode<T: DeserializeOwned>(
    bytes: &[u8],
    what: &'static str,
) -> Result<T, DirectoryError> {
    record::decode(VERSION, bytes).map_err(|_| DirectoryError::Record(what))
}

/// The key of [`SystemRecord`].
pub(crate) const SYSTEM: &[u8] = b"s";
/// Accounts: this and the id.
pub(crate) const ACCOUNTS: &[u8] = b"a";
/// Aliases: this and a keyed hash of the address.
pub(crate) const ALIASES: &[u8] = b"l";
/// Domains: this and a keyed hash of the name.
pub(crate) const DOMAINS: &[u8] = b"d";

/// The key of an account.
pub(crate) fn account_key(id: AccountId) -> Vec<u8> {
    [ACCOUNTS, &id.0.to_be_bytes()].concat()
}

/// The key of an alias.
pub(crate) fn alias_key(store: &Store, address: &Address) -> Vec<u8> {
    let hash = store.name_key(Column::Directory, &[ALIASES, address.to_string().as_bytes()]);
    [ALIASES, &hash].concat()
}

/// The key of a domain.
pub(crate) fn domain_key(store: &Store, domain: &Domain) -> Vec<u8> {
    let hash = store.name_key(Column::Directory, &[DOMAINS, domain.as_str().as_bytes()]);
    [DOMAINS, &hash].concat()
}

/// What holds for the whole directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SystemRecord {
    /// The number the next account gets.
    pub(crate) next_account: u32,
    /// Made at set-up.
    pub(crate) recovery: Option<RecoveryCertificate>,
}

impl Default for SystemRecord {
    fn default() -> Self {
        Self { next_account: 1, recovery: None }
    }
}

/// An account.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// In folded form.
    pub(crate) address: Address,
    pub(crate) name: String,
    pub(crate) created: i64,
    pub(crate) keys: AccountKeys,
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    /// In folded form.
    pub(crate) address: Address,
    pub(crate) targets: Vec<AccountId>,
}

/// A domain.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DomainRecord {
    pub(crate) domain: Domain,
    pub(crate) dkim: Vec<DkimRecord>,
}

/// A DKIM key. Its private half is sealed by the store like every value.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DkimRecord {
    pub(crate) selector: String,
    pub(crate) algorithm: DkimAlgorithm,
    pub(crate) private_pkcs8: Vec<u8>,
    pub(crate) public_record: String,
}

impl From<DkimRecord> for DkimKey {
    fn from(record: DkimRecord) -> Self {
        Self {
            selector: record.selector,
            algorithm: record.algorithm,
            private_pkcs8: Secret::new(record.private_pkcs8),
            public_record: record.public_record,
        }
    }
}

impl From<&DkimKey> for DkimRecord {
    fn from(key: &DkimKey) -> Self {
        Self {
            selector: key.selector.clone(),
            algorithm: key.algorithm,
            private_pkcs8: key.private_pkcs8.expose().clone(),
            public_record: key.public_record.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes that version 1 wrote. If this fails, old directories would not open: write a migration.
    #[test]
    fn version_1_records_still_open() {
        let alias = AliasRecord {
            address: Address::parse("lab@clinic.test").unwrap(),
            targets: vec![AccountId(1), AccountId(300)],
        };
        let bytes = b"\x01\x0flab@clinic.test\x02\x01\xac\x02";
        assert_eq!(encode(&alias), bytes);
        assert_eq!(decode::<AliasRecord>(bytes, "alias").unwrap(), alias);

        let system: SystemRecord = decode(b"\x01\x07\x00", "system").unwrap();
        assert_eq!(system, SystemRecord { next_account: 7, recovery: None });

        let domain: DomainRecord =
            decode(b"\x01\x0bclinic.test\x01\x01s\x01\x02\x08\x09\x03v=D", "domain").unwrap();
        assert_eq!(domain.domain.as_str(), "clinic.test");
        assert_eq!(domain.dkim[0].algorithm, DkimAlgorithm::Rsa2048);
        assert_eq!(domain.dkim[0].private_pkcs8, [8, 9]);
    }

    #[test]
    fn another_version_is_refused() {
        assert!(matches!(
            decode::<SystemRecord>(b"\x02\x07\x00", "system"),
            Err(DirectoryError::Record("system"))
        ));
        assert!(decode::<SystemRecord>(b"", "system").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let bytes = [&[VERSION], bytes.as_slice()].concat();
            let _ = decode::<AccountRecord>(&bytes, "account");
            let _ = decode::<AliasRecord>(&bytes, "alias");
            let _ = decode::<DomainRecord>(&bytes, "domain");
        }
    }
}
