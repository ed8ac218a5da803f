//! The pages for administrators, and what holds for all pages.

use super::house::{Browser, DANA, House, ROBIN, finding};
use axum::http::StatusCode;
use wardpost_health::State as Health;

const ADMIN: [&str; 6] = [
    "/admin",
    "/admin/dns",
    "/admin/dns/zone/clinic.test",
    "/admin/watch",
    "/admin/watch/certificate",
    "/admin/machine",
];

#[tokio::test]
async fn pages_for_administrators_are_for_administrators() {
    let house = House::new().await;
    let (mut nobody, mut robin) = (house.browser(), house.signed_in(ROBIN).await);
    let mut dana = house.signed_in(DANA).await;
    house.directory.set_administrator(house.robin, false).await.unwrap();
    for path in ADMIN {
        assert!(nobody.get(path).await.location().starts_with("/staff?next="), "{path}");
        let page = robin.get(path).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN, "{path}");
        assert!(page.has("This page is for administrators") && page.has(ROBIN));
        assert_eq!(dana.get(path).await.status, StatusCode::OK, "{path}");
    }
    let token = robin.get("/staff/phone").await.form_token();
    for path in ["/admin", "/admin/watch"] {
        let page = robin.post(path, &[("form_token", &token)]).await;
        assert_eq!(page.status, StatusCode::FORBIDDEN);
        assert!(!page.has("CANARY-TOKEN"));
    }
    assert!(!robin.get("/staff").await.has("/admin"));
    // Whoever is an administrator no longer sees nothing from that moment on.
    house.directory.set_administrator(house.robin, true).await.unwrap();
    house.directory.set_administrator(house.dana, false).await.unwrap();
    assert_eq!(dana.get("/admin").await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn health_shows_the_worst_first_and_looks_when_asked() {
    let house = House::new().await;
    *house.examiner.finds.lock() = vec![
        finding("queue", Health::Good),
        finding("clock", Health::Unknown),
        finding("dns-mx", Health::Bad),
        finding("disk", Health::Warning),
    ];
    let mut dana = house.signed_in(DANA).await;
    let page = dana.get("/admin").await;
    assert!(page.has("One thing needs you now") && page.has("Looked at less than a minute ago"));
    let at = |what: &str| page.body.find(&format!("Title of {what}")).unwrap();
    assert!(at("dns-mx") < at("disk") && at("disk") < at("clock") && at("clock") < at("queue"));
    assert!(page.has("Mend dns-mx.") && page.has("One thing is fine"));
    // Nobody is interrupted in reading what to do, unless they want to see the news.
    const REFRESH: &str = "http-equiv=\"refresh\" content=\"60; url=/admin?live\"";
    assert!(!page.has(REFRESH) && dana.get("/admin?live").await.has(REFRESH));

    house.examiner.finds.lock().clear();
    *house.examiner.finds.lock() = vec![finding("dns-mx", Health::Good)];
    assert!(dana.get("/admin?live").await.has("One thing needs you now"), "nobody looked");
    assert_eq!(dana.post("/admin", &[]).await.status, StatusCode::FORBIDDEN);
    assert_eq!(dana.fill("/admin", "/admin", &[]).await.location(), "/admin");
    let page = dana.get("/admin").await;
    assert!(page.has("Everything is as it should be.") && page.has(REFRESH));
    assert!(!dana.get("/admin?still").await.has(REFRESH));
}

#[tokio::test]
async fn records_are_listed_with_what_was_seen_of_them() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let before = dana.get("/admin/dns").await;
    assert!(before.has("Nobody has looked yet") && !before.has("class=\"state\""));
    *house.examiner.finds.lock() =
        vec![finding("dns-mx", Health::Good), finding("dns-spf", Health::Bad)];
    dana.fill("/admin", "/admin", &[]).await;
    let page = dana.get("/admin/dns").await;
    for shown in [
        "second.test",
        "10 mail.clinic.test.",
        "v=spf1 mx -all",
        "Seen of dns-spf.",
        "Mend dns-spf.",
        "in full: <span class=\"mono\">_dmarc.clinic.test</span>",
        "The reverse record is missing.",
        "&#60;the public address of this server&#62;",
    ] {
        assert!(page.has(shown), "{shown} in {}", page.body);
    }
    assert_eq!(page.text_of("r0-1-v"), "v=spf1 mx -all");
    assert!(page.has("data-copy=\"r0-1-v\""));
    let spf = page.body.find("v=spf1 mx -all").unwrap();
    assert!(spf < page.body.find("10 mail.clinic.test.").unwrap(), "what is fine comes last");

    let zone = dana.get("/admin/dns/zone/clinic.test").await;
    assert!(zone.header("content-disposition").contains("filename=\"clinic.test.zone\""));
    assert!(zone.has("clinic.test. MX 10 mail.clinic.test."));
    for domain in ["other.test", "..", "x%0d%0ay"] {
        let missing = dana.get(&format!("/admin/dns/zone/{domain}")).await;
        assert_eq!(missing.status, StatusCode::NOT_FOUND, "{domain}");
    }
}

