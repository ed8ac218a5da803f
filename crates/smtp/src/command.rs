//! The command grammar (RFC 5321 §4.1), read strictly.
//!
//! One kindness is kept because many clients need it: spaces after the colon of `MAIL FROM:` and
//! `RCPT TO:`. They change nothing in what is read.

use crate::{Mechanism, xtext};
use thiserror::Error;
use wardpost_mail::{
    Address, BodyType, Domain, DsnReturn, EnhancedStatus, Notify, Recipient, Reply, ReversePath,
};

/// Longest name taken after EHLO (RFC 5321 §4.5.3.1.2).
const MAX_CLIENT_NAME: usize = 255;
/// Longest ENVID, decoded (RFC 3461 §4.4).
const MAX_ENVID: usize = 100;
/// Longest ORCPT (RFC 3461 §4.2).
const MAX_ORCPT: usize = 500;

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// EHLO with the client's name.
    Ehlo(String),
    /// HELO with the client's name.
    Helo(String),
    /// STARTTLS (RFC 3207).
    StartTls,
    /// AUTH (RFC 4954).
    Auth {
        /// The mechanism; `None` when it is not one of ours.
        mechanism: Option<Mechanism>,
        /// The initial response in base64; `=` means an empty one.
        initial: Option<String>,
    },
    /// MAIL.
    Mail(MailParameters),
    /// RCPT.
    Rcpt(RcptParameters),
    /// DATA.
    Data,
    /// BDAT (RFC 3030 §2).
    Bdat {
        /// Octets that follow the command line.
        size: u64,
        /// Whether this chunk ends the message.
        last: bool,
    },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
}

/// MAIL with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailParameters {
    /// The reverse-path.
    pub from: ReversePath,
    /// SIZE (RFC 1870), in octets.
    pub size: Option<u64>,
    /// BODY (RFC 6152).
    pub body: BodyType,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// RET (RFC 3461 §4.3).
    pub ret: Option<DsnReturn>,
    /// ENVID (RFC 3461 §4.4), decoded.
    pub envid: Option<String>,
    /// REQUIRETLS (RFC 8689).
    pub require_tls: bool,
    /// AUTH (RFC 4954 §5) was given. Its value is not used: only our own check of the client counts.
    pub auth: bool,
}

/// RCPT with its parameters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcptParameters {
    /// The forward-path.
    pub to: ForwardPath,
    /// NOTIFY (RFC 3461 §4.1).
    pub notify: Notify,
    /// ORCPT (RFC 3461 §4.2), as on the wire.
    pub original: Option<String>,
}

/// A forward-path (RFC 5321 §4.1.1.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ForwardPath {
    /// An ordinary recipient.
    Address(Address),
    /// `<Postmaster>` without a domain: whoever looks after this host.
    Postmaster,
}

impl RcptParameters {
    /// The recipient; `domain` is where a bare `<Postmaster>` lives.
    pub fn into_recipient(self, domain: &Domain) -> Recipient {
        let address = match self.to {
            ForwardPath::Address(address) => address,
            ForwardPath::Postmaster => postmaster(domain),
        };
        Recipient { address, notify: self.notify, original: self.original }
    }
}

fn postmaster(domain: &Domain) -> Address {
    // Infallible: an atom and a domain that was parsed before.
    Address::parse(&format!("postmaster@{domain}")).expect("postmaster is an atom")
}

