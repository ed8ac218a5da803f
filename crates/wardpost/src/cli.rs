//! The command line, as clap reads it.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;
use wardpost_mail::{Address, Domain, TlsGrade};

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
    Serve(ServeOptions),
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
    /// Is everything as it should be? Examines the server, and says in plain words what is wrong and what to
    /// do. Ends with 1 if something is bad.
    Doctor(DoctorOptions),
    /// The status screen: where the pages are, how the server is, and during set-up the one-time code. Drawn
    /// anew every five seconds on a terminal, printed once elsewhere.
    Console(ConsoleOptions),
    #[command(flatten)]
    Control(ControlCommand),
}

/// How the daemon starts.
#[derive(Debug, Args)]
pub(crate) struct ServeOptions {
    /// Where there is no configuration yet, ask for one in the browser, and then go on.
    #[arg(long)]
    pub(crate) set_up: bool,
    /// Where the machine hands over the recovery key of its disk.
    #[arg(long, value_name = "DIRECTORY", default_value = "/run/wardpost-disk", hide = true)]
    pub(crate) disk: PathBuf,
}

/// How the status screen is shown.
#[derive(Debug, Args)]
pub(crate) struct ConsoleOptions {
    /// Print it once, as plain lines.
    #[arg(long)]
    pub(crate) once: bool,
}