#[tokio::test]
async fn the_token_is_shown_when_asked_for() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    let page = dana.get("/admin/watch").await;
    assert!(page.has("mail.clinic.test:9464") && page.has("credentials_file: wardpost.token"));
    assert!(page.has("scheme: https") && page.has("ca_file: wardpost.crt"), "it is self-signed");
    let certificate = dana.get("/admin/watch/certificate").await;
    let der = certificate.body.lines().filter(|line| !line.starts_with('-')).collect::<String>();
    let der = data_encoding::BASE64.decode(der.as_bytes()).unwrap();
    assert_eq!(der, house.tls.certificate_der());
    assert!(!page.has("CANARY-TOKEN"));
    assert_eq!(page.text_of("s-print"), house.tls.certificate().fingerprint_text());
    assert_eq!(dana.post("/admin/watch", &[]).await.status, StatusCode::FORBIDDEN);
    let shown = dana.fill("/admin/watch", "/admin/watch", &[]).await;
    assert_eq!(shown.text_of("s-token"), "CANARY-TOKEN");
    std::fs::remove_file(house.dir.path().join("token")).unwrap();
    let gone = dana.fill("/admin/watch", "/admin/watch", &[]).await;
    assert_eq!(gone.status, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn every_page_is_our_own_and_whole() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    dana.fill("/staff/phone", "/staff/phone", &[("name", "Phone")]).await;
    let mut paths = ADMIN.to_vec();
    paths.extend([
        "/staff",
        "/staff/phone",
        "/staff/phone/new",
        "/staff/second-factor",
        "/staff/lost",
        "/staff/lost/phone",
        "/staff/lost/password",
        "/staff/left",
        "/staff/welcome/x",
        "/staff/connect/x",
        "/staff/nowhere",
    ]);
    for path in paths {
        let page = dana.get(path).await;
        let policy = page.header("content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{path}");
        assert_eq!(page.header("cache-control"), "no-store");
        if !page.has("<html") {
            continue;
        }
        assert_eq!(page.body.matches("<script").count(), page.body.matches("/copy.js").count());
        assert!(!page.has(" style=") && !page.has("onclick"), "{path}");
        assert_eq!(page.body.matches("<h1").count(), 1, "{path}");
        for (open, close) in [("<section", "</section>"), ("<form", "</form>"), ("<dl", "</dl>")] {
            assert_eq!(page.body.matches(open).count(), page.body.matches(close).count(), "{path}");
        }
        for form in page.body.split("<form").skip(1) {
            let form = form.split("</form>").next().unwrap();
            assert!(form.contains("name=\"form_token\""), "{path}: {form}");
        }
        let links = page.body.split("href=\"").skip(1).map(|rest| rest.split('"').next().unwrap());
        for link in links.filter(|link| link.starts_with("/staff") || link.starts_with("/admin")) {
            let there = dana.get(link).await;
            assert_ne!(there.status, StatusCode::NOT_FOUND, "{link} on {path}");
        }
    }
}

#[tokio::test]
async fn pages_are_counted_without_names() {
    let house = House::new().await;
    let registry = prometheus::Registry::new();
    house.site.register(&registry).unwrap();
    house.staff.register(&registry).unwrap();
    let mut dana = house.signed_in(DANA).await;
    dana.get("/admin/dns/zone/clinic.test").await;
    house.browser().sign_in(DANA, "wrong wrong wrong wrong").await;
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    for line in [
        "wardpost_portal_requests_total{page=\"admin-dns\",status=\"200\"} 1",
        "wardpost_staff_sessions 1",
        "wardpost_staff_sign_ins_total{result=\"ok\"} 1",
        "wardpost_staff_sign_ins_total{result=\"rejected\"} 1",
    ] {
        assert!(text.contains(line), "{text}");
    }
    assert!(!text.contains("dana") && !text.contains("clinic"));
}

#[tokio::test]
async fn an_administrator_switches_the_machine_off() {
    let house = House::new().await;
    let mut dana = house.signed_in(DANA).await;
    assert!(dana.get("/staff").await.has("/admin/machine"));
    let asked = |wish: &str| house.dir.path().join(wish).exists();
    let press = async |browser: &mut Browser<'_>, wish| {
        browser.fill("/admin/machine", "/admin/machine", &[("next", wish)]).await
    };
    assert_eq!(press(&mut dana, "kexec").await.status, StatusCode::FORBIDDEN);
    let unasked = dana.post("/admin/machine", &[("next", "poweroff")]).await;
    assert_eq!(unasked.status, StatusCode::FORBIDDEN, "no other page's form");
    let mut robin = house.signed_in(ROBIN).await;
    assert!(!robin.get("/staff").await.has("/admin/machine"));
    assert_eq!(robin.get("/admin/machine").await.status, StatusCode::FORBIDDEN);
    let theirs = robin.fill("/staff", "/admin/machine", &[("next", "poweroff")]).await;
    assert_eq!(theirs.status, StatusCode::FORBIDDEN, "administrators only");
    assert!(!asked("poweroff") && !asked("reboot") && !asked("kexec"));

    let page = press(&mut dana, "reboot").await;
    assert!(page.status == StatusCode::OK && page.has("starts again") && asked("reboot"));
    let page = press(&mut dana, "poweroff").await;
    assert!(page.has("switches itself off") && asked("poweroff"));

    // Where nobody listens, nothing is offered.
    let house = House::on(false).await;
    let mut dana = house.signed_in(DANA).await;
    assert!(!dana.get("/staff").await.has("/admin/machine"));
    assert_eq!(dana.get("/admin/machine").await.status, StatusCode::NOT_FOUND);
}
