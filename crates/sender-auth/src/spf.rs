//! SPF (RFC 7208), with what mail-auth 0.13.3 leaves out of it: several records at one name are an error
//! (§4.5), a record that cannot be read is one wherever it stands among the TXT records (§4.6), and more
//! than two look-ups that find nothing are (§4.6.4), as far as they can be told from outside: `exists`, for which
//! finding nothing is its way to say no, and the hosts of `mx` are not counted.

use crate::lookup;
use hickory_resolver::TokioResolver;
use mail_auth::common::parse::TxtRecordParser;
use mail_auth::spf::Spf;
use mail_auth::spf::verify::SpfParameters;
use mail_auth::{MX, MessageAuthenticator, Parameters, RecordSet, ResolverCache, SpfResult, Txt};
use parking_lot::Mutex;
use std::borrow::Borrow;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Look-ups that may find nothing (RFC 7208 §4.6.4).
const MAX_VOID: usize = 2;

/// The outcome for one identity, within `limit`.
pub(crate) async fn check(
    authenticator: &MessageAuthenticator,
    peer: IpAddr,
    parameters: SpfParameters<'_>,
    limit: Duration,
) -> SpfResult {
    let checking = async {
        let watch = Watches::default();
        let parameters = Parameters::new(parameters)
            .with_txt_cache(&watch.txt)
            .with_mx_cache(&watch.mx)
            .with_ipv4_cache(&watch.ipv4)
            .with_ipv6_cache(&watch.ipv6);
        let result = authenticator.verify_spf(parameters).await.result();
        if result == SpfResult::TempError {
            return result;
        }
        if watch.void(peer) > MAX_VOID || is_faulty(&authenticator.0, &watch.txt.names()).await {
            return SpfResult::PermError;
        }
        result
    };
    timeout(limit, checking).await.unwrap_or(SpfResult::TempError)
}

/// Whether a name that was asked has several records, or one that cannot be read. The answers are in the
/// resolver's cache.
async fn is_faulty(dns: &TokioResolver, names: &[Box<str>]) -> bool {
    let asking = names.iter().map(|name| lookup::txt(dns, name));
    let answers = futures_util::future::join_all(asking).await;
    answers.into_iter().flatten().any(|texts| {
        let records: Vec<&Vec<u8>> = texts.iter().filter(|text| is_spf(text)).collect();
        records.len() > 1 || records.iter().any(|record| Spf::parse(record).is_err())
    })
}

/// `version = "v=spf1"`, followed by a space or the end (RFC 7208 §4.5).
fn is_spf(text: &[u8]) -> bool {
    let rest = text.get(..6).filter(|version| version.eq_ignore_ascii_case(b"v=spf1"));
    rest.is_some() && text.get(6).is_none_or(|next| *next == b' ')
}

/// Stand where mail-auth would keep answers, and count: it asks here before each look-up, and brings what
/// it found.
#[derive(Default)]
struct Watches {
    txt: Watch<Box<str>, Txt>,
    mx: Watch<Box<str>, RecordSet<MX>>,
    ipv4: Watch<Box<str>, RecordSet<std::net::Ipv4Addr>>,
    ipv6: Watch<Box<str>, RecordSet<std::net::Ipv6Addr>>,
}

impl Watches {
    /// Look-ups that found nothing.
    fn void(&self, peer: IpAddr) -> usize {
        let (own, other) = match peer {
            IpAddr::V4(_) => (self.ipv4.counts(), self.ipv6.counts()),
            IpAddr::V6(_) => (self.ipv6.counts(), self.ipv4.counts()),
        };
        // Only `exists` asks for the other family, and brings nothing.
        let exists = other.0;
        let hosts: usize = self.mx.found.lock().iter().map(|(_, set)| hosts(set)).sum();
        let addresses = own.0.saturating_sub(own.1 + exists + hosts);
        let mx = self.mx.counts();
        addresses + mx.0.saturating_sub(mx.1)
    }
}

fn hosts(set: &RecordSet<MX>) -> usize {
    set.rrset.iter().map(|mx| mx.exchanges.len()).sum()
}

struct Watch<K, V> {
    asked: AtomicUsize,
    found: Mutex<Vec<(K, V)>>,
}

impl<K, V> Default for Watch<K, V> {
    fn default() -> Self {
        Self { asked: AtomicUsize::new(0), found: Mutex::new(Vec::new()) }
    }
}

impl<K: Clone, V> Watch<K, V> {
    /// How often it was asked, and how often brought something.
    fn counts(&self) -> (usize, usize) {
        (self.asked.load(Ordering::Relaxed), self.found.lock().len())
    }

    fn names(&self) -> Vec<K> {
        self.found.lock().iter().map(|(name, _)| name.clone()).collect()
    }
}

impl<K, V> ResolverCache<K, V> for Watch<K, V> {
    fn get<Q>(&self, _: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.asked.fetch_add(1, Ordering::Relaxed);
        None
    }

    fn remove<Q>(&self, _: &Q) -> Option<V>
    where
        K: Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        None
    }

    fn insert(&self, key: K, value: V, _: Instant) {
        self.found.lock().push((key, value));
    }
}
