//! A patient reads and answers with a real browser on a phone: the formatted message loads nothing from the
//! Internet and runs nothing. A link scanner with a browser of its own, which presses every button, opens
//! nothing.

use crate::pickup::{BODY, Letter, expect_pickup};
use serde_json::{Value, json};
use std::fs;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;
use wardpost_tests::Result;
use wardpost_tests::chromium::Chromium;
use wardpost_tests::destinations::PLAINMAIL;
use wardpost_tests::practice::Practice;

const TRACKER: &str = "tracker.test";

#[test]
fn pickup_02_chromium_reads_and_answers() -> Result<()> {
    let practice = Practice::open()?;
    let tracker = Tracker::listen(practice.lab.host(60))?;
    let plainmail = PLAINMAIL.start(&practice.lab)?;
    let letter = Letter::send_formatted(&practice, "pat@plainmail.test", &formatted(&tracker))?;
    let pickup = expect_pickup(&practice, &plainmail, &letter)?;

    scan(&practice, &pickup.link)?;
    let parcel = only_parcel(&practice)?;
    assert_eq!(parcel["state"], "waiting", "{parcel}");
    assert_eq!(parcel["opened"], json!([]), "{parcel}");
    assert_eq!(parcel["wrong_codes"], 0, "an empty code is not a wrong one: {parcel}");

    let others = [(TRACKER, tracker.ip)];
    let patient = Chromium::start(&practice.lab, &practice.wardpost, "patient", &others)?;
    patient.open(&pickup.link)?;
    fits(&patient)?;
    patient.type_into("#code", &pickup.code)?;
    patient.click("form button")?;
    let page = patient.wait_for_text(BODY)?;
    assert!(page.contains("Dana"), "{page}");
    fits(&patient)?;
    read_formatted(&patient)?;
    assert_eq!(tracker.visits(), 0, "the tracker was told");
    assert_ne!(only_parcel(&practice)?["opened"], json!([]));

    let photo = patient.folder().join("photo.txt");
    fs::write(&photo, "a picture of the rash")?;
    patient.type_into("#text-field", "Thank you, I will come on Monday.")?;
    patient.type_into("#files-field", &photo.to_string_lossy())?;
    patient.click("form[action$='/answer'] button")?;
    patient.wait_for_text("Your answer was sent")?;
    let answer = practice.wait_for_mail(&practice.dana, "I will come on Monday")?;
    assert!(answer.contains("photo.txt") && answer.contains("In-Reply-To:"), "{answer}");

    assert_eq!(patient.complaints()?, Vec::<String>::new());
    // The tracker would have been told, had anything of it been loaded.
    patient.open(&tracker.url)?;
    assert!(tracker.visits() > 0, "the tracker never works");
    Ok(())
}

/// A formatted message with everything that should not happen in it.
fn formatted(tracker: &Tracker) -> String {
    let url = &tracker.url;
    format!(
        "<html><head><style>@import url({url}a.css); body {{ background: url({url}b.png) }}</style>\
         <link rel=stylesheet href=\"{url}c.css\"></head>\
         <body><p>Dear Pat, your result: <b id=\"result\">{BODY}</b>.</p>\
         <img src=\"{url}d.png\" alt=\"\"><img srcset=\"{url}e.png 2x\"><div style=\"background:url({url}f.png)\">x</div>\
         <iframe src=\"{url}g.html\"></iframe><script src=\"{url}h.js\"></script>\
         <img src=x onerror=\"new Image().src='{url}i.png'\">\
         <script>parent.document.title = 'taken over'</script></body></html>"
    )
}

/// Looks at the message with its formatting.
fn read_formatted(patient: &Chromium) -> Result<()> {
    patient.script("document.querySelectorAll('details').forEach(d => d.open = true)")?;
    patient.enter_frame("iframe")?;
    let shown = patient.wait_for_text(BODY)?;
    assert!(shown.contains("Dear Pat"), "{shown}");
    patient.leave_frame()?;
    let page = patient.text()?;
    assert!(page.contains("from the Internet"), "nobody says that pictures are missing:\n{page}");
    assert_ne!(patient.script("return document.title")?, json!("taken over"));
    Ok(())
}

/// The page is as wide as the phone: nobody has to scroll sideways.
fn fits(browser: &Chromium) -> Result<()> {
    let width = "return [document.documentElement.scrollWidth, window.innerWidth]";
    let widths = browser.script(width)?;
    assert!(widths[0].as_u64() <= widths[1].as_u64(), "{widths}");
    assert_eq!(widths[1], json!(360));
    Ok(())
}

/// What link scanners do: open, run, press every button, look around.
fn scan(practice: &Practice, link: &str) -> Result<()> {
    let scanner = Chromium::start(&practice.lab, &practice.wardpost, "scanner", &[])?;
    for _ in 0..2 {
        scanner.open(link)?;
        assert_eq!(scanner.script("return document.querySelectorAll('button').length")?, json!(1));
        scanner.script("document.querySelectorAll('details').forEach(d => d.open = true)")?;
        scanner.click("button")?;
        let page = scanner.wait_for_text("code")?;
        assert!(!page.contains(BODY) && !page.contains("Dana"), "{page}");
    }
    Ok(())
}

/// What the command line says about the one parcel there is.
fn only_parcel(practice: &Practice) -> Result<Value> {
    let said = practice.wardpost.cli(&["parcel", "list", "--json"], "")?;
    let parcels: Value = serde_json::from_str(&said)?;
    match parcels.as_array().map(Vec::as_slice) {
        Some([parcel]) => Ok(parcel.clone()),
        _ => Err(format!("not one parcel: {said}").into()),
    }
}

/// A listener that counts who calls.
struct Tracker {
    ip: Ipv4Addr,
    url: String,
    visits: Arc<AtomicUsize>,
}

impl Tracker {
    fn listen(ip: Ipv4Addr) -> Result<Self> {
        let listener = TcpListener::bind((ip, 0))?;
        let url = format!("http://{TRACKER}:{}/", listener.local_addr()?.port());
        let visits = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&visits);
        thread::spawn(move || {
            for caller in listener.incoming().flatten() {
                counter.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || answer(caller));
            }
        });
        Ok(Self { ip, url, visits })
    }

    fn visits(&self) -> usize {
        self.visits.load(Ordering::SeqCst)
    }
}

/// Answers one request with an empty page; a caller who asks nothing is hung up on.
fn answer(mut caller: TcpStream) -> io::Result<()> {
    caller.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut reader = BufReader::new(caller.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    caller.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
