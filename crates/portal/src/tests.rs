//! The pages as a browser meets them, on a real store, directory, mailboxes and parcels.

use crate::{Portal, Settings};
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode, header};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;
use wardpost_directory::{Directory, NewAccount, Options, Way};
use wardpost_keys::KdfCost;
use wardpost_mail::{AccountId, Address, Domain, Secret};
use wardpost_mailbox::{Mailboxes, SpecialUse, UidRange};
use wardpost_message::render::{Readable, readable};
use wardpost_message::{Summary, headers};
use wardpost_net::{Accepted, ClientTls, ServerTls, Shutdown, Stream};
use wardpost_parcel::{Created, Credential, NewParcel, ParcelState, Parcels};
use wardpost_publish::OwnPolicy;
use wardpost_store::Store;
use wardpost_verdict::StsMode;
use wardpost_web::{Connection, Redirects, Shell, Site};

const PASSWORD: &str = "correct battery of staples";

const MAIL: &str = "From: \"Dana Lee, MD\" <dana@clinic.test>\r\nTo: lee@example.test\r\n\
    Subject: CANARY results <script>\r\nDate: Sun, 22 Nov 2026 10:10:00 -0500\r\n\
    Message-ID: <17@clinic.test>\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n\
    --m\r\nContent-Type: multipart/alternative; boundary=a\r\n\r\n\
    --a\r\nContent-Type: text/plain\r\n\r\nYour <b>result</b> is fine.\r\n\
    --a\r\nContent-Type: text/html\r\n\r\n<p onclick=x>Your result is <b>fine</b>.\
    <img src=\"https://tracker.test/x.gif\"><script>alert(1)</script>\r\n--a--\r\n\
    --m\r\nContent-Type: text/html\r\nContent-Disposition: attachment; filename=\"r\u{e9}sultat.html\"\r\n\r\n\
    <script>alert(2)</script>\r\n--m--\r\n";

struct House {
    portal: Arc<Portal>,
    site: Arc<Site>,
    directory: Directory,
    mailboxes: Mailboxes,
    parcels: Parcels,
    dana: AccountId,
    _certificates: tempfile::TempDir,
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

impl House {
    async fn new() -> Self {
        let domain = Domain::parse("clinic.test").unwrap();
        let store = Store::in_memory();
        let directory =
            Directory::open_with(store.clone(), &domain, Options::for_tests()).await.unwrap();
        directory.initialise().await.unwrap();
        let new = NewAccount {
            address: address("dana@clinic.test"),
            name: "Dana Lee, MD".into(),
            password: Secret::new(PASSWORD.into()),
            administrator: false,
        };
        let dana = directory.add_account(new).await.unwrap();
        let options = wardpost_parcel::Options {
            kdf_cost: KdfCost::Test,
            ..wardpost_parcel::Options::default()
        };
        let parcels = Parcels::open(store.clone(), options);
        let mailboxes = Mailboxes::new(store);
        let certificates = tempfile::tempdir().unwrap();
        let hostname = Domain::parse("mail.clinic.test").unwrap();
        let tls = ServerTls::self_signed(certificates.path(), &hostname).unwrap();
        let settings = Settings {
            url: "https://mail.clinic.test".into(),
            practice: "Elm Street Practice".into(),
            phone: Some("+1 555 0100".into()),
            hostname,
            max_answer: 1 << 20,
            mta_sts: Some(OwnPolicy {
                mode: StsMode::Enforce,
                max_age: Duration::from_secs(86_400),
                host: Domain::parse("mail.clinic.test").unwrap(),
            }),
        };
        let portal =
            Portal::new(settings, directory.clone(), mailboxes.clone(), parcels.clone(), &tls);
        let ours = directory.clone();
        let site = Site::builder(
            Shell::new("Elm Street Practice", Some("+1 555 0100")),
            Redirects::To("https://mail.clinic.test".into()),
        )
        .pages(portal.router(), Portal::page_name)
        .host("mta-sts", portal.policy_router())
        .domains(move |domain| ours.is_ours(domain))
        .build(&tls)
        .unwrap();
        Self { portal, site, directory, mailboxes, parcels, dana, _certificates: certificates }
    }

    async fn parcel(&self) -> (String, String) {
        let (created, code) = self.parcel_until(None).await;
        (created.link_token.expose().clone(), code)
    }

