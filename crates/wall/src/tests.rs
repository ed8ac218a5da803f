//! The wall over a store in memory.

use super::*;

fn who(text: &str) -> CleartextException {
    CleartextException::parse(text).unwrap()
}

fn knock(peer: &str, sender: Option<&str>, admitted: bool) -> Knock {
    let sender = sender.map(|sender| Domain::parse(sender).unwrap());
    Knock { peer: peer.parse().unwrap(), helo: "fax.lab.test".to_owned(), sender, admitted }
}

#[tokio::test]
async fn exceptions_let_in_whom_they_name_and_survive_a_restart() {
    let store = Store::in_memory();
    let wall = Wall::open(store.clone()).unwrap();
    let (fax, lab) = ("192.0.2.7".parse().unwrap(), Domain::parse("lab.test").unwrap());
    assert!(!wall.admits(fax, Some(&lab)) && !wall.may_admit(fax));
    wall.except(who("192.0.2.0/24"), 30, " lab fax gateway ").await.unwrap();
    wall.except(who("lab.test"), 365, "their server has no TLS").await.unwrap();

    let wall = Wall::open(store).unwrap();
    let other = "198.51.100.1".parse().unwrap();
    assert!(wall.admits(fax, None) && wall.admits(other, Some(&lab)));
    assert!(!wall.admits(other, None) && wall.may_admit(other));
    let all = wall.exceptions();
    assert_eq!(all[0].reason, "lab fax gateway");
    assert_eq!(all[0].ends - all[0].made, 30 * DAY);
    // The same again is the same one, longer.
    wall.except(who("192.0.2.0/24"), 60, "still").await.unwrap();
    assert_eq!(wall.exceptions().len(), 2);

    wall.revoke(&who("192.0.2.0/24")).await.unwrap();
    assert!(!wall.admits(fax, None));
    assert!(matches!(wall.revoke(&who("192.0.2.0/24")).await, Err(WallError::NotFound)));
}

#[tokio::test]
async fn no_exception_is_for_ever_for_everybody_or_for_no_reason() {
    let wall = Wall::open(Store::in_memory()).unwrap();
    for (text, days, reason) in [
        ("192.0.2.7", 0, "x"),
        ("192.0.2.7", 366, "x"),
        ("192.0.2.7", 30, "  "),
        ("192.0.2.7", 30, "two\nlines"),
        ("0.0.0.0/0", 30, "everybody"),
        ("10.0.0.0/8", 30, "many"),
        ("::/0", 30, "everybody"),
    ] {
        assert!(wall.except(who(text), days, reason).await.is_err(), "{text} {days} {reason:?}");
    }
    assert!(wall.exceptions().is_empty());
}

#[tokio::test]
async fn exceptions_end() {
    let store = Store::in_memory();
    let wall = Wall::open(store.clone()).unwrap();
    let ended = Exception {
        who: who("192.0.2.7"),
        reason: "x".to_owned(),
        made: unix_now() - 2 * DAY,
        ends: unix_now() - DAY,
    };
    let batch = wall.inner.lock().exceptions.add(&store, &ended, 0).unwrap();
    store.commit(batch).await.unwrap();
    let wall = Wall::open(store.clone()).unwrap();
    assert!(!wall.admits("192.0.2.7".parse().unwrap(), None));
    assert!(wall.exceptions().is_empty());
    wall.flush().await.unwrap();
    assert!(store.scan(wardpost_store::Column::Trust, b"c", None, 9).unwrap().is_empty());
}

#[tokio::test]
async fn counts_survive_a_restart_and_old_ones_go() {
    let store = Store::in_memory();
    let wall = Wall::open(store.clone()).unwrap();
    wall.count(knock("192.0.2.7", Some("lab.test"), false));
    wall.count(knock("192.0.2.7", None, false));
    wall.count(knock("198.51.100.1", None, true));
    wall.flush().await.unwrap();

    let wall = Wall::open(store.clone()).unwrap();
    let found = wall.visitors(30);
    assert_eq!((found[0].refused, found[0].admitted), (2, 0));
    assert_eq!(found[0].sender.as_ref().map(Domain::as_str), Some("lab.test"));
    assert_eq!((found[1].refused, found[1].admitted), (0, 1));

    let long_after = unix_now() + 31 * DAY;
    let (batch, _) = wall.inner.lock().visitors.changes(&store, long_after);
    store.commit(batch).await.unwrap();
    assert!(store.scan(wardpost_store::Column::Report, b"w", None, 9).unwrap().is_empty());
    assert!(wall.visitors(365).is_empty());
}
