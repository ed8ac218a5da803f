//! Talking to the authority: HTTPS with bounds, over our own look-ups and roots, in the shape that
//! instant-acme asks for.

use crate::trouble::{Kind, Trouble};
use http_body_util::BodyExt;
use hyper::body::Bytes;
use hyper::header::{DATE, RETRY_AFTER, USER_AGENT};
use hyper::http::response::Parts;
use hyper::{HeaderMap, Request, Response, Uri};
use instant_acme::{BodyWrapper, BytesResponse, HttpClient};
use parking_lot::Mutex;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use wardpost_dns::{DnsError, Resolver};
use wardpost_mail::Domain;
use wardpost_net::{Https, HttpsError, HttpsLimits};

/// How much one answer may take: chains are a few kilobytes.
const LIMITS: HttpsLimits = HttpsLimits { body: 256 * 1024, time: Duration::from_secs(30) };
/// The port of HTTPS.
const PORT: u16 = 443;
/// How far our clock may be from the authority's.
const CLOCK_TOLERANCE: i64 = 300;
/// RFC 8555 §6.1.
const AGENT: &str = concat!("Wardpost/", env!("CARGO_PKG_VERSION"), " instant-acme/0.8");

/// Why there is no answer.
#[derive(Debug, Clone, Error)]
pub(crate) enum NoAnswer {
    /// The authority's name is not found.
    #[error("the authority's address could not be looked up: {0}")]
    Dns(#[from] DnsError),
    /// The connection or the answer.
    #[error(transparent)]
    Https(#[from] HttpsError),
    /// An address that is not HTTPS.
    #[error("the authority's address is not a URL that begins with https")]
    Address,
}

impl NoAnswer {
    /// What it means for us.
    pub(crate) fn trouble(&self) -> Trouble {
        let kind = match self {
            Self::Https(HttpsError::Certificate(_)) if self.is_about_time() => Kind::Clock,
            Self::Https(HttpsError::Certificate(_)) => Kind::Untrusted,
            _ => Kind::Unreachable,
        };
        let says = match kind {
            Kind::Clock => format!(
                "By this machine's clock ({}) the certificate authority's own certificate is not valid: \
                 {self}. Most likely the clock is wrong.",
                now_text()
            ),
            Kind::Untrusted => {
                format!("The certificate authority's own certificate is not trusted: {self}.")
            }
            _ => format!("The certificate authority could not be reached: {self}."),
        };
        Trouble::new(kind, says)
    }

    fn is_about_time(&self) -> bool {
        let Self::Https(HttpsError::Certificate(words)) = self else { return false };
        words.contains("has expired") || words.contains("not valid yet")
    }
}

fn now_text() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d %H:%M UTC").to_string()
}

/// What was seen besides the answers.
#[derive(Debug, Default)]
struct Notes {
    retry_after: Option<Duration>,
    /// The authority's clock, less ours, in seconds.
    clock: Option<i64>,
}

/// The way to one authority. Clones share what was seen.
#[derive(Clone)]
pub(crate) struct Authority {
    https: Https,
    resolver: Arc<dyn Resolver>,
    notes: Arc<Mutex<Notes>>,
}

impl Authority {
    pub(crate) fn new(https: Https, resolver: Arc<dyn Resolver>) -> Self {
        Self { https, resolver, notes: Arc::default() }
    }

    /// How long the last answer asks us to wait, if it does.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.notes.lock().retry_after
    }

    /// How far the authority's clock is ahead of ours, when that is more than it should be.
    pub(crate) fn clock_off(&self) -> Option<i64> {
        self.notes.lock().clock.filter(|off| off.abs() > CLOCK_TOLERANCE)
    }

    pub(crate) async fn send(
        &self,
        mut request: Request<Bytes>,
    ) -> Result<Response<Vec<u8>>, NoAnswer> {
        let agent = hyper::header::HeaderValue::from_static(AGENT);
        request.headers_mut().insert(USER_AGENT, agent);
        let host = host(request.uri())?.to_owned();
        let addresses = self.addresses(&host, request.uri().port_u16().unwrap_or(PORT)).await?;
        let response = self.https.exchange(&host, &addresses, request, LIMITS).await?;
        *self.notes.lock() = notes(response.headers());
        Ok(response)
    }

    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, NoAnswer> {
        if let Ok(address) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let name = Domain::parse(host).map_err(|_| NoAnswer::Address)?;
        let found = self.resolver.addresses(&name).await?;
        Ok(found.value.into_iter().map(|address| (address, port).into()).collect())
    }
}

impl HttpClient for Authority {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, instant_acme::Error>> + Send>> {
        let this = self.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            // A body in memory cannot fail.
            let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            let response = this.send(Request::from_parts(head, body)).await;
            let response = response.map_err(|error| instant_acme::Error::Other(error.into()))?;
            let (parts, body): (Parts, Vec<u8>) = response.into_parts();
            Ok(BytesResponse { parts, body: Box::new(Bytes::from(body)) })
        })
    }
}

/// The host of an address that is HTTPS: nothing is ever said in clear, wherever a directory points.
fn host(uri: &Uri) -> Result<&str, NoAnswer> {
    match uri.scheme_str() {
        Some("https") => uri.host().ok_or(NoAnswer::Address),
        _ => Err(NoAnswer::Address),
    }
}

fn notes(fields: &HeaderMap) -> Notes {
    let text =
        |name| fields.get(name).and_then(|value: &hyper::header::HeaderValue| value.to_str().ok());
    let now = unix(SystemTime::now());
    Notes {
        retry_after: text(RETRY_AFTER).and_then(|value| retry_after(value, now)),
        clock: text(DATE).and_then(http_date).map(|date| date.saturating_sub(now)),
    }
}

/// RFC 9110 §10.2.3: seconds, or a date.
fn retry_after(value: &str, now: i64) -> Option<Duration> {
    let seconds = match value.trim().parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(http_date(value)?.saturating_sub(now)).unwrap_or(0),
    };
    Some(Duration::from_secs(seconds))
}

fn http_date(value: &str) -> Option<i64> {
    let zoned = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(value.trim()).ok()?;
    Some(zoned.as_second())
}

pub(crate) fn unix(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs().cast_signed())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(retry_after("120", 0), Some(Duration::from_secs(120)));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(http_date(date), Some(1_445_412_480));
        assert_eq!(retry_after(date, 1_445_412_470), Some(Duration::from_secs(10)));
        assert_eq!(retry_after(date, 1_445_412_490), Some(Duration::ZERO), "it is over");
        for nonsense in ["", "soon", "-5", "Wed, 99 Oct"] {
            assert_eq!(retry_after(nonsense, 0), None, "{nonsense}");
        }
    }

    #[test]
    fn nothing_is_said_in_clear() {
        assert!(host(&"https://acme.test/dir".parse().unwrap()).is_ok());
        assert!(host(&"http://acme.test/dir".parse().unwrap()).is_err());
        assert!(host(&"/dir".parse().unwrap()).is_err());
    }

    #[test]
    fn a_certificate_that_is_out_of_time_is_about_the_clock() {
        let trouble =
            |words: &str| NoAnswer::Https(HttpsError::Certificate(words.into())).trouble();
        assert_eq!(trouble("a certificate is not valid yet").kind, Kind::Clock);
        assert_eq!(trouble("the certificate is for another host").kind, Kind::Untrusted);
        assert_eq!(NoAnswer::Https(HttpsError::TimedOut).trouble().kind, Kind::Unreachable);
    }
}
