//! How another computer watches the box, for administrators.

use crate::Staff;
use crate::form::Sent;
use crate::session::{Administrator, SignedIn};
use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use std::net::SocketAddr;
use std::sync::Arc;
use wardpost_mail::Secret;
use wardpost_web::{Shell, page, with_script};

/// Octets of a token's file.
const MAX_TOKEN: u64 = 4096;

#[derive(Template)]
#[template(path = "watch.html")]
struct Watch<'a> {
    shell: &'a Shell,
    who: &'a SignedIn,
    here: &'static str,
    /// Nothing is served, or to this machine alone.
    reach: Reach,
    snippet: String,
    fingerprint: String,
    untrusted: bool,
    has_token: bool,
    token: Option<Secret<String>>,
    client_certificates: bool,
}

/// From where the numbers can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    Nowhere,
    ThisMachine,
    Network,
}

/// How to read the numbers, without the token.
pub(crate) async fn show(
    State(staff): State<Arc<Staff>>,
    Administrator(who): Administrator,
) -> Response {
    staff.watch_page(&who, None)
}

/// The same with the token, once somebody asks for it.
pub(crate) async fn token(
    State(staff): State<Arc<Staff>>,
    Sent(Administrator(who), _): Sent<Administrator>,
) -> Response {
    match staff.read_token().await {
        Ok(token) => {
            tracing::info!(account = %who.account.id, "staff: the token for the metrics was shown");
            staff.watch_page(&who, Some(token))
        }
        Err(error) => staff.broken("the token for the metrics cannot be read", &error),
    }
}

/// The server's certificate, for a computer that is to trust it while no authority vouches for it.
pub(crate) async fn certificate(
    State(staff): State<Arc<Staff>>,
    Administrator(_): Administrator,
) -> Response {
    let der = data_encoding::BASE64.encode(&staff.parts.tls.certificate_der());
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    for line in der.as_bytes().chunks(64) {
        pem.push_str(&String::from_utf8_lossy(line));
        pem.push('\n');
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    let headers = [
        (header::CONTENT_TYPE, "application/x-pem-file"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"wardpost.crt\""),
    ];
    (headers, pem).into_response()
}

impl Staff {
    fn watch_page(&self, who: &SignedIn, token: Option<Secret<String>>) -> Response {
        let (watching, certificate) = (&self.settings.watching, self.parts.tls.certificate());
        let watch = Watch {
            shell: &self.shell,
            who,
            here: "/admin/watch",
            reach: reach(&watching.addresses),
            snippet: self.snippet(),
            fingerprint: certificate.fingerprint_text(),
            untrusted: certificate.self_issued,
            has_token: watching.token_file.is_some(),
            token,
            client_certificates: watching.client_certificates,
        };
        with_script(page(StatusCode::OK, &watch))
    }

    /// What goes into Prometheus' configuration: config/prometheus/prometheus.yml with our own values.
    fn snippet(&self) -> String {
        let watching = &self.settings.watching;
        let outside = watching.addresses.iter().find(|address| !address.ip().is_loopback());
        let target = match (outside, watching.addresses.first()) {
            (Some(address), _) => format!("{}:{}", self.settings.hostname, address.port()),
            (None, Some(inside)) => inside.to_string(),
            (None, None) => String::new(),
        };
        let (token, certificates) = (watching.token_file.is_some(), watching.client_certificates);
        let mut text = String::from("scrape_configs:\n  - job_name: wardpost\n");
        if token || certificates {
            text.push_str("    scheme: https\n");
        }
        if token {
            text.push_str("    authorization:\n      credentials_file: wardpost.token\n");
        }
        let mut tls = String::new();
        if certificates && !token {
            tls.push_str("      cert_file: prometheus.crt\n      key_file: prometheus.key\n");
        }
        if (token || certificates) && self.parts.tls.certificate().self_issued {
            tls.push_str("      ca_file: wardpost.crt\n");
        }
        if !tls.is_empty() {
            text.push_str("    tls_config:\n");
            text.push_str(&tls);
        }
        text.push_str(&format!("    static_configs:\n      - targets: [\"{target}\"]\n"));
        text
    }

    async fn read_token(&self) -> Result<Secret<String>, std::io::Error> {
        use tokio::io::AsyncReadExt;
        let Some(file) = &self.settings.watching.token_file else {
            return Err(std::io::ErrorKind::NotFound.into());
        };
        let mut text = String::new();
        tokio::fs::File::open(file).await?.take(MAX_TOKEN).read_to_string(&mut text).await?;
        let token = Secret::new(text.trim().to_owned());
        drop(Secret::new(text));
        Ok(token)
    }
}

fn reach(addresses: &[SocketAddr]) -> Reach {
    match addresses {
        [] => Reach::Nowhere,
        all if all.iter().all(|address| address.ip().is_loopback()) => Reach::ThisMachine,
        _ => Reach::Network,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_can_read_the_numbers_is_seen_from_the_addresses() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(reach(&[]), Reach::Nowhere);
        assert_eq!(reach(&[at("127.0.0.1:9464"), at("[::1]:9464")]), Reach::ThisMachine);
        assert_eq!(reach(&[at("127.0.0.1:9464"), at("0.0.0.0:9464")]), Reach::Network);
    }
}
