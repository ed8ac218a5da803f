//! Writes a sealed message and the exported key of its recipient, to try other OpenPGP programs on:
//! `cargo run --example export_sample DIRECTORY` (the key's passphrase is `for the export`).

use std::path::PathBuf;
use wardpost_keys::{AccountKeys, KdfCost, seal_message, to_openpgp};
use wardpost_mail::Secret;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = PathBuf::from(std::env::args_os().nth(1).ok_or("name a directory")?);
    let password = Secret::new("a long password".to_owned());
    let keys = AccountKeys::generate("sample", &password, None, KdfCost::Test)?;
    let unlocked = keys.unlock_with_password(&password)?;
    let sealed = seal_message(b"Subject: sample\r\n\r\nIt opens.\r\n", &[keys.certificate()])?;
    std::fs::write(directory.join("message.pgp"), to_openpgp(&sealed.packets, &sealed.body))?;
    let secret = unlocked.export_secret(&Secret::new("for the export".to_owned()))?;
    std::fs::write(directory.join("secret.asc"), secret)?;
    Ok(())
}
