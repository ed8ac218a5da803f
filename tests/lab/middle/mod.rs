//! A man in the middle: he listens where a mail server is said to be, passes on to the real one, and plays
//! tricks. Everything that goes past him is kept, and so is everything that he could decrypt.
//!
//! Each connection gets its own trick: the first the first, and so on; the last one stays. A trick works on
//! bytes as they come, so the conversation stays the real server's, except where he speaks in its place.

mod capture;
mod hello;
mod terminate;

pub use capture::{Capture, Direction};

use crate::ca::Pair;
use crate::{Result, wait_for};
use capture::Record;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How long a connection may be silent before he loses interest.
const PATIENCE: Duration = Duration::from_secs(60);

/// What he does with a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trick {
    /// Passes everything on.
    Watch,
    /// Makes STARTTLS unreadable in the server's offers, byte for byte, as some firewalls do.
    Strip,
    /// Answers STARTTLS himself, with this line.
    Refuse(&'static str),
    /// Adds these bytes to the server's 220 to STARTTLS, in the same segment.
    Inject(&'static [u8]),
    /// Speaks in the server's place what a server said in an earlier conversation, piece by piece.
    Replay(Vec<Vec<u8>>),
    /// Takes TLS 1.3 out of the client's hello; the server sees a client of TLS 1.2.
    HideTls13,
    /// Rewrites the client's hello so that the server sees a client of TLS 1.1.
    AskForTls11,
    /// Answers the client's hello with an alert, in the server's place.
    Alert(u8),
    /// Ends TLS himself with this certificate, and passes on in clear what comes.
    Impersonate(Pair),
    /// Flips one bit in every TLS record that the server sends.
    Corrupt,
    /// Passes on this many bytes of what the server sends after its 220 to STARTTLS, then closes.
    Truncate(usize),
    /// Closes both connections once the server has said this many things (1: its greeting).
    Cut(usize),
    /// Holds each piece, either way, for a while.
    Delay(Duration),
}

/// A running man in the middle.
#[derive(Debug)]
pub struct Middle {
    captures: Arc<Mutex<Vec<Arc<Record>>>>,
    open: Arc<AtomicUsize>,
    /// Where he listens.
    pub address: SocketAddr,
}

impl Middle {
    /// Listens on `address` before `server`. Connection n gets trick n, or the last one.
    ///
    /// # Errors
    /// When the address is taken.
    pub fn start(address: SocketAddr, server: SocketAddr, tricks: &[Trick]) -> Result<Self> {
        let listener = TcpListener::bind(address)?;
        let captures = Arc::new(Mutex::new(Vec::new()));
        let open = Arc::new(AtomicUsize::new(0));
        let (tricks, seen, count) = (tricks.to_vec(), Arc::clone(&captures), Arc::clone(&open));
        let last = tricks.len().checked_sub(1).ok_or("a man in the middle without a trick")?;
        // Ends with the program; its address is the world's own.
        thread::spawn(move || {
            for (n, client) in listener.incoming().flatten().enumerate() {
                let record = Arc::new(Record::default());
                seen.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&record));
                let (trick, open) = (tricks[n.min(last)].clone(), Arc::clone(&count));
                open.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    // A connection that breaks is what most tricks are for.
                    let _ = play(client, server, trick, &record);
                    open.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Ok(Self { captures, open, address })
    }

    /// What went past him, one capture a connection, oldest first.
    pub fn captures(&self) -> Vec<Capture> {
        let captures = self.captures.lock().unwrap_or_else(PoisonError::into_inner);
        captures.iter().map(|record| record.capture()).collect()
    }

    /// Waits until no connection is open any more.
    ///
    /// # Errors
    /// When one stays.
    pub fn wait_until_quiet(&self) -> Result<()> {
        wait_for("the man in the middle to be left alone", PATIENCE, || {
            (self.open.load(Ordering::SeqCst) == 0).then_some(())
        })
    }
}

/// Both ends of a connection, and what is known of it.
struct Scene {
    client: TcpStream,
    server: TcpStream,
    trick: Trick,
    /// The client has asked for TLS, and the server's answer is awaited.
    asked: AtomicBool,
    /// TLS goes past.
    encrypted: AtomicBool,
}

fn play(client: TcpStream, server: SocketAddr, trick: Trick, record: &Arc<Record>) -> Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    client.set_nodelay(true)?;
    if let Trick::Replay(pieces) = trick {
        return replay(client, &pieces, record);
    }
    let server = TcpStream::connect(server)?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.set_nodelay(true)?;
    if let Trick::Impersonate(pair) = &trick {
        return terminate::impersonate(client, server, pair, record);
    }
    let scene = Arc::new(Scene {
        client,
        server,
        trick,
        asked: AtomicBool::new(false),
        encrypted: AtomicBool::new(false),
    });
    let (below, kept) = (Arc::clone(&scene), Arc::clone(record));
    let down = thread::spawn(move || {
        let _ = below.downwards(&kept);
        below.hang_up();
    });
    let up = scene.upwards(record);
    scene.hang_up();
    let _ = down.join();
    up
}

impl Scene {
    /// From the client to the server.
    fn upwards(&self, record: &Record) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        loop {
            let n = (&self.client).read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            let mut piece = buffer[..n].to_vec();
            record.add(Direction::FromClient, &piece);
            self.wait_a_moment();
            if self.encrypted.load(Ordering::SeqCst) {
                match (&self.trick, hello::is_client_hello(&piece)) {
                    (Trick::HideTls13, true) => hello::hide_tls13(&mut piece),
                    (Trick::AskForTls11, true) => hello::ask_for_tls11(&mut piece),
                    (Trick::Alert(code), true) => {
                        // A fatal alert in a record of its own (RFC 8446 §6).
                        (&self.client).write_all(&[21, 3, 3, 0, 2, 2, *code])?;
                        return Ok(());
                    }
                    _ => {}
                }
            } else if piece.to_ascii_uppercase().starts_with(b"STARTTLS") {
                if let Trick::Refuse(line) = self.trick {
                    (&self.client).write_all(format!("{line}\r\n").as_bytes())?;
                    continue;
                }
                self.asked.store(true, Ordering::SeqCst);
            }
            (&self.server).write_all(&piece)?;
        }
    }

    /// From the server to the client.
    fn downwards(&self, record: &Record) -> Result<()> {
        let mut buffer = [0; 16 * 1024];
        let (mut said, mut passed) = (0, 0);
        loop {
            let n = (&self.server).read(&mut buffer)?;
            if n == 0 {
                return Ok(());
            }
            let mut piece = buffer[..n].to_vec();
            record.add(Direction::FromServer, &piece);
            self.wait_a_moment();
            if self.encrypted.load(Ordering::SeqCst) {
                match self.trick {
                    Trick::Corrupt => spoil(&mut piece),
                    Trick::Truncate(limit) => {
                        piece.truncate(limit - passed);
                        passed += piece.len();
                    }
                    _ => {}
                }
            } else if matches!(self.trick, Trick::Strip) {
                blot_out(&mut piece, b"STARTTLS");
            }
            if self.asked.swap(false, Ordering::SeqCst) && piece.starts_with(b"220") {
                self.encrypted.store(true, Ordering::SeqCst);
                if let Trick::Inject(more) = self.trick {
                    piece.extend_from_slice(more);
                }
            }
            (&self.client).write_all(&piece)?;
            said += 1;
            match self.trick {
                Trick::Cut(n) if n == said => return Ok(()),
                Trick::Truncate(limit) if limit == passed => return Ok(()),
                _ => {}
            }
        }
    }

    fn wait_a_moment(&self) {
        if let Trick::Delay(moment) = self.trick {
            thread::sleep(moment);
        }
    }

    fn hang_up(&self) {
        // Either may be gone already.
        let _ = self.client.shutdown(Shutdown::Both);
        let _ = self.server.shutdown(Shutdown::Both);
    }
}

/// Speaks a server's part from memory.
fn replay(mut client: TcpStream, pieces: &[Vec<u8>], record: &Record) -> Result<()> {
    let mut buffer = [0; 16 * 1024];
    for piece in pieces {
        client.write_all(piece)?;
        match client.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => record.add(Direction::FromClient, &buffer[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

/// Overwrites every occurrence of `word`.
fn blot_out(piece: &mut [u8], word: &[u8]) {
    while let Some(at) = piece.windows(word.len()).position(|w| w.eq_ignore_ascii_case(word)) {
        piece[at..at + word.len()].fill(b'X');
    }
}

/// Flips a bit in the middle of the piece, past the record's head.
fn spoil(piece: &mut [u8]) {
    let middle = piece.len() / 2;
    if middle >= 5 {
        piece[middle] ^= 1;
    }
}
