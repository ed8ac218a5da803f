//! What this process must not leave behind: files others can read, and images of its memory.

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit};

/// Files are made for their owner only, and memory, which holds keys, goes into no core dump.
pub(crate) fn harden() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Where a sandbox forbids these calls it keeps dumps away itself, or its owner knows better.
    let _ = rustix::process::setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}
