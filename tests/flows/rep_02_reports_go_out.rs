//! What we saw of others' TLS and of mail in their name reaches them when they ask for it: by mail, signed, with
//! the headers the RFCs want, and by HTTPS. Python reads what is in it.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;
use wardpost_tests::destinations::{COLLEAGUE, Destination, HOSPITAL};
use wardpost_tests::practice::{PATIENCE, Practice, message};
use wardpost_tests::process::Process;
use wardpost_tests::{Lab, Result, run, wait_for};

const WEB: &str = include_str!("rep_02_web.py");
const UNPACK: &str = include_str!("rep_02_unpack.py");
const WEB_PORT: u16 = 8443;

/// Runs Python on standard input.
fn python(script: &[&str], input: &[u8]) -> Result<String> {
    let mut child = Command::new("python3")
        .args(script)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    std::io::Write::write_all(&mut child.stdin.take().ok_or("no input")?, input)?;
    let output = child.wait_with_output()?;
    assert!(output.status.success(), "python3 {script:?} failed");
    Ok(String::from_utf8(output.stdout)?)
}

#[test]
fn rep_02_reports_go_out() -> Result<()> {
    let lab = Lab::start_with(|plan| {
        let web = plan.host(HOSPITAL.host);
        for zone in &mut plan.zones {
            match zone.name.as_str() {
                "hospital.test" => zone.records.extend([
                    format!(
                        "_smtp._tls.hospital.test. TXT \"v=TLSRPTv1; rua=mailto:tls@hospital.test,\
                         https://web.hospital.test:{WEB_PORT}/tls\""
                    ),
                    format!("web.hospital.test. A {web}"),
                ]),
                "colleague.test" => zone.records.push(
                    "_dmarc.colleague.test. TXT \"v=DMARC1; p=quarantine; rua=mailto:dmarc@colleague.test\""
                        .to_owned(),
                ),
                _ => {}
            }
        }
        Ok(())
    })?;
    let practice = Practice::open_in(lab, "")?;
    let hospital = HOSPITAL.start(&practice.lab)?;
    let colleague = COLLEAGUE.start(&practice.lab)?;
    let web = practice.lab.folder("web")?;
    let script = web.join("web.py");
    fs::write(&script, WEB)?;
    let pair = practice.lab.ca.issue(&["web.hospital.test"])?;
    let mut server = Command::new("python3");
    server.arg(&script).arg(&web).arg(practice.lab.host(HOSPITAL.host).to_string());
    server.arg(WEB_PORT.to_string()).arg(&pair.certificate).arg(&pair.key);
    let _server = Process::start(&mut server, &web.join("log"))?;

    let text = message(&practice.dana, "ward@hospital.test", "x", "to the ward");
    practice.submit(&practice.dana, &["ward@hospital.test"], &text)?;
    hospital.wait_for_message("to the ward", PATIENCE)?;
    let forged = message("joe@colleague.test", &practice.dana, "x", "not from Joe");
    practice.stranger()?.send("joe@elsewhere.test", &[&practice.dana], &forged)?;

    let sent = wait_for("the reports", Duration::from_secs(20), || {
        let said = practice.wardpost.cli(&["report", "send-now", "--json"], "").ok()?;
        let sent: serde_json::Value = serde_json::from_str(&said).ok()?;
        web.join("body").exists().then_some(sent)
    })
    .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    assert_eq!(sent["waiting"], 0, "{sent}");

    let mail = hospital.wait_for_message("TLS-Report-Domain: hospital.test", PATIENCE)?;
    let unfolded = mail.replace("\n ", " ");
    for line in [
        "TLS-Report-Submitter: clinic.test",
        "Subject: Report Domain: hospital.test Submitter: clinic.test",
        "multipart/report",
        "application/tlsrpt+gzip",
        "DKIM-Signature:",
        "d=clinic.test",
    ] {
        assert!(unfolded.contains(line), "{line}\n{mail}");
    }
    let json = python(&["-c", UNPACK], mail.as_bytes())?;
    let shown = python(&["-m", "json.tool"], json.as_bytes())?;
    let report: serde_json::Value = serde_json::from_str(&shown)?;
    assert_eq!(report["policies"][0]["policy"]["policy-domain"], "hospital.test");
    assert_eq!(report["policies"][0]["summary"]["total-successful-session-count"], 1);
    assert_eq!(report["organization-name"], "Elm Street Clinic");

    let posted = run(Command::new("gzip").arg("-dc").stdin(fs::File::open(web.join("body"))?))?;
    let posted: serde_json::Value = serde_json::from_str(&posted)?;
    assert_eq!(posted, report, "both ways bring the same report");
    let request = fs::read_to_string(web.join("request"))?.to_lowercase();
    assert!(request.starts_with("/tls\n"), "{request}");
    assert!(request.contains("content-type: application/tlsrpt+gzip"), "{request}");

    let mail = colleague.wait_for_message("Submitter: clinic.test", PATIENCE)?;
    let xml = python(&["-c", UNPACK], mail.as_bytes())?;
    for element in [
        "<domain>colleague.test</domain>",
        "<p>quarantine</p>",
        "<header_from>colleague.test</header_from>",
        "<envelope_from>elsewhere.test</envelope_from>",
        "<disposition>quarantine</disposition>",
        "<count>1</count>",
    ] {
        assert!(xml.contains(element), "{element}\n{xml}");
    }
    python(&["-c", "import sys, xml.dom.minidom as m; m.parse(sys.stdin.buffer)"], xml.as_bytes())?;

    // Each went once, and nothing tells of the sessions that carried them.
    practice.settled()?;
    let said = practice.wardpost.cli(&["report", "send-now", "--json"], "")?;
    let sent: serde_json::Value = serde_json::from_str(&said)?;
    assert_eq!(sent["made"], 0, "{sent}");
    assert_eq!(hospital.messages().len(), 2);
    Ok(())
}
