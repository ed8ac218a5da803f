//! Telling our own forms from others before there is a session: a form carries a value made from a
//! cookie that only this browser has, under a key that only this process has.

use crate::{Cookie, is_same, random};
use aws_lc_rs::{hmac, rand};
use axum::http::{HeaderMap, HeaderValue};
use data_encoding::BASE64URL_NOPAD;

/// The cookie that forms are tied to.
const FORM_COOKIE: Cookie = Cookie::for_host("__Host-form");
/// Characters of a cookie that we made.
const COOKIE_LENGTH: usize = 22;

/// Makes and checks the tokens of forms that people fill in before they are signed in.
pub struct FormSeal {
    key: hmac::Key,
}

impl FormSeal {
    /// A seal of its own, good until the process ends.
    pub fn new() -> Self {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &rand::SystemRandom::new());
        let Ok(key) = key else {
            unreachable!("the system's random generator does not fail once it has been seeded");
        };
        Self { key }
    }

    /// A token for a form in answer to a request, and the `Set-Cookie` value to send with it where the
    /// browser has no such cookie yet.
    pub fn token(&self, headers: &HeaderMap) -> (String, Option<HeaderValue>) {
        match FORM_COOKIE.value(headers).filter(|value| value.len() == COOKIE_LENGTH) {
            Some(cookie) => (self.of(cookie), None),
            None => {
                let cookie = random(16);
                (self.of(&cookie), Some(FORM_COOKIE.set("/", &cookie)))
            }
        }
    }

    /// Whether a token that came with a form is one that this browser was given.
    pub fn is_ours(&self, headers: &HeaderMap, token: &str) -> bool {
        FORM_COOKIE.value(headers).is_some_and(|cookie| is_same(&self.of(cookie), token))
    }

    fn of(&self, cookie: &str) -> String {
        BASE64URL_NOPAD.encode(hmac::sign(&self.key, cookie.as_bytes()).as_ref())
    }
}

impl Default for FormSeal {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header;

    #[test]
    fn a_token_belongs_to_one_browser_and_one_process() {
        let seal = FormSeal::new();
        let (token, cookie) = seal.token(&HeaderMap::new());
        let cookie = cookie.unwrap();
        let cookie = cookie.to_str().unwrap().split(';').next().unwrap();
        let browser = HeaderMap::from_iter([(header::COOKIE, cookie.parse().unwrap())]);
        assert!(seal.is_ours(&browser, &token));
        assert_eq!(seal.token(&browser), (token.clone(), None), "a second tab spoils nothing");
        assert!(!seal.is_ours(&HeaderMap::new(), &token));
        assert!(!seal.is_ours(&browser, ""));
        assert!(!FormSeal::new().is_ours(&browser, &token));
        let other = seal.token(&HeaderMap::new()).0;
        assert!(!seal.is_ours(&browser, &other));
    }
}
