//! Handing out the secret of the recovery kit: once, to a person.

use crate::cli::KitOptions;
use crate::failure::Failure;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use wardpost_mail::Secret;

const WORDS: &str = "\
The practice's recovery kit. Whoever has it can set a new password for any account, and with it read \
that account's mail.\nWithout it, the mail of somebody who forgets their password is lost. It is shown \
this once and kept nowhere\non this machine: print it, or write it down, and lock it away.";

/// Writes the kit to the file, or else to standard error. If the file cannot be written the kit is
/// shown after all, because there is no second time.
pub(crate) fn hand_out(kit: &Secret<String>, options: &KitOptions) -> Result<(), Failure> {
    let Some(path) = &options.recovery_kit else {
        eprintln!("\n{WORDS}\n\n    {}\n", kit.expose());
        return Ok(());
    };
    let write = || {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        writeln!(file, "{WORDS}\n\n    {}", kit.expose())?;
        file.sync_all()
    };
    match write() {
        Ok(()) => {
            eprintln!(
                "wardpost: the recovery kit is in {}: print it and lock it away",
                path.display()
            );
            Ok(())
        }
        Err(error) => {
            eprintln!("\n{WORDS}\n\n    {}\n", kit.expose());
            Err(Failure::Failed(format!(
                "{}: {error}; the recovery kit is shown above instead",
                path.display()
            )))
        }
    }
}
