//! The HTTPS client against a server on loopback that means well, or does not.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod pages;

use pages::{Page, Pages, Shown};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use wardpost_mail::Domain;
use wardpost_net::{Https, HttpsError, HttpsLimits, HttpsResponse, HttpsTarget};
use wardpost_verdict::Roots;

const HOST: &str = "mta-sts.far.test";
const LIMITS: HttpsLimits = HttpsLimits { body: 1000, time: Duration::from_secs(30) };

async fn get_from(
    addresses: &[SocketAddr],
    roots: &Roots,
    limits: HttpsLimits,
) -> Result<HttpsResponse, HttpsError> {
    let host = Domain::parse(HOST).unwrap();
    let target = HttpsTarget { host: &host, addresses, path: "/a/b?c=d" };
    Https::new(roots).unwrap().get(target, limits).await
}

async fn get(server: &Pages) -> Result<HttpsResponse, HttpsError> {
    get_from(&[server.address], &server.roots, LIMITS).await
}

/// An address where nobody listens.
async fn deserted() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn a_page_is_fetched() {
    let server = Pages::start(HOST, Page::text("hello")).await;
    let response = get(&server).await.unwrap();
    assert_eq!((response.status, response.body.as_slice()), (200, &b"hello"[..]));
    assert!(response.is_of_type("text/plain"));
    let [request] = server.requests().try_into().unwrap();
    let port = server.address.port();
    let begin = format!("GET /a/b?c=d HTTP/1.1\r\nhost: mta-sts.far.test:{port}\r\n");
    assert!(request.starts_with(&begin), "{request}");
    assert!(!request.contains("cookie") && request.ends_with("\r\n\r\n"), "{request}");
    for field in ["user-agent: Wardpost", "accept-encoding: identity", "connection: close"] {
        assert!(request.contains(&format!("\r\n{field}\r\n")), "{request}");
    }
}

#[tokio::test]
async fn whose_page_it_is_cannot_be_said_otherwise() {
    let server = Pages::start(HOST, Page::text("hello")).await;
    let request = hyper::Request::head("https://other.test/a?b")
        .header("accept", "text/plain")
        .header("host", "other.test")
        .body(hyper::body::Bytes::new())
        .unwrap();
    let https = Https::new(&server.roots).unwrap();
    assert!(https.exchange(HOST, &[server.address], request, LIMITS).await.is_ok());
    let [request] = server.requests().try_into().unwrap();
    let begin = format!("HEAD /a?b HTTP/1.1\r\nhost: {HOST}:{}\r\n", server.address.port());
    assert!(request.starts_with(&begin) && !request.contains("other.test"), "{request}");
    assert!(request.contains("\r\naccept: text/plain\r\n"), "{request}");
}

#[tokio::test]
async fn a_report_is_posted() {
    let server = Pages::start(HOST, Page::of("201 Created", "text/html", "")).await;
    let host = Domain::parse(HOST).unwrap();
    let addresses = [server.address];
    let target = HttpsTarget { host: &host, addresses: &addresses, path: "/v1/report" };
    let https = Https::new(&server.roots).unwrap();
    let body = vec![b'z'; 5000];
    let posted = https.post(target, "application/tlsrpt+gzip", body.clone(), LIMITS).await;
    assert_eq!(posted.unwrap().status, 201);
    let [request] = server.requests().try_into().unwrap();
    assert!(request.starts_with("POST /v1/report HTTP/1.1\r\n"));
    assert!(request.contains("content-type: application/tlsrpt+gzip\r\n"), "{request}");
    assert!(request.as_bytes().ends_with(&[b"\r\n\r\n", body.as_slice()].concat()));
}

