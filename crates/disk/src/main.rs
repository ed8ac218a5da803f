//! `wardpost-disk`: what the appliance does with its disk. Runs as root, early, and only in the image
//! (docs/image.md); everything hard is done by systemd's own tools, which this program asks in order.
//!
//! `prepare` makes the data partition on the first start (key in the TPM, or a passphrase typed twice at the
//! console) and lets it grow on later ones. `recovery-key` makes a new recovery key on each start until
//! somebody has confirmed one on the set-up page.

mod console;
mod disk;
mod keys;
mod layout;
mod recovery;
mod tool;

use std::process::ExitCode;

/// What went wrong, in words for whoever reads the journal or the screen.
type Failure = String;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["prepare"] => layout::prepare(),
        ["recovery-key"] => recovery::hand_over(),
        _ => {
            eprintln!("Usage: wardpost-disk prepare | recovery-key");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("wardpost-disk: {failure}");
            ExitCode::FAILURE
        }
    }
}