/// Why a line is not a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum CommandError {
    /// The verb is not known.
    #[error("Command not recognised")]
    Unknown,
    /// An HTTP request line: somebody made a browser talk to us.
    #[error("This is not a web server")]
    Http,
    /// Bytes that are not UTF-8, or control characters.
    #[error("Commands are printable text")]
    NotText,
    /// The arguments are wrong; this is how they should be.
    #[error("Syntax: {0}")]
    Syntax(&'static str),
    /// The sender's address cannot be read.
    #[error("The sender's address cannot be read")]
    Sender,
    /// The recipient's address cannot be read.
    #[error("The recipient's address cannot be read")]
    Recipient,
    /// An address has characters beyond ASCII and SMTPUTF8 was not asked for (RFC 6531 §3.4).
    #[error("This address needs SMTPUTF8")]
    NeedsSmtpUtf8,
    /// A parameter that was not announced (RFC 5321 §4.1.1.11).
    #[error("Parameter not supported")]
    UnknownParameter,
    /// A parameter's value is wrong.
    #[error("Wrong value of the {0} parameter")]
    Parameter(&'static str),
}

impl CommandError {
    /// The reply that tells the client (RFC 5321 §4.2.2, RFC 5248).
    pub fn reply(self) -> Reply {
        let (code, enhanced) = match self {
            Self::Unknown => (500, EnhancedStatus::new(5, 5, 1)),
            Self::Http => (554, EnhancedStatus::new(5, 7, 0)),
            Self::NotText => (500, EnhancedStatus::new(5, 5, 2)),
            Self::Syntax(_) => (501, EnhancedStatus::new(5, 5, 2)),
            Self::Sender => (553, EnhancedStatus::new(5, 1, 7)),
            Self::Recipient => (553, EnhancedStatus::new(5, 1, 3)),
            Self::NeedsSmtpUtf8 => (553, EnhancedStatus::new(5, 6, 7)),
            Self::UnknownParameter => (555, EnhancedStatus::new(5, 5, 4)),
            Self::Parameter(_) => (501, EnhancedStatus::new(5, 5, 4)),
        };
        Reply::new(code, enhanced, self.to_string())
    }
}

/// Reads one line, without its CRLF.
pub(crate) fn parse(line: &[u8]) -> Result<Command, CommandError> {
    let text = std::str::from_utf8(line).map_err(|_| CommandError::NotText)?;
    if text.bytes().any(|b| b.is_ascii_control()) {
        return Err(CommandError::NotText);
    }
    let (verb, rest) = match text.split_once(' ') {
        Some((verb, rest)) => (verb, Some(rest)),
        None => (text.trim_end_matches(' '), None),
    };
    let rest = rest.map(|rest| rest.trim_end_matches(' ')).filter(|rest| !rest.is_empty());
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" => Ok(Command::Ehlo(client_name(rest, "EHLO hostname")?)),
        "HELO" => Ok(Command::Helo(client_name(rest, "HELO hostname")?)),
        "MAIL" => mail(rest.unwrap_or_default()).map(Command::Mail),
        "RCPT" => rcpt(rest.unwrap_or_default()).map(Command::Rcpt),
        "DATA" => bare(rest, Command::Data, "DATA"),
        "BDAT" => bdat(rest.unwrap_or_default()),
        "RSET" => bare(rest, Command::Rset, "RSET"),
        "QUIT" => bare(rest, Command::Quit, "QUIT"),
        "STARTTLS" => bare(rest, Command::StartTls, "STARTTLS"),
        "AUTH" => auth(rest.unwrap_or_default()),
        "NOOP" => Ok(Command::Noop),
        "VRFY" => Ok(Command::Vrfy),
        "EXPN" => Ok(Command::Expn),
        "HELP" => Ok(Command::Help),
        "GET" | "HEAD" | "POST" | "PUT" | "DELETE" | "OPTIONS" | "CONNECT" | "TRACE" | "PATCH"
        | "HOST:" | "USER-AGENT:" | "PRI" => Err(CommandError::Http),
        _ => Err(CommandError::Unknown),
    }
}

fn bare(
    rest: Option<&str>,
    command: Command,
    syntax: &'static str,
) -> Result<Command, CommandError> {
    if rest.is_none() { Ok(command) } else { Err(CommandError::Syntax(syntax)) }
}

/// What stands after EHLO: a domain or an address literal by the book, in practice also host names that
/// DNS would not take. It ends up in the Received field, so nothing that means something there passes.
fn client_name(rest: Option<&str>, syntax: &'static str) -> Result<String, CommandError> {
    let name = rest.ok_or(CommandError::Syntax(syntax))?;
    let harmless = |c: char| !c.is_whitespace() && !"()<>@,;\\\"".contains(c);
    if name.len() <= MAX_CLIENT_NAME && name.chars().all(harmless) {
        Ok(name.to_owned())
    } else {
        Err(CommandError::Syntax(syntax))
    }
}

