//! Before log-in: LOGIN and AUTHENTICATE (RFC 9051 §6.2, RFC 4616, RFC 4959).
//!
//! A stranger gets one minute, a few tries and little memory. How tries are slowed down for whole
//! networks is the directory's affair.

use crate::connection::{Connection, End};
use crate::outcome::{Failure, Outcome, done, done_with};
use crate::session::{Session, State};
use crate::user::User;
use data_encoding::BASE64;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;
use wardpost_directory::Way;
use wardpost_imap_wire::{Code, Command, Limits};
use wardpost_mail::Secret;

/// How long a stranger may stay.
const TIME: Duration = Duration::from_secs(60);
/// Octets a stranger may send in all.
const OCTETS: u64 = 64 * 1024;
/// Tries to log in on one connection.
const TRIES: u32 = 5;
/// Octets of one command after log-in: room for long sets of UIDs.
const COMMAND: usize = 256 * 1024;

/// A session nobody has logged in to.
pub(crate) struct Stranger {
    peer: IpAddr,
    since: Instant,
    tries: u32,
}

/// A name and a password.
struct Credential {
    user: String,
    password: Secret<String>,
}

impl Stranger {
    pub(crate) fn new(peer: IpAddr) -> Self {
        Self { peer, since: Instant::now(), tries: 0 }
    }

    /// Until when the next command must have come.
    pub(crate) fn deadline(&self, connection: &Connection) -> Result<Instant, End> {
        if self.tries >= TRIES || connection.received() > OCTETS {
            return Err(End::TooManyErrors);
        }
        Ok(self.since + TIME)
    }

    pub(crate) async fn command(
        self,
        session: &mut Session<'_>,
        command: Command,
    ) -> (State, Outcome) {
        let credential = match command {
            Command::Noop => return (State::Stranger(self), done("NOOP completed")),
            Command::Login { user, password } => Ok(Credential { user, password }),
            Command::Authenticate { mechanism, initial } => {
                self.authenticate(session, &mechanism, initial).await
            }
            Command::StartTls => Err(Failure::bad("TLS is active already")),
            _ => Err(Failure::bad("Log in first")),
        };
        match credential {
            Ok(credential) => self.log_in(session, credential).await,
            Err(failure) => (State::Stranger(self), Err(failure)),
        }
    }

    /// The SASL exchange of PLAIN (RFC 4616) or LOGIN.
    async fn authenticate(
        &self,
        session: &mut Session<'_>,
        mechanism: &str,
        initial: Option<Secret<Vec<u8>>>,
    ) -> Result<Credential, Failure> {
        let connection = &mut session.connection;
        let deadline = self.since + TIME;
        match mechanism {
            "PLAIN" => {
                let response = match initial {
                    Some(initial) => decode(&initial)?,
                    None => ask(connection, "", deadline).await?,
                };
                plain(&response)
            }
            "LOGIN" => {
                let user = match initial {
                    Some(initial) => decode(&initial)?,
                    None => ask(connection, "VXNlcm5hbWU6", deadline).await?,
                };
                let password = ask(connection, "UGFzc3dvcmQ6", deadline).await?;
                Ok(Credential {
                    user: text(user.expose())?,
                    password: text(password.expose())?.into(),
                })
            }
            _ => Err(Failure::No(Some(Code::Cannot), "The mechanisms are PLAIN and LOGIN".into())),
        }
    }

    async fn log_in(
        mut self,
        session: &mut Session<'_>,
        credential: Credential,
    ) -> (State, Outcome) {
        self.tries += 1;
        let imap = session.imap;
        let Credential { user, password } = &credential;
        let login = imap.directory.authenticate(user, password, self.peer, Way::MailProgram);
        let login = match login.await {
            Ok(login) => login,
            Err(error) => {
                tracing::info!(peer = %self.peer, %error, "log-in refused");
                return (State::Stranger(self), Err(error.into()));
            }
        };
        let mail = imap.mailboxes.open(login.account.id, login.unlocked.clone());
        if let Err(error) = mail.prepare().await {
            return (State::Stranger(self), Err(error.into()));
        }
        tracing::debug!(account = %login.account.id, peer = %self.peer, "logged in");
        let limits = Limits { command: COMMAND, message: imap.settings.append_limit };
        session.connection.trust(limits, login.revocation.clone());
        let code = Code::Capability(imap.capabilities.after_login.clone());
        (State::User(Box::new(User::new(mail, login))), done_with(code, "Logged in"))
    }
}

/// Asks for a line of base64; `*` takes the exchange back (RFC 9051 §6.2.2).
async fn ask(
    connection: &mut Connection,
    challenge: &str,
    deadline: Instant,
) -> Result<Secret<Vec<u8>>, Failure> {
    connection.go_on(challenge);
    let line = connection.line(deadline).await?;
    if line.expose() == b"*" {
        return Err(Failure::bad("Authentication cancelled"));
    }
    decode(&line)
}

fn decode(base64: &Secret<Vec<u8>>) -> Result<Secret<Vec<u8>>, Failure> {
    // An empty initial response is written `=` (RFC 4959 §3).
    if base64.expose() == b"=" {
        return Ok(Secret::new(Vec::new()));
    }
    BASE64.decode(base64.expose()).map(Secret::new).map_err(|_| Failure::bad("That is not base64"))
}

/// ABNF (RFC 4616 §2): `message = [authzid] UTF8NUL authcid UTF8NUL passwd`. Nobody may act for
/// somebody else, so an authzid must be the authcid.
fn plain(response: &Secret<Vec<u8>>) -> Result<Credential, Failure> {
    let mut fields = response.expose().splitn(3, |b| *b == 0);
    let (Some(actor), Some(user), Some(password)) = (fields.next(), fields.next(), fields.next())
    else {
        return Err(Failure::bad("That is not a PLAIN response"));
    };
    if !actor.is_empty() && actor != user {
        return Err(Failure::no(Code::AuthenticationFailed, "Nobody can act for somebody else"));
    }
    Ok(Credential { user: text(user)?, password: text(password)?.into() })
}

fn text(octets: &[u8]) -> Result<String, Failure> {
    match std::str::from_utf8(octets) {
        Ok(text) if !text.contains('\0') => Ok(text.to_owned()),
        _ => Err(Failure::bad("Names and passwords are UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(response: &[u8]) -> Option<(String, String)> {
        let credential = plain(&Secret::new(response.to_vec())).ok()?;
        Some((credential.user, credential.password.expose().clone()))
    }

    #[test]
    fn plain_responses() {
        let dana = Some(("dana".to_owned(), "pw".to_owned()));
        assert_eq!(read(b"\0dana\0pw"), dana);
        assert_eq!(read(b"dana\0dana\0pw"), dana);
        for bad in [&b"eve\0dana\0pw"[..], b"dana\0pw", b"", b"\0dana\0p\0w", b"\0dana\0\xff"] {
            assert_eq!(read(bad), None);
        }
    }

    #[test]
    fn base64_is_strict() {
        let decoded = |text: &str| decode(&Secret::new(text.as_bytes().to_vec())).ok();
        assert_eq!(decoded("AGEAYg==").unwrap().expose(), b"\0a\0b");
        assert!(decoded("=").unwrap().expose().is_empty());
        assert!(decoded("AGEAYg").is_none() && decoded("A GE").is_none());
    }
}
