//! Records as they come off the disk: whatever the bytes, decoding answers or refuses, and what it answers
//! can be written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardpost_keys::{AccountCertificate, AccountKeys, KeyPacket, Keyring, SystemKey};
use wardpost_mail::{Address, Domain, Envelope, Reply};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(envelope) = postcard::from_bytes::<Envelope>(bytes) {
        let again = postcard::to_stdvec(&envelope).expect("an envelope is written");
        assert_eq!(postcard::from_bytes::<Envelope>(&again).ok(), Some(envelope));
    }
    if let Ok(reply) = postcard::from_bytes::<Reply>(bytes) {
        let mut wire = Vec::new();
        reply.write_to(&mut wire);
        assert_eq!(wire.iter().filter(|&&b| b == b'\n').count(), reply.lines.len());
    }
    let _ = postcard::from_bytes::<AccountKeys>(bytes);
    let _ = postcard::from_bytes::<KeyPacket>(bytes);
    let _ = AccountCertificate::from_bytes(bytes);
    assert!(Keyring::open(bytes, &SystemKey::generate()).is_err());
    if let Ok(text) = std::str::from_utf8(bytes) {
        if let Ok(address) = Address::parse(text) {
            assert_eq!(Address::parse(&address.to_string()).as_ref(), Ok(&address));
        }
        if let Ok(domain) = Domain::parse(text) {
            assert_eq!(Domain::parse(domain.as_str()).as_ref(), Ok(&domain));
        }
    }
});