#[tokio::test]
async fn certificates_that_do_not_verify_get_no_request() {
    let server = Pages::start(HOST, Page::text("secret")).await;
    for (name, shown, words) in [
        ("far.test", Shown::Good, "another host"),
        ("*.other.test", Shown::Good, "another host"),
        (HOST, Shown::Expired, "expired"),
        (HOST, Shown::Early, "not valid yet"),
        (HOST, Shown::SelfSigned, "trusted authority"),
    ] {
        server.show(name, shown);
        match get(&server).await {
            Err(HttpsError::Certificate(reason)) => assert!(reason.contains(words), "{reason}"),
            other => panic!("{name} {shown:?}: {other:?}"),
        }
    }
    server.show(HOST, Shown::Good);
    let nobody = get_from(&[server.address], &Roots::new(), LIMITS).await;
    assert!(matches!(nobody, Err(HttpsError::Certificate(_))), "{nobody:?}");
    assert_eq!(server.requests().len(), 0, "nothing is said to whom nothing is known about");
    // A wildcard stands for one label (RFC 8461 §3.3).
    server.show("*.far.test", Shown::Good);
    assert_eq!(get(&server).await.unwrap().status, 200);
}

#[tokio::test]
async fn redirects_and_errors_are_answers() {
    let server = Pages::start(HOST, Page::Silence).await;
    let redirect = "HTTP/1.1 302 Found\r\nLocation: https://mta-sts.far.test/other\r\n\
                    Content-Length: 0\r\n\r\n";
    server.answer(Page::Raw(redirect.into()));
    assert_eq!(get(&server).await.unwrap().status, 302);
    server.answer(Page::of("404 Not Found", "text/html", "no"));
    let response = get(&server).await.unwrap();
    assert_eq!(response.status, 404);
    assert!(!response.is_of_type("text/plain"));
    assert_eq!(server.connections(), 2, "nothing was followed");
}

#[tokio::test]
async fn bodies_are_bounded() {
    let server = Pages::start(HOST, Page::text(&"x".repeat(1000))).await;
    assert_eq!(get(&server).await.unwrap().body.len(), 1000);
    server.answer(Page::text(&"x".repeat(1001)));
    assert_eq!(get(&server).await, Err(HttpsError::TooLarge));
    let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    server.answer(Page::Endless(chunked, b"5\r\nhello\r\n".to_vec()));
    assert_eq!(get(&server).await, Err(HttpsError::TooLarge));
    server.answer(Page::Endless(b"HTTP/1.1 200 OK\r\n\r\n".to_vec(), b"hello".to_vec()));
    assert_eq!(get(&server).await, Err(HttpsError::TooLarge));
}

#[tokio::test]
async fn heads_are_bounded() {
    let server = Pages::start(HOST, Page::Silence).await;
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let one_field = [&head[..], b"X-Large: ", &[b'x'; 100_000], b"\r\n\r\n"].concat();
    server.answer(Page::Raw(one_field));
    assert_eq!(get(&server).await, Err(HttpsError::TooLarge));
    server.answer(Page::Endless(head.clone(), b"X: y\r\n".to_vec()));
    assert_eq!(get(&server).await, Err(HttpsError::TooLarge));
    server.answer(Page::Endless(Vec::new(), b"HTTP/1.1 100 Continue\r\n\r\n".to_vec()));
    let limits = HttpsLimits { time: Duration::from_millis(300), ..LIMITS };
    let endless = get_from(&[server.address], &server.roots, limits).await;
    assert_eq!(endless, Err(HttpsError::TimedOut));
}

#[tokio::test]
async fn time_is_bounded() {
    let limits = HttpsLimits { time: Duration::from_millis(400), ..LIMITS };
    let head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    let server = Pages::start(HOST, Page::Silence).await;
    for page in [Page::Silence, Page::Drip(head), Page::Drip(b"HTTP/1.1 200 OK".to_vec())] {
        server.answer(page);
        let late = get_from(&[server.address], &server.roots, limits).await;
        assert!(matches!(late, Err(HttpsError::TimedOut | HttpsError::Answer(_))), "{late:?}");
    }
    // Somebody who takes the connection and does not shake hands.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let late = get_from(&[address], &server.roots, limits).await;
    assert_eq!(late, Err(HttpsError::TimedOut));
}

