//! A site of a few routers, asked as a browser would.

use super::*;
use axum::body::{Body, to_bytes};
use axum::extract::Form;
use axum::http::Method;
use axum::routing::post;
use std::collections::HashMap;

async fn site() -> (Arc<Site>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(dir.path(), &Domain::parse("mail.clinic.test").unwrap());
    let form = |Form(form): Form<HashMap<String, String>>| async move { format!("{form:?}") };
    let site = Site::builder(
        Shell::new("Elm Street Practice", Some("+1 (555) 0100")),
        Redirects::To("https://mail.clinic.test".to_owned()),
    )
    .pages(Router::new().route("/", get(|| async { "landing" })), |path| {
        (path == "/").then_some("landing")
    })
    .pages(Router::new().route("/staff", post(form)), |path| {
        path.starts_with("/staff").then_some("staff")
    })
    .host("mta-sts", Router::new().route("/.well-known/mta-sts.txt", get(|| async { "policy" })))
    .host("autoconfig", Router::new().route("/mail", get(|| async { "autoconfig" })))
    .domains(|domain| domain.as_str() == "clinic.test")
    .clear(Router::new().route("/.well-known/acme-challenge/{token}", get(|| async { "proof" })))
    .build(&tls.unwrap())
    .unwrap();
    (site, dir)
}

async fn text(router: Router, method: Method, host: &str, path: &str) -> (u16, String) {
    let request = Request::builder().method(method).uri(path).header(header::HOST, host);
    let response = router.oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn each_host_answers_its_own_paths() {
    let (site, _dir) = site().await;
    let ask = async |host: &str, path: &str| text(site.router(), Method::GET, host, path).await;
    assert_eq!(ask("mail.clinic.test", "/").await, (200, "landing".into()));
    let policy = "/.well-known/mta-sts.txt";
    assert_eq!(ask("MTA-STS.clinic.test:8443", policy).await, (200, "policy".into()));
    assert_eq!(ask("autoconfig.clinic.test", "/mail").await, (200, "autoconfig".into()));
    for (host, path) in [
        ("mail.clinic.test", policy),
        ("mta-sts.other.test", policy),
        ("mta-sts.clinic.test", "/"),
        ("mta-sts.clinic.test", "/mail"),
        ("autoconfig.clinic.test", "/"),
        ("mail.clinic.test", "/nowhere"),
    ] {
        let (status, body) = ask(host, path).await;
        assert_eq!(status, 404, "{host}{path}");
        assert!(body.contains("Elm Street Practice") && body.contains("tel:+15550100"));
    }
    let (status, body) = text(site.router(), Method::POST, "mail.clinic.test", "/").await;
    assert_eq!(status, 405);
    assert!(body.contains("cannot be used in that way"));
}

#[tokio::test]
async fn in_clear_there_are_redirects_and_what_an_authority_asks_for() {
    let (site, _dir) = site().await;
    let clear = |method, path| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, "any.test");
        site.clear_router().oneshot(request.body(Body::empty()).unwrap())
    };
    let proof = clear(Method::GET, "/.well-known/acme-challenge/x").await.unwrap();
    assert_eq!(proof.status(), 200);
    let moved = clear(Method::GET, "/staff").await.unwrap();
    assert_eq!(moved.headers()[header::LOCATION], "https://mail.clinic.test/staff");
    assert_eq!(clear(Method::POST, "/staff").await.unwrap().status(), 403);
}

#[tokio::test]
async fn every_answer_is_guarded_and_counted() {
    let (site, _dir) = site().await;
    let registry = Registry::new();
    site.register(&registry).unwrap();
    let send = |site_says: &'static str, body: String| {
        let request = Request::post("/staff")
            .header("sec-fetch-site", site_says)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(body));
        site.router().oneshot(request.unwrap())
    };
    let taken = send("same-origin", "a=b".into()).await.unwrap();
    assert_eq!(taken.status(), 200);
    assert_eq!(taken.headers()[header::CACHE_CONTROL], "no-store");
    assert!(
        taken.headers()[header::CONTENT_SECURITY_POLICY].as_bytes().starts_with(b"default-src")
    );
    assert_eq!(send("cross-site", "a=b".into()).await.unwrap().status(), 403);
    let large = send("same-origin", format!("a={}", "b".repeat(SMALL_FORM))).await.unwrap();
    assert_eq!(large.status(), 413);
    assert!(is_page(&large));
    let counts = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in ["status=\"200\"} 1", "status=\"403\"} 1", "status=\"413\"} 1"] {
        assert!(counts.contains(&format!("{{page=\"staff\",{line}")), "{counts}");
    }
}

#[tokio::test]
async fn scripts_are_our_own_files_where_a_page_asks_for_them() {
    let page = crate::with_script(Response::default());
    let policy = page.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
    assert!(policy.contains("script-src 'self';") && policy.starts_with("default-src 'none'"));
    let (site, _dir) = site().await;
    let (status, script) = text(site.router(), Method::GET, "mail.clinic.test", "/copy.js").await;
    assert_eq!(status, 200);
    assert!(script.contains("data-copy"));
}
