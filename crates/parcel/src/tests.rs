//! What parcels promise, tried as the recipient, as a guesser, as a thief of the disk and as the practice.

use crate::link::Token;
use crate::record::{self, Content, RecipientKey, RecipientRecord, Tries};
use crate::*;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wardpost_keys::{KdfCost, KeyPacket, SlotKind};
use wardpost_mail::{AccountId, Address, Secret};
use wardpost_store::{Batch, Column, CommitError, Store};

const DAY: Duration = Duration::from_secs(24 * 3600);
const MESSAGE: &[u8] = b"Subject: canary-subject\r\n\r\ncanary-body\r\n";
const DANA: AccountId = AccountId(1);
const LEE: AccountId = AccountId(2);

struct Bench {
    store: Store,
    clock: Arc<AtomicU64>,
    parcels: Parcels,
}

/// A parcel as its recipient holds it.
struct Held {
    id: ParcelId,
    link: String,
    credential: Credential,
}

impl Held {
    fn code(&self) -> Secret<String> {
        match &self.credential {
            Credential::NewCode(code) => code.clone(),
            other => panic!("no new code: {other:?}"),
        }
    }
}

impl Bench {
    fn new() -> Self {
        let (store, clock) = (Store::in_memory(), Arc::new(AtomicU64::new(1_700_000_000_000)));
        let parcels = Parcels::open(store.clone(), options(&clock));
        Self { store, clock, parcels }
    }

    /// A restart on the same disk.
    fn restart(&mut self) {
        self.parcels = Parcels::open(self.store.clone(), options(&self.clock));
    }

    fn pass(&self, time: Duration) {
        self.clock.fetch_add(time.as_millis() as u64, Ordering::SeqCst);
    }

    async fn make(&self, sender: AccountId, recipient: &Address) -> Held {
        let new = NewParcel { sender, recipient, message: MESSAGE, expires: None };
        let (created, _) = self.parcels.create(new).await.unwrap();
        let link = created.link_token.expose().clone();
        Held { id: created.id, link, credential: created.credential }
    }

    async fn open(&self, link: &str, code: &Secret<String>) -> Result<OpenedParcel, ParcelError> {
        self.open_from(1, link, code).await
    }

    /// Opens from one of many peers.
    async fn open_from(
        &self,
        peer: u32,
        link: &str,
        code: &Secret<String>,
    ) -> Result<OpenedParcel, ParcelError> {
        self.parcels.open_with_code(link, code, IpAddr::V4(peer.into())).await
    }

    /// A wrong code, after whatever wait it takes, from a peer of its own.
    async fn guess(&self, peer: u32, held: &Held) -> ParcelError {
        self.pass(Duration::from_secs(900));
        self.open_from(peer, &held.link, &secret("00000000 no")).await.unwrap_err()
    }

    /// Everything on the disk, as somebody with the system key sees it.
    fn disk(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.store.scan(Column::Parcel, b"", None, usize::MAX).unwrap()
    }

    fn body(&self, id: ParcelId) -> Option<Vec<u8>> {
        self.store.get(Column::Parcel, &id.body()).unwrap()
    }
}

fn options(clock: &Arc<AtomicU64>) -> Options {
    let clock = clock.clone();
    let now =
        move || -> SystemTime { UNIX_EPOCH + Duration::from_millis(clock.load(Ordering::SeqCst)) };
    Options { kdf_cost: KdfCost::Test, clock: Arc::new(now), ..Options::default() }
}

