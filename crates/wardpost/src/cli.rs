//! The command line, as clap reads it.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use wardpost_mail::{Address, Domain};

/// Wardpost, the encrypted mail server.
#[derive(Debug, Parser)]
#[command(name = "wardpost", version, propagate_version = true, arg_required_else_help = true)]
pub(crate) struct Cli {
    /// The configuration file.
    #[arg(long, global = true, value_name = "FILE", default_value = wardpost_config::DEFAULT_FILE)]
    pub(crate) config: PathBuf,
    /// Answer in JSON, for programs.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the daemon.
    Serve,
    /// Check the configuration and the files it names.
    Check,
    /// Make the system key and the practice's recovery kit, if they are not there yet.
    Setup(KitOptions),
    /// Put a new system key in place of the old one. The daemon must not be running. No mail is
    /// rewritten.
    RotateSystemKey {
        /// The file to write the new key to (mode 0600). Afterwards `[keys] system_key_file` must name it.
        new_file: PathBuf,
    },
    #[command(flatten)]
    Control(ControlCommand),
}

/// What the running daemon does.
#[derive(Debug, Subcommand)]
pub(crate) enum ControlCommand {
    /// How the running daemon is.
    Status,
    /// People and shared mailboxes.
    #[command(subcommand)]
    Account(AccountCommand),
    /// Addresses that reach one or several accounts.
    #[command(subcommand)]
    Alias(AliasCommand),
    /// Domains served, and the DNS records they need.
    #[command(subcommand)]
    Domain(DomainCommand),
    /// How messages go.
    #[command(subcommand)]
    Route(RouteCommand),
    /// Mail that waits to go out.
    #[command(subcommand)]
    Queue(QueueCommand),
    /// Messages that wait to be picked up on the portal.
    #[command(subcommand)]
    Parcel(ParcelCommand),
    /// What other domains demand of mail to them (MTA-STS).
    #[command(subcommand)]
    Sts(StsCommand),
    /// What has been counted.
    #[command(subcommand)]
    Report(ReportCommand),
    /// Who may send to us without TLS although others may not.
    #[command(subcommand)]
    Exception(ExceptionCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum StsCommand {
    /// The policies that are kept, when each was fetched and when it ends.
    List,
}

/// Where the secret of the recovery kit goes.
#[derive(Debug, Args)]
pub(crate) struct KitOptions {
    /// Write the recovery kit to this new file (mode 0600) instead of to standard error.
    #[arg(long, value_name = "FILE")]
    pub(crate) recovery_kit: Option<PathBuf>,
}

/// How passwords come in: never as arguments, which other users of the machine could read.
#[derive(Debug, Args)]
pub(crate) struct PasswordOptions {
    /// Read passwords from standard input, one a line, in the order in which they would be asked for.
    #[arg(long)]
    pub(crate) password_stdin: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AccountCommand {
    /// Add an account. The first one also makes the practice's recovery kit.
    Add {
        address: Address,
        /// The name shown to people, e.g. "Dana Lee, MD".
        #[arg(long, default_value = "")]
        name: String,
        #[command(flatten)]
        password: PasswordOptions,
        #[command(flatten)]
        kit: KitOptions,
    },
    /// All accounts.
    List,
    /// One account.
    Show { account: String },
    /// Remove an account and all its mail, for good.
    Remove {
        account: String,
        /// Do not ask whether it is meant.
        #[arg(long)]
        yes: bool,
    },
    /// Change a password, knowing the old one. With --password-stdin: old, then new.
    Passwd {
        account: String,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Set a password with the recovery kit. With --password-stdin: the kit's secret, then the new one.
    Recover {
        account: String,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// Passwords for single devices, each revoked alone.
    #[command(subcommand)]
    AppPassword(AppPasswordCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppPasswordCommand {
    /// Make one and print it. Asks for the account's password.
    Add {
        account: String,
        /// What to call it, e.g. "phone".
        #[arg(long, default_value = "device")]
        label: String,
        #[command(flatten)]
        password: PasswordOptions,
    },
    /// All of an account.
    List { account: String },
    /// Revoke one.
    Remove {
        account: String,
        /// Its number in the list.
        number: u32,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum AliasCommand {
    /// Point an address at accounts.
    Add {
        address: Address,
        #[arg(required = true)]
        accounts: Vec<String>,
    },
    /// All aliases.
    List,
    /// Remove an alias.
    Remove { address: Address },
}

#[derive(Debug, Subcommand)]
pub(crate) enum DomainCommand {
    /// Serve another domain, and print the DNS records to publish for it.
    Add { domain: Domain },
    /// All domains, with the DNS records to publish.
    List,
    /// Serve a domain no longer.
    Remove { domain: Domain },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// How a message would go, and why. Looks at the recipient's mail servers, sends nothing.
    Explain { from: Address, to: Address },
}

#[derive(Debug, Subcommand)]
pub(crate) enum QueueCommand {
    /// What waits, oldest first.
    List {
        /// At most so many.
        #[arg(long, default_value_t = 1000)]
        limit: usize,
        /// Those that have ended (kept for a time), in place of those that wait.
        #[arg(long)]
        ended: bool,
    },
    /// One item, with what every attempt saw; also one that has ended.
    Show { item: u64 },
    /// Try an item now.
    Retry { item: u64 },
    /// Remove an item without telling anybody.
    Drop { item: u64 },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ParcelCommand {
    /// All parcels, newest first.
    List {
        /// Only those of this account.
        #[arg(long, value_name = "ACCOUNT")]
        sender: Option<String>,
    },
    /// One parcel.
    Show { parcel: String },
    /// Make a new code for a recipient, and print it. Parcels sealed to the old one are lost.
    Code { recipient: Address },
    /// Let a parcel that wrong codes have locked be tried again.
    Unlock { parcel: String },
    /// Take a parcel back: its message is deleted.
    Recall { parcel: String },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Who asked to send to us without TLS, and what to do about it.
    Cleartext {
        /// Within so many days.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=30))]
        days: u16,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum ExceptionCommand {
    /// Let an address (192.0.2.7), a network (192.0.2.0/24) or a sender's domain (lab.example) in without
    /// TLS for a time. Such mail is marked, and judged like other mail.
    Add {
        who: String,
        /// For how long, at most a year.
        #[arg(long, value_parser = clap::value_parser!(u16).range(1..=365))]
        days: u16,
        /// Why, for whoever looks at it later.
        #[arg(long)]
        reason: String,
    },
    /// All that have not ended.
    List,
    /// Take one back.
    Remove { who: String },
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_configuration_file_is_named_in_any_place() {
        for line in [
            "wardpost --config /c.toml account list",
            "wardpost account --config /c.toml list",
            "wardpost account list --config /c.toml",
            "wardpost account list --config=/c.toml --json",
        ] {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            assert_eq!(cli.config, PathBuf::from("/c.toml"), "{line}");
        }
        let cli = Cli::try_parse_from(["wardpost", "serve"]).unwrap();
        assert_eq!(cli.config, PathBuf::from("/etc/wardpost/wardpost.toml"));
    }

    #[test]
    fn what_is_no_address_is_wrong_usage_and_passwords_are_no_arguments() {
        for line in [
            "wardpost account add dana",
            "wardpost account add dana@clinic.test --password x",
            "wardpost alias add office@clinic.test",
            "wardpost queue show first",
            "wardpost frobnicate",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }
}
