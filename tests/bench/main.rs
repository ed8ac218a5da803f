//! `cargo xtask bench`: Wardpost beside Postfix + Dovecot (LMTP, mail_crypt with a key for every user, TLS)
//! in one run on one machine. What counts are the ratios: these numbers were never meant to be compared
//! between machines.

mod imap;
mod measure;
mod out;
mod peer;
mod smtp;

use peer::Peer;
use std::process::ExitCode;
use wardpost_tests::Result;

const USAGE: &str = "Usage: cargo xtask bench [smtp|imap|out] [--quick]";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let quick = args.iter().any(|arg| arg == "--quick");
    let what: Vec<&str> = args.iter().map(String::as_str).filter(|arg| *arg != "--quick").collect();
    let outcome = match what.as_slice() {
        [] => smtp_table(quick).and_then(|()| imap_table(quick)).and_then(|()| out_table(quick)),
        ["smtp"] => smtp_table(quick),
        ["imap"] => imap_table(quick),
        ["out"] => out_table(quick),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

/// Runs `f` on each peer in turn, so that only one of them is up at a time.
fn on_both<T>(f: impl Fn(&Peer) -> Result<T>) -> Result<(T, T)> {
    let theirs = f(&Peer::postfix_and_dovecot()?)?;
    let ours = f(&Peer::wardpost()?)?;
    Ok((ours, theirs))
}

fn smtp_table(quick: bool) -> Result<()> {
    println!("Durable deliveries over STARTTLS, counted when visible in the mailbox");
    println!(
        "{:>8} {:>8}  {:>22}  {:>7}  {:>16}  {:>19}  {:>19}",
        "size",
        "clients",
        "messages/s (peer)",
        "ratio",
        "CPU ms (peer)",
        "p50 ms (peer)",
        "p99 ms (peer)"
    );
    let (ours, theirs) = on_both(|peer| smtp::measure(peer, quick))?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        println!(
            "{:>8} {:>8}  {:>10.0} ({:>9.0})  {:>6.1}×  {:>6.2} ({:>7.2})  {:>8.1} ({:>8.1})  {:>8.1} ({:>8.1})",
            measure::size_name(ours.size),
            ours.clients,
            ours.rate,
            theirs.rate,
            ours.rate / theirs.rate,
            ours.cpu_ms,
            theirs.cpu_ms,
            ours.p50_ms,
            theirs.p50_ms,
            ours.p99_ms,
            theirs.p99_ms,
        );
    }
    println!();
    Ok(())
}

fn imap_table(quick: bool) -> Result<()> {
    let count = if quick { 1_000 } else { 10_000 };
    println!("IMAP on {count} messages of 4 KiB");
    println!("{:<44} {:>14} {:>14} {:>9}", "", "Wardpost", "peer", "better by");
    let (ours, theirs) = on_both(|peer| imap::measure(peer, count))?;
    for (ours, theirs) in ours.iter().zip(&theirs) {
        let ratio =
            if ours.more_is_better { ours.value / theirs.value } else { theirs.value / ours.value };
        println!("{:<44} {:>14.1} {:>14.1} {:>8.1}×", ours.what, ours.value, theirs.value, ratio);
    }
    println!();
    Ok(())
}

fn out_table(quick: bool) -> Result<()> {
    println!(
        "Outgoing to one destination over verified TLS, connections kept, from hand-in to taken"
    );
    println!(
        "{:>8}  {:>22}  {:>7}  {:>16}  {:>18}",
        "size", "messages/s (peer)", "ratio", "CPU ms (peer)", "connections (peer)"
    );
    for (ours, theirs) in out::throughput(quick)? {
        println!(
            "{:>8}  {:>10.0} ({:>9.0})  {:>6.1}×  {:>6.2} ({:>7.2})  {:>8} ({:>7})",
            measure::size_name(ours.size),
            ours.rate,
            theirs.rate,
            ours.rate / theirs.rate,
            ours.cpu_ms,
            theirs.cpu_ms,
            ours.connections,
            theirs.connections,
        );
    }
    println!();
    let storm = out::storm(quick)?;
    println!(
        "A fresh letter while {} wait for {} domains that refuse, stall or dawdle ({} still waited afterwards)",
        storm.letters,
        wardpost_tests::storm::DOMAINS,
        storm.waiting
    );
    for (what, (calm, stormy)) in
        [("to a domain that answered before", storm.known), ("to a new domain", storm.new)]
    {
        println!("{what:<36} {calm:>8.0} ms, in the storm {stormy:>8.0} ms: {:.1}×", stormy / calm);
    }
    println!();
    Ok(())
}
