//! Mail programs set themselves up from the address alone: the real Thunderbird by autoconfig, then reading and sending;
//! an iPhone by a signed profile with an app password in it; an Outlook by Autodiscover; everything else by SRV records.

use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use wardpost_tests::destinations::{Destination, HOSPITAL};
use wardpost_tests::imap::Imap;
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::thunderbird::Thunderbird;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD, PRACTICE, Wardpost};
use wardpost_tests::{Lab, Result, run};

/// A practice whose certificate is for the names that mail programs ask, and that also listens where they ask.
fn practice() -> Result<Practice> {
    let lab = Lab::start()?;
    let names = [HOSTNAME, "autoconfig.clinic.test", "autodiscover.clinic.test"];
    let pair = lab.ca.issue(&names)?;
    let mut wardpost = Wardpost::prepare_as(&lab, PRACTICE, &pair, "")?;
    let text = fs::read_to_string(wardpost.config())?;
    let https = wardpost.https();
    let one = format!("https = \"{https}\"");
    let two = format!("https = [\"{https}\", \"{}:443\"]", https.ip());
    assert!(text.contains(&one), "{text}");
    fs::write(wardpost.config(), text.replace(&one, &two))?;
    wardpost.run()?;
    Practice::staff(lab, wardpost)
}

#[test]
fn box_04_thunderbird_needs_nothing_but_the_address() -> Result<()> {
    let practice = practice()?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let text = message("a@hospital.test", &practice.dana, "waiting", "it was here before");
    practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    let mut bird = Thunderbird::start_empty(&practice.lab, &practice.wardpost)?;
    let words = [&practice.dana, "Dr. Dana Reyes", PASSWORD].map(Value::from);
    let found = bird.run("findAndCreate(...args)", &words)?;
    assert_eq!(
        found,
        json!({
            "source": "xml-from-isp-https",
            "incoming": ["imap", HOSTNAME, 9930, "TLS", practice.dana],
            "outgoing": ["smtp", HOSTNAME, 4650, "TLS", practice.dana],
        })
    );
    assert_eq!(bird.run("openFolder('INBOX', 1)", &[])?, json!(["waiting"]));
    let words = ["ward@hospital.test", "From a new computer", "All set."].map(Value::from);
    bird.run("send(...args)", &words)?;
    hospital.wait_for_message("All set.", PATIENCE).map(drop)
}

#[test]
fn box_04_phones_and_outlooks_are_told() -> Result<()> {
    let practice = practice()?;
    let folder = practice.lab.folder("phone")?;
    let script = |name: &str, text: &str| -> Result<Command> {
        let path = folder.join(name);
        fs::write(&path, text)?;
        let mut python = Command::new("python3");
        python.arg(path);
        Ok(python)
    };
    let (signed, profile) = (folder.join("signed"), folder.join("profile"));
    let https = practice.wardpost.https();
    let said = run(script("phone.py", include_str!("box_04_phone.py"))?
        .arg(https.ip().to_string())
        .arg(https.port().to_string())
        .arg(HOSTNAME)
        .arg(&practice.lab.ca.root)
        .args([&practice.dana, PASSWORD])
        .arg(&signed))
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    let said: Value = serde_json::from_str(&said)?;
    assert_eq!(said["type"], "application/x-apple-aspen-config");
    assert_eq!(said["stranger"], 410, "somebody else got the profile");
    assert_eq!(said["tells"], false, "the answer tells who exists");
    let servers: Vec<Value> = said["outlook"].as_array().ok_or("no answer")?.clone();
    let listed = servers
        .iter()
        .map(|it| json!([it["Type"], it["Server"], it["Port"], it["SSL"], it["LoginName"]]));
    assert_eq!(
        listed.collect::<Vec<_>>(),
        [
            json!(["IMAP", HOSTNAME, "9930", "on", practice.dana]),
            json!(["SMTP", HOSTNAME, "4650", "on", practice.dana]),
        ]
    );

    // OpenSSL says who signed it; a changed octet, or another authority, and it does not.
    let verify = |file: &std::path::Path, root: &std::path::Path| {
        let mut openssl = Command::new("openssl");
        openssl.args(["cms", "-verify", "-inform", "DER", "-purpose", "any", "-in"]).arg(file);
        run(openssl.arg("-CAfile").arg(root).arg("-out").arg(&profile))
    };
    verify(&signed, &practice.lab.ca.root)?;
    let other = wardpost_tests::ca::Ca::create(&folder.join("others"))?;
    assert!(verify(&signed, &other.root).is_err(), "anybody could have signed it");
    verify(&signed, &practice.lab.ca.root)?;
    let said = run(script("profile.py", include_str!("box_04_profile.py"))?.arg(&profile))?;
    let mail: Value = serde_json::from_str(&said)?;
    for (key, wanted) in [
        ("EmailAddress", json!(practice.dana)),
        ("EmailAccountName", json!("Dr. Dana Reyes")),
        ("EmailAccountType", json!("EmailTypeIMAP")),
        ("IncomingMailServerHostName", json!(HOSTNAME)),
        ("IncomingMailServerPortNumber", json!(9930)),
        ("IncomingMailServerUseSSL", json!(true)),
        ("OutgoingMailServerPortNumber", json!(4650)),
        ("OutgoingMailServerUseSSL", json!(true)),
    ] {
        assert_eq!(mail[key], wanted, "{key}");
    }
    let password = mail["IncomingPassword"].as_str().ok_or("no app password")?;
    let address = practice.wardpost.imaps();
    let mut session = Imap::login(address, &practice.lab.ca, HOSTNAME, &practice.dana, password)?;
    session.must("SELECT INBOX")?;
    assert!(!practice.wardpost.log().contains(password));
    records_point_here(&practice)
}

/// SRV records and aliases name this server and the ports that are open.
fn records_point_here(practice: &Practice) -> Result<()> {
    let zone = practice.wardpost.cli(&["domain", "show", "clinic.test", "--zone"], "")?;
    let wardpost = &practice.wardpost;
    for (service, port) in [
        ("_imaps", wardpost.imaps()),
        ("_submissions", wardpost.submissions()),
        ("_submission", wardpost.submission()),
        ("_autodiscover", wardpost.https()),
    ] {
        let start = format!("{service}._tcp.clinic.test. SRV ");
        let line = zone.lines().find_map(|line| line.strip_prefix(&start));
        let line = line.ok_or_else(|| format!("no {service} in {zone}"))?;
        let end = format!(" {} {HOSTNAME}.", port.port());
        assert!(line.ends_with(&end), "{service}: {line}");
    }
    for name in ["autoconfig", "autodiscover"] {
        let alias = format!("{name}.clinic.test. CNAME {HOSTNAME}.");
        assert!(zone.lines().any(|line| line == alias), "{alias} in {zone}");
    }
    Ok(())
}
