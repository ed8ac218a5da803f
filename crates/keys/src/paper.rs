//! Secrets as people print and type them: grouped base32 with a checksum.
//!
//! The alphabet is Crockford's: no I, L, O or U, and the reader takes O for 0 and I or L for 1, in
//! either case, with any spaces and hyphens between.

use crate::aead::checksum;
use data_encoding::{Encoding, Specification};
use std::sync::LazyLock;
use wardpost_mail::Secret;
use zeroize::{Zeroize, Zeroizing};

/// Length of the checksum in bytes.
const CHECK: usize = 4;

static BASE32: LazyLock<Encoding> = LazyLock::new(|| {
    let mut specification = Specification::new();
    specification.symbols.push_str("0123456789abcdefghjkmnpqrstvwxyz");
    specification.translate.from.push_str("ABCDEFGHJKMNPQRSTVWXYZoOiIlL");
    specification.translate.to.push_str("abcdefghjkmnpqrstvwxyz001111");
    specification.ignore.push_str(" -\t\r\n");
    specification.check_trailing_bits = true;
    // Infallible: a constant specification, used by every test below.
    #[expect(clippy::expect_used, reason = "a constant specification")]
    specification.encoding().expect("a valid specification")
});

/// Writes a secret in groups of four, with a checksum over it and its `purpose`.
pub(crate) fn write(purpose: &str, secret: &[u8]) -> Secret<String> {
    let check: [u8; CHECK] = checksum(&[purpose.as_bytes(), secret]);
    let mut bytes = Zeroizing::new(Vec::with_capacity(secret.len() + CHECK));
    bytes.extend_from_slice(secret);
    bytes.extend_from_slice(&check);
    let plain = Zeroizing::new(BASE32.encode(&bytes));
    let mut grouped = String::with_capacity(plain.len() * 5 / 4 + 1);
    for (at, letter) in plain.chars().enumerate() {
        if at > 0 && at % 4 == 0 {
            grouped.push('-');
        }
        grouped.push(letter);
    }
    Secret::new(grouped)
}

/// Reads what [`write()`] made. `None` when it is not of that purpose and length, or mistyped.
pub(crate) fn read<const N: usize>(purpose: &str, text: &str) -> Option<Secret<[u8; N]>> {
    // Generous room for spacing; anything longer is something else.
    if text.len() > 4 * (N + CHECK) {
        return None;
    }
    let mut bytes = BASE32.decode(text.as_bytes()).ok()?;
    let secret = (bytes.len() == N + CHECK).then(|| {
        let (secret, check) = bytes.split_at(N);
        let expected: [u8; CHECK] = checksum(&[purpose.as_bytes(), secret]);
        (check == expected).then(|| <[u8; N]>::try_from(secret).ok().map(Secret::new))
    });
    bytes.zeroize();
    secret??
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_what_people_make_of_it() {
        let written = write("test", &[0x42; 16]);
        let text = written.expose();
        assert_eq!(text.len(), 32 + 7);
        let loud = text.to_uppercase().replace('-', "  ");
        let misread = text.replace('0', "O").replace('1', "l");
        for variant in [text.clone(), loud, misread, text.replace('-', ""), format!(" {text}\n")] {
            assert_eq!(read::<16>("test", &variant).map(|s| *s.expose()), Some([0x42; 16]));
        }
        assert!(read::<16>("other", text).is_none());
        assert!(read::<32>("test", text).is_none());
        assert!(read::<16>("test", "correct horse battery staple").is_none());
        assert!(read::<16>("test", "").is_none());
    }

    proptest! {
        #[test]
        fn one_wrong_letter_is_noticed(secret: [u8; 32], at in 0usize..58, to in 0usize..32) {
            let alphabet = b"0123456789abcdefghjkmnpqrstvwxyz";
            let written = write("test", &secret);
            prop_assert_eq!(read::<32>("test", written.expose()).map(|s| *s.expose()), Some(secret));
            let mut letters: Vec<u8> =
                written.expose().bytes().filter(|b| *b != b'-').collect();
            if letters[at] != alphabet[to] {
                letters[at] = alphabet[to];
                let text = String::from_utf8(letters).expect("ASCII");
                prop_assert!(read::<32>("test", &text).is_none());
            }
        }

        #[test]
        fn never_panics(text in ".{0,200}") {
            let _ = read::<16>("test", &text);
        }
    }
}