    async fn parcel_until(&self, expires: Option<SystemTime>) -> (Created, String) {
        let recipient = address("lee@example.test");
        let new = NewParcel {
            sender: self.dana,
            recipient: &recipient,
            message: MAIL.as_bytes(),
            expires,
        };
        let (created, _) = self.parcels.create(new).await.unwrap();
        let code = match &created.credential {
            Credential::NewCode(code) => code.expose().clone(),
            _ => String::new(),
        };
        (created, code)
    }

    async fn ask(&self, request: Request<Body>) -> Answer {
        let mut request = request;
        let peer: IpAddr = "192.0.2.77".parse().unwrap();
        request.extensions_mut().insert(Connection { peer, tls: Some("TLSv1.3 X".into()) });
        let response = self.site.router().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: String::from_utf8_lossy(&body).into_owned(),
        }
    }

    async fn get(&self, path: &str, cookie: &str) -> Answer {
        let request = Request::get(path).header(header::COOKIE, cookie).body(Body::empty());
        self.ask(request.unwrap()).await
    }

    async fn post(&self, path: &str, cookie: &str, form: &str) -> Answer {
        let request = Request::post(path)
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        self.ask(request.unwrap()).await
    }

    async fn upload(&self, path: &str, cookie: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::post(path)
            .header(header::COOKIE, cookie)
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=XX")
            .body(Body::from(multipart(fields)));
        self.ask(request.unwrap()).await
    }

