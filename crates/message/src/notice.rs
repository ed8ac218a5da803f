//! The mails that go with a parcel: the discreet notice to its recipient, and the code to its sender.
//!
//! The notice may cross the network in clear and lie in a mailbox that a family shares. It names the
//! practice, because a mail that does not say who it is from is taken for fraud; it names no person,
//! no subject and no topic. It is plain text only: a link that is seen whole can be judged, and mail
//! without HTML is least likely to be taken for bait.

use crate::decode::without_controls;
use crate::reply::{message_ids, with_crlf};
use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as Mailbox;
use mail_builder::headers::raw::Raw;
use wardpost_mail::{Address, Secret};

/// What a notice says. Nothing in it tells who wrote, or about what.
#[derive(Debug, Clone)]
pub struct NoticeText<'a> {
    /// The practice's name.
    pub practice: &'a str,
    /// The practice's telephone number, to check that the notice is real.
    pub phone: Option<&'a str>,
    /// The link to the parcel.
    pub link: &'a str,
    /// An address of the practice that is no person's.
    pub from: &'a Address,
    /// The recipient.
    pub to: &'a Address,
    /// Message-ID with angle brackets.
    pub message_id: &'a str,
    /// When the parcel goes away, in seconds since 1970 UTC.
    pub expires: i64,
    /// Now.
    pub now: i64,
}

/// What the sender is told when a code was made for a recipient.
#[derive(Debug, Clone)]
pub struct CodeMail<'a> {
    /// An address of the practice that is no person's.
    pub from: &'a Address,
    /// The sender of the message that waits.
    pub to: &'a Address,
    /// Whose provider cannot receive encrypted mail.
    pub recipient: &'a Address,
    /// The code to tell them.
    pub code: &'a Secret<String>,
    /// Message-ID with angle brackets.
    pub message_id: &'a str,
    /// Message-ID of the message that waits, for threading.
    pub about: Option<&'a str>,
    /// Now, in seconds since 1970 UTC.
    pub now: i64,
}

/// What a sender is told who writes to somebody whose code was made before they came here.
#[derive(Debug, Clone)]
pub struct KnownCodeMail<'a> {
    /// An address of the practice that is no person's.
    pub from: &'a Address,
    /// The sender of the message that waits.
    pub to: &'a Address,
    /// Whose provider cannot receive encrypted mail.
    pub recipient: &'a Address,
    /// Who was told the code, by name; `None` when an administrator made it.
    pub who_knows: Option<&'a str>,
    /// Message-ID with angle brackets.
    pub message_id: &'a str,
    /// Message-ID of the message that waits, for threading.
    pub about: Option<&'a str>,
    /// Now, in seconds since 1970 UTC.
    pub now: i64,
}

/// What the sender of a parcel is told that nobody opened.
#[derive(Debug, Clone)]
pub struct UnreadMail<'a> {
    /// An address of the practice that is no person's.
    pub from: &'a Address,
    /// The sender of the message.
    pub to: &'a Address,
    /// Who did not read it.
    pub recipient: &'a Address,
    /// When the message was sent, in seconds since 1970 UTC.
    pub sent: i64,
    /// Message-ID with angle brackets.
    pub message_id: &'a str,
    /// Now.
    pub now: i64,
}

/// Writes the notice as a mail.
pub fn build(notice: &NoticeText<'_>) -> Vec<u8> {
    let practice = without_controls(notice.practice);
    let mut text = format!(
        "Hello,\n\n{practice} has sent you a private message.\n\n\
         Your email provider cannot receive it in encrypted form. So that nobody\n\
         else can read it, it waits for you on our own web page:\n\n\
         {}\n\n\
         You will need your code. We tell you the code by phone or in person, never\n\
         by email. If you have chosen a password of your own, use that instead.\n\n\
         The message is kept until {}.\n\n",
        without_controls(notice.link),
        long_date(notice.expires),
    );
    match notice.phone {
        Some(phone) => text.push_str(&format!(
            "Is this email real? Do you need your code? Call us: {}\n\
             To be quite sure, compare this number with one you already have.\n\n",
            without_controls(phone)
        )),
        None => text.push_str(
            "Is this email real? Do you need your code? Call us on the number you\n\
             already have for us.\n\n",
        ),
    }
    text.push_str(
        "Please do not answer this email: answers to it are not protected. You can\n\
         answer on the page, once you have opened the message.\n",
    );
    automatic(notice.from, &practice, notice.to, notice.message_id, notice.now)
        .subject(format!("{practice} has a private message for you"))
        .text_body(with_crlf(&text))
        .write()
}