/// What is examined.
#[derive(Debug, Args)]
pub(crate) struct DoctorOptions {
    /// Only whether this machine came up well: the daemon answers, data can be written, the ports listen, the disk
    /// has room, no systemd unit has failed. Needs no internet.
    #[arg(long)]
    pub(crate) boot: bool,
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
    /// The key of our certificate, and how to change it without losing mail.
    #[command(subcommand)]
    Tls(TlsCommand),
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
    /// Rules for single domains: how good TLS must be, what is trusted, which way mail goes.
    #[command(subcommand)]
    Pin(PinCommand),
    /// What has been counted, and what mail servers tell each other.
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
        /// An administrator, who may use the pages about the box.
        #[arg(long)]
        administrator: bool,
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
    /// Make somebody an administrator, who may use the pages about the box.
    Administrator {
        account: String,
        /// Take that away again.
        #[arg(long)]
        remove: bool,
    },
    /// Take the second factor away from somebody whose phone is lost.
    SecondFactor {
        account: String,
        /// Must be given: a second factor is set on the page, by its owner.
        #[arg(long, required = true)]
        remove: bool,
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
    List {
        #[command(flatten)]
        form: RecordForm,
    },
    /// One domain, with the DNS records to publish.
    Show {
        domain: Domain,
        #[command(flatten)]
        form: RecordForm,
    },
    /// Serve a domain no longer.
    Remove { domain: Domain },
    /// The keys that sign a domain's mail (DKIM).
    Dkim {
        domain: Domain,
        #[command(subcommand)]
        command: DkimCommand,
    },
}

/// How DNS records are printed.
#[derive(Debug, Args)]
pub(crate) struct RecordForm {
    /// Print a zone file.
    #[arg(long, conflicts_with = "json")]
    pub(crate) zone: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DkimCommand {
    /// Where the keys stand.
    Show,
    /// Make the next keys. They sign when their records are seen in the DNS, which is looked at hourly.
    Rotate {
        /// Look now, and go over to them if their records are there.
        #[arg(long)]
        now: bool,
        /// Go over to them now, whether or not their records are there: until they are, mail counts as
        /// unsigned. For keys that somebody else may have.
        #[arg(long, conflicts_with = "now")]
        force: bool,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TlsCommand {
    /// The certificate, the TLSA records of its keys, and what to do next.
    Show,
    /// Make the key that our certificate will have next, and print what to publish for it.
    NextKey {
        /// Print a certificate signing request for it, too.
        #[arg(long)]
        csr: bool,
        /// Make a new one, in place of a next key that was not used yet.
        #[arg(long)]
        replace: bool,
    },
    /// Put the next key to use: refused until its TLSA record was in the DNS for long enough.
    Roll {
        /// Do it all the same. If there are TLSA records for this server, servers that use DANE cannot
        /// deliver to us until they know the new key.
        #[arg(long)]
        force: bool,
        /// With certificate files: the new file (mode 0600) to write the next key to; by default beside the
        /// configured key, with `.next` added to its name.
        #[arg(long, value_name = "FILE")]
        key_out: Option<PathBuf>,
    },
    /// Ask the certificate authority for a certificate now, whether or not it is time. The
    /// connections that are open notice nothing.
    Renew {
        /// With a new account: for when the authority has closed the old one.
        #[arg(long)]
        new_account: bool,
    },
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
pub(crate) enum PinCommand {
    /// Set a rule, in place of the one for the same pattern. Prints what it comes to.
    Add(Box<PinOptions>),
    /// All rules, those that ended lately too.
    List,
    /// One rule.
    Show { pattern: String },
    /// Remove a rule.
    Remove { pattern: String },
}

/// What a rule is to say.
#[derive(Debug, Args)]
pub(crate) struct PinOptions {
    /// For which domains: lab.example, *.lab.example (all below it) or '*' (everybody).
    pub(crate) pattern: String,
    /// How good TLS must be at least, in place of the configured floor: T3, T4 or T5.
    #[arg(long, value_name = "GRADE")]
    pub(crate) floor: Option<TlsGrade>,
    /// Mail is always picked up on the portal.
    #[arg(long)]
    pub(crate) pickup: bool,
    /// The certificate that the partner's server must show, in place of all that CAs vouch for: the
    /// SHA-256 of it or of its public key, or a PEM file with it. May be given more than once.
    #[arg(long, value_name = "SHA256|FILE")]
    pub(crate) certificate: Vec<String>,
    /// Says how to get the fingerprint of a certificate. Sets nothing.
    #[arg(long)]
    pub(crate) certificate_from_server: bool,
    /// A PEM file with the CA certificates that count for the partner in place of the public ones.
    #[arg(long, value_name = "FILE")]
    pub(crate) ca: Vec<PathBuf>,
    /// Send the mail by this server (port 587 if none is given).
    #[arg(long, value_name = "HOST[:PORT]")]
    pub(crate) smarthost: Option<HostPort>,
    /// Log in at the smarthost by this name; asks for the password.
    #[arg(long, requires = "smarthost")]
    pub(crate) user: Option<String>,
    #[command(flatten)]
    pub(crate) password: PasswordOptions,
    /// The smarthost's owner answers for TLS on the way onward: do not demand REQUIRETLS. Needs
    /// --reason.
    #[arg(long, requires = "smarthost")]
    pub(crate) trusted_onward: bool,
    /// An exception: TLS whose certificate proves nothing will do, never cleartext. Needs --reason and
    /// --expires.
    #[arg(long)]
    pub(crate) allow_unverified: bool,
    /// Why, for whoever looks at it later.
    #[arg(long, default_value = "", value_name = "TEXT")]
    pub(crate) reason: String,
    /// When it ends: a date such as 2030-06-30, or a number of days such as 30d.
    #[arg(long, value_name = "DATE|DAYSd")]
    pub(crate) expires: Option<String>,
}

/// `HOST` or `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostPort {
    pub(crate) host: Domain,
    pub(crate) port: u16,
}

impl FromStr for HostPort {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| format!("{port} is no port"))?),
            // Submission (RFC 6409 §3.1): what providers open for customers.
            None => (text, 587),
        };
        let host = Domain::parse(host).map_err(|error| error.to_string())?;
        Ok(Self { host, port })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReportCommand {
    /// Who asked to send to us without TLS, and what to do about it.
    Cleartext {
        /// Within so many days.
        #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=30))]
        days: u16,
    },
    /// How TLS to our servers went, as other servers report it, and what to do about failures.
    Tls {
        /// How many days back.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
        days: u32,
    },
    /// Who sends mail in our name, as other servers report it, and whether it was proven to be ours.
    Dmarc {
        /// How many days back.
        #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=90))]
        days: u32,
    },
    /// Send our own reports about others now, instead of after midnight UTC.
    SendNow,
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
            "wardpost domain dkim clinic.test rotate --now --force",
            "wardpost domain list --zone --json",
            "wardpost pin add",
            "wardpost pin add lab.example --floor T9",
            "wardpost pin add lab.example --user u",
            "wardpost pin add lab.example --trusted-onward",
            "wardpost pin add * --smarthost relay.example:smtp",
            "wardpost frobnicate",
        ] {
            let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn smarthosts_have_a_port() {
        let read = |text: &str| text.parse::<HostPort>().map(|it| (it.host.to_string(), it.port));
        assert_eq!(read("relay.example"), Ok(("relay.example".to_owned(), 587)));
        assert_eq!(read("relay.example:465"), Ok(("relay.example".to_owned(), 465)));
        for text in ["", ":25", "relay.example:", "relay.example:70000", "a b:25"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
