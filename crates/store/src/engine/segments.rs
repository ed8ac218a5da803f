//! Large values, in append-only files beside the database.
//!
//! RocksDB writes every value twice: into its log and, when a buffer is flushed, into a table or a blob
//! file. For a body of a megabyte that is most of the work of a delivery. So large values are written
//! once, here, and the database keeps a [`Pointer`] under their key.
//!
//! ```text
//! db/values/0000000000000001     sealed values, one after the other, nothing between them
//! column   key             → … pointer        (see `rocks`: a last byte tells pointers from values)
//! "values" segment offset  → length, column, key       one for each live pointer, in the same batch
//! ```
//!
//! # Crashes
//! A value is synced before the batch that points to it is written, and a pointer's removal is synced
//! before a file is. So a pointer that is found points to a whole value. Bytes that nothing points to
//! (the batch never came to be, or was refused) are dead weight in a file and go with it. After a
//! start nothing is appended to a file of an earlier run, and files without a pointer are removed.
//!
//! # Space
//! A file whose last value goes is removed at once; one that is mostly dead weight is emptied piece by
//! piece while the writer has nothing else to do. Who still reads a file that is to go keeps it alive.
//!
//! Values are authenticated where they are opened, so there are no checksums here.

use super::EngineError;
use crate::column::Column;
use std::collections::HashMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

/// A file takes no more values once it has this many bytes.
const SEGMENT: u64 = 64 << 20;

/// Where a large value lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    segment: u64,
    offset: u64,
    len: u32,
}

impl Pointer {
    /// As kept under the value's key.
    pub(crate) fn to_bytes(self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[..16].copy_from_slice(&self.index_key());
        bytes[16..].copy_from_slice(&self.len.to_be_bytes());
        bytes
    }

    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (place, len) = bytes.split_first_chunk::<16>()?;
        let (segment, offset) = place.split_at(8);
        Some(Self {
            segment: u64::from_be_bytes(segment.try_into().ok()?),
            offset: u64::from_be_bytes(offset.try_into().ok()?),
            len: u32::from_be_bytes(len.try_into().ok()?),
        })
    }

    /// The key of its index entry: in the order of the files.
    pub(crate) fn index_key(self) -> [u8; 16] {
        let mut key = [0; 16];
        key[..8].copy_from_slice(&self.segment.to_be_bytes());
        key[8..].copy_from_slice(&self.offset.to_be_bytes());
        key
    }

    /// Its index entry: who points there.
    pub(crate) fn index_value(self, column: Column, key: &[u8]) -> Vec<u8> {
        let mut entry = self.len.to_be_bytes().to_vec();
        entry.push(column.index() as u8);
        entry.extend_from_slice(key);
        entry
    }

    /// Reads an index entry back.
    pub(crate) fn from_index(key: &[u8], entry: &[u8]) -> Option<(Self, Column, Vec<u8>)> {
        let (len, rest) = entry.split_first_chunk::<4>()?;
        let (column, owner) = rest.split_first()?;
        let pointer = Self::from_bytes(&[key, len].concat())?;
        Some((pointer, *Column::ALL.get(usize::from(*column))?, owner.to_vec()))
    }

    pub(crate) fn len(self) -> u64 {
        u64::from(self.len)
    }
}

/// One file.
#[derive(Debug)]
struct Segment {
    path: PathBuf,
    /// Bytes in the file.
    total: AtomicU64,
    /// Bytes that are pointed to.
    live: AtomicU64,
    /// Remove the file when the last reader has gone.
    doomed: AtomicBool,
}

impl Drop for Segment {
    fn drop(&mut self) {
        // What cannot be removed now goes at the next start.
        if self.doomed.load(Relaxed)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, "a file of dead values cannot be removed");
        }
    }
}

/// The files at one moment. They stay readable while this lives.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(HashMap<u64, Arc<Segment>>);

