//! `cargo xtask demo`: the whole product on loopback, with real mail down every route.
//!
//! Starts a throw-away authority and a signed DNS root, destination servers (Postfix with verified TLS, with a
//! self-signed certificate, without TLS, with DANE records, under an MTA-STS policy that it meets and under one
//! that it does not) and Wardpost with two staff accounts; sends messages with attachments; asks
//! `wardpost route explain` about each destination and checks that it tells what then happened; shows what
//! went how and why, and where to look. Runs until Ctrl-C, or with `--once` ends after the checks.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use tokio::signal::unix::{SignalKind, signal};
use wardpost_tests::destinations::{
    BILLER, COLLEAGUE, Destination, Face, HOSPITAL, PLAINMAIL, Place,
};
use wardpost_tests::knot::Proof;
use wardpost_tests::policies::{self, Answer, Policies};
use wardpost_tests::postfix::Postfix;
use wardpost_tests::practice::{PATIENCE, Practice, message, message_with_attachment};
use wardpost_tests::smtp::Smtp;
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Lab, Result, wait_for, web};

fn main() -> ExitCode {
    let once = std::env::args().any(|arg| arg == "--once");
    match told_to_end().and_then(|end| demo(once, &end)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("demo: {e}");
            ExitCode::FAILURE
        }
    }
}

/// One row of the table.
struct Row {
    what: &'static str,
    how: &'static str,
    why: &'static str,
}

/// Hears of Ctrl-C and SIGTERM, so that the servers that were started are ended in order.
fn told_to_end() -> Result<Receiver<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (tell, end) = channel();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let mut terminate = signal(SignalKind::terminate())?;
            tokio::select! {
                heard = tokio::signal::ctrl_c() => heard,
                _ = terminate.recv() => Ok(()),
            }
        })?;
        // Nobody listens any more when the demo is over anyway.
        let _ = tell.send(());
        Ok::<(), std::io::Error>(())
    });
    Ok(end)
}

fn demo(once: bool, end: &Receiver<()>) -> Result<()> {
    println!(
        "Starting a certificate authority, a signed DNS root, Wardpost and five Postfix servers …"
    );
    let (lab, published) = Published::prepare()?;
    let practice = Practice::open_in(lab, "")?;
    let servers = Servers::start(&practice)?;
    let published = published.start(&practice)?;
    println!("Sending mail down every route …\n");
    let mut rows = Vec::new();
    incoming(&practice, &servers.colleague)?;
    rows.push(Row {
        what: "joe@colleague.test → dana",
        how: "delivered, sealed to Dana's key",
        why: "came over TLS; read back over IMAP",
    });
    refused_in_the_clear(&practice)?;
    rows.push(Row {
        what: "anyone → dana without TLS",
        how: "refused (530 5.7.0)",
        why: "nothing is taken in the clear",
    });
    explained(&practice, "ward@hospital.test", "direct", "T3")?;
    outgoing(&practice, HOSPITAL)?;
    servers.hospital.wait_for_message("ward@hospital.test", PATIENCE)?;
    rows.push(Row {
        what: "dana → ward@hospital.test",
        how: "delivered over TLS",
        why: "T3: certificate verified for mx.hospital.test",
    });
    published.send(&practice)?;
    rows.extend(published.rows());
    explained(&practice, "pat@biller.test", "pickup", "T2")?;
    let biller = picked_up(&practice, BILLER, &servers.biller)?;
    rows.push(Row {
        what: "dana → pat@biller.test",
        how: "notice sent, message on the web page",
        why: "T2: the certificate is self-signed",
    });
    explained(&practice, "pat@plainmail.test", "pickup", "T0")?;
    let plain = picked_up(&practice, PLAINMAIL, &servers.plainmail)?;
    rows.push(Row {
        what: "dana → pat@plainmail.test",
        how: "notice sent, message on the web page",
        why: "T0: the server offers no TLS",
    });
    show(&rows);
    println!("\n{}", explain(&practice, "pat@dane.test", &[])?);
    read_on_the_web(&practice, &plain)?;
    println!("\nThe patient's link was opened with the code, and the message read.");
    where_to_look(&practice, &[("pat@plainmail.test", &plain), ("pat@biller.test", &biller)]);
    if once {
        println!("\nAll checks passed.");
        return Ok(());
    }
    println!("\nCtrl-C ends the demo; nothing of it stays.");
    end.recv()?;
    println!("\nStopping …");
    Ok(())
}

/// The world outside.
struct Servers {
    colleague: Postfix,
    hospital: Postfix,
    biller: Postfix,
    plainmail: Postfix,
}