/// `"BDAT" SP chunk-size [SP "LAST"]` (RFC 3030 §2).
fn bdat(rest: &str) -> Result<Command, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("BDAT size [LAST]");
    let (size, last) = match rest.split_once(' ') {
        Some((size, last)) if last.eq_ignore_ascii_case("LAST") => (size, true),
        Some(_) => return Err(SYNTAX),
        None => (rest, false),
    };
    Ok(Command::Bdat { size: number(size).ok_or(SYNTAX)?, last })
}

/// `1*20DIGIT`; a sign, as `str::parse` takes it, is none.
fn number(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.len() <= 20 && text.bytes().all(|b| b.is_ascii_digit());
    if digits { text.parse().ok() } else { None }
}

/// `"AUTH" SP sasl-mech [SP initial-response]` (RFC 4954 §4).
fn auth(rest: &str) -> Result<Command, CommandError> {
    let (name, initial) = match rest.split_once(' ') {
        Some((name, initial)) => (name, Some(initial)),
        None => (rest, None),
    };
    if name.is_empty() || initial.is_some_and(|text| text.contains(' ')) {
        return Err(CommandError::Syntax("AUTH mechanism [initial-response]"));
    }
    let mechanism = Mechanism::ALL.into_iter().find(|m| m.name().eq_ignore_ascii_case(name));
    Ok(Command::Auth { mechanism, initial: initial.map(str::to_owned) })
}

/// `"MAIL FROM:" Reverse-path [SP Mail-parameters]` (RFC 5321 §4.1.1.2).
fn mail(rest: &str) -> Result<MailParameters, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("MAIL FROM:<address> [parameters]");
    let (path, parameters) = keyword(rest, "FROM:").and_then(split_path).ok_or(SYNTAX)?;
    let from = match path {
        "" => ReversePath::Null,
        path => ReversePath::Address(address(path).ok_or(CommandError::Sender)?),
    };
    let mut mail = MailParameters {
        from,
        size: None,
        body: BodyType::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        require_tls: false,
        auth: false,
    };
    for parameter in split_parameters(parameters) {
        mail_parameter(&mut mail, parameter)?;
    }
    if !path.is_ascii() && !mail.smtputf8 {
        return Err(CommandError::NeedsSmtpUtf8);
    }
    Ok(mail)
}

fn mail_parameter(mail: &mut MailParameters, parameter: &str) -> Result<(), CommandError> {
    let (name, value) = split_value(parameter);
    match (name.to_ascii_uppercase().as_str(), value) {
        ("SIZE", Some(value)) => {
            mail.size = Some(number(value).ok_or(CommandError::Parameter("SIZE"))?);
        }
        ("BODY", Some(value)) => {
            mail.body = match value.to_ascii_uppercase().as_str() {
                "7BIT" => BodyType::SevenBit,
                "8BITMIME" => BodyType::EightBitMime,
                _ => return Err(CommandError::Parameter("BODY")),
            };
        }
        ("SMTPUTF8", None) => mail.smtputf8 = true,
        ("REQUIRETLS", None) => mail.require_tls = true,
        ("RET", Some(value)) => {
            mail.ret = Some(match value.to_ascii_uppercase().as_str() {
                "FULL" => DsnReturn::Full,
                "HDRS" => DsnReturn::Headers,
                _ => return Err(CommandError::Parameter("RET")),
            });
        }
        ("ENVID", Some(value)) => {
            mail.envid = Some(envid(value).ok_or(CommandError::Parameter("ENVID"))?);
        }
        ("AUTH", Some(_)) => mail.auth = true,
        ("SIZE" | "BODY" | "SMTPUTF8" | "REQUIRETLS" | "RET" | "ENVID" | "AUTH", _) => {
            return Err(CommandError::Parameter("given"));
        }
        _ => return Err(CommandError::UnknownParameter),
    }
    Ok(())
}

/// ENVID decodes to printable ASCII (RFC 3461 §4.4).
fn envid(value: &str) -> Option<String> {
    let decoded = xtext::decode(value).filter(|id| (1..=MAX_ENVID).contains(&id.len()))?;
    let printable = decoded.iter().all(|b| (0x20..=0x7e).contains(b));
    if printable { String::from_utf8(decoded).ok() } else { None }
}

