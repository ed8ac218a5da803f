//! Framing: where a command ends, before anything is known of its grammar.
//!
//! A command is a line, or several lines joined by literals: a line that ends in `{n}` or `{n+}` is
//! followed by n octets and then by more of the command (RFC 9051 §4.3, RFC 7888). The framer finds
//! these ends in any split of the input, gives back whole commands with their literals in place, and
//! asks before a literal is taken:
//!
//! - A literal within the limits of a command is taken; [`Event::Ready`] asks for the continuation
//!   line when the client waits for one.
//! - The message of an APPEND is announced by [`Event::Append`], and only after
//!   [`Framer::take_literal`] do its octets come out, in chunks.
//! - A literal over the limits is refused by a tagged NO where the client waits
//!   ([`Event::TooBig`]), and ends the connection where it does not
//!   ([`FrameError::LiteralTooBig`]): the octets are on their way and nobody wants them.

use crate::cursor::Cursor;
use crate::types::Tag;
use thiserror::Error;
use wardpost_mail::Secret;

/// How much a client may make the framer hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Octets of one command, literals included, the message of an APPEND excepted.
    pub command: usize,
    /// Octets of the message of an APPEND; 0 before log-in.
    pub message: u64,
}

impl Limits {
    /// Before log-in: room for a name and a password, none for messages.
    pub const STRANGER: Self = Self { command: 8 * 1024, message: 0 };
}

/// A literal that was announced and not yet taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Announced {
    /// Its octets.
    pub size: u64,
    /// The client waits for a continuation line before it sends the literal.
    pub waits: bool,
    /// It was written `~{n}` and may hold NUL (RFC 3516 §4.4).
    pub binary: bool,
}

/// What the framer found.
#[derive(Debug)]
pub enum Event {
    /// A whole command without its final CRLF. It may hold a password, so it is wiped.
    Command(Secret<Vec<u8>>),
    /// The client waits for a continuation line before it goes on with its command.
    Ready,
    /// An APPEND up to its message, which the framer neither takes nor refuses by itself: answer
    /// with [`Framer::take_literal`] or [`Framer::refuse_literal`].
    Append {
        /// The command up to where the message is announced.
        head: Vec<u8>,
        /// The message.
        message: Announced,
    },
    /// Some octets of the message.
    Chunk(Vec<u8>),
    /// The message has ended and its command too. `clean` is false when something other than a line
    /// end followed; the command is then to be answered with BAD.
    AppendEnd {
        /// Nothing but CRLF followed the message.
        clean: bool,
    },
    /// A literal over the limits that the client has not sent. Answer NO `[TOOBIG]` to the tag; the
    /// command is over.
    TooBig(Option<Tag>),
}

/// Input that ends a connection, for nothing after it can be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum FrameError {
    /// A command longer than the limit.
    #[error("command line too long")]
    LineTooLong,
    /// A literal over the limits that the client sends without waiting (RFC 7888 §4).
    #[error("literal too big")]
    LiteralTooBig,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Within a line.
    Line,
    /// Within a literal of the command.
    Literal { left: usize },
    /// An APPEND's message is announced; the session has not decided.
    Undecided(Announced),
    /// Within an APPEND's message.
    Message { left: u64 },
    /// Within an APPEND's message that nobody wants.
    Discard { left: u64 },
    /// After an APPEND's message: the rest of the line.
    Tail { keep: bool },
}

/// Cuts input into commands. Holds nothing between commands.
#[derive(Debug)]
pub struct Framer {
    buffer: Vec<u8>,
    /// Octets at the front of the buffer that are known to belong to the command.
    seen: usize,
    /// Where the current line of the command began.
    line: usize,
    phase: Phase,
    limits: Limits,
}

impl Framer {
    /// A framer at the start of a connection.
    pub fn new(limits: Limits) -> Self {
        Self { buffer: Vec::new(), seen: 0, line: 0, phase: Phase::Line, limits }
    }

