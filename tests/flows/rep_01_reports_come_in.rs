//! Reports about us arrive by mail at an address that no account has: Postfix brings one with a real gzip and
//! a DKIM signature of its reporter's, swaks one that nothing proves. `wardpost report` and the metrics
//! tell them apart, and no mailbox has either.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use wardpost_tests::destinations::{COLLEAGUE, Destination};
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::practice::{PATIENCE, Practice};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::{Lab, Result, run, wait_for};

/// Yesterday, as RFC 3339 writes days.
fn yesterday() -> Result<String> {
    let then = SystemTime::now() - Duration::from_secs(86_400);
    let then = jiff::Timestamp::try_from(then)?;
    Ok(then.to_string().split('T').next().unwrap_or_default().to_owned())
}

fn report(id: &str) -> Result<String> {
    let day = yesterday()?;
    Ok(format!(
        r#"{{"organization-name":"Big Mail","date-range":{{"start-datetime":"{day}T00:00:00Z",
"end-datetime":"{day}T23:59:59Z"}},"contact-info":"tls@reporter.test","report-id":"{id}",
"policies":[{{"policy":{{"policy-type":"sts","policy-string":["version: STSv1"],
"policy-domain":"clinic.test","mx-host":"mail.clinic.test"}},
"summary":{{"total-successful-session-count":40,"total-failure-session-count":2}},
"failure-details":[{{"result-type":"certificate-expired","sending-mta-ip":"192.0.2.50",
"receiving-mx-hostname":"mail.clinic.test","failed-session-count":2}}]}}]}}"#
    ))
}

/// A mail with the report, packed by gzip(1).
fn mail(folder: &Path, id: &str) -> Result<String> {
    let file = folder.join("report.json");
    fs::write(&file, report(id)?)?;
    let output = Command::new("gzip").args(["-c"]).arg(&file).output()?;
    let packed = data_encoding::BASE64_MIME.encode(&output.stdout);
    Ok(format!(
        "From: tls@reporter.test\r\nTo: tls-reports@clinic.test\r\n\
         Subject: Report Domain: clinic.test Submitter: reporter.test Report-ID: <{id}>\r\n\
         TLS-Report-Domain: clinic.test\r\nTLS-Report-Submitter: reporter.test\r\n\
         Date: Thu, 26 Nov 2026 00:10:00 +0000\r\nMessage-ID: <{id}@reporter.test>\r\n\
         MIME-Version: 1.0\r\n\
         Content-Type: multipart/report; report-type=tlsrpt; boundary=\"b\"\r\n\r\n\
         --b\r\nContent-Type: text/plain\r\n\r\nA report.\r\n\
         --b\r\nContent-Type: application/tlsrpt+gzip\r\nContent-Transfer-Encoding: base64\r\n\
         Content-Disposition: attachment; filename=\"r.json.gz\"\r\n\r\n{}\r\n--b--\r\n",
        packed.trim_end()
    ))
}

/// The mail with a signature by Debian's python3-dkim.
fn signed(key: &Path, mail: &str) -> Result<String> {
    let mut child = Command::new("dkimsign")
        .args(["s", "reporter.test"])
        .arg(key)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().ok_or("no input")?, mail.as_bytes())?;
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "dkimsign failed");
    Ok(String::from_utf8(output.stdout)?.replace("\r\n", "\n").replace('\n', "\r\n"))
}

fn key_record(key: &Path) -> Result<String> {
    let pem = run(Command::new("openssl").args(["rsa", "-pubout", "-in"]).arg(key))?;
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let text = format!("v=DKIM1; k=rsa; p={base64}");
    let strings: Vec<String> = text
        .as_bytes()
        .chunks(200)
        .map(|part| format!("\"{}\"", String::from_utf8_lossy(part)))
        .collect();
    Ok(format!("s._domainkey.reporter.test. TXT ( {} )", strings.join(" ")))
}

#[test]
fn rep_01_reports_come_in() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let key = folder.path().join("key");
    run(Command::new("openssl").args(["genrsa", "-traditional", "-out"]).arg(&key).arg("2048"))?;
    let lab = Lab::start_with(|plan| {
        let records = [key_record(&key)?];
        plan.zones.push(Zone::new("reporter.test", Proof::Unsigned, &records));
        Ok(())
    })?;
    let practice = Practice::open_in(lab, "")?;
    let to = "tls-reports@clinic.test";

    let mx = practice.wardpost.mx();
    let relay = format!("relayhost = [{}]:{}", mx.ip(), mx.port());
    let postfix =
        COLLEAGUE.start_with(&practice.lab, &[&relay, "smtp_tls_security_level = encrypt"])?;
    let mut smtp = Smtp::connect(postfix.address)?;
    smtp.must("EHLO desk.reporter.test", 250)?;
    smtp.send("tls@reporter.test", &[to], &signed(&key, &mail(folder.path(), "proven-1")?)?)?;
    wait_for("the report", PATIENCE, || {
        let said = practice.wardpost.cli(&["report", "tls"], "").ok()?;
        said.contains("40 sessions without fault, 2 failed (1 reports)").then_some(())
    })
    .map_err(|e| format!("{e}\n{}\n{}", practice.wardpost.log(), postfix.log()))?;

    let file = folder.path().join("mail");
    fs::write(&file, mail(folder.path(), "unproven-1")?.replace("\r\n", "\n"))?;
    let mut swaks = Command::new("swaks");
    swaks.args(["--server", &mx.ip().to_string(), "--port", &mx.port().to_string(), "--tls"]);
    swaks.args(["--from", "tls@reporter.test", "--to", to, "--data"]);
    run(swaks.arg(format!("@{}", file.display())))?;
    let mut stranger = practice.stranger()?;
    let nothing = "From: a@reporter.test\r\nSubject: hello\r\n\r\nIs somebody there?\r\n";
    let refused = stranger.send("a@reporter.test", &[to], nothing).err().ok_or("was taken")?;
    assert!(refused.to_string().contains("554 5.6.0"), "{refused}");

    let said = practice.wardpost.cli(&["report", "tls"], "")?;
    assert!(said.contains("40 sessions without fault, 2 failed (1 reports)"), "{said}");
    assert!(said.contains("certificate-expired: 2 sessions"), "{said}");
    assert!(said.contains("renew it"), "{said}");
    assert!(said.contains("2 times from 192.0.2.50 to mail.clinic.test"), "{said}");
    assert!(said.contains("nothing proves"), "{said}");
    let json = practice.wardpost.cli(&["report", "tls", "--json", "--days", "3"], "")?;
    let json: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!(json["reporters"][0]["id"], "proven-1");
    assert_eq!(json["unproven"][0]["id"], "unproven-1");

    let url = format!("http://{}/metrics", practice.wardpost.metrics());
    let metrics = run(Command::new("curl").args(["-sS", &url]))?;
    for line in [
        "wardpost_tlsrpt_sessions_total{result=\"success\"} 40",
        "wardpost_tlsrpt_sessions_total{result=\"failure\"} 2",
        "wardpost_tlsrpt_failures_total{type=\"certificate-expired\"} 2",
        "wardpost_reports_received_total{kind=\"tls\",outcome=\"taken\"} 1",
        "wardpost_reports_received_total{kind=\"tls\",outcome=\"unproven\"} 1",
        "wardpost_reports_received_total{kind=\"tls\",outcome=\"unreadable\"} 1",
    ] {
        assert!(metrics.lines().any(|found| found == line), "{line}\n{metrics}");
    }
    Ok(())
}
