//! Calls to port 25: of others, and of ourselves. We say EHLO and QUIT, and nothing else.

use crate::Settings;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use wardpost_dns::{Mx, Resolver};
use wardpost_health::facts::{Call, OwnAnswer, Tls};
use wardpost_mail::Domain;

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(8);
/// How long a server may take to greet; some wait on purpose.
const GREETING: Duration = Duration::from_secs(12);
/// The same for our own, which does not.
const OWN: Duration = Duration::from_secs(6);
/// Mail servers of one domain that are tried.
const MAX_HOSTS: usize = 2;
/// Longest reply that is read, in octets, and in lines.
const MAX_REPLY: u64 = 16 << 10;
const MAX_LINES: usize = 64;

/// Calls the mail servers of a domain until one answers.
pub(crate) async fn call(
    domain: &Domain,
    settings: &Settings,
    resolver: &dyn Resolver,
    deadline: Instant,
) -> Call {
    let calling = async {
        let mut last = Call::NotFound;
        for address in servers(domain, resolver).await {
            let at = (address, settings.smtp_port).into();
            last = call_one(at, &settings.hostname).await;
            if !matches!(last, Call::Silence | Call::Refused) {
                break;
            }
        }
        last
    };
    timeout_at(deadline, calling).await.unwrap_or(Call::Silence)
}

/// One address each of the first mail servers of a domain.
async fn servers(domain: &Domain, resolver: &dyn Resolver) -> Vec<IpAddr> {
    let hosts: Vec<Domain> = match resolver.mx(domain).await.map(|answer| answer.value) {
        Ok(Mx::Hosts(hosts)) => hosts.into_iter().map(|mx| mx.host).collect(),
        Ok(Mx::Implicit) => vec![domain.clone()],
        Ok(Mx::Null) | Err(_) => Vec::new(),
    };
    let mut addresses = Vec::new();
    for host in hosts.iter().take(MAX_HOSTS) {
        let found = resolver.addresses(host).await.map(|answer| answer.value).unwrap_or_default();
        // IPv4 comes first.
        addresses.extend(found.first());
    }
    addresses
}

async fn call_one(at: SocketAddr, hostname: &Domain) -> Call {
    let stream = match timeout(CONNECT, TcpStream::connect(at)).await {
        Err(_) => return Call::Silence,
        Ok(Err(_)) => return Call::Refused,
        Ok(Ok(stream)) => stream,
    };
    let (read, mut write) = stream.into_split();
    let mut read = BufReader::new(read.take(MAX_REPLY));
    let greeting = match reply(&mut read).await {
        Reply::Lines(lines) => lines,
        Reply::Silence => return Call::Silence,
        Reply::Gone | Reply::Nonsense => return Call::Odd,
    };
    let overwritten = greeting.iter().any(|line| is_overwritten_greeting(line));
    if !greeting.iter().all(|line| line.starts_with("220")) {
        let _ = write.write_all(b"QUIT\r\n").await;
        return Call::TurnedAway;
    }
    if write.write_all(format!("EHLO {hostname}\r\n").as_bytes()).await.is_err() {
        return Call::Odd;
    }
    let offer = match reply(&mut read).await {
        Reply::Lines(lines) => lines,
        Reply::Silence => return Call::Silence,
        Reply::Gone | Reply::Nonsense => return Call::Odd,
    };
    // A server that goes on without hearing it loses nothing.
    let _ = write.write_all(b"QUIT\r\n").await;
    let _ = reply(&mut read).await;
    judged(overwritten, &offer)
}

/// What the answer to EHLO says about TLS.
fn judged(overwritten: bool, offer: &[String]) -> Call {
    let keyword = |line: &String| line.get(4..).unwrap_or_default().trim().to_ascii_uppercase();
    let mut keywords = offer.iter().map(keyword);
    if keywords.any(|keyword| keyword == "STARTTLS") {
        return Call::Greeted(Tls::Offered);
    }
    let mut keywords = offer.iter().map(keyword);
    if overwritten || keywords.any(|keyword| is_overwritten(&keyword)) {
        return Call::Greeted(Tls::Overwritten);
    }
    match offer.iter().all(|line| line.starts_with('2')) {
        true => Call::Greeted(Tls::Missing),
        // Who cannot do with our EHLO turns us away.
        false => Call::TurnedAway,
    }
}

/// `XXXXXXXA`, which Cisco's "SMTP inspection" makes of STARTTLS, and kin.
fn is_overwritten(keyword: &str) -> bool {
    let word = keyword.split(' ').next().unwrap_or_default();
    word.len() >= 6 && word.bytes().filter(|octet| *octet == b'X').count() + 1 >= word.len()
}

/// `220 ****…2***`, which it makes of a greeting.
fn is_overwritten_greeting(line: &str) -> bool {
    let text = line.get(4..).unwrap_or_default();
    text.matches('*').count() >= 8
}

enum Reply {
    Lines(Vec<String>),
    Silence,
    /// The connection ended before the first octet.
    Gone,
    Nonsense,
}

