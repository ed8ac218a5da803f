//! The data directory: what it shows to others, and when it is refused untouched.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use wardpost_keys::{KeyringError, SystemKey};
use wardpost_store::{Batch, Column, OpenError, Store};

/// Every file of a directory with its contents and mode.
fn contents(dir: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(&dir).expect("listed") {
            let path = entry.expect("entry").path();
            let metadata = fs::symlink_metadata(&path).expect("metadata");
            let bytes = if metadata.is_dir() {
                open.push(path.clone());
                Vec::new()
            } else {
                fs::read(&path).expect("read")
            };
            found.insert(path, (metadata.permissions().mode(), bytes));
        }
    }
    found
}

fn put(key: &[u8], value: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.put(Column::Mailbox, key, value);
    batch
}

fn filled(dir: &Path, key: &SystemKey) {
    let store = Store::open(dir, key).expect("opened");
    store.commit_blocking(put(b"k", b"value")).expect("committed");
    store.close();
}

/// Opening fails, and not a byte has changed.
fn refused(dir: &Path, key: &SystemKey) -> OpenError {
    let before = contents(dir);
    let error = Store::open(dir, key).err().expect("refused");
    assert!(contents(dir) == before, "something was touched: {error}");
    error
}

#[test]
fn what_was_committed_is_there_again() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    let data = dir.path().join("new/data");
    let store = Store::open(&data, &key).expect("made");
    let large = vec![7; 100_000];
    store.commit_blocking(put(b"small", b"1")).expect("committed");
    store.commit_blocking(put(b"large", &large)).expect("committed");
    let name = store.name_key(Column::Mailbox, &[b"name"]);
    drop(store);
    let store = Store::open(&data, &key).expect("opened");
    assert_eq!(store.get(Column::Mailbox, b"small").expect("read"), Some(b"1".to_vec()));
    assert_eq!(store.get(Column::Mailbox, b"large").expect("read"), Some(large));
    assert_eq!(store.name_key(Column::Mailbox, &[b"name"]), name);
    assert_eq!(fs::read_to_string(data.join("FORMAT")).expect("read"), "1\n");
}

#[test]
fn others_cannot_look_in() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    let data = dir.path().join("data");
    filled(&data, &key);
    let mode = |path: &Path| fs::metadata(path).expect("metadata").permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    assert_eq!(mode(&data.join("db")), 0o700);
    assert_eq!(mode(&data.join("keyring")), 0o600);
    assert_eq!(mode(&data.join("FORMAT")), 0o600);
}

#[test]
fn a_wrong_key_is_refused() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    filled(dir.path(), &key);
    let error = refused(dir.path(), &SystemKey::generate());
    assert!(matches!(error, OpenError::Keyring { error: KeyringError::WrongKey, .. }));
    assert!(error.to_string().contains("not the one"));
    assert!(Store::open(dir.path(), &key).is_ok());
}

#[test]
fn a_missing_or_damaged_keyring_is_refused() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    filled(dir.path(), &key);
    let keyring = dir.path().join("keyring");
    let bytes = fs::read(&keyring).expect("read");
    fs::remove_file(&keyring).expect("removed");
    assert!(matches!(refused(dir.path(), &key), OpenError::MissingKeyring(_)));
    // Without FORMAT it is not taken for a new directory either.
    let format = fs::read(dir.path().join("FORMAT")).expect("read");
    fs::remove_file(dir.path().join("FORMAT")).expect("removed");
    assert!(matches!(refused(dir.path(), &key), OpenError::MissingKeyring(_)));
    fs::write(dir.path().join("FORMAT"), format).expect("written");
    fs::write(&keyring, &bytes[..bytes.len() - 1]).expect("written");
    let error = refused(dir.path(), &key);
    assert!(matches!(error, OpenError::Keyring { error: KeyringError::Damaged, .. }));
    fs::write(&keyring, bytes).expect("written");
    assert!(Store::open(dir.path(), &key).is_ok());
}

#[test]
fn a_missing_database_is_refused() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    filled(dir.path(), &key);
    fs::rename(dir.path().join("db"), dir.path().join("elsewhere")).expect("moved");
    assert!(matches!(refused(dir.path(), &key), OpenError::MissingDatabase(_)));
}

