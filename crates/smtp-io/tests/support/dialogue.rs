//! Plays a dialogue between a client and a server that is written down in a text file:
//!
//! ```text
//! # a comment
//! S: 220 mail.clinic.test …      the server must say a line that begins so (… stands for any rest)
//! C: EHLO x                      the client says a line; lines in a row go out in one write
//! C~ half a line                 the same without CRLF; \r \n \0 \\ are escapes, {x*70} repeats
//! TLS                            the client shakes hands
//! END                            the server must close
//! = anything                     the test checks it
//! ```

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wardpost_mail::Domain;
use wardpost_net::{ClientTls, Stream};

/// What a dialogue's `=` lines mean.
pub(crate) trait Checks {
    /// Checks what the line says; panics when it does not hold.
    fn check(&mut self, what: &str) -> impl Future<Output = ()>;
}

struct Client<'a> {
    name: &'a str,
    stream: Option<Stream>,
    heard: Vec<u8>,
    saying: Vec<u8>,
}

/// Plays the dialogue `text`; `name` is for messages. Gives the connection back for more.
pub(crate) async fn play(
    name: &str,
    text: &str,
    stream: Stream,
    checks: &mut impl Checks,
) -> Stream {
    let mut client = Client { name, stream: Some(stream), heard: Vec::new(), saying: Vec::new() };
    for (number, line) in text.lines().enumerate() {
        let at = number + 1;
        if let Some(words) = line.strip_prefix("C: ") {
            client.saying.extend(unescape(words));
            client.saying.extend(b"\r\n");
            continue;
        }
        if let Some(words) = line.strip_prefix("C~ ") {
            client.saying.extend(unescape(words));
            continue;
        }
        client.say().await;
        match line.split_once(' ').unwrap_or((line, "")) {
            ("S:", wanted) => client.hear(at, wanted).await,
            ("=", what) => checks.check(what).await,
            ("TLS", _) => client.shake_hands().await,
            ("END", _) => client.hear_end(at).await,
            ("" | "#", _) => {}
            _ => panic!("{name}:{at}: what is {line:?}?"),
        }
    }
    client.say().await;
    client.stream.unwrap()
}

impl Client<'_> {
    async fn say(&mut self) {
        let words = std::mem::take(&mut self.saying);
        if !words.is_empty() {
            // The server may have closed already; what it said is looked at next.
            let _ = self.stream.as_mut().unwrap().write_all(&words).await;
        }
    }

    async fn hear(&mut self, at: usize, wanted: &str) {
        let line = loop {
            if let Some(end) = self.heard.windows(2).position(|pair| pair == b"\r\n") {
                let line: Vec<u8> = self.heard.drain(..end + 2).collect();
                break String::from_utf8(line[..end].to_vec()).unwrap();
            }
            let more = self.read().await;
            assert!(more, "{}:{at}: the server closed, wanted {wanted:?}", self.name);
        };
        let fits = match wanted.strip_suffix('…') {
            Some(beginning) => line.starts_with(beginning),
            None => line == wanted,
        };
        assert!(fits, "{}:{at}: wanted {wanted:?}, heard {line:?}", self.name);
    }

    async fn hear_end(&mut self, at: usize) {
        while self.read().await {}
        let rest = String::from_utf8_lossy(&self.heard);
        assert!(rest.is_empty(), "{}:{at}: wanted the end, heard {rest:?}", self.name);
    }

    async fn read(&mut self) -> bool {
        let mut part = [0; 4096];
        let read = self.stream.as_mut().unwrap().read(&mut part).await.unwrap_or(0);
        self.heard.extend_from_slice(&part[..read]);
        read > 0
    }

    async fn shake_hands(&mut self) {
        let host = Domain::parse("mail.clinic.test").unwrap();
        let tls = ClientTls::new().unwrap();
        let stream = self.stream.take().unwrap();
        let (stream, _) = stream.upgrade_client(&tls, &host, &self.heard).await.unwrap();
        self.stream = Some(stream);
    }
}

/// `\r`, `\n`, `\0`, `\\` and `{x*70}`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\\' => {
                let escaped = rest.chars().next().unwrap();
                rest = &rest[escaped.len_utf8()..];
                match escaped {
                    'r' => out.push(b'\r'),
                    'n' => out.push(b'\n'),
                    '0' => out.push(0),
                    other => out.extend(other.to_string().bytes()),
                }
            }
            '{' => {
                let (inside, after) = rest.split_once('}').unwrap();
                let (what, times) = inside.rsplit_once('*').unwrap();
                out.extend(unescape(what).repeat(times.parse().unwrap()));
                rest = after;
            }
            other => out.extend(other.to_string().bytes()),
        }
    }
    out
}
