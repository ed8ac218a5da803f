//! Replies of a hostile server: no panic, no endless appetite, replies whose text cannot forge lines.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardpost_smtp::ReplyReader;

fuzz_target!(|bytes: &[u8]| {
    let mut reader = ReplyReader::default();
    for piece in bytes.chunks(7) {
        reader.receive(piece);
        loop {
            match reader.next_reply() {
                Ok(Some(reply)) => {
                    assert!((200..600).contains(&reply.code));
                    assert!(reply.lines.iter().all(|line| !line.contains(['\r', '\n'])));
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
});
