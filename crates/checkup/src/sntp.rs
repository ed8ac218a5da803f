//! What time it is elsewhere: the simple form of NTP (RFC 5905 §14).
//!
//! Answers are not authenticated; they only say whether a person should look at the clock. Setting it is
//! the system's business.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use wardpost_config::TimeServer;
use wardpost_dns::Resolver;
use wardpost_health::facts::ClockFacts;
use wardpost_mail::Domain;

/// How long a server may take, its name included.
const PATIENCE: Duration = Duration::from_secs(6);
/// How long the answer itself may take.
const ANSWER: Duration = Duration::from_secs(3);
/// Servers that are asked.
const MAX_SERVERS: usize = 5;
/// Length of a packet.
const PACKET: usize = 48;
/// Seconds from 1900, which NTP counts from, to 1970.
const EPOCH: f64 = 2_208_988_800.0;
/// Where systemd's time service says that the clock is set.
const SYNCHRONIZED: &str = "/run/systemd/timesync/synchronized";

/// Compares our clock with others'.
pub(crate) async fn clock(servers: &[TimeServer], resolver: &dyn Resolver) -> ClockFacts {
    let one = |server: &TimeServer| {
        let server = server.clone();
        async move { timeout(PATIENCE, ahead_of(&server, resolver)).await.ok().flatten() }
    };
    let asked = servers.iter().take(MAX_SERVERS).map(one);
    let ahead = futures_util::future::join_all(asked).await.into_iter().flatten().collect();
    let synchronized = tokio::fs::try_exists(SYNCHRONIZED).await.unwrap_or(false);
    ClockFacts { ahead, synchronized }
}

/// By how many seconds we are ahead of a server.
async fn ahead_of(server: &TimeServer, resolver: &dyn Resolver) -> Option<f64> {
    let address = match server.host.parse::<IpAddr>() {
        Ok(address) => address,
        Err(_) => {
            let name = Domain::parse(&server.host).ok()?;
            *resolver.addresses(&name).await.ok()?.value.first()?
        }
    };
    let ours = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(ours).await.ok()?;
    socket.connect(SocketAddr::new(address, server.port)).await.ok()?;
    // RFC 5905 §14: only the mode and our time of sending, which comes back. It is a random number,
    // so that nobody who does not see the question can answer it.
    let mut question = [0; PACKET];
    question[0] = 0b00_100_011;
    let token: [u8; 8] = rand::random();
    question[40..].copy_from_slice(&token);
    let sent = now();
    socket.send(&question).await.ok()?;
    let mut answer = [0; PACKET + 1];
    let length = timeout(ANSWER, socket.recv(&mut answer)).await.ok()?.ok()?;
    let received = now();
    read(answer.get(..length)?, token, sent, received)
}

/// Reads an answer; `None` when it is none that counts.
fn read(answer: &[u8], token: [u8; 8], sent: f64, received: f64) -> Option<f64> {
    let field = |at: usize| -> Option<[u8; 8]> { answer.get(at..at + 8)?.try_into().ok() };
    let (mode, leap, stratum) = (answer.first()? & 0b111, answer.first()? >> 6, *answer.get(1)?);
    // An answer, to us, of a server whose own clock is set (RFC 5905 §7.3).
    if mode != 4 || leap == 3 || !(1..=15).contains(&stratum) || field(24)? != token {
        return None;
    }
    let (came, went) = (seconds(field(32)?), seconds(field(40)?));
    Some(((sent - came) + (received - went)) / 2.0)
}

/// A time stamp as Unix seconds. Counted from 2036 when it lies before 1968 (RFC 4330 §3).
fn seconds(stamp: [u8; 8]) -> f64 {
    let number = u64::from_be_bytes(stamp);
    let whole = (number >> 32) as u32;
    let era = if whole & 0x8000_0000 == 0 { f64::from(u32::MAX) + 1.0 } else { 0.0 };
    f64::from(whole) + era + (number as u32 as f64) / (f64::from(u32::MAX) + 1.0) - EPOCH
}

fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use proptest::prelude::*;
    use wardpost_dns::FakeResolver;

    fn stamp(unix: f64) -> [u8; 8] {
        let ntp = unix + EPOCH;
        let whole = (ntp.trunc() as u64 % (1 << 32)) << 32;
        (whole | ((ntp.fract() * 4_294_967_296.0) as u64)).to_be_bytes()
    }

    fn answer(token: [u8; 8], came: f64, went: f64) -> Vec<u8> {
        let mut packet = vec![0; PACKET];
        packet[0] = 0b00_100_100;
        packet[1] = 2;
        packet[24..32].copy_from_slice(&token);
        packet[32..40].copy_from_slice(&stamp(came));
        packet[40..48].copy_from_slice(&stamp(went));
        packet
    }

    #[test]
    fn the_way_there_and_back_does_not_count() {
        for base in [1_800_000_000.0, 2_090_000_000.0, 3_000_000_000.0] {
            let packet = answer([7; 8], base + 0.5, base + 0.6);
            let ahead = read(&packet, [7; 8], base + 10.0, base + 11.1).unwrap();
            assert!((ahead - 10.0).abs() < 0.001, "{ahead}");
        }
    }

    #[test]
    fn answers_to_others_and_from_servers_without_a_time_do_not_count() {
        let good = answer([7; 8], 1e9, 1e9);
        assert!(read(&good, [7; 8], 1e9, 1e9).is_some());
        assert!(read(&good, [8; 8], 1e9, 1e9).is_none());
        for (at, value) in [(0, 0b00_100_011), (0, 0b11_100_100), (1, 0), (1, 16)] {
            let mut packet = good.clone();
            packet[at] = value;
            assert!(read(&packet, [7; 8], 1e9, 1e9).is_none());
        }
        assert!(read(&good[..47], [7; 8], 1e9, 1e9).is_none());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Some(ahead) = read(&bytes, [0; 8], 1e9, 1e9) {
                prop_assert!(ahead.is_finite());
            }
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_ahead_is_told_from_a_server_that_is_silent() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = |socket: &UdpSocket| socket.local_addr().unwrap().port();
        let servers = [port(&server), port(&silent)]
            .map(|port| TimeServer { host: "127.0.0.1".to_owned(), port });
        tokio::spawn(async move {
            let mut question = [0; PACKET];
            let (_, peer) = server.recv_from(&mut question).await.unwrap();
            let token = question[40..].try_into().unwrap();
            let then = now() - 90.0;
            server.send_to(&answer(token, then, then), peer).await.unwrap();
        });
        let clock = clock(&servers, &FakeResolver::new()).await;
        assert_eq!(clock.ahead.len(), 1);
        assert!((clock.ahead[0] - 90.0).abs() < 2.0, "{:?}", clock.ahead);
    }
}
