//! What version 1 wrote opens for ever.

use data_encoding::HEXLOWER;
use wardpost_keys::{AccountKeys, Index, KeyPacket, Record, RecoveryCertificate, Sealed};
use wardpost_mail::Secret;

fn field(name: &str) -> Vec<u8> {
    let lines = include_str!("data/account-v1.txt").lines();
    let mut fields = lines.filter_map(|line| line.split_once(' '));
    let (_, hex) = fields.find(|(found, _)| *found == name).expect("a field of this name");
    HEXLOWER.decode(hex.as_bytes()).expect("hexadecimal")
}

fn text(name: &str) -> Secret<String> {
    Secret::new(String::from_utf8(field(name)).expect("text"))
}

#[test]
fn an_account_of_version_one() {
    let keys: AccountKeys = postcard::from_bytes(&field("account")).expect("read");
    assert!(AccountKeys::is_app_password(text("app").expose()));
    for unlocked in [
        keys.unlock_with_password(&Secret::new("frozen password".to_owned())),
        keys.unlock_with_app_password(&text("app")),
        keys.unlock_with_recovery(&text("recovery")),
    ] {
        let unlocked = unlocked.expect("unlocked");
        let packet = KeyPacket::from_stored(field("packet"));
        let body = Sealed::from_stored(field("body"));
        let context = b"frozen context";
        for key in
            [unlocked.unwrap_packet(&packet), unlocked.open_session_key(&field("folded"), context)]
        {
            let key = key.expect("a session key");
            assert_eq!(key.open_body(&body).as_deref(), Ok(&b"frozen body"[..]));
            let index = Sealed::<Index>::from_stored(field("index"));
            assert_eq!(key.open_index(&index).as_deref(), Ok(&b"frozen index"[..]));
        }
        let record = Sealed::<Record>::from_stored(field("record"));
        assert_eq!(unlocked.open(context, &record).as_deref(), Ok(&b"frozen record"[..]));
        assert_eq!(unlocked.blind(&[b"frozen name"])[..], field("blind"));
    }
}

#[test]
fn a_recovery_certificate_of_version_one() {
    let bytes = field("recovery-certificate");
    let certificate: RecoveryCertificate = postcard::from_bytes(&bytes).expect("read");
    assert_eq!(postcard::to_stdvec(&certificate).expect("written"), bytes);
}
