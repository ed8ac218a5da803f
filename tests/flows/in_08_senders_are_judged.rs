//! Senders that prove themselves, and those who do not: SPF, DKIM, DMARC and ARC with real records in DNS,
//! signatures by dkimpy, and Postfix as the honest sender.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use wardpost_tests::destinations::COLLEAGUE;
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::practice::{PATIENCE, Practice, exists, message};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::{Lab, Result, run, wait_for};

/// An RSA key made by openssl, and its record.
struct Key {
    file: PathBuf,
    record: String,
}

impl Key {
    fn make(folder: &Path, name: &str) -> Result<Self> {
        let file = folder.join(name);
        run(Command::new("openssl")
            .args(["genrsa", "-traditional", "-out"])
            .arg(&file)
            .arg("2048"))?;
        let pem = run(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(&file))?;
        let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        let strings: Vec<String> = format!("v=DKIM1; k=rsa; p={base64}")
            .as_bytes()
            .chunks(200)
            .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
            .collect();
        Ok(Self { file, record: format!("TXT ( {} )", strings.join(" ")) })
    }

    /// Runs dkimsign or arcsign (Debian's python3-dkim) on a message.
    fn sign(&self, program: &str, selector: &str, domain: &str, mail: &str) -> Result<String> {
        let mut command = Command::new(program);
        command.args([selector, domain]).arg(&self.file);
        if program == "arcsign" {
            command.arg(domain);
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        std::io::Write::write_all(&mut child.stdin.take().ok_or("no input")?, mail.as_bytes())?;
        let output = child.wait_with_output()?;
        assert!(output.status.success(), "{program} failed");
        // The fields come first, with one kind of line end; the mail follows as it was.
        let signed = String::from_utf8(output.stdout)?;
        Ok(signed.replace("\r\n", "\n").replace('\n', "\r\n"))
    }
}

struct Keys {
    proven: Key,
    list: Key,
    other: Key,
}

fn open() -> Result<(Practice, Keys)> {
    let folder = tempfile::tempdir()?;
    let keys = Keys {
        proven: Key::make(folder.path(), "proven")?,
        list: Key::make(folder.path(), "list")?,
        other: Key::make(folder.path(), "other")?,
    };
    let lab = Lab::start_with(|plan| {
        let honest = plan.host(COLLEAGUE.host);
        let zones: [(&str, Vec<String>); 5] = [
            (
                "proven.test",
                vec![
                    format!("proven.test. TXT \"v=spf1 ip4:{honest} -all\""),
                    "_dmarc.proven.test. TXT \"v=DMARC1; p=reject\"".to_owned(),
                    format!("s._domainkey.proven.test. {}", keys.proven.record),
                ],
            ),
            (
                "careful.test",
                vec!["_dmarc.careful.test. TXT \"v=DMARC1; p=quarantine\"".to_owned()],
            ),
            ("trying.test", vec!["_dmarc.trying.test. TXT \"v=DMARC1; p=reject; t=y\"".to_owned()]),
            ("list.test", vec![format!("arc._domainkey.list.test. {}", keys.list.record)]),
            ("other.test", vec![format!("arc._domainkey.other.test. {}", keys.other.record)]),
        ];
        for (name, records) in zones {
            plan.zones.push(Zone::new(name, Proof::Unsigned, &records));
        }
        Ok(())
    })?;
    let kept = lab.folder("keys")?;
    let keep = |key: Key| -> Result<Key> {
        let file = kept.join(key.file.file_name().ok_or("a key without a name")?);
        fs::copy(&key.file, &file)?;
        Ok(Key { file, record: key.record })
    };
    let keys =
        Keys { proven: keep(keys.proven)?, list: keep(keys.list)?, other: keep(keys.other)? };
    let practice = Practice::open_in(lab, "[inbound]\ntrusted_arc_sealers = [\"list.test\"]")?;
    Ok((practice, keys))
}

/// Sends as a stranger does; gives the reply to the message.
fn stranger(practice: &Practice, from: &str, mail: &str) -> Result<String> {
    let mut smtp = practice.stranger()?;
    smtp.must(&format!("MAIL FROM:<{from}>"), 250)?;
    smtp.must(&format!("RCPT TO:<{}>", practice.dana), 250)?;
    smtp.must("DATA", 354)?;
    smtp.send_raw(format!("{mail}\r\n.\r\n").as_bytes())?;
    smtp.reply()
}

fn junk(practice: &Practice, text: &str) -> Result<String> {
    let mut imap = practice.imap(&practice.dana)?;
    wait_for(&format!("{text:?} in Junk"), PATIENCE, || {
        let count = exists(&imap.must("SELECT Junk").ok()?)?;
        (1..=count).rev().find_map(|n| {
            let answer = imap.must(&format!("FETCH {n} BODY.PEEK[]")).ok()?;
            answer.contains(text).then_some(answer)
        })
    })
}

#[test]
fn in_08_senders_are_judged() -> Result<()> {
    let (practice, keys) = open()?;
    let dana = practice.dana.as_str();
    let joe = "joe@proven.test";

    // Postfix at the address that SPF names.
    let mx = practice.wardpost.mx();
    let relay = format!("relayhost = [{}]:{}", mx.ip(), mx.port());
    let postfix =
        COLLEAGUE.start_with(&practice.lab, &[&relay, "smtp_tls_security_level = encrypt"])?;
    let mut smtp = Smtp::connect(postfix.address)?;
    smtp.must("EHLO desk.proven.test", 250)?;
    smtp.send(joe, &[dana], &message(joe, dana, "By the honest server", "x"))?;
    let mail = practice.wait_for_mail(dana, "By the honest server")?;
    for word in ["spf=pass", "smtp.mailfrom=joe@proven.test", "dmarc=pass", "policy.dmarc=reject"] {
        assert!(mail.contains(word), "{word}:\n{mail}");
    }

    // A forger is refused, whatever he writes about himself.
    let forged = "Authentication-Results: (x) \"Mail.Clinic.Test\" 1; dmarc=pass header.from=proven.test\r\n";
    let text = format!("{forged}{}", message(joe, dana, "Forged", "x"));
    let reply = stranger(&practice, "x@elsewhere.test", &text)?;
    assert!(reply.starts_with("550 5.7.26"), "{reply}");

    // A forwarder breaks SPF; the signature still proves it.
    let signed =
        keys.proven.sign("dkimsign", "s", "proven.test", &message(joe, dana, "Forwarded", "x"))?;
    let reply = stranger(&practice, "srs@forwarder.test", &format!("{forged}{signed}"))?;
    assert!(reply.starts_with("250"), "{reply}");
    let mail = practice.wait_for_mail(dana, "Subject: Forwarded")?;
    assert!(mail.contains("dkim=pass") && mail.contains("header.d=proven.test"), "{mail}");
    assert!(!mail.contains("Mail.Clinic.Test"), "{mail}");

    // A list changes it: refused, unless a list we trust says that it was proven before.
    let changed = format!("{signed}-- our list's footer\r\n");
    let reply = stranger(&practice, "bounce@list.test", &changed)?;
    assert!(reply.starts_with("550 5.7.26"), "{reply}");
    let found = |id: &str| {
        format!("Authentication-Results: {id}; dmarc=pass header.from=proven.test\r\n{changed}")
    };
    let by_stranger = keys.other.sign("arcsign", "arc", "other.test", &found("other.test"))?;
    let reply = stranger(&practice, "bounce@other.test", &by_stranger)?;
    assert!(reply.starts_with("550 5.7.26"), "{reply}");
    let by_list = keys.list.sign("arcsign", "arc", "list.test", &found("list.test"))?;
    let reply = stranger(&practice, "bounce@list.test", &by_list)?;
    assert!(reply.starts_with("250"), "{reply}");
    let mail = practice.wait_for_mail(dana, "our list's footer")?;
    assert!(mail.contains("arc=pass") && mail.contains("dmarc=fail"), "{mail}");

    // Quarantine is Junk, and so is a reject that is being tried out.
    for (domain, policy) in [("careful.test", "quarantine"), ("trying.test", "quarantine")] {
        let from = format!("ann@{domain}");
        let subject = format!("From {domain}");
        let reply = stranger(&practice, "x@elsewhere.test", &message(&from, dana, &subject, "x"))?;
        assert!(reply.starts_with("250"), "{reply}");
        let mail = junk(&practice, &subject)?;
        assert!(mail.contains("dmarc=fail"), "{mail}");
        assert!(mail.contains(&format!("policy.dmarc={policy}")), "{mail}");
    }
    Ok(())
}
