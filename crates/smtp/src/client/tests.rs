use super::*;
use wardpost_mail::Address;

const EHLO: &str =
    "250-mx.lab.test\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-DSN\r\n250 8BITMIME\r\n";

fn envelope(to: &[&str]) -> Envelope {
    let from = ReversePath::Address(Address::parse("dana@clinic.test").unwrap());
    Envelope::new(from, to.iter().map(|to| Address::parse(to).unwrap()))
}

fn session() -> ClientSession {
    ClientSession::new(&Domain::parse("mail.clinic.test").unwrap())
}

/// Feeds a reply and shows all events that come of it, shortly.
fn feed(session: &mut ClientSession, wire: &str) -> Vec<String> {
    session.receive(wire.as_bytes());
    let mut seen = Vec::new();
    while let Some(event) = session.next_event().unwrap() {
        seen.push(match event {
            ClientEvent::Greeting(reply) => format!("greeting {}", reply.code),
            ClientEvent::Ehlo(reply) => format!("ehlo {}", reply.code),
            ClientEvent::StartTls(reply) => format!("starttls {}", reply.code),
            ClientEvent::Auth(reply) => format!("auth {}", reply.code),
            ClientEvent::Mail(reply) => format!("mail {}", reply.code),
            ClientEvent::Recipient { index, reply } => format!("rcpt{index} {}", reply.code),
            ClientEvent::SendMessage => "send".into(),
            ClientEvent::Done(reply) => format!("done {:?}", reply.map(|r| r.code)),
            ClientEvent::Reset(reply) => format!("rset {}", reply.code),
            ClientEvent::Quit(reply) => format!("quit {}", reply.code),
        });
    }
    seen
}

fn said(session: &mut ClientSession) -> String {
    String::from_utf8(session.take_output()).unwrap()
}

fn ready(ehlo: &str) -> ClientSession {
    let mut session = session();
    assert_eq!(feed(&mut session, "220 mx.lab.test\r\n"), ["greeting 220"]);
    session.ehlo();
    assert_eq!(said(&mut session), "EHLO mail.clinic.test\r\n");
    assert_eq!(feed(&mut session, ehlo), ["ehlo 250"]);
    session
}

#[test]
fn logging_in_is_one_line_and_debug_does_not_tell_it() {
    let mut session = ready("250-relay.test\r\n250-PIPELINING\r\n250 AUTH PLAIN LOGIN\r\n");
    assert!(session.capabilities().auth_plain);
    session.auth_plain("dana", &Secret::new("pass word".to_owned()));
    assert!(!format!("{session:?}").contains("AGRhbmEAcGFzcyB3b3Jk"));
    assert_eq!(said(&mut session), "AUTH PLAIN AGRhbmEAcGFzcyB3b3Jk\r\n");
    assert_eq!(feed(&mut session, "235 2.7.0 welcome\r\n"), ["auth 235"]);
    session.auth_plain("dana", &Secret::new("wrong".to_owned()));
    said(&mut session);
    assert_eq!(feed(&mut session, "535 5.7.8 no\r\n"), ["auth 535"]);
}

#[test]
fn a_pipelined_transaction_tells_each_recipient_apart() {
    let mut session = ready(EHLO);
    session.mail(&envelope(&["a@lab.test", "b@lab.test"]), 8).unwrap();
    assert_eq!(
        said(&mut session),
        "MAIL FROM:<dana@clinic.test> SIZE=8\r\nRCPT TO:<a@lab.test>\r\nRCPT TO:<b@lab.test>\r\n"
    );
    let seen = feed(&mut session, "250 ok\r\n550 5.1.1 who\r\n250 ok\r\n");
    assert_eq!(seen, ["mail 250", "rcpt0 550", "rcpt1 250"]);
    assert_eq!(said(&mut session), "DATA\r\n");
    assert_eq!(feed(&mut session, "354 go\r\n"), ["send"]);
    session.message(b".a\r\n");
    session.message(b".\r\n");
    session.end_of_message();
    assert_eq!(said(&mut session), "..a\r\n..\r\n.\r\n");
    assert_eq!(feed(&mut session, "250 2.0.0 queued\r\n"), ["done Some(250)"]);
    session.quit();
    assert_eq!(feed(&mut session, "221 bye\r\n"), ["quit 221"]);
}

#[test]
fn without_pipelining_the_same_events_come_one_by_one() {
    let mut session = ready("250 mx.lab.test\r\n");
    session.mail(&envelope(&["a@lab.test", "b@lab.test"]), 3).unwrap();
    assert_eq!(said(&mut session), "MAIL FROM:<dana@clinic.test>\r\n");
    assert_eq!(feed(&mut session, "250 ok\r\n"), ["mail 250"]);
    assert_eq!(said(&mut session), "RCPT TO:<a@lab.test>\r\n");
    assert_eq!(feed(&mut session, "250 ok\r\n"), ["rcpt0 250"]);
    assert_eq!(said(&mut session), "RCPT TO:<b@lab.test>\r\n");
    assert_eq!(feed(&mut session, "450 later\r\n"), ["rcpt1 450"]);
    assert_eq!(said(&mut session), "DATA\r\n");
    assert_eq!(feed(&mut session, "451 no\r\n"), ["done Some(451)"]);
    assert_eq!(said(&mut session), "RSET\r\n");
}