/// Writes the mail that tells the sender a recipient's code. It is delivered locally only.
pub fn code_mail(mail: &CodeMail<'_>) -> Vec<u8> {
    let recipient = mail.recipient;
    let text = format!(
        "{recipient}'s provider cannot receive encrypted mail. Your message is not lost:\n\
         it waits for them on our own web page, and they have been sent a link.\n\n\
         Please tell them this code by phone or in person, not by email:\n\n\
         \x20   {}\n\n\
         The code opens all further messages to {recipient} too. You will not be\n\
         asked again once they have set a password of their own.\n",
        mail.code.expose(),
    );
    let builder = automatic(mail.from, "Mail delivery", mail.to, mail.message_id, mail.now);
    threaded(builder, mail.about)
        .subject(format!("Please tell {recipient} their code by phone"))
        .text_body(with_crlf(&text))
        .write()
}

/// Writes the mail that tells a sender who knows a recipient's code. It is delivered locally only.
pub fn known_code_mail(mail: &KnownCodeMail<'_>) -> Vec<u8> {
    let recipient = mail.recipient;
    let who = match mail.who_knows.map(without_controls).filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("{name} has it and can tell them again"),
        None => "whoever looks after the mail server can make a new one".to_owned(),
    };
    let text = format!(
        "{recipient}'s provider cannot receive encrypted mail. Your message is not lost:\n\
         it waits for them on our own web page, and they have been sent a link.\n\n\
         They open it with the code that they were told for an earlier message.\n\
         Should they have lost it:\n\
         {who}.\n",
    );
    let builder = automatic(mail.from, "Mail delivery", mail.to, mail.message_id, mail.now);
    threaded(builder, mail.about)
        .subject(format!("{recipient} needs their code to read your message"))
        .text_body(with_crlf(&text))
        .write()
}

/// Writes the mail that tells a sender that a message was not read. It is delivered locally only.
pub fn unread_mail(mail: &UnreadMail<'_>) -> Vec<u8> {
    let recipient = mail.recipient;
    let text = format!(
        "Your message to {recipient}\nof {} was not read.\n\n\
         Their provider cannot receive encrypted mail, so it waited for them on our\n\
         own web page. They never opened it there, and it has now been deleted.\n\n\
         Please reach them another way, or send the message again.\n",
        long_date(mail.sent),
    );
    automatic(mail.from, "Mail delivery", mail.to, mail.message_id, mail.now)
        .subject(format!("{recipient} did not read your message"))
        .text_body(with_crlf(&text))
        .write()
}

/// Puts a mail into the thread of the message that it is about.
fn threaded<'a>(builder: MessageBuilder<'a>, about: Option<&str>) -> MessageBuilder<'a> {
    match about.and_then(|id| message_ids(id).pop()) {
        Some(about) => builder
            .header("In-Reply-To", Raw::new(about.clone()))
            .header("References", Raw::new(about)),
        None => builder,
    }
}

/// What all automatic mail has in common (RFC 3834 §5).
fn automatic<'a>(
    from: &Address,
    name: &'a str,
    to: &Address,
    message_id: &'a str,
    now: i64,
) -> MessageBuilder<'a> {
    MessageBuilder::new()
        .from(Mailbox::new_address(Some(name), from.to_string()))
        .to(Mailbox::new_address(None::<&str>, to.to_string()))
        .date(now)
        .header("Message-ID", Raw::new(message_id))
        .header("Auto-Submitted", Raw::new("auto-generated"))
        // Keeps out-of-office answers of common servers away.
        .header("X-Auto-Response-Suppress", Raw::new("All"))
}

trait Write {
    fn write(self) -> Vec<u8>;
}

impl Write for MessageBuilder<'_> {
    fn write(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.serialize(&mut out);
        out
    }
}

