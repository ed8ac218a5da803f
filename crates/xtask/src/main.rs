//! Development tasks: `cargo xtask demo | test | ci | tidy | bench | fuzz | build | image | deb`.
//!
//! This program uses the standard library only, so it is ready in seconds on a fresh machine. It then
//! installs the Debian packages a task needs and drives cargo with one profile (`release`) and one target
//! directory outside the checkout, so that RocksDB's C++ is compiled once for everything.

mod cargo;
mod deb;
mod image;
mod packages;
mod stage;
mod tidy;
mod tools;

use std::env;
use std::fmt;
use std::process::ExitCode;

/// Why a task failed, in words for whoever ran it.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

pub(crate) type Outcome = Result<(), Failure>;

const USAGE: &str = "\
Usage: cargo xtask TASK

  demo [--once]       start Wardpost and three destination servers on loopback, send real mail down
                      every route, show where to look; --once exits after the checks
  test [FILTER]       unit, property and whole-system tests against real servers; without FILTER also lints,
                      docs, licences, and the image booted in a virtual machine
  bench [smtp|imap|out]  Wardpost beside Postfix and Dovecot in one run, as ratios
  fuzz TARGET [SECS]  fuzz one of tests/fuzz/targets, from its seeds (60 seconds unless told)
  build               the release programs
  image [--keys DIR] [--programs DIR] [--quick]
                      the appliance: a disk image for hypervisors and small PCs (docs/image.md)
  image test [--all] [the same]
                      builds it, boots it in a virtual machine, and checks what a practice relies on
  deb [--built]       the Debian package, checked by lintian; --built takes the program that lies there
  tidy                the rules of the house: floors, unsafe, docs links
  ci                  everything that continuous integration checks (`test` included)

The first build compiles RocksDB (about 20 minutes on two cores); later builds reuse it.
CARGO_TARGET_DIR chooses where; the default is ~/.cache/wardpost/target.
";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match words.split_first() {
        Some((&"demo", rest)) => demo(rest),
        Some((&"test", rest)) => test(rest),
        Some((&"bench", rest)) => bench(rest),
        Some((&"fuzz", [target])) => cargo::fuzz(target, "60"),
        Some((&"fuzz", [target, seconds])) => cargo::fuzz(target, seconds),
        Some((&"build", [])) => build(),
        Some((&"deb", [])) => build().and_then(|()| deb()),
        Some((&"deb", ["--built"])) => deb(),
        Some((&"image", rest)) => {
            let is_test = rest.first() == Some(&"test");
            match image::Options::read(&rest[usize::from(is_test)..]) {
                Some(options) if is_test => image::test(&options),
                Some(options) => image::build(&options),
                None => {
                    eprint!("{USAGE}");
                    return ExitCode::from(2);
                }
            }
        }
        Some((&"tidy", [])) => tidy::run(),
        Some((&"ci", [])) => ci(),
        _ => {
            eprint!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn build() -> Outcome {
    packages::install(packages::BUILD)?;
    cargo::run(&["build", "--workspace"])
}

/// Packages the program that was built, and says where the package is.
fn deb() -> Outcome {
    packages::install(packages::DEB)?;
    let package = deb::package()?;
    deb::lint(&package)?;
    println!("{}", package.display());
    Ok(())
}

fn demo(args: &[&str]) -> Outcome {
    packages::install(packages::BUILD)?;
    packages::install(packages::DEMO)?;
    cargo::run(&["build", "--workspace"])?;
    cargo::run_program("wardpost-demo", args)
}

fn bench(args: &[&str]) -> Outcome {
    packages::install(packages::BUILD)?;
    packages::install(packages::BENCH)?;
    cargo::run(&["build", "--workspace"])?;
    cargo::run_program("wardpost-bench", args)
}

/// Everything the README's test command promises.
fn test(filter: &[&str]) -> Outcome {
    packages::install(packages::BUILD)?;
    packages::install(packages::TEST)?;
    // The whole-system tests start the daemon that was built, so it comes first.
    cargo::run(&["build", "--workspace"])?;
    let mut args = vec!["test", "--workspace"];
    args.extend(filter);
    cargo::run(&args)?;
    if filter.is_empty() {
        checks()?;
        image::test(&image::Options::default())?;
    }
    Ok(())
}

/// What needs no server: formatting, lints, the rules of the house, documentation, licences.
fn checks() -> Outcome {
    tidy::run()?;
    cargo::run_plain(&["fmt", "--all", "--check"])?;
    cargo::run(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    cargo::run_with(
        &["doc", "--workspace", "--no-deps", "--document-private-items"],
        &[("RUSTDOCFLAGS", "-D warnings -A rustdoc::private_intra_doc_links")],
    )?;
    cargo::deny()
}

fn ci() -> Outcome {
    test(&[])?;
    demo(&["--once"])
}
