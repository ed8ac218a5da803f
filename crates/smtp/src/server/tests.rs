use super::*;
use crate::DotWriter;
use proptest::prelude::*;
use wardpost_mail::{Domain, EnhancedStatus};

fn profile() -> Profile {
    let domain = Domain::parse("clinic.test").unwrap();
    let mut profile = Profile::new(Domain::parse("mail.clinic.test").unwrap(), domain);
    profile.max_size = 100;
    profile.max_recipients = 2;
    profile
}

/// What a driver that takes everything sees and says: short words for events, then the output.
fn run_with(profile: Profile, channel: Channel, parts: &[&[u8]]) -> (Vec<String>, String) {
    let mut session = ServerSession::new(Arc::new(profile), channel);
    let mut seen = Vec::new();
    for part in parts {
        session.receive(part);
        while let Some(event) = session.next_event() {
            seen.push(word(&event));
            if matches!(event, Event::StartTls) {
                continue;
            }
            let reply = match event {
                Event::Auth(found) if found.password.expose() != "right" => {
                    reply(535, (5, 7, 8), "No")
                }
                Event::Auth(_) => reply(235, (2, 7, 0), "Welcome"),
                Event::Recipient(to) if to.address.local() == "nobody" => {
                    reply(550, (5, 1, 1), "No such user")
                }
                _ => Reply::new(250, EnhancedStatus::new(2, 0, 0), "Taken"),
            };
            session.answer(reply);
        }
    }
    (seen, String::from_utf8(session.take_output()).unwrap())
}

fn word(event: &Event) -> String {
    match event {
        Event::Hello => "hello".into(),
        Event::StartTls => "starttls".into(),
        Event::Auth(found) => format!("auth {}", found.login),
        Event::Mail(mail) => format!("mail {}", mail.from),
        Event::Recipient(to) => format!("rcpt {}", to.address),
        Event::Message { envelope, message } => {
            format!("message to {}: {:?}", envelope.to.len(), String::from_utf8_lossy(message))
        }
        Event::Reset => "reset".into(),
        Event::Refused(why) => format!("refused {}", why.name()),
        Event::Close => "close".into(),
    }
}

/// The reply codes said after the greeting, inside TLS.
fn codes(input: &str) -> Vec<String> {
    codes_of(&run_with(profile(), Channel::Tls, &[input.as_bytes()]).1)
}

fn codes_of(output: &str) -> Vec<String> {
    let last_lines = output.lines().filter(|line| line.as_bytes().get(3) == Some(&b' '));
    last_lines.skip(1).map(|line| line[..3].to_owned()).collect()
}

fn events(input: &[u8]) -> Vec<String> {
    run_with(profile(), Channel::Tls, &[input]).0
}

const BEGIN: &str = "EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@clinic.test>\r\n";

#[test]
fn a_pipelined_session_in_one_read() {
    let input = format!("{BEGIN}RCPT TO:<nobody@clinic.test>\r\nDATA\r\n..hi\r\n.\r\nQUIT\r\n");
    assert_eq!(codes(&input), ["250", "250", "250", "550", "354", "250", "221"]);
    let seen = events(input.as_bytes());
    assert_eq!(seen[4], "message to 1: \".hi\\r\\n\"");
    assert_eq!(seen[5], "close");
}

#[test]
fn before_tls_nothing_but_the_way_into_tls_is_taken() {
    let input = b"EHLO x\r\nNOOP\r\nRSET\r\nMAIL FROM:<a@b.test>\r\nAUTH PLAIN x\r\nVRFY a\r\n\
        BDAT 4\r\nQUITRCPT TO:<a@b.test>\r\nDATA\r\nSTARTTLS\r\n";
    let (seen, output) = run_with(profile(), Channel::Plain, &[input]);
    assert_eq!(
        codes_of(&output),
        ["250", "250", "250", "530", "530", "530", "530", "530", "530", "220"]
    );
    assert!(output.contains("250-STARTTLS\r\n"));
    assert!(seen.contains(&"refused cleartext".to_owned()));
    let (_, inside) = run_with(profile(), Channel::Tls, &[b"EHLO x\r\nSTARTTLS\r\n"]);
    assert!(!inside.contains("250-STARTTLS"));
    assert_eq!(codes_of(&inside), ["250", "503"]);
}

