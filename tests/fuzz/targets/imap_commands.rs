//! A client's input: the framer holds no more than its limits, and the grammar never panics.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wardpost_imap_wire::{AppendHead, Event, Framer, Limits, Tagged};

const LIMITS: Limits = Limits { command: 8 * 1024, message: 16 * 1024 };

fuzz_target!(|input: (u8, &[u8])| {
    let (cut, bytes) = input;
    let mut framer = Framer::new(LIMITS);
    for piece in bytes.chunks(usize::from(cut).max(1)) {
        framer.feed(piece);
        loop {
            match framer.next() {
                Ok(Some(Event::Command(command))) => {
                    assert!(command.expose().len() <= LIMITS.command);
                    let _ = Tagged::parse(command.expose(), false);
                    let _ = Tagged::parse(command.expose(), true);
                }
                Ok(Some(Event::Append { head, message })) => {
                    let _ = AppendHead::parse(&head, true);
                    if message.size % 2 == 0 {
                        framer.take_literal();
                    } else {
                        framer.refuse_literal();
                    }
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        assert!(framer.pending() <= LIMITS.command + bytes.len());
    }
});
