//! Visits: opened messages, held in memory while somebody reads them.
//!
//! A visit begins with a right code and ends by signing out, after a quarter of an hour without a
//! page, or after two hours. It is found by two random values: the *view*, which stands in the
//! address and names the message's pages, and a 256-bit *ticket* in a cookie that the browser sends to
//! these pages only. Only the ticket's hash is kept.

use crate::sanitise::{self, Clean};
use axum::http::{HeaderMap, HeaderValue};
use prometheus::IntGauge;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_mail::{AccountId, Address};
use wardpost_message::render::{self, Readable};
use wardpost_parcel::{OpenedParcel, ParcelId, RecipientKeys};
use wardpost_web::{Bounds, Cookie, Sessions, is_same, random};

/// A quarter of an hour without a page, two hours in all; 512 MiB of opened messages.
const BOUNDS: Bounds = Bounds {
    idle: Duration::from_secs(15 * 60),
    longest: Duration::from_secs(2 * 3600),
    sessions: 512,
    weight: 512 * 1024 * 1024,
};
const COOKIE: Cookie = Cookie::for_paths("__Secure-visit");

/// An opened message.
pub(crate) struct Visit {
    pub(crate) parcel: ParcelId,
    pub(crate) sender: AccountId,
    pub(crate) recipient: Address,
    pub(crate) expires: SystemTime,
    /// The parcel was opened with a code, not with a password of the reader's own.
    pub(crate) with_code: bool,
    /// How many other messages wait.
    pub(crate) others: usize,
    pub(crate) keys: RecipientKeys,
    /// The message's header, for threading the answer.
    pub(crate) header: Vec<u8>,
    pub(crate) readable: Readable,
    pub(crate) html: Option<Clean>,
    /// Stands in every form of this visit.
    pub(crate) form_token: String,
    /// Names the visit's pages.
    pub(crate) view: String,
    octets: usize,
}

/// The visits in progress.
pub(crate) struct Visits(Arc<Sessions<Visit>>);

impl Visit {
    /// Decodes an opened parcel for reading.
    pub(crate) fn new(opened: OpenedParcel) -> Self {
        let mut readable = render::readable(&opened.message);
        let given = readable.html.take();
        let html = given.as_ref().and_then(|html| sanitise::clean(html, &readable.inline));
        if html.is_none() && readable.text.trim().is_empty() {
            readable.text = given.as_deref().map(render::text_of_html).unwrap_or_default();
        }
        // Pictures are within the HTML now.
        readable.inline.clear();
        let files: usize = readable.attachments.iter().map(|file| file.bytes.len()).sum();
        let html_octets = html.as_ref().map_or(0, |html| html.body.len());
        let header_end = wardpost_message::headers::length(&opened.message);
        let header = opened.message[..header_end].to_vec();
        Self {
            parcel: opened.id,
            sender: opened.sender,
            recipient: opened.recipient,
            expires: opened.expires,
            with_code: opened.with_code,
            others: opened.others.len(),
            keys: opened.keys,
            octets: files + html_octets + readable.text.len() + header.len(),
            header,
            readable,
            html,
            form_token: random(32),
            view: random(12),
        }
    }

    /// Whether a form carries this visit's token.
    pub(crate) fn is_our_form(&self, token: &str) -> bool {
        is_same(token, &self.form_token)
    }

    /// Where the visit's pages are.
    fn path(&self) -> String {
        format!("/m/{}", self.view)
    }
}

impl Visits {
    pub(crate) fn new(gauge: IntGauge) -> Self {
        Self(Sessions::new(BOUNDS, gauge))
    }

    /// Begins a visit; the answer is the `Set-Cookie` value that goes with it.
    pub(crate) fn begin(&self, visit: Arc<Visit>) -> HeaderValue {
        let (path, octets) = (visit.path(), visit.octets);
        COOKIE.set(&path, &self.0.begin(visit, octets))
    }

    /// The visit that a request belongs to.
    pub(crate) fn find(&self, headers: &HeaderMap, view: &str) -> Option<Arc<Visit>> {
        COOKIE.values(headers).find_map(|ticket| self.0.find(ticket, |visit| visit.view == view))
    }

    /// Ends a visit; the answer is the `Set-Cookie` value that removes its cookie.
    pub(crate) fn end(&self, visit: &Visit) -> HeaderValue {
        self.0.end(|other| other.view == visit.view);
        COOKIE.remove(&visit.path())
    }
}