fn pat() -> Address {
    Address::parse("Pat@x.test").unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

// As the recipient.

#[tokio::test]
async fn link_and_code_open_a_parcel() {
    let mut bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    bench.restart();
    let opened = bench.open(&held.link, &held.code()).await.unwrap();
    assert_eq!(opened.message, MESSAGE);
    assert_eq!((opened.id, opened.sender, &opened.recipient), (held.id, DANA, &pat()));
    assert!(opened.with_code && opened.others.is_empty());
    bench.pass(Duration::from_secs(60));
    let typed = held.code().expose().replace('-', " ");
    bench.open(&held.link, &secret(&typed)).await.unwrap();
    let view = bench.parcels.show(held.id).unwrap();
    assert_eq!((view.state, view.views, view.opened_at.len()), (ParcelState::Opened, 2, 2));
    assert_eq!(view.opened_at[1].duration_since(view.opened_at[0]).unwrap().as_secs(), 60);
}

#[tokio::test]
async fn the_code_is_made_once_and_opens_all_parcels_of_the_recipient() {
    let bench = Bench::new();
    let first = bench.make(DANA, &pat()).await;
    bench.pass(DAY);
    let second = bench.make(LEE, &Address::parse("pat@X.test").unwrap()).await;
    assert!(matches!(second.credential, Credential::EarlierCode));
    let opened = bench.open(&second.link, &first.code()).await.unwrap();
    assert_eq!(opened.others.len(), 1);
    assert_eq!((opened.others[0].sender, opened.others[0].opened), (DANA, false));
    let opened = bench.open(&first.link, &first.code()).await.unwrap();
    assert_eq!((opened.others[0].sender, opened.others[0].opened), (LEE, true));
    let stranger = bench.make(DANA, &Address::parse("sam@x.test").unwrap()).await;
    assert_ne!(stranger.code().expose(), first.code().expose());
}

#[tokio::test]
async fn an_open_key_opens_further_links_without_the_code() {
    let bench = Bench::new();
    let first = bench.make(DANA, &pat()).await;
    let second = bench.make(DANA, &pat()).await;
    let keys = bench.open(&first.link, &first.code()).await.unwrap().keys;
    let opened = bench.parcels.open_with_keys(&second.link, &keys, true).await.unwrap();
    assert_eq!(opened.message, MESSAGE);
    bench.parcels.open_with_keys(&second.link, &keys, false).await.unwrap();
    assert_eq!(bench.parcels.show(second.id).unwrap().views, 1, "a page of the same visit");
    let other = bench.make(DANA, &Address::parse("sam@x.test").unwrap()).await;
    let refused = bench.parcels.open_with_keys(&other.link, &keys, true).await;
    assert!(matches!(refused, Err(ParcelError::NotFound)));
    assert_eq!(bench.parcels.show(other.id).unwrap().views, 0);
}

#[tokio::test]
async fn a_passphrase_replaces_the_code() {
    let mut bench = Bench::new();
    let first = bench.make(DANA, &pat()).await;
    let mut batch = Batch::new();
    let mail = b"sealed for the office".to_vec();
    let note = CodeNote { maker: Some(DANA), told: vec![DANA], mail };
    bench.parcels.set_code_note(&mut batch, &pat(), &note).unwrap();
    bench.store.commit(batch).await.unwrap();
    assert_eq!(bench.parcels.code_note(&pat()).unwrap().unwrap(), note);
    let keys = bench.open(&first.link, &first.code()).await.unwrap().keys;
    let easy = bench.parcels.set_passphrase(&keys, &secret("12345678")).await;
    assert!(matches!(easy, Err(ParcelError::Passphrase { min: 8 })));
    assert!(!bench.parcels.peek(&first.link).unwrap().has_passphrase);
    bench.parcels.set_passphrase(&keys, &secret("blue horse ")).await.unwrap();
    bench.restart();
    assert!(bench.parcels.peek(&first.link).unwrap().has_passphrase);
    assert_eq!(bench.parcels.code_note(&pat()).unwrap(), None, "the code is worth nothing now");
    let with_code = bench.open(&first.link, &first.code()).await;
    assert!(matches!(with_code, Err(ParcelError::WrongCode { .. })));
    let second = bench.make(LEE, &pat()).await;
    assert!(matches!(second.credential, Credential::Passphrase));
    for held in [&first, &second] {
        let opened = bench.open(&held.link, &secret("blue horse")).await.unwrap();
        assert!(!opened.with_code);
    }
}

#[tokio::test]
async fn looking_at_a_link_changes_nothing() {
    let bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    let before = bench.disk();
    for _ in 0..100 {
        let glance = bench.parcels.peek(&held.link).unwrap();
        assert_eq!((glance.id, glance.sender, glance.locked), (held.id, DANA, false));
    }
    assert_eq!(bench.disk(), before);
}

// As a guesser.

#[tokio::test]
async fn ten_wrong_codes_lock_a_parcel_through_restarts() {
    let mut bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    for wrong in 1..=10 {
        let error = bench.guess(wrong, &held).await;
        let expected = 10 - wrong;
        assert!(
            matches!(error, ParcelError::WrongCode { tries_left } if tries_left == expected),
            "{wrong}: {error:?}"
        );
        bench.restart();
    }
    bench.pass(DAY);
    let locked = bench.open_from(99, &held.link, &held.code()).await;
    assert!(matches!(locked, Err(ParcelError::Locked)), "even with the right code");
    let view = bench.parcels.show(held.id).unwrap();
    assert_eq!((view.locked, view.wrong_codes), (true, 10));
    assert_eq!(bench.parcels.stats().unwrap().locked, 1);
    assert!(bench.parcels.peek(&held.link).unwrap().locked);
    bench.parcels.unlock(held.id).await.unwrap();
    bench.open_from(99, &held.link, &held.code()).await.unwrap();
}

#[tokio::test]
async fn waits_grow_and_a_right_code_ends_them() {
    let bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    let wrong = secret("9");
    for peer in 0..3 {
        let error = bench.open_from(peer, &held.link, &wrong).await.unwrap_err();
        assert!(matches!(error, ParcelError::WrongCode { .. }));
    }
    for (peer, code) in [(3, &wrong), (4, &held.code())] {
        let error = bench.open_from(peer, &held.link, code).await.unwrap_err();
        let ParcelError::SlowDown(wait) = error else { panic!("{error:?}") };
        assert_eq!(wait, Duration::from_secs(5), "and the try was not charged");
    }
    bench.pass(Duration::from_secs(5));
    bench.open(&held.link, &held.code()).await.unwrap();
    let left = bench.open(&held.link, &wrong).await.unwrap_err();
    assert!(matches!(left, ParcelError::WrongCode { tries_left: 9 }), "counted from the start");
}

#[tokio::test]
async fn many_links_do_not_make_many_tries() {
    let bench = Bench::new();
    let parcels = [
        bench.make(DANA, &pat()).await,
        bench.make(DANA, &pat()).await,
        bench.make(DANA, &pat()).await,
        bench.make(DANA, &pat()).await,
    ];
    let mut wrong = 0;
    for peer in 0..60 {
        match bench.guess(peer, &parcels[peer as usize % 4]).await {
            ParcelError::WrongCode { .. } => wrong += 1,
            ParcelError::Locked => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(wrong, 30);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn tries_at_once_are_all_charged() {
    let bench = Arc::new(Bench::new());
    let held = Arc::new(bench.make(DANA, &pat()).await);
    let tries: Vec<_> = (0..50)
        .map(|peer| {
            let (bench, held) = (bench.clone(), held.clone());
            tokio::spawn(async move { bench.open_from(peer, &held.link, &secret("9")).await })
        })
        .collect();
    let mut wrong = 0;
    for one in tries {
        match one.await.unwrap().unwrap_err() {
            ParcelError::WrongCode { .. } => wrong += 1,
            ParcelError::SlowDown(_) | ParcelError::Locked => {}
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(wrong, 3, "the third has to be waited out");
    assert_eq!(bench.parcels.show(held.id).unwrap().wrong_codes, 3);
}

#[tokio::test]
async fn hanging_up_or_crashing_before_the_answer_gains_nothing() {
    // With the cost of real life, so that there is time between the charge and the answer.
    let mut bench = Bench::new();
    let mut options = options(&bench.clock);
    options.kdf_cost = KdfCost::Interactive;
    bench.parcels = Parcels::open(bench.store.clone(), options);
    let held = bench.make(DANA, &pat()).await;
    let wrong = secret("9");
    {
        let attempt = bench.open(&held.link, &wrong);
        tokio::pin!(attempt);
        while bench.store.get(Column::Parcel, &held.id.tries()).unwrap().is_none() {
            tokio::select! {
                biased;
                outcome = &mut attempt => panic!("answered before it was charged: {outcome:?}"),
                () = tokio::time::sleep(Duration::from_micros(50)) => {}
            }
        }
    }
    // The caller went away, or the process died, before any answer.
    bench.restart();
    assert_eq!(bench.parcels.show(held.id).unwrap().wrong_codes, 1);
}

#[tokio::test]
async fn wrong_links_find_nothing_and_charge_only_the_peer() {
    let bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    let mut half_right = held.link.clone().into_bytes();
    half_right[40] = if half_right[40] == b'A' { b'B' } else { b'A' };
    let half_right = String::from_utf8(half_right).unwrap();
    let unknown = Token::generate().unwrap().show().expose().clone();
    let before = bench.disk();
    for link in ["", "x", &unknown, &half_right, &held.link[..42]] {
        let outcome = bench.open(link, &held.code()).await;
        assert!(matches!(outcome, Err(ParcelError::NotFound)), "{link:?}");
        assert!(matches!(bench.parcels.peek(link), Err(ParcelError::NotFound)), "{link:?}");
    }
    assert_eq!(bench.disk(), before);
    for _ in 5..20 {
        let _ = bench.open_from(1, &unknown, &held.code()).await;
    }
    let slowed = bench.open_from(1, &held.link, &held.code()).await;
    assert!(matches!(slowed, Err(ParcelError::SlowDown(_))));
    bench.open_from(2, &held.link, &held.code()).await.unwrap();
}

#[tokio::test]
async fn an_unknown_link_costs_what_a_wrong_code_costs() {
    // With the cost of real life, in which an Argon2 dwarfs everything else.
    let bench = Bench::new();
    let mut options = options(&bench.clock);
    options.kdf_cost = KdfCost::Interactive;
    let parcels = Parcels::open(bench.store.clone(), options);
    let new = NewParcel { sender: DANA, recipient: &pat(), message: MESSAGE, expires: None };
    let link = parcels.create(new).await.unwrap().0.link_token;
    let unknown = Token::generate().unwrap().show();
    let (wrong, peer) = (secret("9"), IpAddr::from([127, 0, 0, 1]));
    let _ = parcels.open_with_code(unknown.expose(), &wrong, peer).await; // makes the decoy
    let mut times = Vec::new();
    for link in [&link, &unknown] {
        let start = std::time::Instant::now();
        parcels.open_with_code(link.expose(), &wrong, peer).await.unwrap_err();
        times.push(start.elapsed().as_secs_f64());
    }
    let ratio = times[0] / times[1];
    assert!((0.2..5.0).contains(&ratio), "{times:?}");
}

// As a thief of the disk, the system key included.

#[tokio::test]
async fn the_disk_and_the_link_open_nothing() {
    let bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    let token = Token::parse(&held.link).unwrap();
    let inside = token.open(held.id, &bench.body(held.id).unwrap()).unwrap();
    assert!(!contains(&inside, b"canary"), "the link takes off one layer, not both");
    let content: Content = record::decode(&inside).unwrap();
    // What is left needs the recipient's key, and its only slot is the code's.
    let key = RecipientKey::of(&bench.store, &pat());
    let recipient: RecipientRecord = record::read(&bench.store, &key.record()).unwrap().unwrap();
    let kinds: Vec<SlotKind> = recipient.keys.slots().map(|slot| slot.kind).collect();
    assert_eq!(kinds, [SlotKind::Password]);
    for guess in ["", "00000000", "0000-0000", held.link.as_str(), "pat@x.test"] {
        assert!(recipient.keys.unlock_with_password(&secret(guess)).is_err(), "{guess:?}");
    }
    // The same with the code, to see that nothing else was amiss.
    let slot = crate::code::normalise(&held.code());
    let unlocked = recipient.keys.unlock_with_password(&slot).unwrap();
    let session = unlocked.unwrap_packet(&content.packet).unwrap();
    assert_eq!(session.open_body(&content.body).unwrap(), MESSAGE);
}

#[tokio::test]
async fn the_disk_and_the_code_open_nothing() {
    let bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    let key = RecipientKey::of(&bench.store, &pat());
    let recipient: RecipientRecord = record::read(&bench.store, &key.record()).unwrap().unwrap();
    let slot = crate::code::normalise(&held.code());
    let unlocked = recipient.keys.unlock_with_password(&slot).unwrap();
    // The recipient's key is open, and what it would open is under the link's layer.
    let body = bench.body(held.id).unwrap();
    assert!(record::decode::<Content>(&body).is_err());
    assert!(Token::generate().unwrap().open(held.id, &body).is_err());
    for (_, value) in bench.disk() {
        // Whatever can be taken for a key packet is none.
        for packet in [
            KeyPacket::from_stored(value.clone()),
            KeyPacket::from_stored(value.get(1..).unwrap_or_default().to_vec()),
        ] {
            assert!(unlocked.unwrap_packet(&packet).is_err());
        }
        if let Ok(content) = record::decode::<Content>(&value) {
            assert!(unlocked.unwrap_packet(&content.packet).is_err());
        }
    }
}

#[tokio::test]
async fn neither_link_nor_code_nor_message_lies_on_the_disk() {
    let bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    let code = held.code();
    let opened = bench.open(&held.link, &code).await.unwrap();
    bench.parcels.set_passphrase(&opened.keys, &secret("blue horse")).await.unwrap();
    let (link, slot) = (held.link.as_bytes(), crate::code::normalise(&code));
    let raw = data_encoding::BASE64URL_NOPAD.decode(link).unwrap();
    let secrets = [
        link,
        &raw[..16],
        &raw[16..],
        code.expose().as_bytes(),
        slot.expose().as_bytes(),
        b"canary",
        b"blue horse",
    ];
    for (key, value) in bench.disk() {
        for (n, secret) in secrets.iter().enumerate() {
            assert!(!contains(&value, secret) && !contains(&key, secret), "secret {n} in {key:x?}");
        }
        assert!(!contains(&key, b"pat"), "keys name nobody");
    }
}

// As the practice.

#[tokio::test]
async fn a_new_code_gives_up_what_the_old_one_opened() {
    let bench = Bench::new();
    let first = bench.make(DANA, &pat()).await;
    let recalled = bench.make(LEE, &pat()).await;
    bench.parcels.recall(recalled.id).await.unwrap();
    let keys = bench.open(&first.link, &first.code()).await.unwrap().keys;
    let (code, lost) = bench.parcels.new_code(&pat()).await.unwrap();
    let lost: Vec<_> = lost.iter().map(|view| (view.id, view.sender, view.state)).collect();
    assert_eq!(lost, [(first.id, DANA, ParcelState::Superseded)]);
    assert!(bench.body(first.id).is_none());
    let with_old = bench.open(&first.link, &first.code()).await;
    assert!(matches!(with_old, Err(ParcelError::WrongCode { .. })));
    for outcome in [
        bench.open(&first.link, &code).await.map(|_| ()),
        bench.parcels.open_with_keys(&first.link, &keys, true).await.map(|_| ()),
        bench.parcels.set_passphrase(&keys, &secret("blue horse")).await.map(|_| ()),
    ] {
        assert!(matches!(outcome, Err(ParcelError::Superseded)), "{outcome:?}");
    }
    let again = bench.make(DANA, &pat()).await;
    assert!(matches!(again.credential, Credential::EarlierCode));
    let with_old = bench.open(&again.link, &first.code()).await;
    assert!(matches!(with_old, Err(ParcelError::WrongCode { .. })));
    assert_eq!(bench.open(&again.link, &code).await.unwrap().message, MESSAGE);
    let stranger = Address::parse("sam@x.test").unwrap();
    let nobody = bench.parcels.new_code(&stranger).await;
    assert!(matches!(nobody, Err(ParcelError::NotFound)));
}

#[tokio::test]
async fn a_recalled_parcel_is_gone() {
    let bench = Bench::new();
    let held = bench.make(DANA, &pat()).await;
    let view = bench.parcels.recall(held.id).await.unwrap();
    assert_eq!(view.state, ParcelState::Recalled);
    assert_eq!(bench.parcels.recall(held.id).await.unwrap(), view, "twice is once");
    assert!(bench.body(held.id).is_none());
    let guessed = bench.open(&held.link, &secret("9")).await;
    assert!(matches!(guessed, Err(ParcelError::WrongCode { .. })), "only the right code is told");
    let outcome = bench.open(&held.link, &held.code()).await;
    assert!(matches!(outcome, Err(ParcelError::Recalled)));
    let key = RecipientKey::of(&bench.store, &pat());
    let tries: Option<Tries> = record::read(&bench.store, &key.tries()).unwrap();
    assert_eq!(tries, None, "a right code clears the count");
    assert!(matches!(bench.parcels.peek(&held.link), Err(ParcelError::Recalled)));
}

#[tokio::test]
async fn expired_messages_go_first_and_their_records_later() {
    let bench = Bench::new();
    let read = bench.make(DANA, &pat()).await;
    let unread = bench.make(LEE, &pat()).await;
    bench.open(&read.link, &read.code()).await.unwrap();
    bench.pass(30 * DAY - Duration::from_secs(1));
    assert_eq!(bench.parcels.expire().await.unwrap(), Purged::default());
    bench.pass(Duration::from_secs(1));
    let outcome = bench.open(&read.link, &read.code()).await;
    assert!(matches!(outcome, Err(ParcelError::Expired)), "before anybody swept");
    let purged = bench.parcels.expire().await.unwrap();
    let told: Vec<_> = purged.unread.iter().map(|view| (view.id, view.sender)).collect();
    assert_eq!((told, purged.messages, purged.records), (vec![(unread.id, LEE)], 2, 0));
    assert!(bench.body(read.id).is_none() && bench.body(unread.id).is_none());
    assert_eq!(bench.parcels.expire().await.unwrap(), Purged::default(), "told once");
    assert_eq!(bench.parcels.show(unread.id).unwrap().state, ParcelState::Expired);
    bench.pass(90 * DAY);
    assert_eq!(bench.parcels.expire().await.unwrap().records, 2);
    assert!(matches!(bench.parcels.show(read.id), Err(ParcelError::NotFound)));
    let later = bench.make(DANA, &pat()).await;
    bench.open(&later.link, &read.code()).await.expect("the code is for good");
}

#[tokio::test]
async fn what_expires_unread_is_committed_with_what_tells_the_sender() {
    let bench = Bench::new();
    let unread = bench.make(LEE, &pat()).await;
    bench.pass(31 * DAY);
    let failing = bench.parcels.expire_by(|unread, _| {
        assert_eq!(unread.len(), 1);
        Box::pin(async { Err(ParcelError::Along("no room".into())) })
    });
    assert!(matches!(failing.await, Err(ParcelError::Along(_))));
    assert!(bench.body(unread.id).is_some(), "nothing is deleted that nobody was told about");
    let store = bench.store.clone();
    let purged = bench.parcels.expire_by(move |unread, mut batch| {
        let store = store.clone();
        batch.put(Column::Parcel, b"told".as_slice(), unread[0].sender.0.to_be_bytes());
        Box::pin(async move { Ok(store.commit(batch).await?) })
    });
    assert_eq!(purged.await.unwrap().unread.len(), 1);
    assert!(bench.body(unread.id).is_none());
    assert!(bench.store.get(Column::Parcel, b"told").unwrap().is_some());
}

#[tokio::test]
async fn lists_show_everything_but_the_message() {
    let bench = Bench::new();
    let mut made = Vec::new();
    for sender in [DANA, LEE, DANA] {
        made.push(bench.make(sender, &pat()).await);
        bench.pass(Duration::from_secs(1));
    }
    bench.open(&made[1].link, &made[0].code()).await.unwrap();
    bench.open(&made[2].link, &made[0].code()).await.unwrap();
    bench.parcels.mark_answered(made[2].id).await.unwrap();
    let all = bench.parcels.list(None).unwrap();
    let states: Vec<_> = all.iter().map(|view| (view.id, view.state)).collect();
    assert_eq!(
        states,
        [
            (made[2].id, ParcelState::Answered),
            (made[1].id, ParcelState::Opened),
            (made[0].id, ParcelState::Waiting)
        ]
    );
    assert!(all.iter().all(|view| view.size == MESSAGE.len() as u64));
    assert_eq!(bench.parcels.list(Some(LEE)).unwrap().len(), 1);
    let stats = bench.parcels.stats().unwrap();
    assert_eq!((stats.waiting, stats.opened, stats.locked), (1, 2, 0));
    let shown = made[0].id.to_string();
    assert_eq!(shown.parse::<ParcelId>().unwrap(), made[0].id);
    assert!("zz".parse::<ParcelId>().is_err());
}

#[tokio::test]
async fn more_parcels_than_fit_a_page() {
    let bench = Bench::new();
    let first = bench.make(DANA, &pat()).await;
    for _ in 0..300 {
        bench.make(DANA, &pat()).await;
    }
    assert_eq!(bench.parcels.list(None).unwrap().len(), 301);
    assert_eq!(bench.open(&first.link, &first.code()).await.unwrap().others.len(), 300);
    bench.pass(31 * DAY);
    assert_eq!(bench.parcels.expire().await.unwrap().messages, 301);
    assert_eq!(bench.parcels.stats().unwrap(), ParcelStats::default());
}

#[tokio::test]
async fn a_parcel_must_have_time() {
    let bench = Bench::new();
    let past = Some(UNIX_EPOCH + Duration::from_secs(1));
    let new = NewParcel { sender: DANA, recipient: &pat(), message: MESSAGE, expires: past };
    assert!(matches!(bench.parcels.create(new).await, Err(ParcelError::AlreadyOver)));
    assert!(bench.disk().is_empty());
}

// As the courier, that commits a parcel along with other things.

#[tokio::test]
async fn parcels_prepared_at_once_for_a_newcomer_share_one_code() {
    let bench = Bench::new();
    let pat = pat();
    let new = NewParcel { sender: DANA, recipient: &pat, message: MESSAGE, expires: None };
    let mut both = Batch::new();
    let first = bench.parcels.prepare(new, &mut both).await.unwrap();
    let second = bench.parcels.prepare(new, &mut both).await.unwrap();
    assert!(bench.disk().is_empty(), "nothing is written before the commit");
    let (Credential::NewCode(one), Credential::NewCode(other)) =
        (&first.credential, &second.credential)
    else {
        panic!("both are told the code")
    };
    assert_eq!(one.expose(), other.expose());
    bench.store.commit(both).await.unwrap();
    for created in [&first, &second] {
        bench.open(created.link_token.expose(), one).await.unwrap();
    }
}

#[tokio::test]
async fn a_parcel_that_lost_a_race_is_prepared_again() {
    let bench = Bench::new();
    let pat = pat();
    let new = NewParcel { sender: DANA, recipient: &pat, message: MESSAGE, expires: None };
    let (mut first_batch, mut second_batch) = (Batch::new(), Batch::new());
    let first = bench.parcels.prepare(new, &mut first_batch).await.unwrap();
    let second = bench.parcels.prepare(new, &mut second_batch).await.unwrap();
    bench.store.commit(first_batch).await.unwrap();
    let lost = bench.store.commit(second_batch).await;
    assert!(matches!(lost, Err(CommitError::Conflict)));
    assert!(matches!(bench.parcels.show(second.id), Err(ParcelError::NotFound)));
    let again = bench.make(DANA, &pat).await;
    assert!(matches!(again.credential, Credential::EarlierCode));
    let Credential::NewCode(code) = &first.credential else { panic!("a newcomer") };
    bench.open(&again.link, code).await.unwrap();
}

#[tokio::test]
async fn a_parcel_prepared_before_a_new_code_is_not_committed_after_it() {
    let bench = Bench::new();
    bench.make(DANA, &pat()).await;
    let pat = pat();
    let new = NewParcel { sender: DANA, recipient: &pat, message: MESSAGE, expires: None };
    let mut batch = Batch::new();
    bench.parcels.prepare(new, &mut batch).await.unwrap();
    bench.parcels.new_code(&pat).await.unwrap();
    assert!(matches!(bench.store.commit(batch).await, Err(CommitError::Conflict)));
}

#[tokio::test]
async fn keys_of_a_newcomer_that_was_never_committed_are_forgotten() {
    let bench = Bench::new();
    let pat = pat();
    let new = NewParcel { sender: DANA, recipient: &pat, message: MESSAGE, expires: None };
    drop(bench.parcels.prepare(new, &mut Batch::new()).await.unwrap());
    let held = bench.make(DANA, &pat).await;
    bench.open(&held.link, &held.code()).await.unwrap();
}
