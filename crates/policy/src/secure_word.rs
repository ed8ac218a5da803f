//! The word *Secure* in a subject.

/// Takes the word *Secure* off either end of a subject. `None` when it is not there.
pub(crate) fn strip(subject: &str) -> Option<String> {
    let _ = subject;
    unimplemented!()
}
