//! Trying a smarthost: connects, encrypts, checks the certificate, logs in, and says good-bye.
//!
//! As in the courier, a [`Talk`] is typed by what it runs over: there is no log-in but over a
//! [`SecureChannel`].

use crate::world::RelayLook;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wardpost_dns::{DnsError, Resolver};
use wardpost_mail::{Domain, Reply, TlsGrade};
use wardpost_net::{ClientTls, Stream, Wire};
use wardpost_pins::{Login, Smarthost};
use wardpost_smtp::{ClientEvent, ClientSession};
use wardpost_verdict::{Floor, HandshakeFacts, Observation, Roots, SecureChannel, Verdict, grade};

/// How long the whole try may take.
const PATIENCE: Duration = Duration::from_secs(25);
/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(8);
/// TLS from the first byte (RFC 8314 §3.3).
const IMPLICIT: u16 = 465;

/// What a try needs.
pub(crate) struct Trial<'a> {
    pub(crate) resolver: &'a dyn Resolver,
    pub(crate) tls: &'a ClientTls,
    pub(crate) roots: &'a Roots,
    /// What we call ourselves.
    pub(crate) hostname: &'a Domain,
}

/// Why it would not work, in words.
type Trouble = String;

impl Trial<'_> {
    /// Tries it, without sending anything.
    pub(crate) async fn run(&self, relay: &Smarthost) -> RelayLook {
        let outcome = tokio::time::timeout(PATIENCE, self.talk(relay)).await;
        let host = &relay.host;
        match outcome {
            Ok(Ok(says)) => RelayLook { works: true, says },
            Ok(Err(says)) => RelayLook { works: false, says },
            Err(_) => RelayLook {
                works: false,
                says: format!(
                    "{host} takes very long to answer. Please check the name and the port, and try again."
                ),
            },
        }
    }

    async fn talk(&self, relay: &Smarthost) -> Result<String, Trouble> {
        let host = &relay.host;
        let stream = self.connect(host, relay.port).await?;
        let mut talk = Talk { wire: stream, session: ClientSession::new(self.hostname), host };
        if relay.port != IMPLICIT {
            talk.expect("the greeting").await?;
            talk.ehlo().await?;
            if !talk.session.capabilities().starttls {
                return Err(format!(
                    "{host} does not offer encryption (STARTTLS) on port {}. If a firewall or a virus \
                     scanner stands in between, it may have taken the offer away. Ask your provider \
                     for a port with TLS: usually 587 or 465.",
                    relay.port
                ));
            }
            talk.session.starttls();
            talk.expect("STARTTLS").await?;
        }
        let (talk, facts) = talk.encrypted(self.tls).await?;
        let version = facts.version;
        let verdict = grade(host, &Observation::Completed(facts), self.roots, SystemTime::now());
        let mut talk = talk.admitted(verdict)?;
        if relay.port == IMPLICIT {
            talk.expect("the greeting").await?;
        }
        talk.ehlo().await?;
        let mut says =
            format!("{host} answers, encrypts with {version}, and its certificate is valid.");
        if let Some(login) = &relay.login {
            talk.log_in(login, relay.port).await?;
            says.push_str(" It took the user name and the password.");
        }
        if !relay.trusted_onward && !talk.session.capabilities().require_tls {
            return Err(format!(
                "{says} But it does not promise to pass mail on encrypted (it has no REQUIRETLS), so \
                 every message would wait on your pick-up page instead. If your provider has promised \
                 it in writing, tick that box."
            ));
        }
        talk.session.quit();
        // Whether it says good-bye does not matter.
        let _ = talk.write().await;
        Ok(says)
    }

    async fn connect(&self, host: &Domain, port: u16) -> Result<Stream, Trouble> {
        let addresses = match self.resolver.addresses(host).await {
            Ok(answer) => answer.value,
            Err(DnsError::NoSuchDomain) => Vec::new(),
            Err(_) => {
                return Err(format!(
                    "The address of {host} could not be looked up: this server has no working DNS at \
                     the moment. Please check its network."
                ));
            }
        };
        if addresses.is_empty() {
            return Err(format!("There is no server called {host}. Please check the name."));
        }
        let mut refused = false;
        for address in addresses.iter().take(4) {
            let address: (IpAddr, u16) = (*address, port);
            let connecting = TcpStream::connect(SocketAddr::from(address));
            match tokio::time::timeout(CONNECT, connecting).await {
                Ok(Ok(tcp)) => return Ok(Stream::Plain(tcp)),
                Ok(Err(error)) => refused |= error.kind() == std::io::ErrorKind::ConnectionRefused,
                Err(_) => {}
            }
        }
        Err(if refused {
            format!("{host} does not take connections on port {port}. Please check the port.")
        } else {
            format!(
                "{host} does not answer on port {port}. The port may be wrong, or a firewall or your \
                 Internet provider keeps connections to it from going out."
            )
        })
    }
}

