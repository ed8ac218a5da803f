//! The one-time code: whoever stands before the machine reads it there, so that nobody else on the
//! network can take the box first.

use std::time::{Duration, Instant};
use wardpost_mail::Secret;
use wardpost_web::is_same;

/// Letters and digits that nobody takes for another: no vowels, so that no words come out, either.
const ALPHABET: &[u8] = b"BCDFGHJKMNPQRTVWXY3479";
/// Characters, in two groups.
const LENGTH: usize = 8;
/// So many wrong ones, and there is another code.
const TRIES: u32 = 10;
/// And nobody may try for so long.
const PAUSE: Duration = Duration::from_secs(60);

/// What became of a try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tried {
    /// It is the code.
    Right,
    /// It is not.
    Wrong,
    /// That was one too many: there is another code now, and a pause before it counts.
    Renewed,
    /// The pause is not over.
    Wait(Duration),
}

/// The code that counts now.
pub(crate) struct Code {
    code: Secret<String>,
    wrong: u32,
    paused_until: Option<Instant>,
}

impl Code {
    /// A new code.
    pub(crate) fn new() -> Self {
        Self { code: make(), wrong: 0, paused_until: None }
    }

    /// The code, as it is shown.
    pub(crate) fn shown(&self) -> Secret<String> {
        let (first, second) = self.code.expose().split_at(LENGTH / 2);
        Secret::new(format!("{first}-{second}"))
    }

    /// How long nobody may try.
    pub(crate) fn pause(&self, now: Instant) -> Option<Duration> {
        let left = self.paused_until?.checked_duration_since(now)?;
        (!left.is_zero()).then_some(left)
    }

    /// Tries a code.
    pub(crate) fn attempt(&mut self, typed: &str, now: Instant) -> Tried {
        if let Some(left) = self.pause(now) {
            return Tried::Wait(left);
        }
        if is_same(plain(typed).expose(), self.code.expose()) {
            self.wrong = 0;
            return Tried::Right;
        }
        self.wrong += 1;
        if self.wrong < TRIES {
            return Tried::Wrong;
        }
        *self = Self { paused_until: Some(now + PAUSE), ..Self::new() };
        Tried::Renewed
    }
}

impl Default for Code {
    fn default() -> Self {
        Self::new()
    }
}

fn make() -> Secret<String> {
    // Octets beyond the last whole multiple would make some letters likelier than others.
    let fair = 256 - 256 % ALPHABET.len();
    let mut code = Secret::new(String::with_capacity(LENGTH));
    while code.expose().len() < LENGTH {
        let mut octet = [0];
        if aws_lc_rs::rand::fill(&mut octet).is_err() {
            unreachable!("the system's random generator does not fail once it has been seeded");
        }
        let octet = usize::from(octet[0]);
        if octet < fair {
            code.expose_mut().push(char::from(ALPHABET[octet % ALPHABET.len()]));
        }
    }
    code
}

/// A typed code in the form that codes are made in.
fn plain(typed: &str) -> Secret<String> {
    let kept = typed.chars().filter(|c| c.is_ascii_alphanumeric());
    Secret::new(kept.map(|c| c.to_ascii_uppercase()).take(LENGTH + 1).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_however_it_is_typed() {
        let (mut code, now) = (Code::new(), Instant::now());
        let shown = code.shown().expose().clone();
        assert_eq!((shown.len(), &shown[4..5]), (9, "-"));
        for typed in [
            shown.clone(),
            shown.to_lowercase(),
            shown.replace('-', ""),
            format!(" {} ", shown.replace('-', " ")),
        ] {
            assert_eq!(code.attempt(&typed, now), Tried::Right, "{typed}");
        }
        for wrong in ["", "-", &shown[..8], &format!("{shown}X")] {
            assert_eq!(code.attempt(wrong, now), Tried::Wrong, "{wrong}");
        }
        assert_ne!(Code::new().shown().expose(), &shown);
    }

    #[test]
    fn guessing_ends_with_another_code_and_a_pause() {
        let (mut code, now) = (Code::new(), Instant::now());
        let first = code.shown().expose().clone();
        for _ in 1..TRIES {
            assert_eq!(code.attempt("BBBB-BBBB", now), Tried::Wrong);
        }
        assert_eq!(code.attempt("BBBB-BBBB", now), Tried::Renewed);
        let second = code.shown().expose().clone();
        assert_ne!(first, second);
        assert_eq!(code.attempt(&second, now), Tried::Wait(PAUSE));
        assert_eq!(code.attempt(&first, now + PAUSE), Tried::Wrong);
        assert_eq!(code.attempt(&second, now + PAUSE), Tried::Right);
    }

    #[test]
    fn a_right_code_forgives_slips() {
        let (mut code, now) = (Code::new(), Instant::now());
        let right = code.shown().expose().clone();
        for _ in 0..5 {
            for _ in 1..TRIES {
                assert_eq!(code.attempt("nonsense", now), Tried::Wrong);
            }
            assert_eq!(code.attempt(&right, now), Tried::Right);
        }
    }
}