#[test]
fn plaintext_after_starttls_is_gone_and_so_is_what_was_said_before() {
    let mut session = ServerSession::new(Arc::new(profile()), Channel::Plain);
    session.receive(b"EHLO x\r\nSTARTTLS\r\nMAIL FROM:<evil@b.test>\r\n");
    while session.next_event().is_some() {}
    session.receive(b"RSET\r\n");
    assert!(session.next_event().is_none());
    session.tls_started();
    assert_eq!(session.client_name(), None);
    session.take_output();
    session.receive(b"MAIL FROM:<a@b.test>\r\n");
    assert!(matches!(session.next_event(), Some(Event::Refused(Refusal::Sequence))));
    assert!(session.take_output().starts_with(b"503 "));
}

#[test]
fn commands_out_of_place_get_503() {
    assert_eq!(codes("MAIL FROM:<a@b.test>\r\n"), ["503"]);
    assert_eq!(codes("EHLO x\r\nRCPT TO:<a@b.test>\r\nDATA\r\n"), ["250", "503", "503"]);
    assert_eq!(codes("EHLO x\r\nMAIL FROM:<>\r\nMAIL FROM:<>\r\n"), ["250", "250", "503"]);
    assert_eq!(codes("EHLO x\r\nMAIL FROM:<>\r\nDATA\r\n"), ["250", "250", "554"]);
    let mixed = format!("{BEGIN}BDAT 2\r\n\r\nDATA\r\nRCPT TO:<d@b.test>\r\n");
    assert_eq!(codes(&mixed), ["250", "250", "250", "250", "503", "503"]);
}

#[test]
fn limits_are_kept() {
    let more = "RCPT TO:<d@clinic.test>\r\nRCPT TO:<e@clinic.test>\r\n";
    assert_eq!(codes(&format!("{BEGIN}{more}")), ["250", "250", "250", "250", "452"]);
    assert_eq!(codes("EHLO x\r\nMAIL FROM:<> SIZE=101\r\n"), ["250", "552"]);
    let body = "x".repeat(98);
    let fits = format!("{BEGIN}DATA\r\n{body}\r\n.\r\n");
    assert_eq!(codes(&fits), ["250", "250", "250", "354", "250"]);
    let over = format!("{BEGIN}DATA\r\n{body}y\r\n.\r\nNOOP\r\n");
    assert_eq!(codes(&over), ["250", "250", "250", "354", "552", "250"]);
    assert!(events(over.as_bytes()).contains(&"refused size".to_owned()));
    let endless = format!("{BEGIN}DATA\r\n{}", "x\r\n".repeat(200));
    assert_eq!(codes(&endless), ["250", "250", "250", "354", "552"]);
    assert_eq!(events(endless.as_bytes()).last().unwrap(), "close");
}

#[test]
fn chunks_make_a_message() {
    let input = format!("{BEGIN}BDAT 5\r\n.a\r\n.BDAT 3\r\nb\r\nBDAT 0 LAST\r\nNOOP\r\n");
    assert_eq!(codes(&input), ["250", "250", "250", "250", "250", "250", "250"]);
    assert!(events(input.as_bytes()).contains(&"message to 1: \".a\\r\\n.b\\r\\n\"".to_owned()));
}

#[test]
fn refused_chunks_are_passed_over() {
    assert_eq!(codes("EHLO x\r\nBDAT 6 LAST\r\nQUIT\r\nNOOP\r\n"), ["250", "503", "250"]);
    let over = format!("{BEGIN}BDAT 101\r\n{}BDAT 2 LAST\r\n\r\nNOOP\r\n", "x".repeat(101));
    assert_eq!(codes(&over), ["250", "250", "250", "552", "503", "250"]);
    let huge = format!("{BEGIN}BDAT 8000000000\r\n");
    assert_eq!(codes(&huge), ["250", "250", "250", "552"]);
    let bare = format!("{BEGIN}BDAT 4 LAST\r\na\nb\nNOOP\r\n");
    assert_eq!(codes(&bare), ["250", "250", "250", "550", "250"]);
}

