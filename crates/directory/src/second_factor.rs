//! The second factor: six digits from an authenticator app that change every half minute (TOTP,
//! RFC 6238), in the one form that every app knows: SHA-1, six digits, thirty seconds.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::constant_time::verify_slices_are_equal;
use totp_rs::{Builder, Totp};
use wardpost_mail::Secret;

use crate::error::DirectoryError;

/// How long a code is shown, in seconds.
const STEP: u64 = 30;
/// How many octets a secret has: as many as the hash (RFC 4226 §4).
const LENGTH: usize = 20;
/// What the URI can carry as a name, in characters: apps cut longer ones off anyway.
const LONGEST_NAME: usize = 64;

/// Makes a secret for an authenticator app.
///
/// # Errors
/// When the system has no random numbers.
pub fn new_secret() -> Result<Secret<Vec<u8>>, DirectoryError> {
    let mut secret = Secret::new(vec![0; LENGTH]);
    aws_lc_rs::rand::fill(secret.expose_mut())
        .map_err(|_| DirectoryError::Keys("no random numbers".to_owned()))?;
    Ok(secret)
}

/// What the QR code says to the app (`otpauth://totp/…`). `issuer` and `account` are what it shows.
pub fn uri(secret: &Secret<Vec<u8>>, issuer: &str, account: &str) -> Secret<String> {
    let totp = Builder::new()
        .with_secret(secret.expose().clone())
        .with_issuer(Some(plain(issuer)))
        .with_account_name(plain(account))
        .build_noncompliant();
    // Fails for a name with a colon alone, and there is none.
    Secret::new(totp.to_url().unwrap_or_default())
}

/// The secret as a person types it where no camera is: base 32 in groups of four.
pub fn written(secret: &Secret<Vec<u8>>) -> Secret<String> {
    let text = Secret::new(data_encoding::BASE32_NOPAD.encode(secret.expose()));
    let mut groups = String::with_capacity(text.expose().len() * 5 / 4);
    for (n, letter) in text.expose().chars().enumerate() {
        if n > 0 && n % 4 == 0 {
            groups.push(' ');
        }
        groups.push(letter);
    }
    Secret::new(groups)
}

/// The half minute to which a code belongs, if it is right now or was or will be half a minute from
/// now: clocks differ, and people type slowly (RFC 6238 §5.2). A code must count once only: whoever
/// asks remembers the half minute.
pub fn proves(secret: &Secret<Vec<u8>>, code: &str, now: SystemTime) -> Option<u64> {
    let code = digits(code)?;
    let step = step(now);
    let totp: Totp = Builder::new().with_secret(secret.expose().clone()).build_noncompliant();
    let right = |step: &u64| {
        let shown = Secret::new(totp.generate(step * STEP).to_string());
        verify_slices_are_equal(shown.expose().as_bytes(), code.expose().as_bytes()).is_ok()
    };
    [step, step.saturating_sub(1), step + 1].into_iter().find(right)
}

/// The code of the moment: what the app shows.
pub fn code(secret: &Secret<Vec<u8>>, now: SystemTime) -> Secret<String> {
    let totp: Totp = Builder::new().with_secret(secret.expose().clone()).build_noncompliant();
    Secret::new(totp.generate(step(now) * STEP).to_string())
}

/// The half minute of a moment, counted from 1970.
pub(crate) fn step(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()) / STEP
}

/// A typed code without the spaces that apps show in it; nothing unless it is six digits.
fn digits(code: &str) -> Option<Secret<String>> {
    let kept: String = code.chars().filter(|c| !c.is_whitespace() && *c != '-').take(7).collect();
    let kept = Secret::new(kept);
    let fits = kept.expose().len() == 6 && kept.expose().bytes().all(|b| b.is_ascii_digit());
    fits.then_some(kept)
}

fn plain(name: &str) -> String {
    let kept = name.chars().filter(|c| *c != ':' && !c.is_control());
    kept.take(LONGEST_NAME).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    /// RFC 6238, appendix B, SHA-1: the last six of its eight digits.
    #[test]
    fn codes_are_those_of_the_standard() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        for (seconds, expected) in [
            (59, "287082"),
            (1_111_111_109, "081804"),
            (1_111_111_111, "050471"),
            (1_234_567_890, "005924"),
            (2_000_000_000, "279037"),
            (20_000_000_000, "353130"),
        ] {
            assert_eq!(code(&secret, at(seconds)).expose(), expected);
            assert_eq!(proves(&secret, expected, at(seconds)), Some(seconds / 30));
        }
    }

    #[test]
    fn a_code_holds_for_half_a_minute_before_and_after() {
        let secret = new_secret().unwrap();
        let typed = code(&secret, at(3_000_000));
        for (seconds, right) in [
            (2_999_969, false),
            (2_999_970, true),
            (3_000_000, true),
            (3_000_059, true),
            (3_000_060, false),
        ] {
            assert_eq!(proves(&secret, typed.expose(), at(seconds)).is_some(), right, "{seconds}");
        }
        let (first, last) = typed.expose().split_at(3);
        assert_eq!(proves(&secret, &format!(" {first} {last}\n"), at(3_000_000)), Some(100_000));
        for nonsense in ["", "12345", "1234567", "12345x", "١٢٣٤٥٦", &"1".repeat(9_999)] {
            assert_eq!(proves(&secret, nonsense, at(0)), None);
        }
    }

    #[test]
    fn an_app_can_read_the_uri_and_a_person_the_groups() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        let uri = uri(&secret, "Dr. Lee: Öffnung & Co", "dana@clinic.test");
        let read = Totp::from_url(uri.expose()).unwrap();
        assert_eq!(read.secret().as_bytes(), secret.expose().as_slice());
        assert_eq!((read.digits(), read.step()), (6, 30));
        assert_eq!(read.issuer(), Some("Dr. Lee Öffnung & Co"));
        assert_eq!(read.account_name(), "dana@clinic.test");
        assert_eq!(written(&secret).expose(), "GEZD GNBV GY3T QOJQ GEZD GNBV GY3T QOJQ");
        assert!(!format!("{uri:?}").contains("GEZD"));
    }

    proptest::proptest! {
        #[test]
        fn any_name_gives_a_uri(issuer: String, account: String) {
            let secret = Secret::new(vec![7; 20]);
            let _ = uri(&secret, &issuer, &account);
        }
    }
}
