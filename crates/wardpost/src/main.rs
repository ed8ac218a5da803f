//! `wardpost`: the daemon and its command line. This crate puts the parts together and decides
//! nothing itself.
//!
//! `wardpost serve` is the daemon. `check` and `setup` work on the files; every other command talks to
//! the running daemon over its control socket, and so needs no access to keys or data.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, mistakes in the configuration included; 3 begun, and going on
//! without the command.

mod ask;
mod check;
mod cli;
mod console;
mod control;
mod doctor;
mod failure;
mod kit;
mod logging;
mod new_key;
mod pin;
mod process;
mod serve;
mod setup;
mod system_key;

use clap::Parser;
use cli::{Cli, Command, ControlCommand};
use failure::Failure;
use serve::set_up::is_missing;
use std::process::ExitCode;
use wardpost_config::Config;

/// Settings are built in (`.cargo/config.toml`); see docs/decisions/0005-allocator.md.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Said) => Failure::Said.exit_code(),
        Err(failure) => {
            eprintln!("wardpost: {failure}");
            failure.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Failure> {
    process::harden();
    if let Command::Doctor(options) = &cli.command {
        return doctor::doctor(&cli.config, options, cli.json);
    }
    // These have something to say before there is a configuration, too.
    match &cli.command {
        Command::Serve(options) if options.set_up && is_missing(&cli.config) => {
            return serve::set_up(&cli.config, options);
        }
        Command::Console(options) => return console::console(&cli.config, options, cli.json),
        Command::Control(ControlCommand::Status) if is_missing(&cli.config) => {
            return console::once(&cli.config, cli.json);
        }
        // A daemon that asks its questions says so itself.
        Command::Control(_) if is_missing(&cli.config) => console::refused(&cli.config)?,
        _ => {}
    }
    let config = Config::load(&cli.config)?;
    match cli.command {
        Command::Serve(options) => serve::serve(config, &cli.config, &options),
        Command::Check => check::check(&config),
        Command::Setup(options) => setup::setup(&config, &options),
        Command::RotateSystemKey { new_file } => setup::rotate_system_key(&config, &new_file),
        Command::Console(options) => console::console(&cli.config, &options, cli.json),
        // Before there is a configuration, too: above.
        Command::Doctor(options) => doctor::doctor(&cli.config, &options, cli.json),
        Command::Control(command) => control::control(&config, command, cli.json),
    }
}
