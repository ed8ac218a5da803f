//! `cargo xtask image test`: boots the image in a virtual machine and checks what a practice relies on.
//!
//! Without hardware help (KVM) a start takes a minute or two, so all scenes share few starts. Nothing is put
//! into the image for it: what differs from a practice's machine comes from outside, as kernel arguments and
//! credentials through SMBIOS (docs/image.md).
//!
//! A run's folder keeps, for each start: the serial line's log, QEMU's own words, and pictures of the screen.

mod no_tpm;
mod qmp;
mod refused;
mod relay;
mod set_up;
mod story;
mod vm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use vm::Place;
use wardpost_tests::Result;

/// How long a machine may take from power on to the served page, on a busy computer.
pub(crate) const START: Duration = Duration::from_secs(900);

const USAGE: &str = "Usage: wardpost-image-test --tools TREE --image QCOW2 --folder FOLDER [--all]";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let Some(options) = Options::read(&words) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("image test: {e}");
            eprintln!("image test: logs and pictures: {}", options.folder.display());
            ExitCode::FAILURE
        }
    }
}

struct Options {
    tools: PathBuf,
    image: PathBuf,
    folder: PathBuf,
    all: bool,
}

impl Options {
    fn read(words: &[String]) -> Option<Self> {
        let after = |option: &str| {
            let at = words.iter().position(|word| word == option)?;
            words.get(at + 1).map(PathBuf::from)
        };
        Some(Self {
            tools: after("--tools")?,
            image: after("--image")?,
            folder: after("--folder")?,
            all: words.iter().any(|word| word == "--all"),
        })
    }
}

fn run(options: &Options) -> Result<()> {
    let place = prepare(options)?;
    let start = Instant::now();
    // The first scene leaves a disk that was set up, a TPM that opens it, and its recovery key.
    let told = scene("a practice's first and second day", || story::run(&place))?;
    scene("a TPM that is not the disk's opens nothing; the recovery key does", || {
        refused::strange_tpm(&place, &told.recovery_key)
    })?;
    scene("a system with one byte changed does not start", || refused::flipped_byte(&place))?;
    if options.all {
        scene("a machine without a TPM asks for a passphrase", || no_tpm::run(&place))?;
        scene("a disk that is too small is said to be", || no_tpm::small_disk(&place))?;
    }
    println!("\n{}", told.measured);
    println!("All checks passed in {} s.", start.elapsed().as_secs());
    Ok(())
}

/// An empty folder with the image in it.
fn prepare(options: &Options) -> Result<Place> {
    let folder = &options.folder;
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    std::fs::create_dir_all(folder)?;
    vm::link_or_copy(&options.image, &folder.join("image.qcow2"))?;
    Ok(Place { tools: options.tools.clone(), folder: Path::new(folder).to_owned() })
}

fn scene<T>(what: &str, play: impl FnOnce() -> Result<T>) -> Result<T> {
    println!("… {what}");
    let start = Instant::now();
    let outcome = play().map_err(|e| format!("{what}: {e}"))?;
    println!("ok {what} ({} s)", start.elapsed().as_secs());
    Ok(outcome)
}
