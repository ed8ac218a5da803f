//! A session inside TLS: whatever comes in, however it is cut, nothing panics, the output is well-formed
//! reply lines, a message never holds a bare CR or LF, and cutting the input differently changes nothing.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::Arc;
use wardpost_mail::{Domain, EnhancedStatus, Reply};
use wardpost_smtp::{Channel, Event, Profile, ServerSession};

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let whole = run(bytes, usize::MAX);
    let pieces = run(bytes, usize::from(cut).max(1));
    assert_eq!(whole, pieces, "the way input is cut matters");
});

/// Runs a session that grants everything; gives its output and the messages it took.
fn run(bytes: &[u8], piece: usize) -> (Vec<u8>, Vec<Vec<u8>>) {
    let domain = Domain::parse("clinic.test").expect("a domain");
    let mut profile = Profile::new(domain.clone(), domain);
    profile.max_size = 64 * 1024;
    let mut session = ServerSession::new(Arc::new(profile), Channel::Tls);
    let (mut output, mut messages) = (Vec::new(), Vec::new());
    for piece in bytes.chunks(piece.min(bytes.len().max(1))) {
        session.receive(piece);
        while let Some(event) = session.next_event() {
            match event {
                Event::Mail(_) | Event::Recipient(_) | Event::Auth(_) => session.answer(ok()),
                Event::Message { message, .. } => {
                    assert_strict(&message);
                    messages.push(message);
                    session.answer(ok());
                }
                Event::Close => {
                    output.extend(session.take_output());
                    return (output, messages);
                }
                _ => {}
            }
        }
        output.extend(session.take_output());
    }
    assert!(output.is_empty() || output.ends_with(b"\r\n"));
    (output, messages)
}

fn ok() -> Reply {
    Reply::new(250, EnhancedStatus::new(2, 0, 0), "ok")
}

fn assert_strict(message: &[u8]) {
    for (i, &b) in message.iter().enumerate() {
        match b {
            b'\r' => assert_eq!(message.get(i + 1), Some(&b'\n'), "a bare CR got through"),
            b'\n' => assert!(i > 0 && message[i - 1] == b'\r', "a bare LF got through"),
            _ => {}
        }
    }
}
