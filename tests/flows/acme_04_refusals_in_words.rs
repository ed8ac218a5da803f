//! Whatever keeps a certificate from being issued is said in words, with what to do; and once that is
//! done, it is issued.

use crate::acme::{Certified, failed, has_name, lead_here, show, with_acme, world};
use crate::published::start;
use std::fs;
use std::process::Command;
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::pebble::{BLOCKED, HMAC_KEY, KEY_ID, Manners, Pebble, zone};
use wardpost_tests::process::Process;
use wardpost_tests::wardpost::{HOSTNAME, Wardpost};
use wardpost_tests::{DOMAIN, Lab, Result};

/// What `wardpost tls renew` says when it fails.
fn refused(wardpost: &Wardpost) -> Result<String> {
    let output = wardpost.cli_output(&["tls", "renew"], "")?;
    match output.status.code() {
        Some(1) => Ok(String::from_utf8_lossy(&output.stderr).into_owned()),
        other => Err(format!("it ended with {other:?}").into()),
    }
}

/// Changes the configuration and starts anew.
fn restart(wardpost: &mut Wardpost, edit: impl FnOnce(String) -> String) -> Result<()> {
    wardpost.stop()?;
    fs::write(wardpost.config(), edit(fs::read_to_string(wardpost.config())?))?;
    wardpost.run()
}

#[test]
fn acme_04_a_name_that_is_not_in_the_dns() -> Result<()> {
    let lab = world()?;
    lab.dns.change(&Zone::new(DOMAIN, Proof::Signed, &[format!("{DOMAIN}. MX 10 {HOSTNAME}.")]))?;
    let pebble = Pebble::start(&lab, Manners::default())?;
    let wardpost = start(&lab, |text| with_acme(&text, &lab, ""))?;
    let practice = Certified { wardpost, pebble, lab };
    let says = practice.failed("dns")?;
    assert!(says.contains(HOSTNAME) && says.contains("DNS"), "{says}");
    let view = show(&practice.wardpost)?;
    assert!(
        view["acme"]["last_failure"]["to_do"].as_str().unwrap_or_default().contains("A record")
    );
    assert_eq!(view["self_signed"], true);
    // Mail programs and servers are served all the while; people see it where they look.
    let shown = practice.wardpost.cli(&["tls", "show"], "")?;
    assert!(shown.contains(&says) && shown.contains("tried again"), "{shown}");

    // Several more failures, so that the pause is long; then somebody makes the record.
    for _ in 0..3 {
        assert!(refused(&practice.wardpost)?.contains("in the DNS"));
    }
    lead_here(&practice.lab, &[])?;
    let patience = std::time::Duration::from_secs(150);
    wardpost_tests::wait_for("a certificate, without anybody asking", patience, || {
        show(&practice.wardpost).ok()?["acme"]["since"].is_string().then_some(())
    })
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    let view = show(&practice.wardpost)?;
    assert!(has_name(&view, HOSTNAME) && view["acme"]["last_failure"].is_null(), "{view}");
    Ok(())
}

#[test]
fn acme_04_ports_that_nobody_lets_through() -> Result<()> {
    let shut =
        |text: String| text.replace(":8080\"", ":8081\"").replace(":8443\"\nhttp", ":8444\"\nhttp");
    // The port of the pages differs from what the authority reaches, as behind a router that forwards none.
    let lab = world()?;
    let pebble = Pebble::start(&lab, Manners::default())?;
    let mut wardpost = Wardpost::prepare(&lab, "")?;
    let text = fs::read_to_string(wardpost.config())?;
    fs::write(wardpost.config(), shut(with_acme(&text, &lab, "")))?;
    // The lab waits for every usual port; a listener in its place lets it go on.
    let gate = std::net::TcpListener::bind(wardpost.https())?;
    wardpost.run()?;
    drop(gate);
    let says = failed(&wardpost, "not-reachable")?;
    assert!(says.contains("port 80") && says.contains("port 443"), "{says}");
    let metrics = wardpost_tests::run(
        Command::new("curl").args(["-sS", &format!("http://{}/metrics", wardpost.metrics())]),
    )?;
    assert!(
        metrics.contains("wardpost_acme_failures_total{reason=\"not-reachable\"} 1"),
        "{metrics}"
    );
    assert!(!metrics.contains("clinic.test"), "{metrics}");
    drop(pebble);
    Ok(())
}