impl Files {
    /// Reads a value.
    pub(crate) fn read(&self, pointer: Pointer) -> Result<Vec<u8>, EngineError> {
        let segment = self.0.get(&pointer.segment).ok_or_else(|| missing(pointer.segment))?;
        let file = File::open(&segment.path).map_err(failed)?;
        let mut value = vec![0; pointer.len as usize];
        file.read_exact_at(&mut value, pointer.offset).map_err(failed)?;
        Ok(value)
    }
}

/// All files, for readers.
#[derive(Debug)]
pub(crate) struct Segments {
    dir: PathBuf,
    files: RwLock<Arc<Files>>,
}

/// The file that is being written.
#[derive(Debug)]
struct Current {
    number: u64,
    segment: Arc<Segment>,
    file: File,
    end: u64,
    /// Whether the directory knows of the file for good.
    named: bool,
}

/// The one place where files are made, written and removed.
#[derive(Debug)]
pub(crate) struct Appender {
    current: Option<Current>,
    next: u64,
}

impl Segments {
    /// Takes up the files in `dir` that `live` points to, and removes the others.
    pub(crate) fn open(
        dir: &Path,
        live: impl Iterator<Item = Pointer>,
    ) -> Result<(Self, Appender), EngineError> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
        let mut wanted: HashMap<u64, (u64, u64)> = HashMap::new();
        for pointer in live {
            let (bytes, end) = wanted.entry(pointer.segment).or_default();
            *bytes += pointer.len();
            *end = (*end).max(pointer.offset.saturating_add(pointer.len()));
        }
        let (mut files, mut last) = (Files::default(), 0);
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Some(number) = number_of(&entry.file_name()) else { continue };
            last = last.max(number);
            let Some((live, end)) = wanted.remove(&number) else {
                fs::remove_file(entry.path()).map_err(failed)?;
                continue;
            };
            let total = entry.metadata().map_err(failed)?.len();
            if total < end {
                return Err(EngineError::Failed(format!("value file {number:016x} is cut short")));
            }
            files.0.insert(number, Arc::new(Segment::new(entry.path(), total, live)));
        }
        if let Some(number) = wanted.keys().next() {
            return Err(missing(*number));
        }
        let segments = Self { dir: dir.to_owned(), files: RwLock::new(Arc::new(files)) };
        Ok((segments, Appender { current: None, next: last + 1 }))
    }

    /// The files as they are while the guard is held: what the database says meanwhile points to
    /// these.
    pub(crate) fn hold(&self) -> RwLockReadGuard<'_, Arc<Files>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut HashMap<u64, Arc<Segment>>)) {
        let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
        change(&mut Arc::make_mut(&mut files).0);
    }
}

impl Segment {
    fn new(path: PathBuf, total: u64, live: u64) -> Self {
        Self { path, total: total.into(), live: live.into(), doomed: false.into() }
    }

    fn is_mostly_dead(&self) -> bool {
        self.live.load(Relaxed) < self.total.load(Relaxed) / 2
    }
}

impl Appender {
    /// Writes a value at the end; [`Self::sync`] makes it last.
    pub(crate) fn append(
        &mut self,
        segments: &Segments,
        value: &[u8],
    ) -> Result<Pointer, EngineError> {
        let len = u32::try_from(value.len())
            .map_err(|_| EngineError::Failed("a value of 4 GiB or more".to_owned()))?;
        let current = self.current(segments)?;
        if let Err(error) = current.file.write_all_at(value, current.end) {
            // Gives the space of a torn value back; when that fails, it is dead weight.
            if current.file.set_len(current.end).is_err() {
                self.close(segments);
            }
            return Err(failed(error));
        }
        let pointer = Pointer { segment: current.number, offset: current.end, len };
        current.end += pointer.len();
        current.segment.total.store(current.end, Relaxed);
        Ok(pointer)
    }