impl Servers {
    fn start(practice: &Practice) -> Result<Self> {
        let mx = practice.wardpost.mx();
        let relay = format!("relayhost = [{}]:{}", mx.ip(), mx.port());
        let lab = &practice.lab;
        Ok(Self {
            colleague: COLLEAGUE.start_with(lab, &[&relay, "smtp_tls_security_level = encrypt"])?,
            hospital: HOSPITAL.start(lab)?,
            biller: BILLER.start(lab)?,
            plainmail: PLAINMAIL.start(lab)?,
        })
    }
}

/// Domains that publish how their mail servers are to be known, all on one Postfix.
struct Published {
    faces: Vec<Face>,
    server: Option<(Postfix, Policies)>,
}

/// The hosts' names below the domains, and whether their servers are what was published.
const PUBLISHED: [(&str, bool); 3] =
    [("dane.test", true), ("policy.test", true), ("intercepted.test", false)];

impl Published {
    /// Puts the domains into a new world's DNS: TLSA records in a signed zone, and MTA-STS records.
    fn prepare() -> Result<(Lab, Self)> {
        let mut faces = Vec::new();
        let lab = Lab::start_with(|plan| {
            for (host, (domain, _)) in (60..).zip(PUBLISHED) {
                let name = format!("mx.{domain}");
                // The one that DANE vouches for needs no authority; the last is somebody in the middle.
                let pair = match domain {
                    "policy.test" => plan.ca.issue(&[&name])?,
                    _ => plan.ca.self_signed(&[&name])?,
                };
                let tlsa = pair.tlsa.clone();
                let domain = domain.to_owned();
                let face = Face { domain, ip: plan.host(host), tls: Some(pair), old: false };
                let zone = match face.domain.as_str() {
                    "dane.test" => face.zone(Proof::Signed, &face.tlsa(&tlsa)),
                    domain => {
                        face.zone(Proof::Unsigned, &policies::records(plan, domain, "20261126"))
                    }
                };
                plan.zones.push(zone);
                faces.push(face);
            }
            Ok(())
        })?;
        Ok((lab, Self { faces, server: None }))
    }

    /// Starts the mail server and the host of the policies.
    fn start(self, practice: &Practice) -> Result<Self> {
        let lab = &practice.lab;
        let host = Policies::start(lab)?;
        for domain in ["policy.test", "intercepted.test"] {
            let pair = lab.ca.issue(&[&format!("mta-sts.{domain}")])?;
            host.set(domain, &pair, Answer::policy("enforce", &format!("mx.{domain}"), 86400))?;
        }
        let server = Postfix::start(lab, "published", &self.faces, &[])?;
        Ok(Self { server: Some((server, host)), ..self })
    }

    /// Sends to each, and sees where it went.
    fn send(&self, practice: &Practice) -> Result<()> {
        let (server, _) = self.server.as_ref().ok_or("it was not started")?;
        for (domain, meets) in PUBLISHED {
            let to = format!("pat@{domain}");
            let (outcome, grade) = if meets { ("direct", "T4") } else { ("pickup", "T2") };
            explained(practice, &to, outcome, grade)?;
            let text = message(&practice.dana, &to, "Your results", "They are attached.");
            practice.submit(&practice.dana, &[&to], &text)?;
            if meets {
                server.wait_for_message(&to, PATIENCE)?;
            } else {
                wait_for("the parcel", PATIENCE, || {
                    let parcels = practice.wardpost.cli(&["parcel", "list"], "").ok()?;
                    parcels.contains(&to).then_some(())
                })?;
            }
        }
        let leaked = server.messages().iter().any(|mail| mail.contains("pat@intercepted.test"));
        if leaked { Err("something went to the server in the middle".into()) } else { Ok(()) }
    }

    fn rows(&self) -> [Row; 3] {
        [
            Row {
                what: "dana → pat@dane.test",
                how: "delivered over TLS",
                why: "T4: the certificate fits the domain's DANE record",
            },
            Row {
                what: "dana → pat@policy.test",
                how: "delivered over TLS",
                why: "T4: as the domain's MTA-STS policy demands",
            },
            Row {
                what: "dana → pat@intercepted.test",
                how: "message on the web page, notice held back",
                why: "T2, and the domain's MTA-STS policy demands T4",
            },
        ]
    }
}

/// What `wardpost route explain` says.
fn explain(practice: &Practice, to: &str, options: &[&str]) -> Result<String> {
    practice.wardpost.cli(&[&["route", "explain", &practice.dana, to], options].concat(), "")
}

