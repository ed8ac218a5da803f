//! Large values, seen through the engine.

use crate::column::Column;
use crate::engine::{Change, Engine, EngineError, RocksEngine};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const MIB: usize = 1 << 20;

fn open(dir: &TempDir) -> RocksEngine {
    RocksEngine::open(dir.path(), 0).expect("opened")
}

fn put(key: u8, len: usize) -> Change {
    Change { column: Column::Message, key: vec![key], value: Some(vec![key; len]) }
}

fn delete(key: u8) -> Change {
    Change { column: Column::Message, key: vec![key], value: None }
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(dir.join("values")).expect("folder");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("entry").path()).collect();
    files.sort();
    files
}

fn lens(engine: &RocksEngine) -> Vec<(u8, usize)> {
    let mut found = Vec::new();
    engine
        .scan(Column::Message, b"", None, usize::MAX, &mut |key, value| {
            assert!(value.iter().all(|byte| *byte == key[0]), "value of {}", key[0]);
            assert_eq!(engine.get(Column::Message, key), Ok(Some(value.to_vec())));
            found.push((key[0], value.len()));
            ControlFlow::Continue(())
        })
        .expect("scanned");
    found
}

#[test]
fn a_large_value_is_written_once_and_found_again() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut engine = open(&dir);
    engine.write(&[put(1, MIB), put(2, 100), put(3, 2 * MIB)]).expect("written");
    let expected = [(1, MIB), (2, 100), (3, 2 * MIB)];
    assert_eq!(lens(&engine), expected);
    drop(engine);
    engine = open(&dir);
    assert_eq!(lens(&engine), expected);
    let [file] = &files(dir.path())[..] else { panic!("one file") };
    assert_eq!(file.metadata().expect("there").len(), 3 * MIB as u64);
}

#[test]
fn a_key_changed_often_in_one_write_keeps_the_last_value() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut engine = open(&dir);
    let long = |len| put(1, len);
    engine.write(&[long(MIB), delete(1), long(2 * MIB), put(2, MIB), delete(2)]).expect("written");
    engine.write(&[put(3, MIB), put(3, 10)]).expect("written");
    for _ in 0..2 {
        assert_eq!(lens(&engine), [(1, 2 * MIB), (3, 10)]);
        drop(engine);
        engine = open(&dir);
    }
    // The only live value goes, and with it the file of an earlier run.
    engine.write(&[delete(1)]).expect("written");
    assert!(files(dir.path()).is_empty());
}

#[test]
fn files_are_emptied_when_most_in_them_is_dead() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let engine = open(&dir);
    for key in 0..20 {
        engine.write(&[put(key, 8 * MIB)]).expect("written");
    }
    assert_eq!(files(dir.path()).len(), 3);
    for key in (0..20).filter(|key| *key % 4 != 0) {
        engine.write(&[delete(key)]).expect("written");
    }
    let mut seen = Vec::new();
    // A reader that began before goes on reading what it saw.
    engine
        .scan(Column::Message, b"", None, usize::MAX, &mut |key, value| {
            while engine.tidy() {}
            assert!(value.iter().all(|byte| *byte == key[0]));
            seen.push(key[0]);
            ControlFlow::Continue(())
        })
        .expect("scanned");
    assert_eq!(seen, [0, 4, 8, 12, 16]);
    assert!(!engine.tidy(), "tidy");
    assert_eq!(lens(&engine), [0, 4, 8, 12, 16].map(|key| (key, 8 * MIB)));
    let bytes: u64 = files(dir.path()).iter().map(|f| f.metadata().expect("there").len()).sum();
    assert!(bytes <= 96 * MIB as u64, "{bytes} bytes for 40 MiB");
    drop(engine);
    assert_eq!(lens(&open(&dir)), [0, 4, 8, 12, 16].map(|key| (key, 8 * MIB)));
}

#[test]
fn what_a_crash_left_behind_goes_at_the_next_start() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let engine = open(&dir);
    engine.write(&[put(1, MIB)]).expect("written");
    drop(engine);
    // A file whose batch never came to be, and a torn end that nothing points to.
    let left = dir.path().join("values/00000000000000ff");
    std::fs::write(&left, vec![9; MIB]).expect("written");
    let file = files(dir.path()).remove(0);
    let mut bytes = std::fs::read(&file).expect("read");
    bytes.extend_from_slice(&[9; 5000]);
    std::fs::write(&file, bytes).expect("written");
    let engine = open(&dir);
    assert!(!left.exists());
    engine.write(&[put(2, MIB)]).expect("written");
    assert_eq!(lens(&engine), [(1, MIB), (2, MIB)]);
    assert_eq!(files(dir.path()).len(), 2, "nothing is appended to an old file");
}

#[test]
fn missing_and_cut_files_are_refused() {
    let dir = tempfile::tempdir().expect("temporary directory");
    open(&dir).write(&[put(1, MIB)]).expect("written");
    let file = files(dir.path()).remove(0);
    let cut = std::fs::OpenOptions::new().write(true).open(&file).expect("opened");
    cut.set_len(MIB as u64 - 1).expect("cut");
    let refusal = RocksEngine::open(dir.path(), 0).err().expect("refused");
    assert!(refusal.contains("cut short"), "{refusal}");
    std::fs::remove_file(&file).expect("removed");
    let refusal = RocksEngine::open(dir.path(), 0).err().expect("refused");
    assert!(refusal.contains("missing"), "{refusal}");
}

#[test]
fn a_file_that_vanishes_is_an_error_and_harms_nothing_else() {
    let dir = tempfile::tempdir().expect("temporary directory");
    let engine = open(&dir);
    engine.write(&[put(1, MIB), put(2, 10)]).expect("written");
    std::fs::remove_file(files(dir.path()).remove(0)).expect("removed");
    assert!(matches!(engine.get(Column::Message, &[1]), Err(EngineError::Failed(_))));
    assert_eq!(engine.get(Column::Message, &[2]), Ok(Some(vec![2; 10])));
}