/// A whole reply (RFC 5321 §4.2).
async fn reply(read: &mut (impl AsyncBufReadExt + Unpin)) -> Reply {
    let reading = async {
        let mut lines = Vec::new();
        loop {
            let mut line = Vec::new();
            match read.read_until(b'\n', &mut line).await {
                Ok(0) | Err(_) if lines.is_empty() && line.is_empty() => return Reply::Gone,
                Ok(0) | Err(_) => return Reply::Nonsense,
                Ok(_) => {}
            }
            let line = String::from_utf8_lossy(&line).trim_end().to_owned();
            let code = line.get(..3).is_some_and(|code| code.bytes().all(|c| c.is_ascii_digit()));
            let more = line.as_bytes().get(3) == Some(&b'-');
            lines.push(line);
            if !code || lines.len() > MAX_LINES {
                return Reply::Nonsense;
            }
            if !more {
                return Reply::Lines(lines);
            }
        }
    };
    timeout(GREETING, reading).await.unwrap_or(Reply::Silence)
}

/// Who answers at our own address.
pub(crate) async fn call_ourselves(at: SocketAddr, hostname: &Domain) -> OwnAnswer {
    let calling = async {
        let Ok(stream) = TcpStream::connect(at).await else { return OwnAnswer::Nobody };
        let (read, mut write) = stream.into_split();
        let mut read = BufReader::new(read.take(MAX_REPLY));
        let answer = match reply(&mut read).await {
            Reply::Lines(lines) if names(&lines, hostname) => OwnAnswer::We,
            Reply::Lines(_) | Reply::Nonsense => OwnAnswer::SomebodyElse,
            // Routers that cannot reach themselves, and doors that are being closed, hang up like that.
            Reply::Silence | Reply::Gone => OwnAnswer::Nobody,
        };
        let _ = write.write_all(b"QUIT\r\n").await;
        let _ = reply(&mut read).await;
        answer
    };
    timeout(OWN, calling).await.unwrap_or(OwnAnswer::Nobody)
}

/// Whether a greeting is ours: ours begin with our name (RFC 5321 §4.2).
fn names(lines: &[String], hostname: &Domain) -> bool {
    let name = |line: &String| {
        let name = line.get(4..)?.split(' ').next()?;
        Some(name.eq_ignore_ascii_case(hostname.as_str()))
    };
    // When we have no place for one more, we say so before anything else.
    lines.iter().any(|line| name(line) == Some(true) || line.starts_with("421"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn what_firewalls_make_of_an_offer_is_told_from_none() {
        for (offer, call) in [
            (&["250-mx.test", "250 STARTTLS"][..], Call::Greeted(Tls::Offered)),
            (&["250-mx.test", "250 starttls"], Call::Greeted(Tls::Offered)),
            (&["250-mx.test", "250 SIZE 1000"], Call::Greeted(Tls::Missing)),
            (&["250-mx.test", "250-XXXXXXXA", "250 SIZE 1"], Call::Greeted(Tls::Overwritten)),
            (&["250-mx.test", "250 XXXXXXXX"], Call::Greeted(Tls::Overwritten)),
            (&["250-mx.test", "250 XCLIENT NAME ADDR"], Call::Greeted(Tls::Missing)),
            (&["550 go away"], Call::TurnedAway),
        ] {
            assert_eq!(judged(false, &lines(offer)), call, "{offer:?}");
        }
        assert!(is_overwritten_greeting("220 ********************0*2******0***"));
        assert!(!is_overwritten_greeting("220 mx.test ESMTP *** no spam ***"));
    }

    /// Somebody who says this to each caller, and hangs up.
    async fn who_says(text: &'static str) -> SocketAddr {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut caller, _)) = listener.accept().await {
                let _ = caller.write_all(text.as_bytes()).await;
            }
        });
        at
    }

    #[tokio::test]
    async fn who_hangs_up_without_a_word_is_nobody() {
        let ours = Domain::parse("mail.clinic.test").unwrap();
        for (text, answer, call) in [
            ("", OwnAnswer::Nobody, Call::Odd),
            ("2", OwnAnswer::SomebodyElse, Call::Odd),
            ("220-mail.clinic.test\r\n", OwnAnswer::SomebodyElse, Call::Odd),
            ("SSH-2.0-OpenSSH\r\n", OwnAnswer::SomebodyElse, Call::Odd),
            ("220 mail.clinic.test ESMTP\r\n", OwnAnswer::We, Call::Odd),
            ("220 mx.provider.test ESMTP\r\n", OwnAnswer::SomebodyElse, Call::Odd),
        ] {
            let at = who_says(text).await;
            assert_eq!(call_ourselves(at, &ours).await, answer, "{text:?}");
            assert_eq!(call_one(at, &ours).await, call, "{text:?}");
        }
    }

    #[tokio::test]
    async fn a_reset_without_a_word_is_nobody() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((caller, _)) = listener.accept().await {
                caller.set_zero_linger().unwrap();
            }
        });
        let ours = Domain::parse("mail.clinic.test").unwrap();
        assert_eq!(call_ourselves(at, &ours).await, OwnAnswer::Nobody);
    }

    #[test]
    fn our_own_greeting_is_known() {
        let ours = Domain::parse("mail.clinic.test").unwrap();
        assert!(names(&lines(&["220 mail.clinic.test ESMTP"]), &ours));
        assert!(names(&lines(&["421 4.7.0 Too many connections"]), &ours));
        assert!(!names(&lines(&["220 mx.provider.test ESMTP mail.clinic.test"]), &ours));
    }
}