/// A day as people write it: `Sunday, November 22, 2026`. In UTC, as the server does not know where
/// the reader is; days are too coarse for that to matter.
pub fn long_date(unix: i64) -> String {
    // `%-d` and the names are jiff's own; a time beyond its range is shown as the farthest it has.
    let time = jiff::Timestamp::from_second(unix).unwrap_or(jiff::Timestamp::MAX);
    time.strftime("%A, %B %-d, %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::headers;
    use crate::render::readable;

    fn address(text: &str) -> Address {
        Address::parse(text).unwrap()
    }

    #[test]
    fn a_notice_is_short_plain_and_automatic() {
        let raw = build(&NoticeText {
            practice: "Elm Street Practice",
            phone: Some("+1 555 0100"),
            link: "https://mail.clinic.test/p/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            from: &address("no-reply@clinic.test"),
            to: &address("lee@example.test"),
            message_id: "<1@clinic.test>",
            expires: 1_795_342_200,
            now: 1_795_000_000,
        });
        assert_eq!(headers::get(&raw, "Auto-Submitted").unwrap(), "auto-generated");
        assert_eq!(headers::get(&raw, "Message-ID").unwrap(), "<1@clinic.test>");
        assert!(headers::get(&raw, "Reply-To").is_none());
        let read = readable(&raw);
        assert_eq!(
            read.subject.as_deref(),
            Some("Elm Street Practice has a private message for you")
        );
        for needed in [
            "https://mail.clinic.test/p/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
            "+1 555 0100",
            "Sunday, November 22, 2026",
        ] {
            assert!(read.text.contains(needed), "{needed} in {}", read.text);
        }
        assert!(read.html.is_none());
        let text = String::from_utf8(raw).unwrap();
        assert!(text.lines().all(|line| line.len() <= 78), "{text}");
        assert!(!text.to_lowercase().contains("quoted-printable"), "the link stays in one piece");
    }

    #[test]
    fn the_senders_mail_tells_the_code_and_what_to_do() {
        let raw = code_mail(&CodeMail {
            from: &address("no-reply@clinic.test"),
            to: &address("dana@clinic.test"),
            recipient: &address("lee@example.test"),
            code: &Secret::new("4821-7730".to_owned()),
            message_id: "<2@clinic.test>",
            about: Some("<1@clinic.test>"),
            now: 0,
        });
        let read = readable(&raw);
        assert!(read.text.contains("    4821-7730\n"));
        assert!(
            read.text.starts_with("lee@example.test's provider cannot receive encrypted mail.")
        );
        assert_eq!(headers::get(&raw, "In-Reply-To").unwrap(), "<1@clinic.test>");
    }

    #[test]
    fn who_knows_the_code_is_named_and_the_code_is_not() {
        let [from, to, recipient] =
            ["no-reply@clinic.test", "kim@clinic.test", "lee@example.test"].map(address);
        let mail = |who_knows| KnownCodeMail {
            from: &from,
            to: &to,
            recipient: &recipient,
            who_knows,
            message_id: "<3@clinic.test>",
            about: Some("<1@clinic.test>"),
            now: 0,
        };
        let raw = known_code_mail(&mail(Some("Dr. Dana Reyes")));
        let read = readable(&raw);
        assert!(read.text.contains("Dr. Dana Reyes has it"), "{}", read.text);
        assert_eq!(headers::get(&raw, "In-Reply-To").unwrap(), "<1@clinic.test>");
        assert_eq!(headers::get(&raw, "Auto-Submitted").unwrap(), "auto-generated");
        for nobody in [None, Some(" \r\n")] {
            assert!(readable(&known_code_mail(&mail(nobody))).text.contains("can make a new one"));
        }
    }

    #[test]
    fn an_unread_message_is_named_by_recipient_and_day_only() {
        let raw = unread_mail(&UnreadMail {
            from: &address("no-reply@clinic.test"),
            to: &address("dana@clinic.test"),
            recipient: &address("lee@example.test"),
            sent: 1_795_342_200,
            message_id: "<4@clinic.test>",
            now: 1_798_000_000,
        });
        let read = readable(&raw);
        assert!(read.text.contains("Sunday, November 22, 2026 was not read"), "{}", read.text);
        assert_eq!(read.subject.as_deref(), Some("lee@example.test did not read your message"));
    }

    #[test]
    fn settings_with_line_breaks_do_no_harm() {
        let raw = build(&NoticeText {
            practice: "Elm\r\nBcc: x@y.test",
            phone: None,
            link: "https://h.test/",
            from: &address("no-reply@clinic.test"),
            to: &address("lee@example.test"),
            message_id: "<1@clinic.test>",
            expires: i64::MAX,
            now: 0,
        });
        assert!(headers::get(&raw, "Bcc").is_none());
    }
}
