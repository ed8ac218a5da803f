//! The third way: a parcel on the portal, a notice to its recipient, and a code for the sender to
//! tell.
//!
//! The parcel's records, the notice and the code mail go into the one commit that also ends the
//! recipient's wait in the queue: after a crash there are all of them or none.

use crate::courier::Courier;
use crate::local::unix;
use std::time::SystemTime;
use wardpost_mail::{AccountId, Address, BodyType, Envelope, ReversePath};
use wardpost_message::{headers, notice};
use wardpost_parcel::{Created, Credential, NewParcel, ParcelError};
use wardpost_policy::Route;
use wardpost_queue::{Kind, NewItem, Record};
use wardpost_verdict::Floor;

/// Trace and authentication fields: of no use to the recipient, and some tell of other recipients.
const NOT_FOR_THE_RECIPIENT: &[&str] =
    &["Received", "Return-Path", "DKIM-Signature", "Authentication-Results", "Bcc"];

impl Courier {
    /// Adds to `record` a parcel for `recipient`, its notice and, where a code was made just now, the
    /// mail that tells the sender. Keep what is returned until the record has been committed.
    ///
    /// # Errors
    /// When the parcel cannot be made now; the record is as it was then.
    pub(crate) async fn add_parcel(
        &self,
        record: &mut Record,
        sender: AccountId,
        recipient: &Address,
        message: &[u8],
    ) -> Result<Created, ParcelError> {
        let shown = headers::strip(message, NOT_FOR_THE_RECIPIENT);
        let new = NewParcel { sender, recipient, message: &shown, expires: None };
        let created = self.parts.parcels.prepare(new, record.batch()).await?;
        record.follow_up(self.notice(sender, recipient, &created));
        if let Some(code_mail) = self.code_mail(sender, recipient, &created, message) {
            record.follow_up(code_mail);
        }
        Ok(created)
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

    /// The mail that tells the sender a new code. It never leaves this server.
    fn code_mail(
        &self,
        sender: AccountId,
        recipient: &Address,
        created: &Created,
        original: &[u8],
    ) -> Option<NewItem> {
        let Credential::NewCode(code) = &created.credential else { return None };
        let to = self.parts.directory.account(sender)?.address;
        let about = headers::get(original, "Message-ID");
        let message = notice::code_mail(&notice::CodeMail {
            from: &self.settings.postmaster,
            to: &to,
            recipient,
            code,
            message_id: &headers::new_message_id(self.settings.postmaster.domain()),
            about: about.as_deref(),
            now: unix(SystemTime::now()),
        });
        Some(NewItem {
            sender: None,
            envelope: Envelope::new(ReversePath::Null, [to]),
            message,
            routes: vec![Route::Local],
            kind: Kind::Report,
        })
    }
}

fn body_type(message: &[u8]) -> BodyType {
    if message.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime }
}
