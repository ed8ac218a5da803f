//! How another computer watches the box, for administrators.

use crate::Staff;
use crate::form::Filled;
use crate::session::{Administrator, SignedIn};
use askama::Template;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use std::fmt::Write;
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
    Administrator(who): Administrator,
    Filled(form): Filled,
) -> Response {
    if !who.is_our_form(&form.form_token) {
        return staff.refused();
    }
    match staff.read_token().await {
        Ok(token) => {
            tracing::info!(account = %who.account.id, "staff: the token for the metrics was shown");
            staff.watch_page(&who, Some(token))
        }
        Err(error) => {
            tracing::error!(%error, "staff: the token for the metrics cannot be read");
            staff.trouble()
        }
    }
}

impl Staff {
    fn watch_page(&self, who: &SignedIn, token: Option<Secret<String>>) -> Response {
        let watching = &self.settings.watching;
        let watch = Watch {
            shell: &self.shell,
            who,
            here: "/admin/watch",
            reach: reach(&watching.addresses),
            snippet: self.snippet(),
            fingerprint: fingerprint(&self.parts.tls.certificate_der()),
            untrusted: self.parts.tls.certificate().self_issued,
            has_token: watching.token_file.is_some(),
            token,
            client_certificates: watching.client_certificates,
        };
        with_script(page(StatusCode::OK, &watch))
    }

    /// What goes into Prometheus' configuration.
    fn snippet(&self) -> String {
        let (host, watching) = (&self.settings.hostname, &self.settings.watching);
        let outside = watching.addresses.iter().find(|address| !address.ip().is_loopback());
        let port = outside.or(watching.addresses.first()).map_or(9464, SocketAddr::port);
        let mut text = String::from("scrape_configs:\n  - job_name: wardpost\n    scheme: https\n");
        if watching.token_file.is_some() {
            text.push_str(
                "    authorization:\n      credentials_file: /etc/prometheus/wardpost.token\n",
            );
        }
        let mut tls = String::new();
        if watching.client_certificates && watching.token_file.is_none() {
            tls.push_str(
                "      cert_file: /etc/prometheus/wardpost.crt\n      key_file: \
                 /etc/prometheus/wardpost.key\n",
            );
        }
        if self.parts.tls.certificate().self_issued {
            tls.push_str("      ca_file: /etc/prometheus/wardpost-server.crt\n");
        }
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "    tls_config:\n      server_name: {host}\n{tls}    static_configs:\n      - targets: \
             [\"{host}:{port}\"]\n"
        );
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

/// The SHA-256 fingerprint of a certificate, as programs show it.
fn fingerprint(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let octets = digest.as_ref().iter().map(|octet| format!("{octet:02X}"));
    octets.collect::<Vec<_>>().join(":")
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

    #[test]
    fn fingerprints_are_as_programs_show_them() {
        let text = fingerprint(b"");
        assert!(text.starts_with("E3:B0:C4:42:98:FC:1C:14:"));
        assert_eq!(text.len(), 95);
    }
}
