//! How long the operations of mail take, on one thread: `cargo run --release --example keys_speed`.

use std::hint::black_box;
use std::time::Instant;
use wardpost_keys::{
    AccountCertificate, AccountKeys, KdfCost, Keyring, Record, Sealed, seal_message,
};
use wardpost_mail::Secret;

fn measure<T>(what: &str, rounds: u32, mut operation: impl FnMut() -> T) {
    black_box(operation());
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(operation());
    }
    println!("{what:<44} {:>9.1} µs", start.elapsed().as_secs_f64() * 1e6 / f64::from(rounds));
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let password = Secret::new("a long password".to_owned());
    let keys = AccountKeys::generate("speed", &password, None, KdfCost::Interactive)?;
    let unlocked = keys.unlock_with_password(&password)?;
    let certificate = keys.certificate();
    for (name, size) in [("4 KiB", 4 << 10), ("50 KiB", 50 << 10), ("1 MiB", 1 << 20)] {
        let plain = vec![b'x'; size];
        let rounds = if size > 1 << 19 { 50 } else { 1000 };
        measure(&format!("seal {name} to one"), rounds, || seal_message(&plain, &[certificate]));
        let sealed = seal_message(&plain, &[certificate])?;
        measure(&format!("open {name}"), rounds, || sealed.session_key.open_body(&sealed.body));
    }
    let sealed = seal_message(b"x", &[certificate])?;
    measure("key packet for one more", 1000, || sealed.session_key.packet_for(certificate));
    measure("unwrap key packet", 1000, || unlocked.unwrap_packet(&sealed.packets[0]));
    let folded = unlocked.wrap_session_key(&sealed.session_key, b"context");
    measure("fold session key", 10_000, || {
        unlocked.wrap_session_key(&sealed.session_key, b"context")
    });
    measure("open folded session key", 10_000, || unlocked.open_session_key(&folded, b"context"));
    let record: Sealed<Record> = unlocked.seal(b"context", &[1; 400]);
    measure("seal record of 400 bytes", 10_000, || unlocked.seal::<Record>(b"context", &[1; 400]));
    measure("open record of 400 bytes", 10_000, || unlocked.open(b"context", &record));
    let data = Keyring::generate().data_key("mailbox");
    let value = data.seal(b"key", &[1; 400]);
    measure("seal store value of 400 bytes", 10_000, || data.seal(b"key", &[1; 400]));
    measure("open store value of 400 bytes", 10_000, || data.open(b"key", &value));
    measure("seal store value of 50 KiB", 1000, || data.seal(b"key", &[1; 50 << 10]));
    measure("blind hash", 10_000, || unlocked.blind(&[b"name"]));
    measure("read certificate", 200, || AccountCertificate::from_bytes(certificate.as_bytes()));
    measure("unlock with password", 3, || keys.unlock_with_password(&password));
    Ok(())
}