/// `"RCPT TO:" ( "<Postmaster>" / Forward-path ) [SP Rcpt-parameters]` (RFC 5321 §4.1.1.3).
fn rcpt(rest: &str) -> Result<RcptParameters, CommandError> {
    const SYNTAX: CommandError = CommandError::Syntax("RCPT TO:<address> [parameters]");
    let (path, parameters) = keyword(rest, "TO:").and_then(split_path).ok_or(SYNTAX)?;
    let to = if path.eq_ignore_ascii_case("postmaster") {
        ForwardPath::Postmaster
    } else {
        ForwardPath::Address(address(path).ok_or(CommandError::Recipient)?)
    };
    let mut rcpt = RcptParameters { to, notify: Notify::default(), original: None };
    for parameter in split_parameters(parameters) {
        let (name, value) = split_value(parameter);
        match (name.to_ascii_uppercase().as_str(), value) {
            ("NOTIFY", Some(value)) => {
                rcpt.notify = notify(value).ok_or(CommandError::Parameter("NOTIFY"))?;
            }
            ("ORCPT", Some(value)) if is_orcpt(value) => rcpt.original = Some(value.to_owned()),
            ("ORCPT", _) => return Err(CommandError::Parameter("ORCPT")),
            ("NOTIFY", None) => return Err(CommandError::Parameter("NOTIFY")),
            _ => return Err(CommandError::UnknownParameter),
        }
    }
    Ok(rcpt)
}

/// `"NEVER" / 1#("SUCCESS" / "FAILURE" / "DELAY")` (RFC 3461 §4.1).
fn notify(value: &str) -> Option<Notify> {
    let mut notify = Notify::NEVER;
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(notify);
    }
    for wish in value.split(',') {
        match wish.to_ascii_uppercase().as_str() {
            "SUCCESS" => notify.success = true,
            "FAILURE" => notify.failure = true,
            "DELAY" => notify.delay = true,
            _ => return None,
        }
    }
    Some(notify)
}

/// `addr-type ";" xtext` (RFC 3461 §4.2); after `utf-8;` also UTF-8 (RFC 6533 §3).
fn is_orcpt(value: &str) -> bool {
    let Some((kind, address)) = value.split_once(';') else { return false };
    let kind_ok = !kind.is_empty() && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let address_ok = if kind.eq_ignore_ascii_case("utf-8") {
        !address.contains(|c: char| c.is_control() || c.is_whitespace())
    } else {
        xtext::decode(address).is_some()
    };
    kind_ok && address_ok && !address.is_empty() && value.len() <= MAX_ORCPT
}

/// What follows `FROM:` or `TO:`, in any case, with the spaces after the colon passed over.
fn keyword<'a>(text: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = text.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

/// Cuts `<path>` from what follows it. A `>` inside a quoted local part does not end the path.
fn split_path(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (i, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => {
                let rest = &inner[i + 1..];
                return (rest.is_empty() || rest.starts_with(' ')).then_some((&inner[..i], rest));
            }
            _ => {}
        }
    }
    None
}

/// Reads a path's mailbox. A source route is read and ignored (RFC 5321 §4.1.1.3, appendix C).
fn address(path: &str) -> Option<Address> {
    let mailbox = match path.strip_prefix('@') {
        None => path,
        Some(_) => {
            let (route, mailbox) = path.split_once(':')?;
            let hop = |hop: &str| hop.strip_prefix('@').is_some_and(|d| Domain::parse(d).is_ok());
            if !route.split(',').all(hop) {
                return None;
            }
            mailbox
        }
    };
    Address::parse(mailbox).ok()
}

fn split_parameters(text: &str) -> impl Iterator<Item = &str> {
    text.split(' ').filter(|parameter| !parameter.is_empty())
}