    /// Other limits from the next octet on, as when somebody has logged in.
    pub fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Adds input. Call [`Framer::next`] until it gives nothing before feeding more.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Octets held that belong to no event yet.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }

    /// The next event, or nothing when more input is needed.
    ///
    /// # Errors
    /// When the client went over a limit in a way that leaves no way on.
    #[allow(clippy::should_implement_trait)] // Not an iterator: more input may follow the end.
    pub fn next(&mut self) -> Result<Option<Event>, FrameError> {
        loop {
            match self.phase {
                Phase::Line => {
                    let Some(end) = self.line_end()? else { return Ok(None) };
                    match announced(&self.buffer[self.line..end]) {
                        None => return Ok(Some(self.command(end))),
                        Some(literal) => {
                            if let Some(event) = self.announce(end, literal)? {
                                return Ok(Some(event));
                            }
                        }
                    }
                }
                Phase::Literal { left } => {
                    let taken = left.min(self.buffer.len() - self.seen);
                    self.seen += taken;
                    if taken < left {
                        self.phase = Phase::Literal { left: left - taken };
                        return Ok(None);
                    }
                    self.line = self.seen;
                    self.phase = Phase::Line;
                }
                Phase::Undecided(_) => return Ok(None),
                Phase::Message { left: 0 } => self.phase = Phase::Tail { keep: true },
                Phase::Discard { left: 0 } => self.phase = Phase::Tail { keep: false },
                Phase::Message { left } => {
                    let chunk = self.drain(left);
                    self.phase = Phase::Message { left: left - chunk.len() as u64 };
                    return Ok((!chunk.is_empty()).then_some(Event::Chunk(chunk)));
                }
                Phase::Discard { left } => {
                    let gone = self.drain(left).len() as u64;
                    self.phase = Phase::Discard { left: left - gone };
                    if gone == 0 {
                        return Ok(None);
                    }
                }
                Phase::Tail { keep } => {
                    let Some(end) = self.line_end()? else { return Ok(None) };
                    let clean = self.cut(end).is_empty();
                    if keep {
                        return Ok(Some(Event::AppendEnd { clean }));
                    }
                }
            }
        }
    }

    /// The next line as it stands, for what is no command: IDLE's `DONE` (RFC 2177) and the answers
    /// to an AUTHENTICATE challenge. Nothing when more input is needed.
    ///
    /// # Errors
    /// When the line is longer than a command may be.
    pub fn next_line(&mut self) -> Result<Option<Secret<Vec<u8>>>, FrameError> {
        let Some(end) = self.line_end()? else { return Ok(None) };
        Ok(Some(Secret::new(self.cut(end))))
    }

    /// Takes the announced message: its octets come as [`Event::Chunk`].
    pub fn take_literal(&mut self) {
        if let Phase::Undecided(literal) = self.phase {
            self.phase = Phase::Message { left: literal.size };
        }
    }

    /// Refuses the announced message. Where the client waits it will not be sent and the command is
    /// over; where it does not, its octets and the rest of the command are passed over in silence.
    pub fn refuse_literal(&mut self) {
        if let Phase::Undecided(literal) = self.phase {
            self.phase =
                if literal.waits { Phase::Line } else { Phase::Discard { left: literal.size } };
        }
    }

    /// Finds the CRLF that ends the current line. `seen` remembers how far was looked.
    fn line_end(&mut self) -> Result<Option<usize>, FrameError> {
        let from = self.seen.max(self.line + 1);
        let found = (from..self.buffer.len())
            .find(|&i| self.buffer[i] == b'\n' && self.buffer[i - 1] == b'\r')
            .map(|i| i - 1);
        // A CR at the end may yet turn out to end the line.
        let all = self.buffer.len() - usize::from(self.buffer.ends_with(b"\r"));
        let length = found.unwrap_or(all);
        if length > self.limits.command {
            return Err(FrameError::LineTooLong);
        }
        if found.is_none() {
            self.seen = self.buffer.len();
        }
        Ok(found)
    }

    /// A line of the command has ended in an announced literal.
    fn announce(&mut self, end: usize, literal: Announced) -> Result<Option<Event>, FrameError> {
        let head_end = end - literal_suffix(&self.buffer[self.line..end]);
        let is_message = announces_message(&self.buffer[..head_end]);
        let fits = if is_message {
            literal.size <= self.limits.message
        } else {
            let room = self.limits.command.saturating_sub(end + 2);
            usize::try_from(literal.size).is_ok_and(|size| size <= room)
        };
        if !fits {
            if !literal.waits {
                return Err(FrameError::LiteralTooBig);
            }
            let tag = Tag::at_start_of(&self.buffer);
            self.cut(end);
            return Ok(Some(Event::TooBig(tag)));
        }
        if is_message {
            let mut head = self.cut(end);
            head.truncate(head_end);
            self.phase = Phase::Undecided(literal);
            return Ok(Some(Event::Append { head, message: literal }));
        }
        self.seen = end + 2;
        // `fits` has shown that the size is no more than a command's.
        self.phase = Phase::Literal { left: literal.size as usize };
        Ok(literal.waits.then_some(Event::Ready))
    }

    fn command(&mut self, end: usize) -> Event {
        Event::Command(Secret::new(self.cut(end)))
    }

    /// Gives what comes before `end` and drops the CRLF there; a new line begins.
    fn cut(&mut self, end: usize) -> Vec<u8> {
        let rest = self.buffer.split_off((end + 2).min(self.buffer.len()));
        let mut line = std::mem::replace(&mut self.buffer, rest);
        line.truncate(end);
        (self.seen, self.line, self.phase) = (0, 0, Phase::Line);
        line
    }

    /// Gives up to `most` octets from the front.
    fn drain(&mut self, most: u64) -> Vec<u8> {
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        if self.buffer.len() <= most {
            return std::mem::take(&mut self.buffer);
        }
        let rest = self.buffer.split_off(most);
        std::mem::replace(&mut self.buffer, rest)
    }
}

