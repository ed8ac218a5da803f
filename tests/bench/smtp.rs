//! Durable deliveries over STARTTLS: N clients, each with one connection, one message after the other.

use crate::measure::{CpuClock, as_millis, percentile};
use crate::peer::{Peer, USER};
use std::thread;
use std::time::{Duration, Instant};
use wardpost_tests::practice::exists;
use wardpost_tests::smtp::Smtp;
use wardpost_tests::{Result, wait_for};

/// One line of the table.
pub(crate) struct Line {
    pub(crate) size: usize,
    pub(crate) clients: usize,
    /// Messages that became visible a second.
    pub(crate) rate: f64,
    /// The servers' CPU milliseconds a message.
    pub(crate) cpu_ms: f64,
    /// MAIL to the final 250.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

pub(crate) fn measure(peer: &Peer, quick: bool) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    let mut expected = 0;
    for (size, base) in [(4 << 10, 480), (50 << 10, 320), (1 << 20, 96)] {
        for clients in [1, 8, 32] {
            let each = (if quick { base / 4 } else { base } / clients).max(1);
            let count = each * clients;
            expected += count;
            lines.push(one(peer, size, clients, count, expected)?);
        }
    }
    Ok(lines)
}

fn one(peer: &Peer, size: usize, clients: usize, count: usize, expected: usize) -> Result<Line> {
    let text = body(size);
    let mut imap = peer.imap()?;
    let sessions: Vec<Smtp> = (0..clients).map(|_| peer.smtp()).collect::<Result<_>>()?;
    let cpu = CpuClock::start();
    let start = Instant::now();
    let mut latencies = thread::scope(|scope| -> Result<Vec<f64>> {
        let workers: Vec<_> = sessions
            .into_iter()
            .map(|mut smtp| {
                scope.spawn({
                    let text = &text;
                    move || send_all(&mut smtp, text, count / clients)
                })
            })
            .collect();
        let mut all = Vec::with_capacity(count);
        for worker in workers {
            all.extend(worker.join().map_err(|_| "a client panicked")??);
        }
        Ok(all)
    })?;
    wait_for("every message to be visible", Duration::from_secs(300), || {
        let seen = exists(&imap.must("SELECT INBOX").ok()?)?;
        (seen as usize >= expected).then_some(())
    })?;
    let elapsed = start.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    Ok(Line {
        size,
        clients,
        rate: count as f64 / elapsed,
        cpu_ms: cpu.elapsed() * 1000.0 / count as f64,
        p50_ms: percentile(&latencies, 0.5),
        p99_ms: percentile(&latencies, 0.99),
    })
}

fn send_all(smtp: &mut Smtp, text: &str, count: usize) -> Result<Vec<f64>> {
    (0..count)
        .map(|_| {
            let start = Instant::now();
            smtp.send("load@hospital.test", &[USER], text)?;
            Ok(as_millis(start.elapsed()))
        })
        .collect()
}

/// A message of about `size` octets.
pub(crate) fn body(size: usize) -> String {
    let mut text = format!(
        "From: load@hospital.test\r\nTo: {USER}\r\nSubject: load\r\nDate: Sun, 22 Nov 2026 10:00:00 +0000\r\n\
         Message-ID: <load@hospital.test>\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\n"
    );
    while text.len() < size {
        text.push_str(
            "The quick brown fox jumps over the lazy dog and writes seventy odd letters.\r\n",
        );
    }
    text
}