#[tokio::test]
async fn what_is_no_answer_is_an_error() {
    let server = Pages::start(HOST, Page::Silence).await;
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n").into_bytes();
    for octets in [
        b"220 mail.far.test ESMTP\r\n".to_vec(),
        Vec::new(),
        with("Content-Length: 10\r\n"),
        with("Transfer-Encoding: chunked\r\n"),
        with("Content-Length: 1\r\nContent-Length: 2\r\n"),
        with("Content-Encoding: gzip\r\nContent-Length: 0\r\n"),
        with("Content-Encoding: identity\r\nContent-Encoding: br\r\nContent-Length: 0\r\n"),
    ] {
        server.answer(Page::Raw(octets.clone()));
        let answer = get(&server).await;
        let shown = String::from_utf8_lossy(&octets);
        assert!(matches!(answer, Err(HttpsError::Answer(_))), "{shown}: {answer:?}");
    }
    let twice =
        with("Content-Type: text/plain\r\nContent-Type: text/html\r\nContent-Length: 0\r\n");
    server.answer(Page::Raw(twice));
    assert_eq!(get(&server).await.unwrap().content_type, None, "two types are none");
}

#[tokio::test]
async fn the_next_address_is_tried_and_the_worst_error_told() {
    let server = Pages::start(HOST, Page::text("hello")).await;
    let nobody = deserted().await;
    let roots = &server.roots;
    assert!(get_from(&[nobody, server.address], roots, LIMITS).await.is_ok());
    assert_eq!(get_from(&[], roots, LIMITS).await, Err(HttpsError::NoAddress));
    let refused = get_from(&[nobody], roots, LIMITS).await;
    assert!(matches!(refused, Err(HttpsError::Connect(_))), "{refused:?}");
    server.show(HOST, Shown::Expired);
    let told = get_from(&[server.address, nobody], roots, LIMITS).await;
    assert!(matches!(told, Err(HttpsError::Certificate(_))), "{told:?}");
}

#[tokio::test]
async fn who_speaks_no_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let plain = tokio::spawn(async move {
        let (mut tcp, _) = listener.accept().await.unwrap();
        tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        let _ = tcp.read_to_end(&mut Vec::new()).await;
    });
    let answer = get_from(&[address], &Roots::new(), LIMITS).await;
    assert!(matches!(answer, Err(HttpsError::Tls(_))), "{answer:?}");
    plain.abort();
}

#[tokio::test]
async fn requests_that_would_be_two_are_refused() {
    let server = Pages::start(HOST, Page::text("hello")).await;
    let (host, addresses) = (Domain::parse(HOST).unwrap(), [server.address]);
    let https = Https::new(&server.roots).unwrap();
    for path in ["", "no/slash", "/a b", "/a\r\nX: y", "https://other.test/"] {
        let target = HttpsTarget { host: &host, addresses: &addresses, path };
        assert_eq!(https.get(target, LIMITS).await, Err(HttpsError::Request), "{path:?}");
    }
    let target = HttpsTarget { host: &host, addresses: &addresses, path: "/" };
    let posted = https.post(target, "text/plain\r\nX: y", Vec::new(), LIMITS).await;
    assert_eq!(posted, Err(HttpsError::Request));
    assert_eq!(server.connections(), 0);
}

#[test]
fn media_types_are_compared_without_parameters() {
    let is_text = |content_type: Option<&str>| {
        let content_type = content_type.map(str::to_owned);
        HttpsResponse { status: 200, content_type, body: Vec::new() }.is_of_type("text/plain")
    };
    assert!(is_text(Some("text/plain")) && is_text(Some("Text/Plain; charset=utf-8")));
    assert!(is_text(Some("text/plain ;charset=us-ascii;x=y")));
    assert!(!is_text(None) && !is_text(Some("text/html")) && !is_text(Some("text/plainx")));
}
