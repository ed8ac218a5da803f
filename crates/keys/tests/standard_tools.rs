//! What is stored is standard OpenPGP: the library's own high-level interfaces, which know nothing
//! of this crate, open and make it.

use sequoia_openpgp as openpgp;

use openpgp::KeyHandle;
use openpgp::cert::Cert;
use openpgp::crypto::{Password, SessionKey};
use openpgp::packet::{PKESK, SKESK};
use openpgp::parse::Parse;
use openpgp::parse::stream::{
    DecryptionHelper, DecryptorBuilder, MessageStructure, VerificationHelper,
};
use openpgp::policy::StandardPolicy;
use openpgp::serialize::stream::{Encryptor, LiteralWriter, Message};
use openpgp::types::{AEADAlgorithm, SymmetricAlgorithm};
use proptest::prelude::*;
use std::io::{Read, Write};
use std::sync::LazyLock;
use wardpost_keys::{
    AccountCertificate, AccountKeys, KdfCost, KeyPacket, Sealed, Unlocked, seal_message, to_openpgp,
};
use wardpost_mail::Secret;

const PASSPHRASE: &str = "for the export";

/// Opens a message with the exported key only.
struct Reader {
    cert: Cert,
}

impl VerificationHelper for Reader {
    fn get_certs(&mut self, _: &[KeyHandle]) -> openpgp::Result<Vec<Cert>> {
        Ok(Vec::new())
    }

    fn check(&mut self, _: MessageStructure<'_>) -> openpgp::Result<()> {
        Ok(())
    }
}

impl DecryptionHelper for Reader {
    fn decrypt(
        &mut self,
        packets: &[PKESK],
        _: &[SKESK],
        algorithm: Option<SymmetricAlgorithm>,
        decrypt: &mut dyn FnMut(Option<SymmetricAlgorithm>, &SessionKey) -> bool,
    ) -> openpgp::Result<Option<Cert>> {
        for key in self.cert.keys().subkeys().secret() {
            let secret = key.key().clone().decrypt_secret(&Password::from(PASSPHRASE))?;
            let mut pair = secret.into_keypair()?;
            for packet in packets {
                let opened = packet.decrypt(&mut pair, algorithm);
                if opened.is_some_and(|(algorithm, key)| decrypt(algorithm, &key)) {
                    return Ok(None);
                }
            }
        }
        Err(openpgp::Error::InvalidOperation("no key fits".into()).into())
    }
}

fn account(label: &str) -> (AccountKeys, Unlocked) {
    let password = Secret::new("a long password".to_owned());
    let keys = AccountKeys::generate(label, &password, None, KdfCost::Test).expect("generated");
    let unlocked = keys.unlock_with_password(&password).expect("unlocked");
    (keys, unlocked)
}

fn read_with_export(unlocked: &Unlocked, message: &[u8]) -> openpgp::Result<Vec<u8>> {
    let armored = unlocked.export_secret(&Secret::new(PASSPHRASE.to_owned())).expect("exported");
    assert!(armored.starts_with(b"-----BEGIN PGP PRIVATE KEY BLOCK-----"));
    let cert = Cert::from_bytes(&armored)?;
    assert!(cert.keys().secret().all(|key| !key.key().has_unencrypted_secret()));
    assert_eq!(cert.keys().secret().count(), 2);
    let policy = StandardPolicy::new();
    let mut reader =
        DecryptorBuilder::from_bytes(message)?.with_policy(&policy, None, Reader { cert })?;
    let mut plain = Vec::new();
    reader.read_to_end(&mut plain)?;
    Ok(plain)
}

#[test]
fn the_library_opens_what_we_sealed_with_the_exported_key() {
    let ((alice, alice_open), (bob, bob_open), (_, eve_open)) =
        (account("alice"), account("bob"), account("eve"));
    for size in [0, 1, 4095, 4096, 4097, 300_000] {
        let plain: Vec<u8> = (0..size).map(|n: u32| (n % 251) as u8).collect();
        let sealed =
            seal_message(&plain, &[alice.certificate(), bob.certificate()]).expect("sealed");
        let message = to_openpgp(&sealed.packets, &sealed.body);
        assert_eq!(read_with_export(&alice_open, &message).expect("alice reads"), plain);
        assert_eq!(read_with_export(&bob_open, &message).expect("bob reads"), plain);
        assert!(read_with_export(&eve_open, &message).is_err());
    }
}

#[test]
fn we_open_what_the_library_sealed_to_our_certificate() {
    let (alice, unlocked) = account("alice");
    let cert = Cert::from_bytes(alice.certificate().as_bytes()).expect("a certificate");
    let policy = StandardPolicy::new();
    let recipients = cert
        .keys()
        .with_policy(&policy, None)
        .supported()
        .alive()
        .revoked(false)
        .for_storage_encryption();
    let mut message = Vec::new();
    let encryptor = Encryptor::for_recipients(Message::new(&mut message), recipients)
        .symmetric_algo(SymmetricAlgorithm::AES256)
        .aead_algo(AEADAlgorithm::GCM)
        .build()
        .expect("encryptor");
    let mut literal = LiteralWriter::new(encryptor).build().expect("literal");
    literal.write_all(b"from elsewhere").expect("written");
    literal.finalize().expect("finished");
    // An old-style split: the key packet is the first packet, with a one-byte length.
    let split = 2 + usize::from(message[1]);
    let packet = KeyPacket::from_stored(message[..split].to_vec());
    let body = Sealed::from_stored(message[split..].to_vec());
    let key = unlocked.unwrap_packet(&packet).expect("unwrapped");
    assert_eq!(key.open_body(&body).expect("opened"), b"from elsewhere");
}

#[test]
fn damaged_key_packets_open_nothing() {
    let (alice, unlocked) = account("alice");
    let sealed = seal_message(b"text", &[alice.certificate()]).expect("sealed");
    let bytes = sealed.packets[0].as_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 1;
        let packet = KeyPacket::from_stored(changed);
        assert!(unlocked.unwrap_packet(&packet).is_err(), "byte {at}");
    }
    for len in 0..bytes.len() {
        let packet = KeyPacket::from_stored(bytes[..len].to_vec());
        assert!(unlocked.unwrap_packet(&packet).is_err(), "cut to {len}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn rubbish_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        static ACCOUNT: LazyLock<Unlocked> = LazyLock::new(|| account("alice").1);
        prop_assert!(ACCOUNT.unwrap_packet(&KeyPacket::from_stored(bytes.clone())).is_err());
        prop_assert!(AccountCertificate::from_bytes(&bytes).is_err());
        prop_assert!(postcard::from_bytes::<AccountKeys>(&bytes).is_err());
    }
}