fn split_value(parameter: &str) -> (&str, Option<&str>) {
    match parameter.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (parameter, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Command, CommandError> {
        parse(line.as_bytes())
    }

    #[test]
    fn mail_with_everything() {
        let Ok(Command::Mail(mail)) = read(
            "mail from:<Dana@clinic.test> SIZE=1000 body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb \
             REQUIRETLS AUTH=<>",
        ) else {
            panic!("refused")
        };
        assert_eq!(mail.from.to_string(), "Dana@clinic.test");
        assert_eq!((mail.size, mail.body), (Some(1000), BodyType::EightBitMime));
        assert_eq!((mail.ret, mail.envid.as_deref()), (Some(DsnReturn::Headers), Some("a+b")));
        assert!(mail.smtputf8 && mail.require_tls && mail.auth);
    }

    #[test]
    fn recipients_and_their_wishes() {
        let Ok(Command::Rcpt(rcpt)) =
            read("RCPT TO:<\"a>b\"@x.test> NOTIFY=success,DELAY ORCPT=rfc822;a+3Db@x.test")
        else {
            panic!("refused")
        };
        assert_eq!(rcpt.to, ForwardPath::Address(Address::parse("\"a>b\"@x.test").unwrap()));
        assert_eq!(rcpt.notify, Notify { success: true, failure: false, delay: true });
        assert_eq!(rcpt.original.as_deref(), Some("rfc822;a+3Db@x.test"));
        let bare = read("RCPT TO:<PostMaster>");
        assert!(matches!(
            bare,
            Ok(Command::Rcpt(RcptParameters { to: ForwardPath::Postmaster, .. }))
        ));
    }

    #[test]
    fn the_null_path_and_source_routes() {
        let null = read("MAIL FROM:<>");
        assert!(matches!(null, Ok(Command::Mail(MailParameters { from: ReversePath::Null, .. }))));
        let Ok(Command::Rcpt(routed)) = read("RCPT TO:<@a.test,@b.test:c@d.test>") else {
            panic!("refused")
        };
        assert_eq!(routed.to, ForwardPath::Address(Address::parse("c@d.test").unwrap()));
    }

    #[test]
    fn sloppy_grammar_is_refused() {
        for line in [
            "MAIL FROM:a@b.test",
            "MAIL FROM:<a@b.test",
            "MAIL FROM:<a@b.test>SIZE=1",
            "MAIL FROM <a@b.test>",
            "MAIL FROM:<a@b.test> SIZE=-1",
            "MAIL FROM:<a@b.test> SIZE=+1",
            "MAIL FROM:<a@b.test> SIZE",
            "MAIL FROM:<a@b.test> BODY=BINARYMIME",
            "MAIL FROM:<a@b.test> SMTPUTF8=1",
            "MAIL FROM:<a@b.test> ENVID=a+0Ab",
            "MAIL FROM:<a@b.test> X=1",
            "MAIL FROM:<ä@b.test>",
            "RCPT TO:<>",
            "RCPT TO:<a>",
            "RCPT TO:<@x:a@b.test,c@d.test>",
            "RCPT TO:<a@b.test> NOTIFY=NEVER,DELAY",
            "RCPT TO:<a@b.test> ORCPT=a@b.test",
            "DATA now",
            "QUIT 1",
            "STARTTLS x",
            "BDAT",
            "BDAT -1",
            "BDAT 1 FIRST",
            "BDAT 99999999999999999999",
            "EHLO",
            "EHLO a b",
            "EHLO a(b)",
            "AUTH",
            "AUTH PLAIN a b",
            "NOOP\0",
            "",
            "XYZZY",
        ] {
            assert!(read(line).is_err(), "{line:?}");
        }
        assert_eq!(parse(b"NOOP \xff"), Err(CommandError::NotText));
    }

    #[test]
    fn web_requests_are_seen_for_what_they_are() {
        assert_eq!(read("GET / HTTP/1.1"), Err(CommandError::Http));
        assert_eq!(read("post /x HTTP/1.1"), Err(CommandError::Http));
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line in any::<Vec<u8>>()) {
            let _ = parse(&line);
        }

        #[test]
        fn lines_near_the_grammar_do_not_either(
            line in "(MAIL FROM:|RCPT TO:|BDAT |AUTH |EHLO )[<>@\", =+;a-z0-9\\\\é]{0,30}",
        ) {
            let _ = parse(line.as_bytes());
        }
    }
}