/// A conversation on its way.
struct Talk<'a, W> {
    wire: W,
    session: ClientSession,
    host: &'a Domain,
}

impl<W: Wire> Talk<'_, W> {
    async fn ehlo(&mut self) -> Result<(), Trouble> {
        self.session.ehlo();
        self.expect("EHLO").await
    }

    async fn expect(&mut self, what: &str) -> Result<(), Trouble> {
        let reply = self.reply().await?;
        if reply.is_positive() {
            return Ok(());
        }
        let host = self.host;
        Err(format!("{host} does not want to talk to us (it says {} to {what}).", reply.code))
    }

    async fn reply(&mut self) -> Result<Reply, Trouble> {
        self.write().await?;
        let mut buffer = [0; 2048];
        loop {
            let event = self.session.next_event();
            let event = event.map_err(|_| {
                format!(
                    "{} is not a mail server: it speaks something else on this port.",
                    self.host
                )
            })?;
            match event {
                Some(
                    ClientEvent::Greeting(reply)
                    | ClientEvent::Ehlo(reply)
                    | ClientEvent::StartTls(reply)
                    | ClientEvent::Auth(reply),
                ) => return Ok(reply),
                Some(_) => {}
                None => {
                    let length = self.wire.wire().read(&mut buffer).await.unwrap_or(0);
                    if length == 0 {
                        return Err(self.hung_up());
                    }
                    self.session.receive(&buffer[..length]);
                }
            }
            // HELO after a refused EHLO.
            self.write().await?;
        }
    }

    async fn write(&mut self) -> Result<(), Trouble> {
        // It may hold a password.
        let output = wardpost_mail::Secret::new(self.session.take_output());
        if output.expose().is_empty() {
            return Ok(());
        }
        let wire = self.wire.wire();
        let written = async {
            wire.write_all(output.expose()).await?;
            wire.flush().await
        };
        written.await.map_err(|_| self.hung_up())
    }

    fn hung_up(&self) -> Trouble {
        format!(
            "{} closed the connection. The port may be one without encryption, or with another kind of it: \
             try 587 or 465.",
            self.host
        )
    }
}

impl<'a> Talk<'a, Stream> {
    /// Shakes hands. What was said in clear counts no more.
    async fn encrypted(mut self, tls: &ClientTls) -> Result<(Self, HandshakeFacts), Trouble> {
        let host = self.host;
        self.session.tls_started().map_err(|_| {
            format!("{host} said more than it may before the encryption began: somebody stands in between.")
        })?;
        let (wire, facts) = self.wire.upgrade_client(tls, host, &[]).await.map_err(|error| {
            format!(
                "{host} could not agree on encryption with us ({error}). The port may be wrong: 465 is \
                 encrypted from the start, 587 after a word."
            )
        })?;
        Ok((Self { wire, ..self }, facts))
    }

    /// Goes on with a server whose certificate is good for a password.
    fn admitted(self, verdict: Verdict) -> Result<Talk<'a, SecureChannel<Stream>>, Trouble> {
        let Self { wire, session, host } = self;
        match verdict.admit(wire, Floor::new(TlsGrade::T3)) {
            Ok(wire) => Ok(Talk { wire, session, host }),
            Err(below) => Err(format!(
                "{host} encrypts, but its certificate cannot be trusted: {}. No password was sent. Please \
                 check the name: it must be the one that your provider’s instructions give.",
                below.verdict.explain().trim_end_matches('.')
            )),
        }
    }
}

impl Talk<'_, SecureChannel<Stream>> {
    /// Logs in (RFC 4954). Possible only here: the password is for a server whose certificate was verified.
    async fn log_in(&mut self, login: &Login, port: u16) -> Result<(), Trouble> {
        let host = self.host;
        if !self.session.capabilities().auth_plain {
            return Err(format!(
                "{host} does not let anybody log in with a password on port {port}. Please ask your \
                 provider for the right port."
            ));
        }
        self.session.auth_plain(&login.user, &login.password);
        let reply = self.reply().await?;
        // Nothing else is a yes (RFC 4954 §6), to the courier neither.
        if reply.code == 235 {
            return Ok(());
        }
        Err(format!(
            "{host} did not take the user name and password (it says {}). Please type them again as your \
             provider gave them to you.",
            reply.code
        ))
    }
}

#[cfg(test)]
#[path = "relay_tests.rs"]
mod tests;
