//! The third way: a parcel on the portal, a notice to its recipient, and a code for the sender to
//! tell.
//!
//! The parcel's records, the notice and the code mail's delivery go into the one commit that also ends
//! the recipient's wait in the queue: after a crash there are all of them or none.
//!
//! # Who learns the code
//! A code is told when it is made, to the sender whose message it was made for, and later once to each
//! colleague who writes to the same recipient, until the recipient has a passphrase of their own. It
//! is written down once only, in a mail that is sealed to all staff there are at that moment; that
//! mail is what everybody is given, so the server itself can never read it again. Whoever joined later
//! is told who knows the code.

use crate::courier::Courier;
use crate::local::unix;
use std::borrow::Cow;
use std::sync::Arc;
use std::time::SystemTime;
use thiserror::Error;
use wardpost_directory::Account;
use wardpost_mail::{AccountId, Address, BodyType, Envelope, ReversePath, Secret};
use wardpost_mailbox::{Delivery, Destination, MailboxError, SealedMail, SpecialUse};
use wardpost_message::{headers, notice};
use wardpost_parcel::{CodeNote, Created, Credential, NewParcel, ParcelError};
use wardpost_policy::Route;
use wardpost_queue::{Kind, NewItem};
use wardpost_store::Batch;
use wardpost_verdict::Floor;

/// Trace and authentication fields: of no use to the recipient, and some tell of other recipients.
const NOT_FOR_THE_RECIPIENT: &[&str] =
    &["Received", "Return-Path", "DKIM-Signature", "Authentication-Results", "Bcc"];

/// A parcel that comes to be when all of this is committed.
pub(crate) struct Made {
    /// The parcel's records, and who has learnt the code.
    pub(crate) batch: Batch,
    /// Keep it until the commit.
    pub(crate) created: Created,
    pub(crate) notice: NewItem,
    /// What the sender is told about the code, if anything.
    pub(crate) code_mail: Option<Delivery>,
}