/// The literal that a line announces at its end, if it does. A number too great for any limit is
/// read as the greatest there is.
fn announced(line: &[u8]) -> Option<Announced> {
    let inner = line.strip_suffix(b"}")?;
    let (inner, waits) = match inner.strip_suffix(b"+") {
        Some(inner) => (inner, false),
        None => (inner, true),
    };
    let digits = inner.iter().rev().take_while(|b| b.is_ascii_digit()).count();
    let (before, number) = inner.split_at(inner.len() - digits);
    let before = before.strip_suffix(b"{")?;
    if digits == 0 {
        return None;
    }
    let size =
        number.iter().fold(0_u64, |n, d| n.saturating_mul(10).saturating_add(u64::from(d - b'0')));
    Some(Announced { size, waits, binary: before.ends_with(b"~") })
}

/// How many octets the announcement at the end of a line takes, `~` included.
fn literal_suffix(line: &[u8]) -> usize {
    let open = line.iter().rposition(|&b| b == b'{').unwrap_or(line.len());
    line.len() - open + usize::from(line[..open].ends_with(b"~"))
}

/// Whether a literal announced after these octets is the message of an APPEND, and not its mailbox.
fn announces_message(head: &[u8]) -> bool {
    let mut c = Cursor::new(head, true);
    Tag::read(&mut c).is_ok()
        && c.space().is_ok()
        && c.eat_word("APPEND")
        && c.space().is_ok()
        && c.astring().is_ok()
        && c.space().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { command: 200, message: 1000 };

    /// Everything a framer says of an input, as text, the input cut at the given places. Messages
    /// are taken; chunks are joined, for where they are cut depends on the input.
    fn transcript(input: &[u8], cuts: &[usize]) -> String {
        let mut framer = Framer::new(LIMITS);
        let (mut said, mut from) = (String::new(), 0);
        let mut cuts: Vec<usize> = cuts.iter().map(|c| c % (input.len() + 1)).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        for to in cuts {
            framer.feed(&input[from..to]);
            from = to;
            loop {
                match framer.next() {
                    Ok(None) => break,
                    Ok(Some(Event::Chunk(chunk))) => {
                        said.push_str(&chunk.escape_ascii().to_string())
                    }
                    Ok(Some(Event::Command(command))) => {
                        said.push_str(&format!("<{}>", command.expose().escape_ascii()));
                    }
                    Ok(Some(event)) => {
                        said.push_str(&format!("{event:?}"));
                        framer.take_literal();
                    }
                    Err(error) => return format!("{said}{error:?}"),
                }
            }
        }
        said
    }

    #[test]
    fn lines_and_literals_become_commands() {
        assert_eq!(transcript(b"a NOOP\r\nb NOOP\r\nc NO", &[]), "<a NOOP><b NOOP>");
        assert_eq!(
            transcript(b"a LOGIN {1+}\r\nu {3+}\r\np\r\n\r\nb NOOP\r\n", &[]),
            "<a LOGIN {1+}\\r\\nu {3+}\\r\\np\\r\\n><b NOOP>"
        );
        assert_eq!(transcript(b"a SELECT {5}\r\nInbox\r\n", &[]), "Ready<a SELECT {5}\\r\\nInbox>");
        assert_eq!(transcript(b"a {x}\r\n", &[]), "<a {x}>");
        assert_eq!(transcript(b"\r\n", &[]), "<>");
    }

    #[test]
    fn a_line_feed_alone_ends_nothing() {
        assert_eq!(transcript(b"a NOOP\nb NOOP\r\n", &[]), "<a NOOP\\nb NOOP>");
    }

    #[test]
    fn the_message_of_an_append_is_streamed() {
        let said = transcript(b"a APPEND {2+}\r\nin (\\Seen) {5}\r\nhello\r\nb NOOP\r\n", &[]);
        assert!(said.starts_with("Append {"), "{said}");
        assert!(said.ends_with("helloAppendEnd { clean: true }<b NOOP>"), "{said}");
        let unclean = transcript(b"a APPEND in ~{2+}\r\nhi x\r\n", &[]);
        assert!(unclean.contains("binary: true") && unclean.contains("clean: false"), "{unclean}");
    }

    #[test]
    fn huge_announcements_cost_nothing() {
        let huge = "a APPEND INBOX {8589934592}\r\nb NOOP\r\n";
        assert_eq!(transcript(huge.as_bytes(), &[]), "TooBig(Some(Tag(\"a\")))<b NOOP>");
        let endless = format!("a LOGIN {{{}}}\r\n", "9".repeat(50));
        assert_eq!(transcript(endless.as_bytes(), &[]), "TooBig(Some(Tag(\"a\")))");
        assert_eq!(transcript(b"a APPEND INBOX {8589934592+}\r\n", &[]), "LiteralTooBig");
        assert_eq!(transcript(&[b'x'; 300], &[]), "LineTooLong");
        // Literals that fit one by one and not together.
        let many = "a {98+}\r\n".to_owned() + &"x".repeat(98) + " {98+}\r\n";
        assert_eq!(transcript((many.clone() + &many).as_bytes(), &[]), "LiteralTooBig");
    }

    #[test]
    fn a_refused_message_is_passed_over() {
        for (input, waits) in [("a APPEND x {3}\r\n", true), ("a APPEND x {3+}\r\nabc\r\n", false)]
        {
            let mut framer = Framer::new(LIMITS);
            framer.feed(input.as_bytes());
            framer.feed(b"b NOOP\r\n");
            let Ok(Some(Event::Append { head, message })) = framer.next() else { panic!() };
            assert_eq!((head.as_slice(), message.waits), (b"a APPEND x ".as_slice(), waits));
            framer.refuse_literal();
            let Ok(Some(Event::Command(next))) = framer.next() else { panic!("{input}") };
            assert_eq!(next.expose(), b"b NOOP");
            assert_eq!(framer.pending(), 0);
        }
    }

    #[test]
    fn plain_lines_hold_no_literals() {
        let mut framer = Framer::new(LIMITS);
        framer.feed(b"DO");
        assert!(framer.next_line().unwrap().is_none());
        framer.feed(b"NE {5}\r\nx");
        assert_eq!(framer.next_line().unwrap().unwrap().expose(), b"DONE {5}");
        assert_eq!(framer.pending(), 1);
    }

    /// Input that looks enough like IMAP to go deep.
    fn input() -> impl Strategy<Value = Vec<u8>> {
        let piece = prop_oneof![
            Just("a APPEND x ".to_owned()),
            Just("b LOGIN ".to_owned()),
            Just("\r\n".to_owned()),
            (0_u32..20, any::<bool>())
                .prop_map(|(n, plus)| format!("{{{n}{}}}\r\n", if plus { "+" } else { "" })),
            "[a-z {}+~\r\n]{0,12}",
        ];
        proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat().into_bytes())
    }

    proptest! {
        #[test]
        fn any_split_says_the_same(input in input(), cuts in proptest::collection::vec(any::<usize>(), 0..6)) {
            prop_assert_eq!(transcript(&input, &cuts), transcript(&input, &[]));
        }

        #[test]
        fn octet_by_octet_says_the_same(input in input()) {
            let all: Vec<usize> = (0..input.len()).collect();
            prop_assert_eq!(transcript(&input, &all), transcript(&input, &[]));
        }

        #[test]
        fn nothing_panics(input in proptest::collection::vec(any::<u8>(), 0..300)) {
            transcript(&input, &[3, 50]);
        }
    }
}