    /// Opens a parcel: the message page's path and the cookie.
    async fn open(&self) -> (String, String) {
        let (token, code) = self.parcel().await;
        let answer = self.post(&format!("/p/{token}"), "", &format!("code={code}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        (answer.header("location").to_owned(), cookie)
    }

    /// What lies in Dana's INBOX.
    async fn inbox(&self) -> Vec<Vec<u8>> {
        let peer = "192.0.2.1".parse().unwrap();
        let password = Secret::new(PASSWORD.to_owned());
        let login =
            self.directory.authenticate("dana", &password, peer, Way::MailProgram).await.unwrap();
        let mail = self.mailboxes.open(login.account.id, login.unlocked.clone());
        mail.prepare().await.unwrap();
        let inbox = mail.special(SpecialUse::Inbox).unwrap().id;
        let mut list = mail.summaries(inbox, vec![UidRange::ALL]);
        let mut out = Vec::new();
        while let Some(batch) = list.next().await {
            for (uid, _) in batch.unwrap() {
                out.push(mail.body(inbox, uid).await.unwrap().to_vec());
            }
        }
        out
    }
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn form_token(&self) -> String {
        let at = self.body.split("name=\"form_token\" value=\"").nth(1).unwrap();
        at.split('"').next().unwrap().to_owned()
    }
}

/// A form with files: names that begin with `file` are files called `scan.png`.
fn multipart(fields: &[(&str, &str)]) -> String {
    let mut out = String::new();
    for (name, value) in fields {
        let file = if name.starts_with("file") {
            "; filename=\"..\\\\scan.png\"\r\nContent-Type: image/png"
        } else {
            ""
        };
        out.push_str(&format!(
            "--XX\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{value}\r\n"
        ));
    }
    out + "--XX--\r\n"
}

#[tokio::test]
async fn a_link_alone_tells_nothing_and_uses_nothing_up() {
    let house = House::new().await;
    let (token, code) = house.parcel().await;
    let ends = SystemTime::now() + Duration::from_millis(30);
    let (expired, _) = house.parcel_until(Some(ends)).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    let first = house.get(&format!("/p/{token}"), "").await;
    assert_eq!(first.status, StatusCode::OK);
    for other in [expired.link_token.expose().as_str(), "AAAA", &"x".repeat(43)] {
        let page = house.get(&format!("/p/{other}"), "").await;
        assert_eq!((page.status, &page.body), (first.status, &first.body));
        assert_eq!(page.headers, first.headers);
    }
    for secret in ["Dana", "lee", "CANARY", &token] {
        assert!(!first.body.contains(secret), "{secret}");
    }
    let head = Request::head(format!("/p/{token}")).body(Body::empty()).unwrap();
    assert_eq!(house.ask(head).await.body, "");
    // A scanner that presses the only button has no code.
    let pressed = house.post(&format!("/p/{token}"), "", "code=&password=").await;
    assert_eq!(pressed.status, StatusCode::BAD_REQUEST);
    let view = house.parcels.list(None).unwrap();
    assert!(view.iter().all(|parcel| parcel.wrong_codes == 0 && parcel.views == 0));
    let opened = house.post(&format!("/p/{token}"), "", &format!("code={code}")).await;
    assert_eq!(opened.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn every_page_is_told_to_load_nothing_from_elsewhere() {
    let house = House::new().await;
    let (page, cookie) = house.open().await;
    let paths = ["/", "/p/x", "/write", "/style.css", "/nowhere", "/left", "/robots.txt", &page];
    for path in paths {
        let answer = house.get(path, &cookie).await;
        let policy = answer.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'"), "{path}: {policy}");
        assert!(policy.contains("base-uri 'none'") && policy.contains("form-action 'self'"));
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert!(answer.header("strict-transport-security").contains("max-age="));
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
        let body = answer.body.to_lowercase();
        assert!(!body.contains("<script") && !body.contains(" style=") && !has_handler(&body));
        assert!(!body.contains("http://") && !body.contains("https://"), "{path}");
        if body.contains("<html") {
            assert!(body.contains("<html lang=\"en\">") && body.contains("<main id=\"main\">"));
        }
    }
}

#[test]
fn page_names_hold_nothing_from_the_path() {
    assert_eq!(Portal::page_name("/"), Some("landing"));
    assert_eq!(Portal::page_name("/p/secret-token"), Some("link"));
    assert_eq!(Portal::page_name("/m/x/file/3"), Some("file"));
    assert_eq!(Portal::page_name("/anything/else"), None);
    assert_eq!(Portal::page_name(""), None);
}

/// Whether there is an attribute such as `onclick=`.
fn has_handler(html: &str) -> bool {
    html.split(" on")
        .skip(1)
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_alphabetic()).starts_with('='))
}

#[tokio::test]
async fn a_message_is_shown_safely() {
    let house = House::new().await;
    let (page, cookie) = house.open().await;
    let message = house.get(&page, &cookie).await;
    assert_eq!(message.status, StatusCode::OK);
    for shown in [
        "CANARY results &#60;script&#62;",
        "Dana Lee, MD, Elm Street Practice",
        "Sunday, November 22, 2026, 10:10\u{a0}AM",
        "Your &#60;b&#62;result&#60;/b&#62; is fine.",
        "One picture from the Internet is not shown",
        "résultat.html",
    ] {
        assert!(message.body.contains(shown), "{shown} in {}", message.body);
    }
    let frame = house.get(&format!("{page}/formatted"), &cookie).await;
    let policy = frame.header("content-security-policy");
    assert!(policy.starts_with("sandbox ") && policy.contains("default-src 'none'"), "{policy}");
    assert!(!policy.contains("allow-same-origin") && !policy.contains("allow-scripts"));
    assert!(frame.body.contains("<b>fine</b>"));
    assert!(!frame.body.contains("script") && !frame.body.contains("tracker.test"));
    let file = house.get(&format!("{page}/file/0"), &cookie).await;
    assert_eq!(file.header("content-type"), "application/octet-stream");
    assert!(file.header("content-disposition").starts_with("attachment; "));
    assert!(file.header("content-security-policy").starts_with("sandbox"));
    assert_eq!(house.get(&format!("{page}/file/1"), &cookie).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_visit_belongs_to_one_browser_and_one_message() {
    let house = House::new().await;
    let (page, cookie) = house.open().await;
    assert_eq!(house.get(&page, "").await.status, StatusCode::FORBIDDEN);
    assert_eq!(house.get(&page, "__Secure-visit=AAAA").await.status, StatusCode::FORBIDDEN);
    assert_eq!(house.get("/m/other", &cookie).await.status, StatusCode::FORBIDDEN);
    let token = house.get(&page, &cookie).await.form_token();
    let without = house.post(&format!("{page}/leave"), &cookie, "form_token=wrong").await;
    assert_eq!(without.status, StatusCode::FORBIDDEN);
    let left = house.post(&format!("{page}/leave"), &cookie, &format!("form_token={token}")).await;
    assert_eq!(left.header("location"), "/left");
    assert!(left.header("set-cookie").contains("Max-Age=0"));
    assert_eq!(house.get(&page, &cookie).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn the_cookie_is_kept_from_everything_but_the_messages_own_pages() {
    let house = House::new().await;
    let (token, code) = house.parcel().await;
    let answer = house.post(&format!("/p/{token}"), "", &format!("code={code}")).await;
    let cookie = answer.header("set-cookie");
    for attribute in ["Secure", "HttpOnly", "SameSite=Strict"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
    assert!(cookie.contains(&format!("Path={}", answer.header("location"))));
    assert!(cookie.starts_with("__Secure-visit="));
}

#[tokio::test]
async fn forms_of_other_sites_are_refused() {
    let house = House::new().await;
    let (token, code) = house.parcel().await;
    let request = Request::post(format!("/p/{token}"))
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header("sec-fetch-site", "cross-site")
        .body(Body::from(format!("code={code}")));
    let answer = house.ask(request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::FORBIDDEN);
    assert!(answer.header("set-cookie").is_empty());
}

#[tokio::test]
async fn an_answer_arrives_sealed_threaded_and_true() {
    let house = House::new().await;
    let (page, cookie) = house.open().await;
    let token = house.get(&page, &cookie).await.form_token();
    let path = format!("{page}/answer");
    let fields = [
        ("form_token", token.as_str()),
        ("text", "Thank you!\nLee"),
        ("file", "\u{1}PNG"),
        ("file2", "b"),
    ];
    let answer = house.upload(&path, &cookie, &fields).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.body);
    let done = house.get(answer.header("location"), &cookie).await;
    assert!(done.body.contains("Your answer was sent"));
    let inbox = house.inbox().await;
    assert_eq!(inbox.len(), 1);
    let raw = &inbox[0];
    assert_eq!(headers::authors(raw).unwrap(), [address("lee@example.test")]);
    assert_eq!(headers::addresses(raw, "To"), [address("dana@clinic.test")]);
    assert_eq!(headers::get(raw, "In-Reply-To").unwrap(), "<17@clinic.test>");
    assert!(headers::get(raw, "Received").unwrap().contains("with HTTPS (TLSv1.3 X)"));
    let results = headers::get(raw, "Authentication-Results").unwrap();
    assert!(results.starts_with("mail.clinic.test;\tauth=pass"), "{results}");
    let read: Readable = readable(raw);
    assert_eq!(read.subject.as_deref(), Some("Re: CANARY results <script>"));
    assert_eq!(read.text.trim(), "Thank you!\nLee");
    let names: Vec<&str> = read.attachments.iter().map(|file| file.name.as_str()).collect();
    assert_eq!(names, ["scan.png", "scan.png"]);
    assert_eq!(house.parcels.list(None).unwrap()[0].state, ParcelState::Answered);
    let _: Summary = wardpost_message::summarise(raw);
}

#[tokio::test]
async fn answers_that_are_empty_forged_or_too_large_are_not_taken() {
    let house = House::new().await;
    let (page, cookie) = house.open().await;
    let token = house.get(&page, &cookie).await.form_token();
    let path = format!("{page}/answer");
    let send = |fields: Vec<(&'static str, String)>| {
        let (house, path, cookie) = (&house, &path, &cookie);
        async move {
            let fields: Vec<(&str, &str)> =
                fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            house.upload(path, cookie, &fields).await
        }
    };
    let empty = send(vec![("form_token", token.clone()), ("text", " \r\n".into())]).await;
    assert_eq!(empty.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(empty.body.contains("Please write something"));
    let forged = send(vec![("form_token", "x".into()), ("text", "hi".into())]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let large = "x".repeat(1_200_000);
    let large = send(vec![("form_token", token.clone()), ("file", large)]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(large.body.contains("larger than 1 MB"), "{}", large.body);
    let many = (0..30).map(|_| ("file", "x".to_owned()));
    let many = send([("form_token", token)].into_iter().chain(many).collect()).await;
    assert_eq!(many.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(house.inbox().await.is_empty());
}

#[tokio::test]
async fn wrong_codes_are_counted_slowed_and_locked() {
    let house = House::new().await;
    let (token, code) = house.parcel().await;
    let path = format!("/p/{token}");
    let wrong = house.post(&path, "", "code=0000-0000").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.body.contains("You can try 9 more times."), "{}", wrong.body);
    let mut last = wrong;
    for _ in 0..5 {
        last = house.post(&path, "", "code=0000-0000").await;
    }
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(last.body.contains("Please wait") && last.body.contains("+1 555 0100"));
    assert!(last.header("retry-after").parse::<u64>().unwrap() >= 1);
    let hurried = house.post(&path, "", &format!("code={code}")).await;
    assert_eq!(hurried.status, StatusCode::TOO_MANY_REQUESTS);
    let nowhere = house.post(&format!("/p/{}", "x".repeat(43)), "", "code=1234-5678").await;
    assert_eq!(nowhere.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn expiry_and_recall_are_explained_to_who_has_the_code() {
    let house = House::new().await;
    let (created, code) = house.parcel_until(None).await;
    house.parcels.recall(created.id).await.unwrap();
    let path = format!("/p/{}", created.link_token.expose());
    let recalled = house.post(&path, "", &format!("code={code}")).await;
    assert_eq!(recalled.status, StatusCode::GONE);
    assert!(recalled.body.contains("taken this message back"));
}

#[tokio::test]
async fn a_password_takes_the_codes_place() {
    let house = House::new().await;
    let (page, cookie) = house.open().await;
    let message = house.get(&page, &cookie).await;
    assert!(message.body.contains("Choose a password"));
    let token = message.form_token();
    let path = format!("{page}/password");
    let set = |password: &str, again: &str| {
        let form = format!("form_token={token}&password={password}&again={again}");
        let (house, path, cookie) = (&house, &path, &cookie);
        async move { house.post(path, cookie, &form).await }
    };
    assert!(set("short", "short").await.body.contains("at least 15 characters"));
    let good = "my+neighbours+blue+bicycle";
    assert!(set(good, "other+other+other+other").await.body.contains("not the same"));
    assert!(set("passwordpassword1", "passwordpassword1").await.body.contains("guess"));
    let done = set(good, good).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert!(
        house.get(done.header("location"), &cookie).await.body.contains("Your password is set")
    );
    let (token, no_code) = house.parcel().await;
    assert_eq!(no_code, "", "no new code is made");
    let wrong = house.post(&format!("/p/{token}"), "", "code=&password=three+blind+mice+x").await;
    assert_eq!(wrong.status, StatusCode::FORBIDDEN);
    assert!(wrong.body.contains("That password is not right"), "{}", wrong.body);
    assert!(wrong.body.contains("<details open>") && !wrong.body.contains("three+blind"));
    let opened = house.post(&format!("/p/{token}"), "", &format!("code=&password={good}")).await;
    assert_eq!(opened.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn the_web_form_reaches_staff_and_says_that_it_proves_nothing() {
    let house = House::new().await;
    let form = |to: &'static str| {
        [
            ("to", to),
            ("name", "Lee\r\nBcc: x@y.test"),
            ("email", "lee@example.test"),
            ("subject", "Question"),
            ("text", "May I come later?"),
        ]
    };
    let unknown = house.upload("/write", "", &form("nobody@clinic.test")).await;
    assert_eq!(unknown.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(unknown.body.contains("May I come later?"), "what was typed is kept");
    let foreign = house.upload("/write", "", &form("dana@example.test")).await;
    assert_eq!(foreign.status, StatusCode::UNPROCESSABLE_ENTITY, "no relaying");
    let sent = house.upload("/write", "", &form("dana@clinic.test")).await;
    assert_eq!(sent.header("location"), "/write?done=1", "{}", sent.body);
    let mut trap = form("dana@clinic.test").to_vec();
    trap.push(("website", "https://spam.test"));
    assert_eq!(house.upload("/write", "", &trap).await.status, StatusCode::SEE_OTHER);
    let inbox = house.inbox().await;
    assert_eq!(inbox.len(), 1);
    let raw = &inbox[0];
    assert_eq!(headers::authors(raw).unwrap(), [address("web-form@clinic.test")]);
    assert_eq!(headers::addresses(raw, "Reply-To"), [address("lee@example.test")]);
    assert!(headers::get(raw, "Bcc").is_none());
    assert_eq!(headers::get(raw, "Authentication-Results").unwrap(), "mail.clinic.test; none");
    assert_eq!(headers::subject(raw).unwrap(), "[web form, not verified] Question");
    assert!(readable(raw).text.contains("Nobody has checked"));
}

#[tokio::test]
async fn pages_are_counted_without_names() {
    let house = House::new().await;
    let registry = prometheus::Registry::new();
    house.portal.register(&registry).unwrap();
    house.site.register(&registry).unwrap();
    let (page, cookie) = house.open().await;
    house.get(&page, &cookie).await;
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "wardpost_parcel_opens_total 1",
        "wardpost_portal_requests_total{page=\"message\",status=\"200\"} 1",
        "wardpost_portal_visits 1",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("lee") && !text.contains(&page));
}

/// Sends a request over a real connection; the whole response.
async fn over_the_wire(house: &House, tls: bool, request: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let local = listener.local_addr().unwrap();
    let (site, shutdown) = (Arc::clone(&house.site), Shutdown::new());
    let serving = tokio::spawn(async move {
        let (stream, peer) = listener.accept().await.unwrap();
        let accepted = Accepted { stream: Stream::Plain(stream), peer, local };
        if tls {
            site.serve_https(accepted, shutdown).await;
        } else {
            site.serve_http(accepted, shutdown).await;
        }
    });
    let mut stream = Stream::Plain(TcpStream::connect(local).await.unwrap());
    if tls {
        let host = Domain::parse("mail.clinic.test").unwrap();
        let client = ClientTls::new().unwrap();
        (stream, _) = stream.upgrade_client(&client, &host, &[]).await.unwrap();
    }
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = Vec::new();
    stream.read_to_end(&mut response).await.unwrap();
    drop(stream);
    serving.await.unwrap();
    String::from_utf8(response).unwrap()
}

#[tokio::test]
async fn pages_come_over_tls_and_clear_text_gets_a_redirect_only() {
    let house = House::new().await;
    let (token, _) = house.parcel().await;
    let request =
        format!("GET /p/{token} HTTP/1.1\r\nHost: mail.clinic.test\r\nConnection: close\r\n\r\n");
    let secure = over_the_wire(&house, true, &request).await;
    assert!(secure.starts_with("HTTP/1.1 200 OK\r\n"), "{secure}");
    assert!(secure.contains("Elm Street Practice"));
    let clear = over_the_wire(&house, false, &request).await;
    assert!(clear.starts_with("HTTP/1.1 301 "), "{clear}");
    assert!(clear.contains(&format!("location: https://mail.clinic.test/p/{token}\r\n")));
    assert!(!clear.contains("Elm"));
}

#[tokio::test]
async fn the_mta_sts_policy_is_under_its_own_names_and_alone_there() {
    let house = House::new().await;
    house.directory.add_domain(&Domain::parse("second.test").unwrap()).await.unwrap();
    let ask = async |method: &str, host: &str, path: &str| {
        let request = Request::builder().method(method).uri(path).header(header::HOST, host);
        house.ask(request.body(Body::empty()).unwrap()).await
    };
    let path = "/.well-known/mta-sts.txt";
    for host in ["mta-sts.clinic.test", "MTA-STS.Clinic.Test:8443", "mta-sts.second.test"] {
        let answer = ask("GET", host, path).await;
        assert_eq!(
            (answer.status, answer.headers[header::CONTENT_TYPE].as_bytes()),
            (StatusCode::OK, "text/plain".as_bytes())
        );
        // The certificate of these tests is self-signed.
        let text = "version: STSv1\r\nmode: testing\r\nmx: mail.clinic.test\r\nmax_age: 86400\r\n";
        assert_eq!(answer.body, text, "{host}");
    }
    // HTTP/2 has the name in the target.
    let request = Request::get(format!("https://mta-sts.clinic.test{path}")).body(Body::empty());
    assert_eq!(house.ask(request.unwrap()).await.status, StatusCode::OK);
    let head = ask("HEAD", "mta-sts.clinic.test", path).await;
    assert_eq!((head.status, head.body.as_str()), (StatusCode::OK, ""));
    for (host, path) in [
        ("mail.clinic.test", path),
        ("clinic.test", path),
        ("mta-sts.other.test", path),
        ("mta-sts.", path),
        ("@", path),
        ("mta-sts.clinic.test", "/"),
        ("mta-sts.clinic.test", "/write"),
    ] {
        assert_eq!(ask("GET", host, path).await.status, StatusCode::NOT_FOUND, "{host}{path}");
    }
    assert_eq!(ask("GET", "mail.clinic.test", "/").await.status, StatusCode::OK);
    assert_eq!(
        ask("POST", "mta-sts.clinic.test", path).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}