#[test]
fn smuggled_messages_are_refused_and_their_commands_never_run() {
    for mark in ["\n.\r\n", "\n.\n", "\r\n.\n", "\r.\r\n", "\r\n.\r", "\r.\r"] {
        let input = format!("{BEGIN}DATA\r\nhi{mark}MAIL FROM:<evil@b.test>\r\n.\r\nNOOP\r\n");
        assert_eq!(codes(&input), ["250", "250", "250", "354", "550", "250"], "{mark:?}");
        let seen = events(input.as_bytes());
        assert!(seen.contains(&"refused line_ends".to_owned()), "{mark:?}");
        assert!(!seen.iter().any(|word| word.contains("evil")), "{mark:?}");
    }
}

#[test]
fn bare_line_ends_in_commands_end_the_session() {
    for input in ["NOOP\nNOOP\r\n", "NO\rOP\r\n", "EHLO x\n"] {
        assert_eq!(codes(input), ["500"], "{input:?}");
        assert_eq!(events(input.as_bytes()), ["refused line_ends", "close"], "{input:?}");
    }
}

#[test]
fn browsers_are_hung_up_on() {
    assert_eq!(events(b"POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x\r\n"), ["refused http", "close"]);
}

#[test]
fn long_lines_are_refused_and_endless_ones_end_the_session() {
    let long = format!("NOOP {}\r\nNOOP\r\n", "x".repeat(600));
    assert_eq!(codes(&long), ["500", "250"]);
    let orcpt = format!("{BEGIN}RCPT TO:<d@clinic.test> ORCPT=rfc822;{}\r\n", "x".repeat(480));
    assert_eq!(codes(&orcpt), ["250", "250", "250", "250"]);
    let (seen, _) = run_with(profile(), Channel::Tls, &[&[b'x'; 20_000], &[b'x'; 50_000]]);
    assert_eq!(seen, ["refused syntax", "close"]);
    let (_, output) = run_with(profile(), Channel::Tls, &[&[b'x'; 20_000], b"x\r", b"\nNOOP\r\n"]);
    assert_eq!(codes_of(&output), ["500", "250"]);
}

#[test]
fn too_many_errors_end_the_session() {
    let replies = codes(&"XYZZY\r\n".repeat(30));
    assert_eq!(replies.len(), 22);
    assert_eq!(replies.last().unwrap(), "421");
}

#[test]
fn commands_that_lead_nowhere_end_the_session() {
    let replies = codes(&"NOOP\r\n".repeat(300));
    assert_eq!((replies.len(), replies.last().unwrap().as_str()), (201, "421"));
    let mail = format!("{}DATA\r\n.\r\n", &BEGIN[8..]);
    let replies = codes(&format!("EHLO x\r\n{}", mail.repeat(300)));
    assert_eq!(replies.len(), 1 + 4 * 300);
}

fn with_auth(input: &str) -> (Vec<String>, Vec<String>) {
    let mut profile = profile();
    profile.auth = true;
    let (seen, output) = run_with(profile, Channel::Tls, &[input.as_bytes()]);
    (seen, codes_of(&output))
}

#[test]
fn logging_in_by_every_way() {
    let right = "AGRhbmEAcmlnaHQ=";
    for dialogue in [
        format!("AUTH PLAIN {right}\r\n"),
        format!("AUTH plain\r\n{right}\r\n"),
        "AUTH LOGIN\r\nZGFuYQ==\r\ncmlnaHQ=\r\n".to_owned(),
        "AUTH LOGIN ZGFuYQ==\r\ncmlnaHQ=\r\n".to_owned(),
    ] {
        let (seen, codes) = with_auth(&format!("EHLO x\r\n{dialogue}MAIL FROM:<d@c.test>\r\n"));
        assert_eq!(&seen[1..], ["auth dana", "mail d@c.test"], "{dialogue}");
        assert_eq!(&codes[codes.len() - 2..], ["235", "250"], "{dialogue}");
    }
}

#[test]
fn mail_waits_for_the_log_in_and_guessing_ends() {
    let (seen, codes) = with_auth("EHLO x\r\nMAIL FROM:<d@c.test>\r\nAUTH PLAIN\r\n*\r\n");
    assert_eq!(codes, ["250", "530", "334", "501"]);
    assert_eq!(seen[1], "refused unauthenticated");
    let wrong = "AUTH PLAIN AGRhbmEAd3Jvbmc=\r\n";
    let (_, codes) = with_auth(&format!("EHLO x\r\n{}", wrong.repeat(4)));
    assert_eq!(codes, ["250", "535", "535", "535", "421"]);
    let (_, codes) = with_auth("EHLO x\r\nAUTH CRAM-MD5\r\nAUTH PLAIN =\r\n");
    assert_eq!(codes, ["250", "504", "501"]);
}