    /// Returns when everything that was appended survives a power cut.
    pub(crate) fn sync(&mut self, segments: &Segments) -> Result<(), EngineError> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let synced = current.file.sync_data().and_then(|()| {
            if !current.named {
                File::open(&segments.dir)?.sync_all()?;
                current.named = true;
            }
            Ok(())
        });
        // After a failed sync nobody knows what the disk has of the file: no more goes into it.
        if synced.is_err() {
            self.close(segments);
        }
        synced.map_err(failed)
    }

    /// The file that takes the next value.
    fn current(&mut self, segments: &Segments) -> Result<&mut Current, EngineError> {
        if self.current.is_none() {
            let number = self.next;
            let path = segments.dir.join(format!("{number:016x}"));
            let mut options = OpenOptions::new();
            let file = options.write(true).create_new(true).mode(0o600).open(&path);
            let file = file.map_err(failed)?;
            self.next += 1;
            let segment = Arc::new(Segment::new(path, 0, 0));
            segments.change(|files| drop(files.insert(number, Arc::clone(&segment))));
            self.current = Some(Current { number, segment, file, end: 0, named: false });
        }
        self.current.as_mut().ok_or_else(|| missing(self.next))
    }

    /// Notes what a committed batch points to and no longer points to. True: there is something to
    /// tidy up.
    pub(crate) fn account(
        &mut self,
        segments: &Segments,
        placed: &[Pointer],
        freed: &[Pointer],
    ) -> bool {
        let files = Arc::clone(&segments.hold());
        for pointer in placed {
            if let Some(segment) = files.0.get(&pointer.segment) {
                segment.live.fetch_add(pointer.len(), Relaxed);
            }
        }
        for pointer in freed {
            if let Some(segment) = files.0.get(&pointer.segment) {
                segment.live.fetch_sub(pointer.len(), Relaxed);
            }
        }
        if self.current.as_ref().is_some_and(|current| current.end >= SEGMENT) {
            self.close(segments);
        }
        let is_current = |number| self.current.as_ref().is_some_and(|at| at.number == number);
        let mut untidy = false;
        for pointer in freed.iter().filter(|pointer| !is_current(pointer.segment)) {
            let Some(segment) = files.0.get(&pointer.segment) else { continue };
            remove_if_dead(segments, pointer.segment, segment);
            untidy |= segment.is_mostly_dead();
        }
        untidy
    }

    /// Has the next value go into a new file.
    fn close(&mut self, segments: &Segments) {
        if let Some(current) = self.current.take() {
            remove_if_dead(segments, current.number, &current.segment);
        }
    }

    /// The beginning of the index keys of a file that is mostly dead weight.
    pub(crate) fn mostly_dead(&self, segments: &Segments, except: &[[u8; 8]]) -> Option<[u8; 8]> {
        let current = self.current.as_ref().map(|current| current.number);
        let files = segments.hold();
        let mut dead = files.0.iter().filter(|(number, segment)| {
            Some(**number) != current
                && !except.contains(&number.to_be_bytes())
                && segment.is_mostly_dead()
        });
        dead.next().map(|(number, _)| number.to_be_bytes())
    }
}

fn remove_if_dead(segments: &Segments, number: u64, segment: &Segment) {
    if segment.live.load(Relaxed) == 0 {
        segment.doomed.store(true, Relaxed);
        segments.change(|files| drop(files.remove(&number)));
    }
}

fn number_of(name: &std::ffi::OsStr) -> Option<u64> {
    let name = name.to_str().filter(|name| name.len() == 16)?;
    u64::from_str_radix(name, 16).ok()
}

fn missing(number: u64) -> EngineError {
    EngineError::Failed(format!("value file {number:016x} is missing"))
}

/// Tells a full disk from other errors.
fn failed(error: io::Error) -> EngineError {
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => EngineError::Full,
        _ => EngineError::Failed(format!("value files: {error}")),
    }
}

#[cfg(test)]
#[path = "segments_tests.rs"]
mod tests;