#[test]
fn a_refused_mail_ends_the_transaction_and_the_next_begins_clean() {
    let mut session = ready(EHLO);
    session.mail(&envelope(&["a@lab.test"]), 8).unwrap();
    assert_eq!(feed(&mut session, "451 later\r\n503 no mail\r\n"), ["mail 451"]);
    session.take_output();
    session.mail(&envelope(&["b@lab.test"]), 8).unwrap();
    let seen = feed(&mut session, "250 ok\r\n550 no\r\n");
    assert_eq!(seen, ["mail 250", "rcpt0 550", "done None"]);
    assert!(said(&mut session).ends_with("RSET\r\n"));
}

#[test]
fn chunking_sends_one_chunk_after_the_recipients_are_known() {
    let mut session = ready("250-x\r\n250-PIPELINING\r\n250 CHUNKING\r\n");
    session.mail(&envelope(&["a@lab.test"]), 6).unwrap();
    said(&mut session);
    assert_eq!(feed(&mut session, "250 ok\r\n250 ok\r\n"), ["mail 250", "rcpt0 250", "send"]);
    session.message(b".a\r");
    session.message(b"\n\r\n");
    session.end_of_message();
    assert_eq!(said(&mut session), "BDAT 6 LAST\r\n.a\r\n\r\n");
    assert_eq!(feed(&mut session, "250 ok\r\n"), ["done Some(250)"]);
}

#[test]
fn what_a_server_cannot_take_is_known_before_anything_is_said() {
    let mut session = ready(EHLO);
    let too_large = session.mail(&envelope(&["a@lab.test"]), 1001);
    assert_eq!(too_large, Err(Unsendable::TooLarge { limit: 1000 }));
    assert_eq!(session.mail(&envelope(&["ä@lab.test"]), 1), Err(Unsendable::SmtpUtf8));
    let mut strict = envelope(&["a@lab.test"]);
    strict.require_tls = true;
    assert_eq!(session.mail(&strict, 1), Err(Unsendable::RequireTls));
    assert!(!session.has_output());
}

#[test]
fn dsn_wishes_travel_as_far_as_they_are_understood() {
    let mut wishes = envelope(&["a@lab.test"]);
    wishes.ret = Some(DsnReturn::Headers);
    wishes.envid = Some("a b".into());
    wishes.body = BodyType::EightBitMime;
    wishes.to[0].notify = Notify::NEVER;
    wishes.to[0].original = Some("rfc822;x@y.test".into());
    let mut session = ready(EHLO);
    session.mail(&wishes, 1).unwrap();
    assert_eq!(
        said(&mut session),
        "MAIL FROM:<dana@clinic.test> SIZE=1 BODY=8BITMIME RET=HDRS ENVID=a+20b\r\n\
         RCPT TO:<a@lab.test> NOTIFY=NEVER ORCPT=rfc822;x@y.test\r\n"
    );
}

#[test]
fn starttls_forgets_and_refuses_injected_plaintext() {
    let mut session = ready("250-x\r\n250-STARTTLS\r\n250 PIPELINING\r\n");
    session.starttls();
    assert_eq!(feed(&mut session, "220 go\r\n"), ["starttls 220"]);
    session.tls_started().unwrap();
    assert_eq!(*session.capabilities(), Capabilities::default());

    let mut session = ready("250-x\r\n250 STARTTLS\r\n");
    session.starttls();
    session.receive(b"220 go\r\n250 injected\r\n");
    assert!(matches!(session.next_event(), Ok(Some(ClientEvent::StartTls(_)))));
    assert_eq!(session.tls_started(), Err(ClientError::InjectedPlaintext));
}

#[test]
fn old_servers_get_helo() {
    let mut session = session();
    feed(&mut session, "220 old\r\n");
    session.ehlo();
    session.take_output();
    assert!(feed(&mut session, "502 what\r\n").is_empty());
    assert_eq!(said(&mut session), "HELO mail.clinic.test\r\n");
    assert_eq!(feed(&mut session, "250 old\r\n"), ["ehlo 250"]);
}

#[test]
fn closing_and_talking_out_of_turn_end_the_session() {
    let mut session = ready(EHLO);
    session.receive(b"421 4.3.0 going down\r\n");
    assert!(matches!(session.next_event(), Err(ClientError::Closing(_))));
    let mut session = ready(EHLO);
    session.receive(b"250 surprise\r\n");
    assert_eq!(session.next_event(), Err(ClientError::Unexpected));
}
