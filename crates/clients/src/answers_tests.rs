use super::*;
use axum::body::{Body, to_bytes};
use axum::http::Method;
use tower::ServiceExt;

fn settings() -> Settings {
    Settings {
        hostname: Domain::parse("mail.clinic.test").unwrap(),
        domain: Domain::parse("clinic.test").unwrap(),
        practice: "Elm & Oak <Clinic>".to_owned(),
        imaps: Some(993),
        submissions: Some(465),
        submission: Some(587),
    }
}

fn clients(settings: Settings) -> Clients {
    let directory = tempfile::tempdir().unwrap();
    let tls = ServerTls::self_signed(directory.path(), &settings.hostname).unwrap();
    Clients::new(settings, &tls, |domain| matches!(domain.as_str(), "clinic.test" | "branch.test"))
}

async fn ask(
    clients: &Clients,
    method: Method,
    uri: &str,
    host: &str,
    body: &str,
) -> (u16, String) {
    let request = Request::builder().method(method).uri(uri).header(header::HOST, host);
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = clients.router().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get_from(clients: &Clients, uri: &str, host: &str) -> (u16, String) {
    ask(clients, Method::GET, uri, host, "").await
}

#[tokio::test]
async fn thunderbird_learns_what_is_on() {
    let all = clients(settings());
    for (uri, host, domain) in [
        (
            "/mail/config-v1.1.xml?emailaddress=dana@clinic.test",
            "autoconfig.clinic.test",
            "clinic.test",
        ),
        (
            "/mail/config-v1.1.xml?emailaddress=x%40branch.test",
            "autoconfig.branch.test",
            "branch.test",
        ),
        (
            "/mail/config-v1.1.xml?emailaddress=%EMAILADDRESS%",
            "autoconfig.branch.test:443",
            "branch.test",
        ),
        ("/.well-known/autoconfig/mail/config-v1.1.xml", "mail.clinic.test", "clinic.test"),
        ("/.well-known/autoconfig/mail/config-v1.1.xml", "BRANCH.test", "branch.test"),
    ] {
        let (status, text) = get_from(&all, uri, host).await;
        assert_eq!(status, 200, "{uri} {host}");
        assert!(text.contains(&format!("<emailProvider id=\"{domain}\">")), "{text}");
        for wanted in ["<port>993</port>", "<port>465</port>", "<port>587</port>", "STARTTLS"] {
            assert!(text.contains(wanted), "{wanted} in {text}");
        }
        assert!(!text.contains("<Clinic>") && !text.contains("plain"), "{text}");
    }
    let few = clients(Settings { submissions: None, imaps: None, ..settings() });
    let (_, text) = get_from(&few, "/mail/config-v1.1.xml?emailaddress=a@clinic.test", "x").await;
    assert!(text.contains("587") && !text.contains("465") && !text.contains("imap"), "{text}");
}

#[tokio::test]
async fn who_exists_is_told_to_nobody() {
    let clients = clients(settings());
    let uri = |who: &str| format!("/mail/config-v1.1.xml?emailaddress={who}@clinic.test");
    let (_, one) = get_from(&clients, &uri("dana"), "autoconfig.clinic.test").await;
    let (_, other) = get_from(&clients, &uri("nobody-at-all"), "autoconfig.clinic.test").await;
    assert_eq!(one, other);
    let foreign = get_from(&clients, "/mail/config-v1.1.xml?emailaddress=a@else.test", "x").await;
    assert_eq!(foreign.0, 404);
    let (status, _) = get_from(&clients, "/mail/config-v1.1.xml", "autoconfig.else.test").await;
    assert_eq!(status, 404);
}

fn outlook(address: &str) -> String {
    format!(
        "<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006\">\
         <Request><EMailAddress>{address}</EMailAddress></Request></Autodiscover>"
    )
}

#[tokio::test]
async fn outlook_learns_the_same() {
    let clients = clients(settings());
    for path in AUTODISCOVER {
        let (status, text) =
            ask(&clients, Method::POST, path, "x", &outlook("o&amp;k@clinic.test")).await;
        assert_eq!(status, 200);
        assert_eq!(text.matches("<Protocol>").count(), 2, "{text}");
        assert!(
            text.contains("<Type>IMAP</Type>") && text.contains("<Encryption>SSL</Encryption>")
        );
        assert!(text.contains("<LoginName>o&#38;k@clinic.test</LoginName>"), "{text}");
        assert_eq!(Clients::page_name(path), Some("autodiscover"));
    }
    let later = Settings { submissions: None, ..settings() };
    let (_, text) =
        ask(&self::clients(later), Method::POST, AUTODISCOVER[0], "x", &outlook("a@clinic.test"))
            .await;
    assert!(text.contains("<Port>587</Port>") && text.contains("<Encryption>TLS</Encryption>"));
}

#[tokio::test]
async fn other_questions_get_an_error_in_exchanges_form() {
    let clients = clients(settings());
    let foreign = outlook("a@else.test");
    for (method, body) in
        [(Method::GET, ""), (Method::POST, "nonsense"), (Method::POST, foreign.as_str())]
    {
        let (status, text) = ask(&clients, method, AUTODISCOVER[0], "x", body).await;
        assert_eq!(status, 200);
        assert!(text.contains("<ErrorCode>600</ErrorCode>"), "{text}");
    }
}

#[tokio::test]
async fn newer_outlooks_are_told_where_to_ask() {
    let clients = clients(settings());
    for uri in [
        "/autodiscover/autodiscover.json/v1.0/dana@clinic.test?Protocol=AutodiscoverV1",
        "/autodiscover/autodiscover.json?Email=dana%40clinic.test&Protocol=autodiscoverv1",
    ] {
        let (status, text) = get_from(&clients, uri, "x").await;
        assert_eq!(status, 200);
        let url = "\"Url\":\"https://mail.clinic.test/autodiscover/autodiscover.xml\"";
        assert!(text.contains(url), "{text}");
    }
    let uri = "/autodiscover/autodiscover.json/v1.0/dana@clinic.test?Protocol=ActiveSync";
    let (status, text) = get_from(&clients, uri, "x").await;
    assert!(status == 400 && text.contains("ProtocolNotSupported"), "{text}");
}
