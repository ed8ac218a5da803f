//! A practice gets its first certificate without anybody doing anything: by port 80, by port 443 alone, and
//! for the names that lead to it.

use crate::acme::{Certified, PATIENCE, has_name, lead_here, show};
use std::process::{Command, Stdio};
use wardpost_tests::imap::Imap;
use wardpost_tests::pebble::Manners;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, Wardpost};
use wardpost_tests::{DOMAIN, Result, run, wait_for};

/// Our MTA-STS policy as others fetch it, whether or not they trust us.
fn policy(wardpost: &Wardpost) -> Result<String> {
    let https = wardpost.https();
    let host = format!("mta-sts.{DOMAIN}");
    run(Command::new("curl")
        .args(["-sS", "--insecure", "--resolve"])
        .arg(format!("{host}:{}:{}", https.port(), https.ip()))
        .arg(format!("https://{host}:{}/.well-known/mta-sts.txt", https.port())))
}

/// What happens to a handshake on port 443 that offers these protocols: the one chosen, or the alert.
fn handshake(wardpost: &Wardpost, protocols: &str) -> Result<String> {
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &wardpost.https().to_string()])
        .args(["-servername", HOSTNAME, "-alpn", protocols])
        .stdin(Stdio::null())
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok(String::from_utf8_lossy(&said).into_owned())
}

#[test]
fn acme_01_port_80_proves_the_name() -> Result<()> {
    let practice = Certified::open(Manners { bad_nonces: 25, ..Manners::default() })?;
    let view = practice.certified()?;
    assert_eq!(view["self_signed"], false, "{view}");
    assert!(has_name(&view, HOSTNAME) && view["acme"]["last_failure"].is_null(), "{view}");
    assert!(view["acme"]["renewal"].is_string(), "{view}");
    assert!(practice.pebble.log().contains("validate w/ HTTP"), "{}", practice.pebble.log());

    // Every service shows it to who trusts the authority; the lab's own is not behind it.
    let trust = practice.pebble.trust()?;
    Imap::connect(practice.wardpost.imaps(), &trust, HOSTNAME)?;
    let mut smtp = Smtp::connect(practice.wardpost.mx())?;
    smtp.starttls(&trust, HOSTNAME)?;
    assert!(Imap::connect(practice.wardpost.imaps(), &practice.lab.ca, HOSTNAME).is_err());
    // The policy asks for verified TLS from the moment that it can be had.
    assert!(policy(&practice.wardpost)?.contains("mode: enforce\r\n"));

    // Whoever asks for a challenge's answer now gets nothing; others are redirected as always.
    let http = practice.wardpost.http();
    let ask = |path: &str| {
        run(Command::new("curl")
            .args(["-sS", "-o", "/dev/null", "-w", "%{http_code}"])
            .arg(format!("http://{http}{path}")))
    };
    assert_eq!(ask("/.well-known/acme-challenge/xyz")?, "404");
    assert_eq!(ask("/")?.chars().next(), Some('3'));
    // The protocol of challenges is spoken with nobody else, and stands in nobody's way.
    assert!(handshake(&practice.wardpost, "acme-tls/1")?.contains("no application protocol"));
    let both = handshake(&practice.wardpost, "acme-tls/1,http/1.1")?;
    assert!(both.contains("ALPN protocol: http/1.1"), "{both}");

    // What is kept is sealed, and there again after a restart, without an order.
    let metrics = metrics(&practice.wardpost)?;
    assert!(metrics.contains("wardpost_acme_certificates_total 1"), "{metrics}");
    Ok(())
}

fn metrics(wardpost: &Wardpost) -> Result<String> {
    run(Command::new("curl").args(["-sS", &format!("http://{}/metrics", wardpost.metrics())]))
}

#[test]
fn acme_01_port_443_alone_proves_it_too() -> Result<()> {
    let no_http = |text: String| {
        let line = |line: &str| match line.starts_with("http = ") {
            true => "http = \"\"\n".to_owned(),
            false => format!("{line}\n"),
        };
        text.lines().map(line).collect()
    };
    let practice =
        Certified::open_with(Manners::default(), "contact = \"it@clinic.test\"", no_http)?;
    let view = practice.certified()?;
    assert!(has_name(&view, HOSTNAME), "{view}");
    let log = practice.pebble.log();
    assert!(!log.contains("validate w/ HTTP") && log.contains("set VALID"), "{log}");
    Imap::connect(practice.wardpost.imaps(), &practice.pebble.trust()?, HOSTNAME)?;
    Ok(())
}

#[test]
fn acme_01_port_443_helps_when_somebody_else_has_port_80() -> Result<()> {
    // Port 80 goes elsewhere: what the authority reaches is not us.
    let elsewhere = |text: String| text.replace(":8080\"", ":8081\"");
    let practice = Certified::open_with(Manners::default(), "", elsewhere)?;
    let view = practice.certified()?;
    assert!(view["acme"]["last_failure"].is_null(), "{view}");
    let log = practice.pebble.log();
    assert!(log.contains("validate w/ HTTP") && log.contains("set INVALID"), "{log}");
    // The next time it begins where it succeeded.
    practice.wardpost.cli(&["tls", "renew"], "")?;
    let times = |log: &str| log.matches("validate w/ HTTP").count();
    assert_eq!(times(&practice.pebble.log()), times(&log));
    Ok(())
}

#[test]
fn acme_01_names_that_lead_here_are_in_it() -> Result<()> {
    let practice = Certified::open(Manners::default())?;
    let first = practice.certified()?;
    assert!(!has_name(&first, "mta-sts.clinic.test"), "{first}");
    // Somebody publishes the records; the second name leads elsewhere.
    lead_here(&practice.lab, &["mta-sts"])?;
    let view = wait_for("the name to be in the certificate", PATIENCE, || {
        // Others may have known for some seconds that there is none; a few certificates a day can be asked for.
        std::thread::sleep(std::time::Duration::from_secs(5));
        practice.wardpost.cli(&["tls", "renew"], "").ok()?;
        let view = show(&practice.wardpost).ok()?;
        has_name(&view, "mta-sts.clinic.test").then_some(view)
    })?;
    assert!(has_name(&view, HOSTNAME) && !has_name(&view, "autoconfig.clinic.test"), "{view}");
    let trust = practice.pebble.trust()?;
    Imap::connect(practice.wardpost.imaps(), &trust, "mta-sts.clinic.test")?;
    Ok(())
}