#[test]
fn acme_04_somebody_else_answers() -> Result<()> {
    let lab = world()?;
    let pebble = Pebble::start(&lab, Manners::default())?;
    // A router's own page on the port that should lead here; nothing on the other.
    let folder = lab.folder("router")?;
    fs::write(folder.join("index.html"), "Welcome to your router")?;
    let mut page = Command::new("/usr/bin/python3");
    page.args(["-m", "http.server", "8080", "--bind", &lab.host(10).to_string()]);
    let _router = Process::start(page.current_dir(&folder), &folder.join("log"))?;
    let wardpost = start(&lab, |text| {
        with_acme(&text, &lab, "")
            .replace(":8080\"", ":8081\"")
            .replace("https = \"", "https = [\"127.0.0.1:0\", \"")
            .replace(":8443\"\nhttp", ":8443\"]\nhttp")
    })?;
    // Port 443 helps all the same.
    let practice = Certified { wardpost, pebble, lab };
    practice.certified()?;
    assert!(practice.pebble.log().contains("set INVALID"), "{}", practice.pebble.log());
    Ok(())
}

#[test]
fn acme_04_an_authority_that_knows_its_customers() -> Result<()> {
    let manners = Manners { knows_customers: true, ..Manners::default() };
    let mut practice = Certified::open(manners)?;
    let says = practice.failed("account-binding")?;
    assert!(says.contains("customers"), "{says}");

    let file = practice.lab.root().join("eab.key");
    fs::write(&file, "bm90IHRoZSBrZXkgdGhhdCB0aGV5IGtub3c\n")?;
    let keys = format!("eab_key_id = \"{KEY_ID}\"\neab_key_file = \"{}\"\n", file.display());
    restart(&mut practice.wardpost, |text| text.replace("[acme]\n", &format!("[acme]\n{keys}")))?;
    let told = refused(&practice.wardpost)?;
    assert!(told.contains("customers") && told.contains("eab_key_file"), "{told}");
    assert_eq!(show(&practice.wardpost)?["acme"]["last_failure"]["kind"], "account-binding");

    // What cannot be a key is said before anybody is asked.
    fs::write(&file, "???")?;
    practice.wardpost.stop()?;
    let output = practice.wardpost.cli_output(&["check"], "")?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("eab_key_file"), "{told}");

    fs::write(&file, format!("{HMAC_KEY}\n"))?;
    practice.wardpost.cli(&["check"], "")?;
    practice.wardpost.run()?;
    practice.wardpost.cli(&["tls", "renew"], "")?;
    let view = practice.certified()?;
    assert!(view["acme"]["last_failure"].is_null(), "{view}");
    assert!(!practice.wardpost.log().contains(HMAC_KEY));
    Ok(())
}

#[test]
fn acme_04_a_name_that_it_issues_nothing_for_is_left_out() -> Result<()> {
    let lab = Lab::start_with(|plan| {
        let authority = zone(plan);
        plan.zones.push(authority);
        let records = [
            format!("{BLOCKED}. A {}", plan.host(10)),
            "blocked.test. MX 10 mail.clinic.test.".to_owned(),
        ];
        plan.zones.push(Zone::new("blocked.test", Proof::Signed, &records));
        Ok(())
    })?;
    let pebble = Pebble::start(&lab, Manners::default())?;
    let wardpost = start(&lab, |text| with_acme(&text, &lab, ""))?;
    let practice = Certified { wardpost, pebble, lab };
    practice.certified()?;
    practice.wardpost.cli(&["domain", "add", "blocked.test"], "")?;
    lead_here(&practice.lab, &["mta-sts"])?;
    let view = wardpost_tests::wait_for("the names to be seen", crate::acme::PATIENCE, || {
        // Others may have known for some seconds that there is none; a few certificates a day can be asked for.
        std::thread::sleep(std::time::Duration::from_secs(5));
        practice.wardpost.cli(&["tls", "renew"], "").ok()?;
        let view = show(&practice.wardpost).ok()?;
        has_name(&view, "mta-sts.clinic.test").then_some(view)
    })
    .map_err(|e| format!("{e}\n{:?}\n{}", show(&practice.wardpost), practice.wardpost.log()))?;
    assert!(has_name(&view, HOSTNAME) && !has_name(&view, BLOCKED), "{view}");
    let left = &view["acme"]["left_out"][0];
    assert_eq!(left["name"], BLOCKED, "{view}");
    assert!(left["says"].as_str().unwrap_or_default().contains("issues no certificates"), "{view}");
    assert!(!practice.wardpost.log().contains("blocked.test"), "{}", practice.wardpost.log());
    Ok(())
}

