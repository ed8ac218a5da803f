//! The two SASL exchanges that carry a password: PLAIN (RFC 4616) and LOGIN. They run only inside TLS;
//! the server needs the password itself, to open its owner's key.

use crate::Mechanism;
use data_encoding::BASE64;
use thiserror::Error;
use wardpost_mail::Secret;
use zeroize::Zeroizing;

/// A login name and password, as a client gave them.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// Who says so: an address, or a local part.
    pub login: String,
    /// The password.
    pub password: Secret<String>,
}

/// Why an exchange ended without credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SaslError {
    /// The client sent `*` (RFC 4954 §4).
    #[error("Authentication cancelled")]
    Cancelled,
    /// Not base64, not UTF-8 or not what the mechanism wants.
    #[error("The authentication response cannot be read")]
    Malformed,
    /// PLAIN asked to act as someone else.
    #[error("Acting for another identity is not supported")]
    OtherIdentity,
}

/// Where an exchange stands.
#[derive(Debug)]
pub(crate) enum Exchange {
    Plain,
    LoginName,
    LoginPassword(String),
}

/// What an exchange comes to with one more response.
#[derive(Debug)]
pub(crate) enum Step {
    /// Send this challenge (base64) and wait for the next response.
    Challenge(Exchange, &'static str),
    Done(Credentials),
}

/// The challenges "Username:" and "Password:" in base64, as clients expect them.
const ASK_NAME: &str = "VXNlcm5hbWU6";
const ASK_PASSWORD: &str = "UGFzc3dvcmQ6";

impl Exchange {
    /// Begins with the first challenge, for clients that sent no initial response.
    pub(crate) fn begin(mechanism: Mechanism) -> (Self, &'static str) {
        match mechanism {
            Mechanism::Plain => (Self::Plain, ""),
            Mechanism::Login => (Self::LoginName, ASK_NAME),
        }
    }

    /// Takes a response line.
    pub(crate) fn step(self, line: &[u8]) -> Result<Step, SaslError> {
        if line == b"*" {
            return Err(SaslError::Cancelled);
        }
        let response = decode(line)?;
        match self {
            Self::Plain => plain(&response).map(Step::Done),
            Self::LoginName => {
                Ok(Step::Challenge(Self::LoginPassword(response.to_string()), ASK_PASSWORD))
            }
            Self::LoginPassword(login) => {
                let password = Secret::new(response.to_string());
                Ok(Step::Done(Credentials { login, password }))
            }
        }
    }
}

fn decode(line: &[u8]) -> Result<Zeroizing<String>, SaslError> {
    let bytes = BASE64.decode(line).map_err(|_| SaslError::Malformed)?;
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            drop(Zeroizing::new(error.into_bytes()));
            Err(SaslError::Malformed)
        }
    }
}

/// `message = [authzid] UTF8NUL authcid UTF8NUL passwd` (RFC 4616 §2).
fn plain(response: &str) -> Result<Credentials, SaslError> {
    let mut parts = response.split('\0');
    let (Some(other), Some(login), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed);
    };
    if login.is_empty() || password.is_empty() {
        return Err(SaslError::Malformed);
    }
    if !other.is_empty() && !other.eq_ignore_ascii_case(login) {
        return Err(SaslError::OtherIdentity);
    }
    Ok(Credentials { login: login.to_owned(), password: Secret::new(password.to_owned()) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn run(mechanism: Mechanism, lines: &[&str]) -> Result<(String, String), SaslError> {
        let (mut exchange, _) = Exchange::begin(mechanism);
        for line in lines {
            match exchange.step(line.as_bytes())? {
                Step::Challenge(next, _) => exchange = next,
                Step::Done(found) => return Ok((found.login, found.password.expose().clone())),
            }
        }
        panic!("the exchange did not end");
    }

    #[test]
    fn plain_and_login_give_the_same() {
        let wanted = Ok(("dana".to_owned(), "pass word".to_owned()));
        assert_eq!(run(Mechanism::Plain, &["AGRhbmEAcGFzcyB3b3Jk"]), wanted);
        assert_eq!(run(Mechanism::Plain, &["ZGFuYQBkYW5hAHBhc3Mgd29yZA=="]), wanted);
        assert_eq!(run(Mechanism::Login, &["ZGFuYQ==", "cGFzcyB3b3Jk"]), wanted);
    }

    #[test]
    fn what_is_wrong_is_refused() {
        let plain = |line: &str| run(Mechanism::Plain, &[line]).unwrap_err();
        assert_eq!(plain("*"), SaslError::Cancelled);
        assert_eq!(plain("!!"), SaslError::Malformed);
        assert_eq!(plain(""), SaslError::Malformed);
        assert_eq!(plain(&BASE64.encode(b"\0dana")), SaslError::Malformed);
        assert_eq!(plain(&BASE64.encode(b"\0dana\0a\0b")), SaslError::Malformed);
        assert_eq!(plain(&BASE64.encode(b"\0dana\0")), SaslError::Malformed);
        assert_eq!(plain(&BASE64.encode(b"\0da\xff\0x")), SaslError::Malformed);
        assert_eq!(plain(&BASE64.encode(b"lee\0dana\0x")), SaslError::OtherIdentity);
        assert_eq!(run(Mechanism::Login, &["ZGFuYQ==", "*"]), Err(SaslError::Cancelled));
    }

    proptest! {
        #[test]
        fn no_response_makes_it_panic(line in any::<Vec<u8>>()) {
            for mechanism in Mechanism::ALL {
                let _ = Exchange::begin(mechanism).0.step(&line);
            }
        }
    }
}
