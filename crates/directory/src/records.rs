//! Records as they are kept: a version byte, then postcard. The store seals each.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use wardpost_keys::{AccountKeys, RecoveryCertificate};
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_store::{Column, Store, record};

use crate::error::DirectoryError;
use crate::types::{DkimAlgorithm, DkimKey, DkimPair, DkimStage};

/// The version that this program writes of every record but accounts' and domains'.
const VERSION: u8 = 1;
/// The version of accounts' records: since there are administrators and second factors.
const ACCOUNT_VERSION: u8 = 2;
/// The version of domains' records: since keys rotate.
const DOMAIN_VERSION: u8 = 2;

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
/// What is left of a domain that was removed: this and the same hash.
pub(crate) const REMOVED: &[u8] = b"g";

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

/// The key of what is left of a removed domain.
pub(crate) fn removed_key(store: &Store, domain: &Domain) -> Vec<u8> {
    let mut key = domain_key(store, domain);
    key.splice(..DOMAINS.len(), REMOVED.iter().copied());
    key
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

/// An account, in version 2.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct AccountRecord {
    /// In folded form.
    pub(crate) address: Address,
    pub(crate) name: String,
    pub(crate) created: i64,
    pub(crate) keys: AccountKeys,
    pub(crate) administrator: bool,
    /// The secret that the authenticator app has, too.
    pub(crate) second_factor: Option<Vec<u8>>,
}

/// An account, in version 1.
#[derive(Deserialize)]
struct AccountRecord1 {
    address: Address,
    name: String,
    created: i64,
    keys: AccountKeys,
}

/// Writes an account's record.
pub(crate) fn encode_account(record: &AccountRecord) -> Vec<u8> {
    record::encode(ACCOUNT_VERSION, record)
}

/// Reads an account's record, of this version or the one before, which knew no administrators.
pub(crate) fn decode_account(bytes: &[u8]) -> Result<AccountRecord, DirectoryError> {
    if bytes.first() != Some(&VERSION) {
        return record::decode(ACCOUNT_VERSION, bytes)
            .map_err(|_| DirectoryError::Record("account"));
    }
    let AccountRecord1 { address, name, created, keys } = decode(bytes, "account")?;
    let (administrator, second_factor) = (false, None);
    Ok(AccountRecord { address, name, created, keys, administrator, second_factor })
}

/// An alias.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct AliasRecord {
    /// In folded form.
    pub(crate) address: Address,
    pub(crate) targets: Vec<AccountId>,
}

/// A domain, in version 2.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct DomainRecord {
    pub(crate) domain: Domain,
    /// The generation that the next pair gets.
    pub(crate) next_generation: u32,
    pub(crate) pairs: Vec<PairRecord>,
}

/// A pair of DKIM keys.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct PairRecord {
    pub(crate) generation: u32,
    pub(crate) stage: DkimStage,
    pub(crate) keys: Vec<DkimRecord>,
}

/// A domain, in version 1: one pair, `wp1-…`, that signs.
#[derive(Deserialize)]
struct DomainRecord1 {
    domain: Domain,
    dkim: Vec<DkimRecord>,
}

/// What is left of a domain that was removed, so that its selectors are not used again if it comes
/// back (RFC 6376 §3.1).
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RemovedRecord {
    pub(crate) next_generation: u32,
}

/// Writes a domain's record.
pub(crate) fn encode_domain(record: &DomainRecord) -> Vec<u8> {
    record::encode(DOMAIN_VERSION, record)
}

