//! What this process must not leave behind: files others can read, and images of its memory.

use rustix::fs::Mode;
use rustix::process::{DumpableBehavior, Resource, Rlimit, getrlimit, setrlimit};

/// Files are made for their owner only, and memory, which holds keys, goes into no core dump.
pub(crate) fn harden() {
    rustix::process::umask(Mode::RWXG | Mode::RWXO);
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    // Where a sandbox forbids these calls it keeps dumps away itself, or its owner knows better.
    let _ = setrlimit(Resource::Core, none);
    let _ = rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable);
}

/// Takes as many open files as the system allows: each connection is one, and a shell's customary 1,024
/// are fewer than the connections that the configuration promises.
pub(crate) fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    // Where it may not be raised the listeners pause when it is reached.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_files_as_may_be() {
        raise_open_files();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