#[test]
fn another_format_is_refused() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    filled(dir.path(), &key);
    let format = dir.path().join("FORMAT");
    fs::write(&format, "2\n").expect("written");
    let error = refused(dir.path(), &key);
    assert!(matches!(error, OpenError::Newer { found: 2, known: 1, .. }));
    for text in ["", "0", "one", "1 2", "-1", "\u{0}\u{0}"] {
        fs::write(&format, text).expect("written");
        assert!(matches!(refused(dir.path(), &key), OpenError::BadFormatFile(_)), "{text:?}");
    }
    fs::write(&format, [0xff, 0xfe]).expect("written");
    assert!(matches!(refused(dir.path(), &key), OpenError::BadFormatFile(_)));
}

#[test]
fn a_foreign_directory_is_refused() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    fs::write(dir.path().join("holiday.jpg"), "picture").expect("written");
    assert!(matches!(refused(dir.path(), &key), OpenError::Foreign(_)));
    let file = dir.path().join("holiday.jpg");
    assert!(matches!(Store::open(&file, &key), Err(OpenError::Io { .. })));
}

#[test]
fn a_directory_in_use_is_refused() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    let store = Store::open(dir.path(), &key).expect("opened");
    store.commit_blocking(put(b"k", b"1")).expect("committed");
    assert!(matches!(refused(dir.path(), &key), OpenError::InUse(_)));
    store.close();
    assert!(Store::open(dir.path(), &key).is_ok());
}

#[test]
fn a_set_up_that_was_cut_short_goes_on() {
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    filled(dir.path(), &key);
    fs::remove_file(dir.path().join("FORMAT")).expect("removed");
    fs::remove_dir_all(dir.path().join("db")).expect("removed");
    fs::write(dir.path().join("keyring.new"), "half").expect("written");
    filled(dir.path(), &key);
    assert!(dir.path().join("FORMAT").exists());
}

#[test]
fn the_system_key_is_changed_without_touching_the_data() {
    let (dir, old) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    let new = SystemKey::generate();
    let store = Store::open(dir.path(), &old).expect("opened");
    store.commit_blocking(put(b"k", b"before")).expect("committed");
    let database = contents(&dir.path().join("db"));
    store.rotate_system_key(&new).expect("rotated");
    assert!(contents(&dir.path().join("db")) == database);
    store.commit_blocking(put(b"l", b"after")).expect("committed");
    store.close();
    let error = refused(dir.path(), &old);
    assert!(matches!(error, OpenError::Keyring { error: KeyringError::WrongKey, .. }));
    let store = Store::open(dir.path(), &new).expect("opened");
    assert_eq!(store.get(Column::Mailbox, b"k").expect("read"), Some(b"before".to_vec()));
    assert_eq!(store.get(Column::Mailbox, b"l").expect("read"), Some(b"after".to_vec()));
}

#[test]
fn no_value_can_be_found_in_any_file() {
    const CANARY: &[u8] = b"canary-Mrs-Miller-biopsy";
    let (dir, key) = (tempfile::tempdir().expect("directory"), SystemKey::generate());
    let inside = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY);
    let find = || {
        let files = contents(dir.path());
        files
            .iter()
            .filter(|(path, (_, bytes))| inside(bytes) || inside(path.to_string_lossy().as_bytes()))
            .count()
    };
    for round in 0..3u8 {
        let store = Store::open(dir.path(), &key).expect("opened");
        for column in Column::ALL {
            let mut batch = Batch::new();
            let name = store.name_key(column, &[CANARY]);
            batch.put(column, name, CANARY);
            batch.put(column, [&name[..], &[round]].concat(), CANARY.repeat(1000));
            store.commit_blocking(batch).expect("committed");
        }
        assert_eq!(find(), 0, "while open");
        store.close();
        assert_eq!(find(), 0, "after closing");
    }
    // The search itself works.
    fs::write(dir.path().join("db/note"), CANARY).expect("written");
    assert_eq!(find(), 1);
}