/// Reads a domain's record, of this version or the one before.
pub(crate) fn decode_domain(bytes: &[u8]) -> Result<DomainRecord, DirectoryError> {
    if bytes.first() != Some(&VERSION) {
        return record::decode(DOMAIN_VERSION, bytes).map_err(|_| DirectoryError::Record("domain"));
    }
    let DomainRecord1 { domain, dkim } = decode(bytes, "domain")?;
    let pair = PairRecord { generation: 1, stage: DkimStage::Signing { since: 0 }, keys: dkim };
    Ok(DomainRecord { domain, next_generation: 2, pairs: vec![pair] })
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

impl From<PairRecord> for DkimPair {
    fn from(record: PairRecord) -> Self {
        let PairRecord { generation, stage, keys } = record;
        Self { generation, stage, keys: keys.into_iter().map(DkimKey::from).collect() }
    }
}

impl From<&DkimPair> for PairRecord {
    fn from(pair: &DkimPair) -> Self {
        let keys = pair.keys.iter().map(DkimRecord::from).collect();
        Self { generation: pair.generation, stage: pair.stage, keys }
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

        let domain = decode_domain(b"\x01\x0bclinic.test\x01\x01s\x01\x02\x08\x09\x03v=D").unwrap();
        assert_eq!((domain.domain.as_str(), domain.next_generation), ("clinic.test", 2));
        let pair = &domain.pairs[0];
        assert_eq!((pair.generation, pair.stage), (1, DkimStage::Signing { since: 0 }));
        assert_eq!(pair.keys[0].algorithm, DkimAlgorithm::Rsa2048);
        assert_eq!(pair.keys[0].private_pkcs8, [8, 9]);

        let removed = RemovedRecord { next_generation: 300 };
        assert_eq!(encode(&removed), b"\x01\xac\x02");
    }

    /// Bytes that version 2 of domains' records wrote.
    #[test]
    fn version_2_domains_still_open() {
        let pair = |generation, stage| PairRecord { generation, stage, keys: Vec::new() };
        let key = DkimRecord {
            selector: "s".to_owned(),
            algorithm: DkimAlgorithm::Ed25519,
            private_pkcs8: vec![8, 9],
            public_record: "v=D".to_owned(),
        };
        let record = DomainRecord {
            domain: Domain::parse("clinic.test").unwrap(),
            next_generation: 4,
            pairs: vec![
                pair(1, DkimStage::Retired { since: 1, until: 300 }),
                PairRecord { keys: vec![key], ..pair(2, DkimStage::Signing { since: 2 }) },
                pair(3, DkimStage::Waiting { made: 3, seen_since: Some(-1) }),
            ],
        };
        let bytes = b"\x02\x0bclinic.test\x04\x03\
            \x01\x02\x02\xd8\x04\x00\
            \x02\x01\x04\x01\x01s\x00\x02\x08\x09\x03v=D\
            \x03\x00\x06\x01\x01\x00";
        assert_eq!(encode_domain(&record), bytes);
        let read = decode_domain(bytes).unwrap();
        assert_eq!(read.next_generation, 4);
        let stages: Vec<_> = read.pairs.iter().map(|pair| (pair.generation, pair.stage)).collect();
        assert_eq!(
            stages,
            record.pairs.iter().map(|p| (p.generation, p.stage)).collect::<Vec<_>>()
        );
        assert_eq!(read.pairs[1].keys[0].private_pkcs8, [8, 9]);
    }

    /// An account's keys as version 1 wrote them.
    fn frozen_keys() -> Vec<u8> {
        let data = include_str!("../../keys/tests/data/account-v1.txt");
        let hex = data.lines().find_map(|line| line.strip_prefix("account ")).unwrap();
        data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap()
    }

    #[test]
    fn accounts_of_version_1_still_open() {
        let bytes = [b"\x01\x10dana@clinic.test\x03Lee\xd8\x04", &*frozen_keys()].concat();
        let read = decode_account(&bytes).unwrap();
        assert_eq!(read.address.to_string(), "dana@clinic.test");
        assert_eq!((read.name.as_str(), read.created), ("Lee", 300));
        assert!(!read.administrator && read.second_factor.is_none());
        let password = Secret::new("frozen password".to_owned());
        assert!(read.keys.unlock_with_password(&password).is_ok());
        // What is written now is version 2, and says the same.
        let again = decode_account(&encode_account(&read)).unwrap();
        assert_eq!((again.address, again.created), (read.address, 300));
    }

    /// Bytes that version 2 of accounts' records wrote.
    #[test]
    fn accounts_of_version_2_still_open() {
        let bytes = [
            b"\x02\x10dana@clinic.test\x03Lee\xd8\x04",
            &*frozen_keys(),
            b"\x01\x01\x03\x07\x08\x09",
        ]
        .concat();
        let read = decode_account(&bytes).unwrap();
        assert!(read.administrator);
        assert_eq!(read.second_factor.as_deref(), Some(&[7, 8, 9][..]));
        let password = Secret::new("frozen password".to_owned());
        assert!(read.keys.unlock_with_password(&password).is_ok());
        assert_eq!(encode_account(&read), bytes);
        let cut = &bytes[..bytes.len() - 1];
        assert!(decode_account(cut).is_err() && decode_account(b"\x03").is_err());
    }

    #[test]
    fn another_version_is_refused() {
        assert!(matches!(
            decode::<SystemRecord>(b"\x02\x07\x00", "system"),
            Err(DirectoryError::Record("system"))
        ));
        assert!(decode::<SystemRecord>(b"", "system").is_err());
        assert!(decode_domain(b"\x03\x00").is_err() && decode_domain(b"").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_decode_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode_domain(&[&[DOMAIN_VERSION], bytes.as_slice()].concat());
            let _ = decode_account(&[&[ACCOUNT_VERSION], bytes.as_slice()].concat());
            let bytes = [&[VERSION], bytes.as_slice()].concat();
            let _ = decode_account(&bytes);
            let _ = decode::<AliasRecord>(&bytes, "alias");
            let _ = decode_domain(&bytes);
        }
    }
}
