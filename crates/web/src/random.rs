//! Random values that name or prove something.

use aws_lc_rs::digest;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use data_encoding::BASE64URL_NOPAD;

/// Random octets from the system's generator, in base64url.
pub fn random(octets: usize) -> String {
    let mut bytes = vec![0; octets];
    if SystemRandom::new().fill(&mut bytes).is_err() {
        unreachable!("the system's random generator does not fail once it has been seeded");
    }
    BASE64URL_NOPAD.encode(&bytes)
}

/// Whether two values are the same, without telling by the time it takes where they differ.
pub fn is_same(one: &str, other: &str) -> bool {
    aws_lc_rs::constant_time::verify_slices_are_equal(one.as_bytes(), other.as_bytes()).is_ok()
}

/// What is kept of a value that proves something.
pub(crate) fn hash(value: &str) -> [u8; 32] {
    let digest = digest::digest(&digest::SHA256, value.as_bytes());
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}
