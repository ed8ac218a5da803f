//! Mailbox access: log-in, listing, reading, writing, waking up, and what idle clients cost.

use crate::measure::{as_millis, memory_mib, millis};
use crate::peer::{Peer, USER};
use crate::smtp::body;
use std::thread;
use std::time::{Duration, Instant};
use wardpost_tests::Result;

/// How many clients idle at once.
const IDLERS: usize = 500;
/// After what time without work a server counts as idle.
const SETTLE: Duration = Duration::from_secs(1);

/// One line of the table.
pub(crate) struct Line {
    pub(crate) what: &'static str,
    pub(crate) value: f64,
    pub(crate) more_is_better: bool,
}

fn less(what: &'static str, value: f64) -> Line {
    Line { what, value, more_is_better: false }
}

fn more(what: &'static str, value: f64) -> Line {
    Line { what, value, more_is_better: true }
}

pub(crate) fn measure(peer: &Peer, count: usize) -> Result<Vec<Line>> {
    let mut lines = vec![less("memory idle, MiB", settled_memory(peer))];
    fill(peer, count)?;
    let (first_login, mut imap) = millis(|| peer.imap())?;
    lines.push(less("first log-in after the deliveries, ms", first_login));
    lines.push(less("SELECT, ms", millis(|| imap.must("SELECT INBOX"))?.0));
    let envelopes = "FETCH 1:* (ENVELOPE FLAGS)";
    lines.push(less("ENVELOPE FLAGS of all, first, ms", millis(|| imap.must(envelopes))?.0));
    lines.push(less("ENVELOPE FLAGS of all, warm, ms", millis(|| imap.must(envelopes))?.0));
    lines.push(less("second log-in, ms", millis(|| peer.imap())?.0));
    let bodies = count.min(1_000);
    let (time, _) = millis(|| imap.must(&format!("FETCH 1:{bodies} BODY.PEEK[]")))?;
    lines.push(more("bodies read a second", bodies as f64 / time * 1000.0));
    lines.push(more("APPEND a second", appends(peer, 200)?));
    let flags = format!("STORE 1:{bodies} +FLAGS.SILENT (\\Flagged)");
    lines.push(more(
        "flags stored a second",
        bodies as f64 / millis(|| imap.must(&flags))?.0 * 1000.0,
    ));
    lines.push(less("IDLE wake-up after a delivery, median ms", wake_up(peer)?));
    lines.push(less("memory with 500 idle clients, MiB", idlers(peer)?));
    Ok(lines)
}

/// Delivers `count` messages with nobody logged in.
fn fill(peer: &Peer, count: usize) -> Result<()> {
    let text = body(4 << 10);
    let clients = 8;
    thread::scope(|scope| -> Result<()> {
        let workers: Vec<_> = (0..clients)
            .map(|_| {
                scope.spawn(|| -> Result<()> {
                    let mut smtp = peer.smtp()?;
                    for _ in 0..count / clients {
                        smtp.send("load@hospital.test", &[USER], &text)?;
                    }
                    Ok(())
                })
            })
            .collect();
        workers.into_iter().try_for_each(|w| w.join().map_err(|_| "a client panicked")?)
    })?;
    peer.wait_until_delivered(count / clients * clients)
}

fn appends(peer: &Peer, count: usize) -> Result<f64> {
    let text = body(4 << 10);
    let mut imap = peer.imap()?;
    let (time, ()) =
        millis(|| (0..count).try_for_each(|_| imap.append("INBOX", &text).map(|_| ())))?;
    Ok(count as f64 / time * 1000.0)
}

/// From the final 250 of a delivery to the idling client's EXISTS.
fn wake_up(peer: &Peer) -> Result<f64> {
    let text = body(4 << 10);
    let mut idler = peer.imap()?;
    idler.must("SELECT INBOX")?;
    idler.start("IDLE")?;
    idler.response()?;
    let mut smtp = peer.smtp()?;
    let mut times = Vec::new();
    for _ in 0..11 {
        thread::sleep(Duration::from_millis(300));
        let start = Instant::now();
        smtp.send("load@hospital.test", &[USER], &text)?;
        while !idler.response()?.ends_with(b"EXISTS\r\n") {}
        times.push(as_millis(start.elapsed()));
    }
    times.sort_by(f64::total_cmp);
    Ok(times[times.len() / 2])
}

/// Memory once nothing has happened for a moment: idle.
fn settled_memory(peer: &Peer) -> f64 {
    thread::sleep(SETTLE);
    memory_mib(peer.programs())
}

fn idlers(peer: &Peer) -> Result<f64> {
    let mut clients = Vec::with_capacity(IDLERS);
    for _ in 0..IDLERS {
        let mut imap = peer.imap()?;
        imap.must("SELECT INBOX")?;
        imap.start("IDLE")?;
        imap.response()?;
        clients.push(imap);
    }
    Ok(settled_memory(peer))
}
