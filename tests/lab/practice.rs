//! A practice in full operation: a world, a Wardpost, two people, and what they do all day.

use crate::imap::Imap;
use crate::smtp::Smtp;
use crate::wardpost::{HOSTNAME, PASSWORD, Wardpost};
use crate::{Lab, Result, wait_for};
use std::time::Duration;

/// How long a flow waits for mail to arrive anywhere.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The practice. Wardpost stops before the world goes.
#[derive(Debug)]
pub struct Practice {
    /// Its mail server.
    pub wardpost: Wardpost,
    /// The world around it.
    pub lab: Lab,
    /// Dr. Dana Reyes' address.
    pub dana: String,
    /// Lee Park's address, at the front desk.
    pub lee: String,
}

impl Practice {
    /// Opens for business.
    ///
    /// # Errors
    /// When anything does not start.
    pub fn open() -> Result<Self> {
        Self::open_with("")
    }

    /// Opens with more configuration.
    ///
    /// # Errors
    /// When anything does not start.
    pub fn open_with(extra: &str) -> Result<Self> {
        Self::open_in(Lab::start()?, extra)
    }

    /// Opens in this world, with more configuration.
    ///
    /// # Errors
    /// When anything does not start.
    pub fn open_in(lab: Lab, extra: &str) -> Result<Self> {
        let wardpost = Wardpost::start_with(&lab, extra)?;
        Self::staff(lab, wardpost)
    }

    /// Opens with its data on a disk of `mib` MiB.
    ///
    /// # Errors
    /// When anything does not start.
    pub fn open_on_small_disk(mib: u32) -> Result<Self> {
        let lab = Lab::start()?;
        let wardpost = Wardpost::start_on_small_disk(&lab, mib)?;
        Self::staff(lab, wardpost)
    }

    /// Opens with a Wardpost that runs already.
    ///
    /// # Errors
    /// When it takes no accounts.
    pub fn staff(lab: Lab, wardpost: Wardpost) -> Result<Self> {
        let dana = wardpost.add_account("dana", "Dr. Dana Reyes")?;
        let lee = wardpost.add_account("lee", "Lee Park")?;
        Ok(Self { wardpost, lab, dana, lee })
    }

    /// Sends `message` as `from` over submission, as a mail program does.
    ///
    /// # Errors
    /// When it is refused.
    pub fn submit(&self, from: &str, to: &[&str], message: &str) -> Result<()> {
        let mut smtp = Smtp::connect(self.wardpost.submission())?;
        smtp.starttls(&self.lab.ca, HOSTNAME)?;
        smtp.login(from, PASSWORD)?;
        smtp.send(from, to, message)?;
        Ok(())
    }

    /// Opens port 25 as a stranger does, up to EHLO inside TLS.
    ///
    /// # Errors
    /// When TLS fails.
    pub fn stranger(&self) -> Result<Smtp> {
        let mut smtp = Smtp::connect(self.wardpost.mx())?;
        smtp.starttls(&self.lab.ca, HOSTNAME)?;
        Ok(smtp)
    }

    /// Logs in over IMAP.
    ///
    /// # Errors
    /// When that fails.
    pub fn imap(&self, who: &str) -> Result<Imap> {
        Imap::login(self.wardpost.imaps(), &self.lab.ca, HOSTNAME, who, PASSWORD)
    }

    /// Waits until nothing is on its way any more.
    ///
    /// # Errors
    /// When something stays.
    pub fn settled(&self) -> Result<()> {
        wait_for("the queue to be empty", PATIENCE, || {
            let list = self.wardpost.cli(&["queue", "list", "--json"], "").ok()?;
            (list.trim() == "[]").then_some(())
        })
    }

    /// Waits until a message in `who`'s INBOX contains `text`; gives that message whole.
    ///
    /// # Errors
    /// When none comes.
    pub fn wait_for_mail(&self, who: &str, text: &str) -> Result<String> {
        let mut imap = self.imap(who)?;
        wait_for(&format!("mail with {text:?}"), PATIENCE, || {
            let count = exists(&imap.must("SELECT INBOX").ok()?)?;
            (1..=count).rev().find_map(|n| {
                let answer = imap.must(&format!("FETCH {n} BODY.PEEK[]")).ok()?;
                answer.contains(text).then_some(answer)
            })
        })
        .map_err(|e| format!("{e}\n{}", self.wardpost.log()).into())
    }
}

/// A plain message with CRLF line ends.
pub fn message(from: &str, to: &str, subject: &str, text: &str) -> String {
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n"
    )
}

/// A message with one attachment, CRLF line ends.
pub fn message_with_attachment(
    from: &str,
    to: &str,
    subject: &str,
    text: &str,
    (name, content): (&str, &str),
) -> String {
    let encoded = data_encoding::BASE64_MIME.encode(content.as_bytes());
    format!(
        "From: {from}\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: multipart/mixed; boundary=\"=_wp\"\r\n\r\n\
         --=_wp\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n{text}\r\n\
         --=_wp\r\nContent-Type: text/csv; name=\"{name}\"\r\n\
         Content-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{encoded}\r\n--=_wp--\r\n"
    )
}

/// The number in `* n EXISTS`.
pub fn exists(answer: &str) -> Option<u32> {
    answer.lines().find_map(|line| line.strip_prefix("* ")?.strip_suffix(" EXISTS")?.parse().ok())
}
