//! Making a submitted message ready to go out: header fields added, removed and rewritten, nothing
//! else touched. Signing comes after.

use std::borrow::Cow;
use wardpost_mail::Domain;
use wardpost_message::headers::{self, HeaderError};
use wardpost_policy::ROUTE_HEADER;

/// Fields that must not leave with a message: who else it went to, what the sender asked of us, and
/// what only a final server may write (RFC 5322 §3.6.3, RFC 5321 §4.4).
const DROPPED: [&str; 4] = ["Bcc", "Resent-Bcc", "Return-Path", ROUTE_HEADER];

/// What goes into a message besides what its sender wrote.
pub(crate) struct Additions<'a> {
    /// Our host name.
    pub(crate) hostname: &'a Domain,
    /// The From domain, for a Message-ID.
    pub(crate) domain: &'a Domain,
    /// The subject, where the policy changes it.
    pub(crate) subject: Option<&'a str>,
    /// TLS version and suite of the session.
    pub(crate) tls: Option<&'a str>,
    /// Our name for the message.
    pub(crate) id: &'a str,
    /// Now, in Unix seconds.
    pub(crate) now: i64,
}

/// The message as it will be signed and queued.
pub(crate) fn ready(raw: &[u8], add: &Additions<'_>) -> Result<Vec<u8>, HeaderError> {
    let mut mail = headers::strip(raw, &DROPPED);
    if let Cow::Owned(cleaned) = headers::remove_forged_results(&mail, add.hostname.as_str()) {
        mail = Cow::Owned(cleaned);
    }
    if let Some(subject) = add.subject {
        mail = Cow::Owned(headers::replace_subject(&mail, subject)?);
    }
    let mail = headers::ensure_date_and_message_id(&mail, add.domain, add.now);
    Ok(headers::prepend(&[&received(add)], &mail))
}

/// A Received field without the client's name and address (RFC 5321 §4.4 wants them of mail from
/// elsewhere; where our people sit is nobody's business, RFC 6409 §8 leaves it to us).
fn received(add: &Additions<'_>) -> String {
    let tls = add.tls.map(|tls| format!(" ({tls})")).unwrap_or_default();
    format!(
        "Received: by {} with ESMTPSA{tls}\r\n\tid {};\r\n\t{}\r\n",
        add.hostname,
        add.id,
        headers::date(add.now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready_text(raw: &str, subject: Option<&str>) -> String {
        let domain = Domain::parse("clinic.test").unwrap();
        let hostname = Domain::parse("mail.clinic.test").unwrap();
        let add = Additions {
            hostname: &hostname,
            domain: &domain,
            subject,
            tls: Some("TLSv1.3 TLS_AES_128_GCM_SHA256"),
            id: "17",
            now: 1_795_342_200,
        };
        String::from_utf8(ready(raw.as_bytes(), &add).unwrap()).unwrap()
    }

    #[test]
    fn what_others_must_not_see_goes_and_what_is_missing_comes() {
        let raw = "Bcc: hidden@x.test\r\nX-Wardpost-Route: pickup\r\nFrom: a@clinic.test\r\n\
             Authentication-Results:\r\n (x;) \"MAIL.clinic.test\" 1; dkim=pass\r\nSubject: Secure: x\r\n\r\nBcc: body\r\n";
        let ready = ready_text(raw, Some("x"));
        let (header, body) = ready.split_once("\r\n\r\n").unwrap();
        assert!(header.starts_with(
            "Received: by mail.clinic.test with ESMTPSA (TLSv1.3 TLS_AES_128_GCM_SHA256)\r\n\tid 17;\r\n"
        ));
        assert!(header.contains("\r\nDate: Sun, 22 Nov 2026 10:10:00 +0000"));
        assert!(header.contains("@clinic.test>"), "a Message-ID of our domain");
        assert!(header.contains("\r\nSubject: x"));
        for gone in ["hidden", "Route", "dkim=pass", "Secure"] {
            assert!(!header.contains(gone), "{gone}");
        }
        assert_eq!(body, "Bcc: body\r\n");
    }

    #[test]
    fn what_is_there_stays_as_it_is() {
        let raw = "From: a@clinic.test\r\nDate: Mon, 1 Jan 2024 00:00:00 +0000\r\n\
                   message-id: <x@y.test>\r\n\r\nhi\r\n";
        assert!(ready_text(raw, None).ends_with(raw));
    }
}
