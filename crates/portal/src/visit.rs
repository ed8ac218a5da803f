//! Visits: opened messages, held in memory while somebody reads them.
//!
//! A visit begins with a right code and ends by signing out, after a quarter of an hour without a
//! page, or after two hours. It is found by two random values: the *view*, which stands in the
//! address and names the message's pages, and a 256-bit *ticket* in a cookie that the browser sends to
//! these pages only. Only the ticket's hash is kept.

use crate::sanitise::{self, Clean};
use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use axum::http::{HeaderMap, HeaderValue, header};
use data_encoding::BASE64URL_NOPAD;
use parking_lot::Mutex;
use prometheus::IntGauge;
use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant, SystemTime};
use wardpost_mail::{AccountId, Address};
use wardpost_message::render::{self, Readable};
use wardpost_parcel::{OpenedParcel, ParcelId, RecipientKeys};

/// How long a visit lasts without a page being asked for.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// How long a visit lasts at all.
const LONGEST: Duration = Duration::from_secs(2 * 3600);
/// Visits at the same time; the one unused for longest gives way.
const MAX_VISITS: usize = 512;
/// Octets of opened messages held at the same time.
const MAX_OCTETS: usize = 512 * 1024 * 1024;
/// The cookie's name; browsers take a name with this prefix over TLS only (RFC 6265bis §4.1.3.1).
const COOKIE: &str = "__Secure-visit";

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

struct Entry {
    visit: Arc<Visit>,
    begun: Instant,
    seen: Instant,
}

/// The visits in progress.
pub(crate) struct Visits {
    entries: Mutex<HashMap<[u8; 32], Entry>>,
}

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
        aws_lc_rs::constant_time::verify_slices_are_equal(
            token.as_bytes(),
            self.form_token.as_bytes(),
        )
        .is_ok()
    }
}

impl Visits {
    pub(crate) fn new() -> Self {
        Self { entries: Mutex::new(HashMap::new()) }
    }

    /// Begins a visit; the answer is the `Set-Cookie` value that goes with it.
    pub(crate) fn begin(self: &Arc<Self>, visit: Arc<Visit>, gauge: &IntGauge) -> HeaderValue {
        let ticket = random(32);
        let cookie =
            format!("{COOKIE}={ticket}; Path=/m/{}; Secure; HttpOnly; SameSite=Strict", visit.view);
        let now = Instant::now();
        let first = {
            let mut entries = self.entries.lock();
            sweep(&mut entries, now);
            make_room(&mut entries, visit.octets);
            entries.insert(hash(&ticket), Entry { visit, begun: now, seen: now });
            gauge.set(entries.len() as i64);
            entries.len() == 1
        };
        if first {
            tokio::spawn(forget_in_time(Arc::downgrade(self), gauge.clone()));
        }
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| unreachable!("base64url in a cookie"))
    }

    /// The visit that a request belongs to.
    pub(crate) fn find(&self, headers: &HeaderMap, view: &str) -> Option<Arc<Visit>> {
        let now = Instant::now();
        let mut entries = self.entries.lock();
        tickets(headers).find_map(|ticket| {
            let entry = entries.get_mut(&hash(ticket))?;
            if entry.visit.view != view || entry.is_over(now) {
                return None;
            }
            entry.seen = now;
            Some(Arc::clone(&entry.visit))
        })
    }

    /// Ends a visit; the answer is the `Set-Cookie` value that removes its cookie.
    pub(crate) fn end(&self, visit: &Visit, gauge: &IntGauge) -> HeaderValue {
        let mut entries = self.entries.lock();
        entries.retain(|_, entry| entry.visit.view != visit.view);
        gauge.set(entries.len() as i64);
        let cookie = format!(
            "{COOKIE}=; Path=/m/{}; Max-Age=0; Secure; HttpOnly; SameSite=Strict",
            visit.view
        );
        HeaderValue::from_str(&cookie).unwrap_or_else(|_| unreachable!("base64url in a cookie"))
    }
}

impl Entry {
    fn is_over(&self, now: Instant) -> bool {
        now.duration_since(self.seen) > IDLE || now.duration_since(self.begun) > LONGEST
    }
}

fn sweep(entries: &mut HashMap<[u8; 32], Entry>, now: Instant) {
    entries.retain(|_, entry| !entry.is_over(now));
}

fn make_room(entries: &mut HashMap<[u8; 32], Entry>, octets: usize) {
    let held = |entries: &HashMap<_, Entry>| -> usize {
        entries.values().map(|entry| entry.visit.octets).sum()
    };
    while !entries.is_empty()
        && (entries.len() >= MAX_VISITS || held(entries) + octets > MAX_OCTETS)
    {
        let oldest = entries.iter().min_by_key(|(_, entry)| entry.seen).map(|(key, _)| *key);
        if let Some(key) = oldest {
            entries.remove(&key);
        }
    }
}

/// Looks each minute for visits that are over, until there are none.
async fn forget_in_time(visits: Weak<Visits>, gauge: IntGauge) {
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let Some(visits) = visits.upgrade() else { return };
        let mut entries = visits.entries.lock();
        sweep(&mut entries, Instant::now());
        gauge.set(entries.len() as i64);
        if entries.is_empty() {
            return;
        }
    }
}

/// Our cookies' values in a request; there may be several, of different visits.
fn tickets(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
        .take(16)
}

fn hash(ticket: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, ticket.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Random octets from the system's generator, in base64url.
fn random(octets: usize) -> String {
    let mut bytes = vec![0; octets];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        unreachable!("the system's random generator does not fail once it has been seeded");
    }
    BASE64URL_NOPAD.encode(&bytes)
}