#[test]
fn auth_is_offered_inside_tls_only() {
    let mut profile = profile();
    profile.auth = true;
    profile.tls_required = false;
    let (_, plain) = run_with(profile.clone(), Channel::Plain, &[b"EHLO x\r\nAUTH PLAIN\r\n"]);
    assert!(!plain.contains("AUTH PLAIN"));
    assert_eq!(codes_of(&plain), ["250", "502"]);
    assert!(run_with(profile, Channel::Tls, &[b"EHLO x\r\n"]).1.contains("AUTH PLAIN LOGIN"));
}

#[test]
fn extensions_are_taken_only_where_they_were_announced() {
    assert_eq!(codes("EHLO x\r\nMAIL FROM:<> REQUIRETLS\r\n"), ["250", "555"]);
    assert_eq!(codes("EHLO x\r\nMAIL FROM:<> AUTH=<>\r\n"), ["250", "555"]);
    assert_eq!(codes(&format!("{BEGIN}RCPT TO:<\u{fc}@b.test>\r\n")).last().unwrap(), "553");
    let mut profile = profile();
    profile.require_tls = true;
    let (_, output) = run_with(profile, Channel::Tls, &[b"EHLO x\r\nMAIL FROM:<> REQUIRETLS\r\n"]);
    assert_eq!(codes_of(&output), ["250", "250"]);
}

/// Input that reaches far into the state machine.
fn dialogue() -> impl Strategy<Value = Vec<u8>> {
    let pieces = prop_oneof![
        Just("EHLO x\r\n"),
        Just("MAIL FROM:<a@b.test>\r\n"),
        Just("RCPT TO:<c@d.test>\r\n"),
        Just("DATA\r\n"),
        Just(".\r\n"),
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just("."),
        Just("BDAT 3\r\n"),
        Just("BDAT 2 LAST\r\n"),
        Just("xyz"),
        Just("RSET\r\n"),
        Just("x\r\n"),
        Just("AUTH PLAIN\r\n"),
        Just("AUTH LOGIN ZGFuYQ==\r\n"),
        Just("*\r\n"),
        Just("\0"),
        Just("QUIT\r\n"),
        Just("AGRhbmEAcmlnaHQ=\r\n"),
        Just("GET / HTTP/1.1\r\n"),
    ];
    proptest::collection::vec(pieces, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(input in any::<Vec<u8>>(), tls in any::<bool>()) {
        let channel = if tls { Channel::Tls } else { Channel::Plain };
        run_with(profile(), channel, &[&input]);
    }

    #[test]
    fn splits_do_not_matter(input in dialogue(), auth in any::<bool>(), cuts in proptest::collection::vec(0..200usize, 0..4)) {
        let mut profile = profile();
        profile.auth = auth;
        let whole = run_with(profile.clone(), Channel::Tls, &[&input]);
        let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(input.len())).collect();
        cuts.extend([0, input.len()]);
        cuts.sort_unstable();
        let parts: Vec<&[u8]> = cuts.windows(2).map(|cut| &input[cut[0]..cut[1]]).collect();
        prop_assert_eq!(run_with(profile, Channel::Tls, &parts), whole);
    }

    #[test]
    fn every_byte_on_its_own_gives_the_same(input in dialogue()) {
        let whole = run_with(profile(), Channel::Tls, &[&input]);
        let parts: Vec<&[u8]> = input.chunks(1).collect();
        prop_assert_eq!(run_with(profile(), Channel::Tls, &parts), whole);
    }

    #[test]
    fn a_message_comes_through_as_it_was_sent(lines in proptest::collection::vec("[.a-c ]{0,6}", 0..10)) {
        let message: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let mut wire = format!("{BEGIN}DATA\r\n").into_bytes();
        let mut writer = DotWriter::default();
        writer.write(message.as_bytes(), &mut wire);
        writer.finish(&mut wire);
        let seen = events(&wire);
        prop_assert_eq!(seen.last().unwrap(), &format!("message to 1: {message:?}"));
    }
}
