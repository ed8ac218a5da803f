//! Runs cargo with the one profile and the one target directory.

use crate::{Failure, Outcome};
use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Runs a cargo command that builds, in the release profile.
pub(crate) fn run(args: &[&str]) -> Outcome {
    run_with(args, &[])
}

/// Like [`run`], with environment variables.
pub(crate) fn run_with(args: &[&str], variables: &[(&str, &str)]) -> Outcome {
    let (command, rest) = args.split_first().ok_or_else(|| Failure::new("no cargo command"))?;
    let mut cargo = Command::new(cargo_program());
    cargo.arg(command).arg("--release").args(rest);
    cargo.env("CARGO_TARGET_DIR", target_dir()).envs(variables.iter().copied());
    checked(cargo)
}

/// Runs a cargo command that builds nothing.
pub(crate) fn run_plain(args: &[&str]) -> Outcome {
    let mut cargo = Command::new(cargo_program());
    cargo.args(args);
    checked(cargo)
}

/// Runs one of our built programs.
pub(crate) fn run_program(name: &str, args: &[&str]) -> Outcome {
    let mut program = Command::new(target_dir().join("release").join(name));
    program.args(args);
    checked(program)
}

/// Checks licences and advisories with cargo-deny, installing it where it is missing.
pub(crate) fn deny() -> Outcome {
    let tools = target_dir().join("tools");
    let program = tools.join("bin/cargo-deny");
    if !program.exists() {
        eprintln!("xtask: installing cargo-deny (once)");
        let mut install = Command::new(cargo_program());
        install.args(["install", "cargo-deny", "--locked", "--root"]).arg(&tools);
        install.env("CARGO_TARGET_DIR", tools.join("target"));
        checked(install)?;
    }
    let mut deny = Command::new(program);
    // Advisories need a database that is fetched from elsewhere; run `cargo deny check` by hand for those.
    deny.args(["--workspace", "check", "licenses", "bans", "sources"]);
    checked(deny)
}

fn cargo_program() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// `CARGO_TARGET_DIR`, or a directory that all checkouts share.
fn target_dir() -> PathBuf {
    if let Some(dir) = env::var_os("CARGO_TARGET_DIR") {
        return PathBuf::from(dir);
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/var/tmp".into())).join(".cache")
    });
    cache.join("wardpost/target")
}

fn checked(mut command: Command) -> Outcome {
    eprintln!("xtask: {command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{:?} ended with {status}", command.get_program()))),
        Err(e) => Err(Failure::new(format!("{:?} did not start: {e}", command.get_program()))),
    }
}
