//! Codes and passphrases: what the recipient knows.

use crate::ParcelError;
use wardpost_mail::Secret;

/// Codes there are: eight digits.
const CODES: u32 = 100_000_000;
/// The least characters of a passphrase. It is one of two: the link is the other.
const MIN_PASSPHRASE: usize = 8;
/// The most octets of what is tried at all.
const MAX_TYPED: usize = 1024;

/// Makes a code, every one of them as likely as any other.
pub(crate) fn generate() -> Result<Secret<String>, ParcelError> {
    // Numbers above the largest multiple of CODES would make low codes likelier: drawn again.
    const LIMIT: u32 = u32::MAX - u32::MAX % CODES;
    loop {
        let mut bytes = [0; 4];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| ParcelError::Randomness)?;
        let number = u32::from_be_bytes(bytes);
        if number < LIMIT {
            return Ok(show(number % CODES));
        }
    }
}

/// The code as it is written and told: `4821-7730`.
fn show(number: u32) -> Secret<String> {
    Secret::new(format!("{:04}-{:04}", number / 10_000, number % 10_000))
}

/// What was typed, in the form that opens the slot: a code loses dashes and spaces, a passphrase the
/// spaces around it (telephones add them).
pub(crate) fn normalise(typed: &Secret<String>) -> Secret<String> {
    let typed = typed.expose();
    if typed.len() > MAX_TYPED {
        return Secret::new(String::new());
    }
    let separator = |c: char| c.is_whitespace() || matches!(c, '-' | '‐' | '‑' | '–' | '—' | '.');
    let digits = Secret::new(typed.chars().filter(|c| !separator(*c)).collect::<String>());
    if digits.expose().len() == 8 && digits.expose().bytes().all(|b| b.is_ascii_digit()) {
        digits
    } else {
        Secret::new(typed.trim().to_owned())
    }
}

/// Refuses passphrases that are no better than a code.
pub(crate) fn check_passphrase(passphrase: &Secret<String>) -> Result<(), ParcelError> {
    let text = passphrase.expose().trim();
    let all_digits = text.chars().all(|c| !c.is_alphabetic());
    if text.chars().count() < MIN_PASSPHRASE || text.len() > MAX_TYPED || all_digits {
        return Err(ParcelError::Passphrase { min: MIN_PASSPHRASE });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn normal(typed: &str) -> String {
        normalise(&Secret::new(typed.to_owned())).expose().clone()
    }

    #[test]
    fn codes_are_eight_digits_in_two_groups() {
        assert_eq!(show(48_217_730).expose(), "4821-7730");
        assert_eq!(show(7).expose(), "0000-0007");
        let codes: HashSet<String> =
            (0..200).map(|_| generate().unwrap().expose().clone()).collect();
        assert!(codes.len() > 195, "they differ");
        for code in codes {
            let (left, right) = code.split_once('-').unwrap();
            assert!(left.len() == 4 && right.len() == 4, "{code}");
            assert!(code.bytes().all(|b| b.is_ascii_digit() || b == b'-'), "{code}");
        }
    }

    #[test]
    fn digits_are_spread_evenly() {
        // 4,000 codes, 8 digits: each digit 3,200 times give or take. Six sigma is about 320.
        let mut counts = [0u32; 10];
        for _ in 0..4000 {
            for digit in generate().unwrap().expose().bytes().filter(u8::is_ascii_digit) {
                counts[usize::from(digit - b'0')] += 1;
            }
        }
        assert!(counts.iter().all(|count| (2880..=3520).contains(count)), "{counts:?}");
    }

    #[test]
    fn codes_are_taken_however_they_are_typed() {
        for typed in
            ["4821-7730", "48217730", " 4821 7730 ", "4821–7730", "48 21 77 30", "4821.7730"]
        {
            assert_eq!(normal(typed), "48217730", "{typed:?}");
        }
    }

    #[test]
    fn passphrases_stay_as_they_are() {
        assert_eq!(normal(" blue - horse 12345678 "), "blue - horse 12345678");
        assert_eq!(normal("1234567"), "1234567");
        assert_eq!(normal(&"x".repeat(MAX_TYPED + 1)), "");
    }

    #[test]
    fn easy_passphrases_are_refused() {
        for easy in ["", "short", "       a       ", "1234567890", "4821-7730", "        "] {
            assert!(check_passphrase(&Secret::new(easy.to_owned())).is_err(), "{easy:?}");
        }
        for good in ["blue horse", "größe-12", "correct horse battery staple"] {
            assert!(check_passphrase(&Secret::new(good.to_owned())).is_ok(), "{good:?}");
        }
    }
}
