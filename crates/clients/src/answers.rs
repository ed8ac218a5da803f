//! What is answered where.

use crate::profile::{self, Person, ProfileError};
use crate::question::{self, Unanswerable};
use crate::settings::Settings;
use askama::Template;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use wardpost_mail::{Address, Domain, Secret};
use wardpost_net::ServerTls;
use wardpost_web::asked_host;

/// Where Thunderbird looks: on the domain's own web site, and on `autoconfig.DOMAIN`.
const AUTOCONFIG: [&str; 2] =
    ["/.well-known/autoconfig/mail/config-v1.1.xml", "/mail/config-v1.1.xml"];
/// Where Outlook asks, in the spellings that its versions have.
const AUTODISCOVER: [&str; 3] = [
    "/autodiscover/autodiscover.xml",
    "/Autodiscover/Autodiscover.xml",
    "/AutoDiscover/AutoDiscover.xml",
];
/// Where newer Outlooks ask where to ask.
const WHERE: [&str; 2] = ["/autodiscover/autodiscover.json", "/Autodiscover/Autodiscover.json"];
const WHERE_FOR: [&str; 2] = [
    "/autodiscover/autodiscover.json/v1.0/{address}",
    "/Autodiscover/Autodiscover.json/v1.0/{address}",
];

/// Whether a domain is one of ours.
type IsOurs = Arc<dyn Fn(&Domain) -> bool + Send + Sync>;

/// Mail programs' questions, and the answers.
#[derive(Clone)]
pub struct Clients {
    settings: Arc<Settings>,
    tls: ServerTls,
    is_ours: IsOurs,
}

impl std::fmt::Debug for Clients {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clients").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[derive(Template)]
#[template(path = "autoconfig.xml")]
struct Autoconfig<'a> {
    settings: &'a Settings,
    domain: &'a Domain,
}

#[derive(Template)]
#[template(path = "autodiscover.xml")]
struct Autodiscover<'a> {
    settings: &'a Settings,
    address: &'a Address,
}

#[derive(Template)]
#[template(path = "autodiscover_error.xml")]
struct Refusal {
    time: String,
    code: u16,
    message: String,
}

impl Clients {
    /// Answers for the domains that are ours; `tls` is what profiles are signed with.
    pub fn new(
        settings: Settings,
        tls: &ServerTls,
        is_ours: impl Fn(&Domain) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self { settings: Arc::new(settings), tls: tls.clone(), is_ours: Arc::new(is_ours) }
    }

    /// What the server's own name answers: everything.
    pub fn router(&self) -> Router {
        self.autoconfig_router().merge(self.autodiscover_router())
    }

    /// What `autoconfig.DOMAIN` answers.
    pub fn autoconfig_router(&self) -> Router {
        let routes = AUTOCONFIG.into_iter();
        routes
            .fold(Router::new(), |all, path| all.route(path, get(autoconfig)))
            .with_state(self.clone())
    }

    /// What `autodiscover.DOMAIN` answers.
    pub fn autodiscover_router(&self) -> Router {
        let ask = || post(autodiscover).get(|| async { refuse(Unanswerable::Invalid) });
        let mut all = Router::new();
        for path in AUTODISCOVER {
            all = all.route(path, ask());
        }
        for path in WHERE {
            all = all.route(path, get(ask_where));
        }
        for path in WHERE_FOR {
            all = all.route(path, get(ask_where_for));
        }
        all.with_state(self.clone())
    }

