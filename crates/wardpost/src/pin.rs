//! `wardpost pin add`: from options and files to what the daemon is asked for.

use crate::ask::Source;
use crate::cli::PinOptions;
use crate::failure::Failure;
use std::path::Path;
use wardpost_admin::{LoginSpec, PinSpec, SmarthostSpec};
use wardpost_pins::{authorities_from_pem, fingerprint_from_pem};
use wardpost_verdict::Fingerprint;

/// Longest name taken of whoever runs the command, in characters.
const MAX_NAME: usize = 64;

const HOW_TO: &str = "\
nothing was set: a certificate fetched over the network proves nothing about who sent it, so the
fingerprint has to come another way. Ask the partner's technician by telephone, under a number that
you had before, for the SHA-256 fingerprint of their mail server's certificate. On their server it is
printed by
    openssl x509 -noout -fingerprint -sha256 -in CERTIFICATE.pem
What their server shows to you, to compare with what they tell you and for nothing else:
    openssl s_client -starttls smtp -connect MAILSERVER:25 </dev/null | openssl x509 -noout -fingerprint -sha256
Then: wardpost pin add DOMAIN --certificate FINGERPRINT. If they send you the certificate as a file by a way
that you trust, give the file instead: its key is pinned, which often outlives the certificate";

/// What the daemon is asked to set.
pub(crate) fn spec(options: PinOptions) -> Result<PinSpec, Failure> {
    if options.certificate_from_server {
        return Err(Failure::Usage(HOW_TO.to_owned()));
    }
    let login = login(&options)?;
    let trusted_onward = options.trusted_onward;
    let smarthost = options.smarthost.map(|it| SmarthostSpec {
        host: it.host,
        port: it.port,
        login,
        trusted_onward,
    });
    Ok(PinSpec {
        pattern: options.pattern,
        floor: options.floor,
        pickup: options.pickup,
        certificates: options
            .certificate
            .iter()
            .map(|given| certificate(given))
            .collect::<Result<_, _>>()?,
        authorities: options.ca.iter().map(|path| authority(path)).collect::<Result<_, _>>()?,
        smarthost,
        allow_unverified: options.allow_unverified,
        reason: options.reason,
        expires: options.expires,
        set_by: who(),
    })
}

fn login(options: &PinOptions) -> Result<Option<LoginSpec>, Failure> {
    let stdin = options.password.password_stdin;
    let Some(user) = &options.user else {
        if stdin {
            return Err(Failure::Usage("--password-stdin goes with --user".to_owned()));
        }
        return Ok(None);
    };
    let password = Source::new(stdin).secret(&format!("Password of {user} at the smarthost"))?;
    Ok(Some(LoginSpec { user: user.clone(), password }))
}

/// A fingerprint, or that of a file.
fn certificate(given: &str) -> Result<String, Failure> {
    if let Ok(fingerprint) = given.parse::<Fingerprint>() {
        return Ok(fingerprint.to_string());
    }
    let pem = std::fs::read(given).map_err(|error| {
        Failure::Usage(format!(
            "--certificate {given}: neither a SHA-256 fingerprint (64 hexadecimal digits) nor a file \
             that can be read ({error})"
        ))
    })?;
    let fingerprint = fingerprint_from_pem(&pem);
    fingerprint
        .map(|fingerprint| fingerprint.to_string())
        .map_err(|error| Failure::Usage(format!("--certificate {given}: {error}")))
}

/// A file of CA certificates, looked at here so that mistakes are told with the file's name.
fn authority(path: &Path) -> Result<String, Failure> {
    let failed = |error: String| Failure::Usage(format!("--ca {}: {error}", path.display()));
    let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
    authorities_from_pem(&pem).map_err(|error| failed(error.to_string()))?;
    String::from_utf8(pem).map_err(|_| failed("it is not text".to_owned()))
}

/// Who runs the command, by what the system says of them. Only root and the daemon's user get this
/// far, and they could write anything, so this is a note and not a proof.
fn who() -> String {
    let named = |variable| std::env::var(variable).ok().filter(|name| !name.is_empty());
    let name = named("SUDO_USER").or_else(|| named("LOGNAME")).or_else(|| named("USER"));
    let name = name.unwrap_or_else(|| format!("user {}", rustix::process::getuid().as_raw()));
    name.chars().filter(|c| !c.is_control()).take(MAX_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command, ControlCommand, PinCommand};
    use clap::Parser;

    fn options(line: &str) -> PinOptions {
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        match cli.command {
            Command::Control(ControlCommand::Pin(PinCommand::Add(options))) => *options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn options_become_a_request() {
        let hex = "ab".repeat(32);
        let line = format!(
            "wardpost pin add *.lab.example --floor T4 --certificate {hex} --certificate {hex} \
             --reason because --expires 30d"
        );
        let spec = spec(options(&line)).unwrap();
        assert_eq!((spec.pattern.as_str(), spec.reason.as_str()), ("*.lab.example", "because"));
        assert_eq!(spec.certificates, [hex.clone(), hex]);
        assert_eq!(spec.expires.as_deref(), Some("30d"));
        assert!(!spec.set_by.is_empty());
        let line = "wardpost pin add * --smarthost relay.example:465 --trusted-onward";
        let smarthost = super::spec(options(line)).unwrap().smarthost.unwrap();
        assert_eq!((smarthost.host.as_str(), smarthost.port), ("relay.example", 465));
        assert!(smarthost.trusted_onward && smarthost.login.is_none());
    }

    #[test]
    fn nothing_is_fetched_and_mistakes_are_told() {
        for (line, words) in [
            ("wardpost pin add lab.example --certificate-from-server", "by telephone"),
            ("wardpost pin add lab.example --certificate abcd", "64 hexadecimal digits"),
            ("wardpost pin add lab.example --certificate /etc/hostname", "no certificate in it"),
            ("wardpost pin add lab.example --ca /nonexistent.pem", "/nonexistent.pem"),
            ("wardpost pin add lab.example --pickup --password-stdin", "goes with --user"),
        ] {
            let failure = spec(options(line)).unwrap_err();
            assert!(failure.to_string().contains(words), "{line}: {failure}");
            assert!(matches!(failure, Failure::Usage(_)));
        }
    }
}
