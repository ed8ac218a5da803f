//! What Pebble cannot be made to do: an authority that asks to wait, one whose clock is another, and one
//! that answers with a web page. All else is tried with Pebble itself, in the flows.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use async_trait::async_trait;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, post};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use serde_json::json;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::net::TcpListener;
use wardpost_acme::{Acme, Kind, Names, Parts, Settings, Status, Way, Wish, open_tls};
use wardpost_dns::{Dnssec, FakeOwn, FakeResolver};
use wardpost_mail::Domain;
use wardpost_net::{Https, ServerTls, SetUpCertificate, Stream};
use wardpost_publish::KeyPlan;
use wardpost_store::Store;
use wardpost_verdict::Roots;

/// An authority that makes accounts, and answers every order in one way.
#[derive(Clone)]
struct Authority {
    address: SocketAddr,
    orders: Arc<AtomicUsize>,
    answer: fn(usize) -> Response,
}

impl Authority {
    async fn start(dir: &Path, answer: fn(usize) -> Response) -> (Self, Https) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let root = params.self_signed(&key).unwrap();
        let issuer = Issuer::new(params, key);
        let own = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        let (certificate, file) = (dir.join("cert.pem"), dir.join("key.pem"));
        std::fs::write(&certificate, leaf.signed_by(&own, &issuer).unwrap().pem()).unwrap();
        std::fs::write(&file, own.serialize_pem()).unwrap();
        let tls = ServerTls::from_pem_files(&certificate, &file).unwrap();
        let mut roots = Roots::new();
        roots.add(root.der()).unwrap();

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let this = Self { address, orders: Arc::default(), answer };
        let pages = Router::new()
            .route("/dir", any(directory))
            .route("/nonce", any(|| async { [("Replay-Nonce", "abc")] }))
            .route("/account", post(account))
            .route("/order", post(order))
            .with_state(this.clone());
        tokio::spawn(async move {
            loop {
                let tcp = listener.accept().await.unwrap().0;
                let (tls, pages) = (tls.clone(), pages.clone());
                tokio::spawn(async move {
                    let stream = Stream::Plain(tcp).upgrade_server(&tls, &[]).await.unwrap();
                    let service = TowerToHyperService::new(pages);
                    let builder = Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        (this, Https::new(&roots).unwrap())
    }

    fn at(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }

    fn orders(&self) -> usize {
        self.orders.load(Ordering::SeqCst)
    }
}

async fn directory(State(authority): State<Authority>) -> String {
    let at = |path| authority.at(path);
    json!({ "newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order") })
        .to_string()
}

async fn account(State(authority): State<Authority>) -> Response {
    let fields = [("Location", authority.at("/account/1")), ("Replay-Nonce", "abc".to_owned())];
    (StatusCode::CREATED, fields, "{}").into_response()
}

async fn order(State(authority): State<Authority>) -> Response {
    (authority.answer)(authority.orders.fetch_add(1, Ordering::SeqCst))
}

struct Nobody;

#[async_trait]
impl Names for Nobody {
    async fn others(&self) -> Vec<(Domain, Option<bool>)> {
        Vec::new()
    }
}

async fn acme(authority: &Authority, https: Https, store: &Store, dir: &Path) -> Acme {
    let host = Domain::parse("mail.clinic.test").unwrap();
    let keys = KeyPlan::open(store.clone()).unwrap();
    let tls = open_tls(store, &keys, dir, &host, SetUpCertificate::Ends).unwrap();
    keys.observe(&tls.certificate().public_key_info, SystemTime::now()).await.unwrap();
    let resolver = FakeResolver::new();
    resolver.set_addresses(&host, &["192.0.2.1".parse().unwrap()], Dnssec::Insecure);
    let settings = Settings {
        host,
        directory: authority.at("/dir"),
        contact: None,
        external: None,
        ways: vec![Way::Http, Way::TlsAlpn],
    };
    let parts = Parts {
        store: store.clone(),
        tls,
        keys,
        own: Arc::new(FakeOwn::new()),
        resolver: Arc::new(resolver),
        https,
        names: Arc::new(Nobody),
    };
    Acme::open(settings, parts).unwrap()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs().cast_signed()
}

fn problem(status: u16, kind: &str, more: &[(&'static str, String)]) -> Response {
    let body = json!({
        "type": format!("urn:ietf:params:acme:error:{kind}"), "detail": "so it is", "status": status,
    });
    let status = StatusCode::from_u16(status).unwrap();
    let mut response =
        (status, [("Content-Type", "application/problem+json")], body.to_string()).into_response();
    for (name, value) in more {
        response.headers_mut().insert(*name, value.parse().unwrap());
    }
    response
}

fn failed(status: &Status) -> Kind {
    status.last_failure.as_ref().unwrap().kind
}

#[tokio::test]
async fn an_authority_that_asks_to_wait_is_left_alone_across_restarts_and_wishes() {
    let dir = tempfile::tempdir().unwrap();
    let answer = |_| problem(429, "rateLimited", &[("Retry-After", "7200".to_owned())]);
    let (authority, https) = Authority::start(dir.path(), answer).await;
    let store = Store::in_memory();
    let first = acme(&authority, https.clone(), &store, dir.path()).await;
    let status = first.renew(Wish::default()).await;
    assert_eq!((failed(&status), authority.orders()), (Kind::RateLimited, 1));
    assert!((7190..=7210).contains(&(status.next_try.unwrap() - now())), "{status:?}");
    assert!(status.last_failure.unwrap().says.contains("so it is"));
    // Neither by asking nor by starting again.
    assert_eq!(first.renew(Wish::default()).await.failures, 1);
    let again = acme(&authority, https, &store, dir.path()).await;
    let running = tokio::spawn(again.clone().run());
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    running.abort();
    assert_eq!((authority.orders(), again.status().failures), (1, 1));
}

#[tokio::test]
async fn a_port_that_is_shut_stays_the_news_when_the_authority_wants_no_more_tries() {
    let dir = tempfile::tempdir().unwrap();
    let answer = |n| match n {
        0 => {
            let name = json!({ "type": "dns", "value": "mail.clinic.test" });
            let kind = "urn:ietf:params:acme:error:connection";
            let sub = json!({ "type": kind, "detail": "timeout", "identifier": name });
            let body = json!({ "type": kind, "status": 400, "subproblems": [sub] }).to_string();
            let fields = [("Content-Type", "application/problem+json"), ("Replay-Nonce", "abc")];
            (StatusCode::BAD_REQUEST, fields, body).into_response()
        }
        _ => problem(429, "rateLimited", &[("Retry-After", "7200".to_owned())]),
    };
    let (authority, https) = Authority::start(dir.path(), answer).await;
    let acme = acme(&authority, https, &Store::in_memory(), dir.path()).await;
    // In the same attempt, and in later ones: whoever has opened the port may ask again at once.
    for orders in [2, 3, 4] {
        let status = acme.renew(Wish::default()).await;
        assert_eq!((failed(&status), authority.orders()), (Kind::NotReachable, orders));
        assert!((7190..=7210).contains(&(status.next_try.unwrap() - now())), "{status:?}");
        let failed = status.last_failure.unwrap();
        assert!(failed.says.contains("could not connect"), "{failed:?}");
        assert_eq!(failed.says.matches("asks to wait").count(), 1, "{failed:?}");
        assert!(failed.to_do.contains("port 80"), "{failed:?}");
    }
}

#[tokio::test]
async fn a_clock_that_is_far_off_is_what_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let answer = |_| {
        let ahead = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(2);
        let date = ahead.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        problem(400, "malformed", &[("Date", date)])
    };
    let (authority, https) = Authority::start(dir.path(), answer).await;
    let status =
        acme(&authority, https, &Store::in_memory(), dir.path()).await.renew(Wish::default()).await;
    assert_eq!(failed(&status), Kind::Clock);
    let failed = status.last_failure.unwrap();
    assert!(failed.says.contains("slow") && failed.to_do.contains("clock"), "{failed:?}");
    // A minute is the shortest pause, a quarter more or less the chance.
    assert!((59..=91).contains(&(status.next_try.unwrap() - now())));
}

#[tokio::test]
async fn a_web_page_in_place_of_an_answer_is_trouble_of_the_authoritys() {
    let dir = tempfile::tempdir().unwrap();
    let answer = |_| (StatusCode::BAD_GATEWAY, "<html>out to lunch</html>").into_response();
    let (authority, https) = Authority::start(dir.path(), answer).await;
    let acme = acme(&authority, https, &Store::in_memory(), dir.path()).await;
    let status = acme.renew(Wish::default()).await;
    assert_eq!(failed(&status), Kind::Authority);
    assert_eq!(acme.renew(Wish::default()).await.failures, 2);
}

#[tokio::test]
async fn names_that_the_answer_blames_are_not_the_hosts_to_bear() {
    let dir = tempfile::tempdir().unwrap();
    let answer = |_| problem(403, "rejectedIdentifier", &[]);
    let (authority, https) = Authority::start(dir.path(), answer).await;
    let acme = acme(&authority, https, &Store::in_memory(), dir.path()).await;
    let status = acme.renew(Wish::default()).await;
    // It is the only name, so nothing is left out.
    assert_eq!(failed(&status), Kind::Refused);
    assert!(status.left_out.is_empty());
}