/// Why a parcel was not made.
#[derive(Debug, Error)]
pub(crate) enum NotMade {
    #[error("the parcel: {0}")]
    Parcel(#[from] ParcelError),
    #[error("the mail about the code: {0}")]
    Mailbox(#[from] MailboxError),
}

impl Courier {
    /// Makes a parcel for `recipient`, its notice and, where the sender does not know the code yet,
    /// the mail that tells them.
    ///
    /// # Errors
    /// When the parcel cannot be made now.
    pub(crate) async fn make_parcel(
        &self,
        sender: &Account,
        recipient: &Address,
        message: &[u8],
    ) -> Result<Made, NotMade> {
        let shown = headers::strip(message, NOT_FOR_THE_RECIPIENT);
        let new = NewParcel { sender: sender.id, recipient, message: &shown, expires: None };
        let mut batch = Batch::new();
        let created = self.parts.parcels.prepare(new, &mut batch).await?;
        let notice = self.notice(sender.id, recipient, &created);
        let waiting = Waiting { sender, recipient, message };
        let code_mail = match &created.credential {
            Credential::NewCode(code) => Some(self.tell_new_code(&waiting, code, &mut batch)?),
            Credential::EarlierCode => self.tell_earlier_code(&waiting, &mut batch).await?,
            Credential::Passphrase => None,
        };
        Ok(Made { batch, created, notice, code_mail })
    }

    /// Tells the sender a new code, and keeps it for their colleagues.
    fn tell_new_code(
        &self,
        waiting: &Waiting<'_>,
        code: &Secret<String>,
        batch: &mut Batch,
    ) -> Result<Delivery, NotMade> {
        let sender = waiting.sender.id;
        let text = notice::code_mail(&notice::CodeMail {
            from: &self.settings.postmaster,
            // All staff may come to read it.
            to: &self.settings.postmaster,
            recipient: waiting.recipient,
            code,
            message_id: &headers::new_message_id(self.settings.postmaster.domain()),
            about: waiting.message_id().as_deref(),
            now: unix(SystemTime::now()),
        });
        let directory = &self.parts.directory;
        let staff: Vec<_> = directory
            .accounts()
            .into_iter()
            .filter_map(|account| Some((account.id, directory.certificate(account.id)?)))
            .collect();
        let mail = SealedMail::seal(&text, &staff)?;
        let note = CodeNote { maker: Some(sender), told: vec![sender], mail: mail.to_bytes() };
        self.parts.parcels.set_code_note(batch, waiting.recipient, &note)?;
        let now = unix(SystemTime::now());
        Ok(self.parts.mailboxes.prepare_sealed(&mail, sender, now)?)
    }

    /// Tells the sender a code that was made earlier, or who knows it, unless they were told before.
    async fn tell_earlier_code(
        &self,
        waiting: &Waiting<'_>,
        batch: &mut Batch,
    ) -> Result<Option<Delivery>, NotMade> {
        let sender = waiting.sender.id;
        let note = self.parts.parcels.code_note(waiting.recipient)?;
        let mut note = note.unwrap_or_default();
        if note.told.contains(&sender) {
            return Ok(None);
        }
        let mail = match note.mail.as_slice() {
            [] => None,
            kept => Some(SealedMail::from_bytes(kept)?).filter(|mail| mail.is_for(sender)),
        };
        note.told.push(sender);
        self.parts.parcels.set_code_note(batch, waiting.recipient, &note)?;
        let now = unix(SystemTime::now());
        let delivery = match mail {
            Some(mail) => self.parts.mailboxes.prepare_sealed(&mail, sender, now)?,
            None => self.who_knows(waiting, note.maker, now).await?,
        };
        Ok(Some(delivery))
    }

    /// The mail to somebody who cannot be told a code but whom to ask.
    async fn who_knows(
        &self,
        waiting: &Waiting<'_>,
        maker: Option<AccountId>,
        now: i64,
    ) -> Result<Delivery, MailboxError> {
        let Waiting { sender, recipient, .. } = waiting;
        let maker = maker.and_then(|maker| self.parts.directory.account(maker));
        let maker = maker.map(|account| match account.name.as_str() {
            "" => account.address.to_string(),
            name => name.to_owned(),
        });
        let text = notice::known_code_mail(&notice::KnownCodeMail {
            from: &self.settings.postmaster,
            to: &sender.address,
            recipient,
            who_knows: maker.as_deref(),
            message_id: &headers::new_message_id(self.settings.postmaster.domain()),
            about: waiting.message_id().as_deref(),
            now,
        });
        self.to_inbox(sender.id, text).await
    }

    /// Seals a mail of our own for somebody's INBOX.
    pub(crate) async fn to_inbox(
        &self,
        account: AccountId,
        text: Vec<u8>,
    ) -> Result<Delivery, MailboxError> {
        let certificate = self.parts.directory.certificate(account);
        let certificate = certificate.ok_or(MailboxError::NoSuchDestination)?;
        let to = Destination { account, certificate, mailbox: SpecialUse::Inbox };
        let now = unix(SystemTime::now());
        self.parts.mailboxes.prepare(Arc::new(text), &[to], now).await
    }

    fn notice(&self, sender: AccountId, recipient: &Address, created: &Created) -> NewItem {
        let settings = &self.settings;
        let base = settings.portal_url.trim_end_matches('/');
        let link = format!("{base}/p/{}", created.link_token.expose());
        let domain = settings.postmaster.domain();
        let text = notice::build(&notice::NoticeText {
            practice: &settings.practice,
            phone: settings.phone.as_deref(),
            link: &link,
            from: &settings.postmaster,
            to: recipient,
            message_id: &headers::new_message_id(domain),
            expires: unix(created.expires),
            now: unix(SystemTime::now()),
        });
        let from = ReversePath::Address(settings.postmaster.clone());
        let mut envelope = Envelope::new(from, [recipient.clone()]);
        envelope.body = body_type(&text);
        envelope.smtputf8 = recipient.needs_smtputf8();
        NewItem {
            sender: Some(sender),
            envelope,
            message: self.signed(text),
            // The floor is what a notice would be held to if it were mail; it is sent by whatever
            // way there is.
            routes: vec![Route::Direct { floor: Floor::default().grade() }],
            kind: Kind::Notice,
        }
    }

    /// Signs what we write ourselves. A notice without a signature still serves its purpose.
    fn signed(&self, text: Vec<u8>) -> Vec<u8> {
        match self.parts.signer.sign(self.settings.postmaster.domain(), text.clone()) {
            Ok(signed) => signed,
            Err(error) => {
                tracing::warn!(%error, "a notice goes out without a DKIM signature");
                text
            }
        }
    }
}

/// A message that waits for its recipient.
struct Waiting<'a> {
    sender: &'a Account,
    recipient: &'a Address,
    message: &'a [u8],
}

impl Waiting<'_> {
    fn message_id(&self) -> Option<String> {
        headers::get(self.message, "Message-ID").map(Cow::into_owned)
    }
}

fn body_type(message: &[u8]) -> BodyType {
    if message.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime }
}