/// Checks that it says this before it happens.
fn explained(practice: &Practice, to: &str, outcome: &str, grade: &str) -> Result<()> {
    let said = explain(practice, to, &["--json"])?;
    let view: serde_json::Value = serde_json::from_str(&said)?;
    if view["outcome"] == outcome && view["hops"][0]["grade"] == grade {
        return Ok(());
    }
    Err(format!("{to}: {outcome} at {grade} was expected, and explained was:\n{said}").into())
}

/// A colleague's Postfix delivers to us; Dana reads it over IMAP.
fn incoming(practice: &Practice, colleague: &Postfix) -> Result<()> {
    let mut smtp = Smtp::connect(colleague.address)?;
    smtp.must("EHLO desk.colleague.test", 250)?;
    let text = message("joe@colleague.test", &practice.dana, "Referral", "Please see my patient.");
    smtp.send("joe@colleague.test", &[&practice.dana], &text)?;
    practice.wait_for_mail(&practice.dana, "Please see my patient.")?;
    Ok(())
}

fn refused_in_the_clear(practice: &Practice) -> Result<()> {
    let mut smtp = Smtp::connect(practice.wardpost.mx())?;
    smtp.must("EHLO stranger.test", 250)?;
    smtp.must("MAIL FROM:<stranger@plainmail.test>", 530)?;
    Ok(())
}

fn outgoing(practice: &Practice, place: Place) -> Result<()> {
    let local = if place.domain == HOSPITAL.domain { "ward" } else { "pat" };
    let to = format!("{local}@{}", place.domain);
    let text = message_with_attachment(
        &format!("Dr. Dana Reyes <{}>", practice.dana),
        &to,
        "Your results",
        &format!("Dear {local}, your results are attached."),
        ("results.csv", "test,value\r\nhaemoglobin,14.1\r\n"),
    );
    practice.submit(&practice.dana, &[&to], &text)
}

/// What a patient holds.
struct Pickup {
    link: String,
    code: String,
}

fn picked_up(practice: &Practice, place: Place, server: &Postfix) -> Result<Pickup> {
    outgoing(practice, place)?;
    let notice = server
        .wait_for_message("https://mail.clinic.test", PATIENCE)
        .map_err(|e| format!("{e}\n{}", practice.wardpost.log()))?;
    if notice.contains("results") {
        return Err("the notice quotes the message".into());
    }
    let plain = notice.replace("=\n", "").replace("=3D", "=");
    let link =
        web::link(&plain, "https://mail.clinic.test:8443/p/").ok_or("no link in the notice")?;
    let told = practice.wait_for_mail(&practice.dana, place.domain)?;
    let code = web::code(&told).ok_or("no code in the mail to the sender")?;
    Ok(Pickup { link, code })
}

/// Opens the link as the patient does.
fn read_on_the_web(practice: &Practice, pickup: &Pickup) -> Result<()> {
    let browser = web::Browser::new(&practice.lab, &practice.wardpost, "patient")?;
    let page = wait_for("the pickup page", PATIENCE, || browser.open(&pickup.link).ok())?;
    if page.body.contains("results") {
        return Err("the page shows the message before the code".into());
    }
    let page = web::enter_code(&browser, &page, &pickup.code)?;
    if !page.body.contains("Your results") {
        return Err(format!("the code did not open the message:\n{}", page.body).into());
    }
    Ok(())
}

fn show(rows: &[Row]) {
    println!("{:<30} {:<43} why", "message", "what became of it");
    println!("{}", "─".repeat(124));
    for row in rows {
        println!("{:<30} {:<43} {}", row.what, row.how, row.why);
    }
}

fn where_to_look(practice: &Practice, pickups: &[(&str, &Pickup)]) {
    let server = &practice.wardpost;
    println!(
        "\nPickup (add `{} mail.clinic.test` to /etc/hosts for a browser):",
        server.https().ip()
    );
    for (patient, pickup) in pickups {
        println!("  {patient}: {}  code {}", pickup.link, pickup.code);
    }
    println!("\nTry a mail program:");
    println!("  accounts  {} and {}, password \"{PASSWORD}\"", practice.dana, practice.lee);
    println!("  IMAP      {} (TLS), server name {HOSTNAME}", server.imaps());
    println!("  SMTP      {} (STARTTLS) or {} (TLS)", server.submission(), server.submissions());
    println!("  trust     {}", practice.lab.ca.root.display());
    println!("\nWatch: curl http://{}/metrics", server.metrics());
    println!("Ask:   wardpost queue list --config {}", server.config().display());
}