    /// A path's name for metrics, if it is one of ours.
    pub fn page_name(path: &str) -> Option<&'static str> {
        if AUTOCONFIG.contains(&path) {
            return Some("autoconfig");
        }
        let start = path.get(..14)?;
        start.eq_ignore_ascii_case("/autodiscover/").then_some("autodiscover")
    }

    /// A configuration profile for Apple's devices, signed by the server's certificate. Touches the disk: not for async
    /// threads.
    ///
    /// # Errors
    /// When IMAP or submission is off, or the key cannot be read.
    pub fn profile(&self, person: &Person<'_>) -> Result<Secret<Vec<u8>>, ProfileError> {
        let (chain, key) = self.tls.signing_identity()?;
        profile::signed(&profile::write(&self.settings, person)?, &chain, &key)
    }

    /// The domain that a question is about: that of the address, or of the name that was asked; if it is ours.
    fn domain(&self, address: Option<&str>, host: Option<&str>) -> Option<Domain> {
        let domain = match address {
            Some(address) => Domain::parse(address.rsplit_once('@')?.1).ok()?,
            None => {
                let host = Domain::parse(host?).ok()?;
                let name = host.as_str();
                match name.strip_prefix("autoconfig.") {
                    Some(domain) => Domain::parse(domain).ok()?,
                    None if host == self.settings.hostname => self.settings.domain.clone(),
                    None => host,
                }
            }
        };
        (self.is_ours)(&domain).then_some(domain)
    }
}

#[derive(Deserialize)]
struct Asked {
    emailaddress: Option<String>,
}

async fn autoconfig(
    State(clients): State<Clients>,
    query: Result<Query<Asked>, QueryRejection>,
    request: Request,
) -> Response {
    let address = query.ok().and_then(|Query(asked)| asked.emailaddress);
    // `%EMAILADDRESS%`, which a program did not fill in, is no address.
    let address = address.filter(|address| address.contains('@'));
    let host = asked_host(request.uri(), request.headers());
    match clients.domain(address.as_deref(), host.as_deref()) {
        Some(domain) => xml(&Autoconfig { settings: &clients.settings, domain: &domain }),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn autodiscover(State(clients): State<Clients>, body: Bytes) -> Response {
    match question::read(&body) {
        Ok(address) if (clients.is_ours)(address.domain()) => {
            xml(&Autodiscover { settings: &clients.settings, address: &address })
        }
        Ok(_) => refuse(Unanswerable::Invalid),
        Err(why) => refuse(why),
    }
}

/// Errors come with status 200, as Exchange sends them.
fn refuse(why: Unanswerable) -> Response {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let (seconds, micros) = (since.as_secs() % 86_400, since.subsec_micros());
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let time = format!("{hours:02}:{minutes:02}:{:02}.{micros:06}", seconds % 60);
    xml(&Refusal { time, code: why.code(), message: why.to_string() })
}

#[derive(Deserialize)]
struct Where {
    #[serde(rename = "Protocol", alias = "protocol")]
    protocol: Option<String>,
}

async fn ask_where(
    State(clients): State<Clients>,
    query: Result<Query<Where>, QueryRejection>,
) -> Response {
    clients.r#where(query)
}

async fn ask_where_for(
    State(clients): State<Clients>,
    // Whoever asks: the answer is the same.
    Path(_address): Path<String>,
    query: Result<Query<Where>, QueryRejection>,
) -> Response {
    clients.r#where(query)
}

impl Clients {
    /// Autodiscover V2: where the older one is. There is nothing else that we could name.
    fn r#where(&self, query: Result<Query<Where>, QueryRejection>) -> Response {
        let protocol = query.ok().and_then(|Query(asked)| asked.protocol).unwrap_or_default();
        if protocol.eq_ignore_ascii_case("AutodiscoverV1") {
            let url = format!("https://{}{}", self.settings.hostname, AUTODISCOVER[0]);
            let answer = json!({ "Protocol": "AutodiscoverV1", "Url": url });
            return in_json(StatusCode::OK, &answer);
        }
        let words = "The protocol is not supported. Supported values are 'AutodiscoverV1'.";
        let answer = json!({ "ErrorCode": "ProtocolNotSupported", "ErrorMessage": words });
        in_json(StatusCode::BAD_REQUEST, &answer)
    }
}

fn in_json(status: StatusCode, value: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, value.to_string()).into_response()
}

fn xml(document: &impl Template) -> Response {
    match document.render() {
        Ok(text) => ([(header::CONTENT_TYPE, "text/xml; charset=utf-8")], text).into_response(),
        Err(error) => {
            tracing::error!(%error, "clients: an answer could not be written");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
