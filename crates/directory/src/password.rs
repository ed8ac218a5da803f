//! Which passwords are taken (NIST SP 800-63B-4 §3.1.1.2): long ones. No rules about kinds of
//! characters, no expiry; but not what an attacker tries first.

use wardpost_keys::AccountKeys;
use wardpost_mail::Address;

use crate::error::DirectoryError;

/// Least length where the password is the only factor, in characters.
const MIN: usize = 15;
/// What must be left when the names of the address are taken away, in characters.
const OWN: usize = 8;
/// Greatest length, in characters: enough for any phrase, and bounds the work of hashing.
const MAX: usize = 256;

/// Runs that people take passwords from.
const RUNS: [&str; 7] = [
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    "01234567890123456789012345678901234567890123456789",
    "12345678901234567890123456789012345678901234567890",
    "qwertyuiopasdfghjklzxcvbnmqwertyuiopasdfghjklzxcvbnm",
    "qwertzuiopasdfghjklyxcvbnmqwertzuiopasdfghjklyxcvbnm",
    "azertyuiopqsdfghjklmwxcvbnazertyuiopqsdfghjklmwxcvbn",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
];

/// Long passwords found at the top of leaked lists, without their digits and signs.
const COMMON: [&str; 10] = [
    "passwordpassword",
    "correcthorsebatterystaple",
    "letmeinletmein",
    "changemechangeme",
    "administratoradministrator",
    "iloveyouiloveyou",
    "qwertyqwertyqwerty",
    "welcomewelcome",
    "thisismypassword",
    "mysecretpassword",
];

/// Checks a password that is to be set for an address.
pub(crate) fn check(password: &str, address: &Address) -> Result<(), DirectoryError> {
    let refuse = |why| Err(DirectoryError::WeakPassword(why));
    if AccountKeys::is_app_password(password) {
        return refuse("the password looks like an app password; choose another");
    }
    match password.chars().count() {
        ..MIN => return refuse("the password is shorter than 15 characters"),
        MIN..=MAX => {}
        _ => return refuse("the password is longer than 256 characters"),
    }
    let folded = password.to_lowercase();
    if is_repetition(&folded) {
        return refuse("the password repeats one short piece");
    }
    if RUNS.iter().any(|run| run.contains(&*folded) || reversed(run).contains(&*folded)) {
        return refuse("the password is a common sequence");
    }
    let letters: String = folded.chars().filter(|c| c.is_alphabetic()).collect();
    if COMMON.contains(&&*letters) {
        return refuse("the password is one of the most common");
    }
    let rest = without_names(&folded, address);
    if rest.len() < folded.len() && rest.chars().count() < OWN {
        return refuse("the password is little more than the name or domain of the address");
    }
    Ok(())
}

/// The password without the address, its parts and their parts.
fn without_names(folded: &str, address: &Address) -> String {
    let (local, domain) = (address.local().to_lowercase(), address.domain().as_str());
    let pieces = local.split(['.', '_', '-', '+']).chain(domain.split('.'));
    let names = [local.as_str(), domain].into_iter().chain(pieces);
    // Names of one or two letters occur in any phrase by chance.
    let names = names.filter(|name| name.chars().count() > 2);
    names.fold(folded.to_owned(), |rest, name| rest.replace(name, ""))
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

/// Whether the text is a piece of at most four characters over and over.
fn is_repetition(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=4).any(|period| chars.iter().zip(chars.iter().skip(period)).all(|(a, b)| a == b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(password: &str) -> Result<(), &'static str> {
        let address = Address::parse("dana.lee@clinic.test").unwrap();
        match check(password, &address) {
            Ok(()) => Ok(()),
            Err(DirectoryError::WeakPassword(why)) => Err(why),
            Err(other) => panic!("{other}"),
        }
    }

    #[test]
    fn long_phrases_are_taken_whatever_they_are_made_of() {
        for good in [
            "three blind mice on a bus",
            "aaaaaaaaaaaaaaab",
            "пятнадцать букв и ещё",
            "9f8e7d6c5b4a3210x",
        ] {
            assert_eq!(verdict(good), Ok(()), "{good}");
        }
        assert_eq!(verdict(&"ab cd ef gh ij ".repeat(17)), Ok(()));
    }

    #[test]
    fn what_is_tried_first_is_refused() {
        for bad in [
            "",
            "fourteen chars",
            "aaaaaaaaaaaaaaaaaaaa",
            "abcabcabcabcabcabc",
            "abcdefghijklmnopq",
            "1234567890123456",
            "0987654321098765",
            "qwertyuiopasdfgh",
            "PasswordPassword1!",
            "correct horse battery staple",
            "dana.lee@clinic.test1",
            "Dana Lee Clinic 2026",
            "clinic.test.dana.lee",
        ] {
            assert!(verdict(bad).is_err(), "{bad}");
        }
        assert!(verdict(&"long phrase ".repeat(30)).is_err());
    }
}
