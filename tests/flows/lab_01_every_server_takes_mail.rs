//! The lab itself: OpenSMTPD and chasquid take mail where the matrix needs it, stunnel gives a server the
//! TLS that it lacks, and old TLS is old.

use std::process::Command;
use std::time::Duration;
use wardpost_tests::ca::Pair;
use wardpost_tests::chasquid::Chasquid;
use wardpost_tests::destinations::{Destination, Face};
use wardpost_tests::opensmtpd::OpenSmtpd;
use wardpost_tests::postfix::Postfix;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::stunnel::Stunnel;
use wardpost_tests::{Lab, Result, run};

const PATIENCE: Duration = Duration::from_secs(20);

fn face(lab: &Lab, domain: &str, host: u8, tls: Option<Pair>) -> Face {
    Face { domain: domain.to_owned(), ip: lab.host(host), tls, old: false }
}

#[test]
fn lab_01_opensmtpd_behind_stunnel_takes_mail() -> Result<()> {
    let lab = Lab::start()?;
    let inner = face(&lab, "open.test", 70, None);
    let server = OpenSmtpd::start(&lab, "opensmtpd", std::slice::from_ref(&inner))?;
    let pair = lab.ca.issue(&["mx.open.test"])?;
    let front = face(&lab, "open.test", 71, Some(pair));
    let old = Face { old: true, ..face(&lab, "open.test", 72, front.tls.clone()) };
    let address = inner.address();
    let _stunnel =
        Stunnel::start(&lab, "stunnel", &[(front.clone(), address), (old.clone(), address)])?;

    let mut smtp = Smtp::connect(front.address())?;
    smtp.starttls(&lab.ca, "mx.open.test")?;
    smtp.send("a@b.test", &["pat@open.test"], "To: pat@open.test\r\n\r\nthrough stunnel\r\n")?;
    server.wait_for_message("through stunnel", PATIENCE)?;
    assert_eq!(server.messages_for("open.test").len(), 1);
    speaks_only_old_tls(&old)
}

#[test]
fn lab_01_chasquid_takes_mail() -> Result<()> {
    let lab = Lab::start()?;
    let one = face(&lab, "one.test", 70, Some(lab.ca.issue(&["mx.one.test"])?));
    let two = face(&lab, "two.test", 71, Some(lab.ca.issue(&["mx.two.test"])?));
    let chasquid = Chasquid::start(&lab, "chasquid", &[one.clone(), two.clone()])?;
    for face in [&one, &two] {
        let mut smtp = Smtp::connect(face.address())?;
        smtp.starttls(&lab.ca, &face.hostname())?;
        let to = format!("pat.{}", face.domain.replace(".test", "@")) + &face.domain;
        smtp.send("a@b.test", &[&to], &format!("To: {to}\r\n\r\nto {}\r\n", face.domain))?;
        chasquid.wait_for_message(&format!("to {}", face.domain), PATIENCE)?;
        assert_eq!(chasquid.messages_for(&face.domain).len(), 1);
    }
    Ok(())
}

#[test]
fn lab_01_postfix_speaks_old_tls() -> Result<()> {
    let lab = Lab::start()?;
    let pair = lab.ca.issue(&["mx.old.test"])?;
    let old = Face { old: true, ..face(&lab, "old.test", 70, Some(pair)) };
    let _postfix = Postfix::start(&lab, "postfix", std::slice::from_ref(&old), &[])?;
    speaks_only_old_tls(&old)
}

/// Somebody who insists on 1.2 is refused, somebody content with 1.1 is not.
fn speaks_only_old_tls(face: &Face) -> Result<()> {
    let handshake = |version: &str| {
        run(Command::new("openssl")
            .args(["s_client", "-starttls", "smtp", "-brief", version])
            .args(["-cipher", "ALL:@SECLEVEL=0", "-connect", &face.address().to_string()])
            .stdin(std::process::Stdio::null()))
    };
    handshake("-tls1_1")?;
    assert!(handshake("-tls1_2").is_err(), "TLS 1.2 was taken");
    Ok(())
}
