//! Who may read the metrics: anybody on this machine where nothing is configured, and else whoever shows the token
//! or a certificate, over TLS.

use crate::failure::Failure;
use axum::http::{HeaderMap, header};
use std::path::{Path, PathBuf};
use wardpost_config::Metrics;
use wardpost_mail::Secret;
use wardpost_net::{ClientRoots, ServerTls, Stream};

/// The shortest token that nobody guesses, in characters of base64 or hexadecimal digits.
const SHORTEST: usize = 32;
/// More than any token; what is longer is not one.
const LONGEST: usize = 4096;

/// What a reader of the metrics has to show.
#[derive(Debug, Clone)]
pub(crate) enum Guard {
    /// The port is on loopback alone, and asks for nothing.
    Open,
    /// TLS, and the token or a certificate.
    Closed { tls: ServerTls, token: Option<PathBuf>, clients: Option<ClientRoots> },
}

/// Who is there, as far as the handshake tells.
#[derive(Debug, Clone)]
pub(crate) enum Visitor {
    /// Somebody who may read.
    Known,
    /// Somebody who has yet to show the token that this file holds.
    Unknown(Option<PathBuf>),
}

impl Guard {
    /// Reads what is configured. A file that cannot be used shuts the metrics, not the mail server: the
    /// log says so, and `wardpost check` is stricter.
    ///
    /// # Errors
    /// When the TLS library refuses the settings.
    pub(crate) fn new(settings: &Metrics, tls: &ServerTls) -> Result<Self, Failure> {
        if !settings.is_guarded() {
            return Ok(Self::Open);
        }
        let clients = look(settings).unwrap_or_else(|failure| {
            tracing::error!(%failure, "metrics: nobody can read them");
            None
        });
        let tls = match clients {
            Some(_) => tls.asking_clients().map_err(Failure::from_error)?,
            None => tls.clone(),
        };
        Ok(Self::Closed { tls, token: settings.token_file.clone(), clients })
    }

    /// Takes a connection to where requests are read; `None` when that fails.
    pub(crate) async fn receive(&self, stream: Stream) -> Option<(Stream, Visitor)> {
        let Self::Closed { tls, token, clients } = self else {
            return Some((stream, Visitor::Known));
        };
        let stream = stream
            .upgrade_server(tls, &[])
            .await
            .map_err(|error| tracing::debug!(%error, "metrics: no TLS"))
            .ok()?;
        let vouched = clients.as_ref().is_some_and(|roots| roots.vouch_for(&stream.client_chain()));
        let visitor = if vouched { Visitor::Known } else { Visitor::Unknown(token.clone()) };
        Some((stream, visitor))
    }
}

impl Visitor {
    /// Whether a request with these headers may be answered. Reads the token's file: not for async threads.
    pub(crate) fn may_read(&self, headers: &HeaderMap) -> bool {
        let Self::Unknown(file) = self else { return true };
        let Some(file) = file else { return false };
        let token = match read_token(file) {
            Ok(token) => token,
            Err(failure) => {
                tracing::error!(%failure, "metrics: nobody's token can be checked");
                return false;
            }
        };
        shown(headers).is_some_and(|shown| wardpost_web::is_same(shown, token.expose()))
    }
}

/// Whether the files that are configured can be used; gives the authorities for clients.
pub(crate) fn look(settings: &Metrics) -> Result<Option<ClientRoots>, Failure> {
    if let Some(file) = &settings.token_file {
        read_token(file)?;
    }
    let clients = settings.client_ca.as_deref().map(ClientRoots::from_pem_file);
    clients.transpose().map_err(Failure::from_error)
}

fn read_token(file: &Path) -> Result<Secret<String>, Failure> {
    let text = std::fs::read_to_string(file).map(Secret::new);
    let text = text.map_err(Failure::during(format!("[metrics] token_file {}", file.display())))?;
    let token = text.expose().trim();
    let is_plain = token.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || !(SHORTEST..=LONGEST).contains(&token.len()) {
        return Err(Failure::Failed(format!(
            "[metrics] token_file {}: it must hold one line of at least {SHORTEST} letters and digits; make \
             one with: head -c 24 /dev/urandom | base64",
            file.display()
        )));
    }
    Ok(Secret::new(token.to_owned()))
}

/// The token that a request shows (RFC 6750 §2.1).
fn shown(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "Zm9yIHNlcnZlcnMgYW5kIHNjcmFwZXJz";

    fn asked(visitor: &Visitor, value: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, value.parse().unwrap());
        visitor.may_read(&headers)
    }

    #[test]
    fn the_token_and_nothing_else_opens() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
        let visitor = Visitor::Unknown(Some(file.clone()));
        assert!(asked(&visitor, &format!("Bearer {TOKEN}")));
        assert!(asked(&visitor, &format!("bearer  {TOKEN}")));
        for wrong in [
            format!("Basic {TOKEN}"),
            format!("Bearer {}", &TOKEN[1..]),
            format!("Bearer {TOKEN}x"),
            TOKEN.to_owned(),
            "Bearer ".to_owned(),
        ] {
            assert!(!asked(&visitor, &wrong), "{wrong}");
        }
        assert!(!visitor.may_read(&HeaderMap::new()));
        // A new token counts at once; none at all opens to nobody.
        std::fs::write(&file, TOKEN.to_lowercase()).unwrap();
        assert!(!asked(&visitor, &format!("Bearer {TOKEN}")));
        std::fs::remove_file(&file).unwrap();
        assert!(!asked(&visitor, &format!("Bearer {TOKEN}")));
        assert!(!asked(&Visitor::Unknown(None), &format!("Bearer {TOKEN}")));
    }

    #[test]
    fn a_file_that_holds_no_token_is_told() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        for text in ["", "short", "two words that are long enough together"] {
            std::fs::write(&file, text).unwrap();
            let words = read_token(&file).err().unwrap().to_string();
            assert!(words.contains("token_file") && words.contains("base64"), "{words}");
        }
    }
}
