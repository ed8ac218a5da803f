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

/// Checks licences, bans and sources with cargo-deny.
pub(crate) fn deny() -> Outcome {
    let mut deny = Command::new(tool("cargo-deny")?);
    // Advisories need a database that is fetched from elsewhere; run `cargo deny check` by hand for those.
    deny.args(["--workspace", "check", "licenses", "bans", "sources"]);
    checked(deny)
}

/// Fuzzes one target for a while, starting from its seeds.
pub(crate) fn fuzz(target: &str, seconds: &str) -> Outcome {
    let mut fuzz = Command::new(tool("cargo-fuzz")?);
    fuzz.args(["fuzz", "run", "--fuzz-dir", "tests/fuzz", target]);
    fuzz.arg(format!("tests/fuzz/corpus/{target}")).arg(format!("tests/fuzz/seeds/{target}"));
    fuzz.args(["--", &format!("-max_total_time={seconds}"), "-max_len=65536", "-timeout=10"]);
    // The sanitizers are unstable compiler flags.
    fuzz.env("RUSTC_BOOTSTRAP", "1").env("CARGO_TARGET_DIR", target_dir().join("fuzz"));
    std::fs::create_dir_all(format!("tests/fuzz/corpus/{target}"))
        .map_err(|e| Failure::new(format!("tests/fuzz/corpus: {e}")))?;
    checked(fuzz)
}

/// A cargo tool, installed into the target directory where it is missing.
fn tool(name: &str) -> Result<PathBuf, Failure> {
    let tools = target_dir().join("tools");
    let program = tools.join("bin").join(name);
    if !program.exists() {
        eprintln!("xtask: installing {name} (once)");
        let mut install = Command::new(cargo_program());
        install.args(["install", name, "--locked", "--root"]).arg(&tools);
        install.env("CARGO_TARGET_DIR", tools.join("target"));
        checked(install)?;
    }
    Ok(program)
}

fn cargo_program() -> String {
    env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

/// `CARGO_TARGET_DIR`, or a directory that all checkouts share.
pub(crate) fn target_dir() -> PathBuf {
    if let Some(dir) = env::var_os("CARGO_TARGET_DIR") {
        return PathBuf::from(dir);
    }
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).unwrap_or_else(|| {
        PathBuf::from(env::var_os("HOME").unwrap_or_else(|| "/var/tmp".into())).join(".cache")
    });
    cache.join("wardpost/target")
}

/// Runs a command to its end and takes nothing but success.
pub(crate) fn checked(mut command: Command) -> Outcome {
    eprintln!("xtask: {command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::new(format!("{:?} ended with {status}", command.get_program()))),
        Err(e) => Err(Failure::new(format!("{:?} did not start: {e}", command.get_program()))),
    }
}