#[test]
fn acme_04_an_authority_that_is_not_there_or_not_trusted() -> Result<()> {
    let lab = world()?;
    let mut pebble = Pebble::prepare(&lab, Manners::default())?;
    let mut wardpost = start(&lab, |text| with_acme(&text, &lab, ""))?;
    let says = failed(&wardpost, "authority-unreachable")?;
    assert!(says.contains("could not be reached"), "{says}");
    // It comes up later, and nobody has to do anything: the first pause is about a minute.
    pebble.run()?;
    let patience = std::time::Duration::from_secs(200);
    wardpost_tests::wait_for("a certificate", patience, || {
        show(&wardpost).ok()?["acme"]["since"].is_string().then_some(())
    })
    .map_err(|e| format!("{e}\n{}", wardpost.log()))?;

    // Without its root in extra_root it is a stranger; the certificate that there is stays.
    let line = format!("extra_root = \"{}\"\n[", lab.ca.root.display());
    assert_eq!(fs::read_to_string(wardpost.config())?.matches(&line).count(), 0);
    restart(&mut wardpost, |text| {
        let (before, acme) = text.split_once("[acme]").unwrap_or((&text, ""));
        let acme: String = acme
            .lines()
            .filter(|l| !l.starts_with("extra_root"))
            .map(|l| format!("{l}\n"))
            .collect();
        format!("{before}[acme]{acme}")
    })?;
    let told = refused(&wardpost)?;
    assert!(told.contains("not trusted") && told.contains("extra_root"), "{told}");
    let view = show(&wardpost)?;
    assert_eq!(
        (&view["self_signed"], &view["acme"]["failures"]),
        (&false.into(), &1.into()),
        "{view}"
    );
    Ok(())
}

#[test]
fn acme_04_an_authority_that_makes_no_sense() -> Result<()> {
    // It takes none of its own nonces.
    let practice = Certified::open(Manners { bad_nonces: 100, ..Manners::default() })?;
    let says = practice.failed("authority")?;
    assert!(says.contains("nonces"), "{says}");
    let asked = |log: &str| log.matches("POST /sign-me-up").count();
    let before = asked(&practice.pebble.log());
    assert!((1..10).contains(&before), "{before} times");
    // It is left alone from then on.
    std::thread::sleep(std::time::Duration::from_secs(5));
    assert_eq!(asked(&practice.pebble.log()), before);
    Ok(())
}

#[test]
fn acme_04_an_authority_out_of_time() -> Result<()> {
    // By our clock its own certificate ended years ago: mostly it is the clock that is wrong.
    let lab = world()?;
    let pebble = Pebble::start_expired(&lab, Manners::default())?;
    let wardpost = start(&lab, |text| with_acme(&text, &lab, ""))?;
    let practice = Certified { wardpost, pebble, lab };
    let says = practice.failed("clock")?;
    assert!(says.contains("clock"), "{says}");
    Ok(())
}

#[test]
fn acme_04_a_contact_that_it_does_not_take() -> Result<()> {
    let practice =
        Certified::open_with(Manners::default(), "contact = \"tel:+15550100\"", |text| text)?;
    let says = practice.failed("contact")?;
    assert!(says.contains("contact"), "{says}");
    Ok(())
}
