//! Making an account with the authority (RFC 8555 §7.3), for a key that is kept already.
//!
//! instant-acme makes key and account in one step, so that an end between the authority's answer and our
//! writing it down would lose the account; and a binding to an external account (§7.3.4) may be good for
//! one account only. Here the key is kept first: asked again with the same key, the authority answers with
//! the account that there is.

use crate::authority::{Authority, NoAnswer};
use crate::trouble::is_bad_nonce;
use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, LOCATION};
use hyper::{Method, Request, Response};
use instant_acme::Problem;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;
use wardpost_mail::Secret;

/// How often a nonce may be refused (RFC 8555 §6.5).
const NONCES: usize = 6;

/// Who we are to an authority that knows its customers (RFC 8555 §7.3.4).
#[derive(Debug, Clone)]
pub struct ExternalAccount {
    /// What the authority calls the key.
    key_id: String,
    /// The key.
    hmac_key: Secret<Vec<u8>>,
}

impl ExternalAccount {
    /// Reads the key as authorities give it out: base64url, with padding or without, or plain base64.
    ///
    /// # Errors
    /// When it is something else, in words.
    pub fn parse(key_id: &str, text: &str) -> Result<Self, String> {
        let text: String = text.split_whitespace().collect();
        let plain = text.trim_end_matches('=').replace('+', "-").replace('/', "_");
        let plain = Secret::new(plain);
        match BASE64URL_NOPAD.decode(plain.expose().as_bytes()) {
            Ok(key) if key.len() >= 16 => {
                Ok(Self { key_id: key_id.to_owned(), hmac_key: Secret::new(key) })
            }
            Ok(_) => Err("the key is too short: is it whole?".into()),
            Err(_) => {
                Err("it is not an HMAC key in base64url, as the authority gives it out".into())
            }
        }
    }
}

/// Why there is no account.
#[derive(Debug, Error)]
pub(crate) enum RegisterError {
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
    #[error("{0}")]
    Problem(Problem),
    #[error("the authority's answer makes no sense: {0}")]
    Answer(&'static str),
    #[error("the account's key cannot be used")]
    Key,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Directory {
    new_nonce: String,
    new_account: String,
}

/// Makes the account, or finds the one that the key has. Its address.
pub(crate) async fn register(
    authority: &Authority,
    directory: &str,
    pkcs8: &[u8],
    contact: Option<&str>,
    external: Option<&ExternalAccount>,
) -> Result<String, RegisterError> {
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8)
        .map_err(|_| RegisterError::Key)?;
    let answer = authority.send(get(Method::GET, directory)?).await?;
    let links: Directory = match answer.status().is_success() {
        true => serde_json::from_slice(answer.body())
            .map_err(|_| RegisterError::Answer("it is no directory"))?,
        false => return Err(problem(&answer)),
    };
    let payload = payload(&key, &links.new_account, contact, external);
    let mut nonce = None;
    for _ in 0..NONCES {
        let fresh = match nonce.take() {
            Some(nonce) => nonce,
            None => {
                let answer = authority.send(get(Method::HEAD, &links.new_nonce)?).await?;
                self::nonce(&answer).ok_or(RegisterError::Answer("there is no nonce"))?
            }
        };
        let header = json!({
            "alg": "ES256", "jwk": jwk(&key), "nonce": fresh, "url": links.new_account,
        });
        let answer = authority.send(post(&links.new_account, &signed(&key, &header, &payload)?)?);
        let answer = answer.await?;
        if answer.status().is_success() {
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let location = location.ok_or(RegisterError::Answer("the account has no address"))?;
            return Ok(location.to_owned());
        }
        match problem(&answer) {
            RegisterError::Problem(problem) if is_bad_nonce(&problem) => {
                nonce = self::nonce(&answer);
            }
            error => return Err(error),
        }
    }
    Err(RegisterError::Answer("it refuses its own nonces"))
}

fn payload(
    key: &EcdsaKeyPair,
    url: &str,
    contact: Option<&str>,
    external: Option<&ExternalAccount>,
) -> Value {
    let mut payload = json!({ "termsOfServiceAgreed": true });
    if let Some(contact) = contact {
        payload["contact"] = json!([contact]);
    }
    if let Some(external) = external {
        let header = json!({ "alg": "HS256", "kid": external.key_id, "url": url });
        let secret = hmac::Key::new(hmac::HMAC_SHA256, external.hmac_key.expose());
        payload["externalAccountBinding"] =
            jws(&header, &jwk(key), |text| hmac::sign(&secret, text).as_ref().to_vec());
    }
    payload
}

/// A JSON web signature in its flattened form (RFC 7515 §7.2.2).
fn jws(header: &Value, payload: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> Value {
    let encode = |value: &Value| BASE64URL_NOPAD.encode(value.to_string().as_bytes());
    let (header, payload) = (encode(header), encode(payload));
    let signature = sign(format!("{header}.{payload}").as_bytes());
    json!({
        "protected": header,
        "payload": payload,
        "signature": BASE64URL_NOPAD.encode(&signature),
    })
}

fn signed(key: &EcdsaKeyPair, header: &Value, payload: &Value) -> Result<Value, RegisterError> {
    let mut failed = false;
    let value = jws(header, payload, |text| match key.sign(&SystemRandom::new(), text) {
        Ok(signature) => signature.as_ref().to_vec(),
        Err(_) => {
            failed = true;
            Vec::new()
        }
    });
    if failed { Err(RegisterError::Key) } else { Ok(value) }
}

/// The public half (RFC 7518 §6.2.1): an uncompressed point is 4, then both coordinates.
fn jwk(key: &EcdsaKeyPair) -> Value {
    let point = key.public_key().as_ref();
    let (x, y) = point.get(1..).unwrap_or_default().split_at_checked(32).unwrap_or_default();
    json!({
        "crv": "P-256", "kty": "EC", "x": BASE64URL_NOPAD.encode(x), "y": BASE64URL_NOPAD.encode(y),
    })
}

fn get(method: Method, url: &str) -> Result<Request<Bytes>, RegisterError> {
    let request = Request::builder().method(method).uri(url).body(Bytes::new());
    request.map_err(|_| RegisterError::Answer("an address is malformed"))
}

fn post(url: &str, body: &Value) -> Result<Request<Bytes>, RegisterError> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(url)
        .header(CONTENT_TYPE, "application/jose+json")
        .body(Bytes::from(body.to_string()));
    request.map_err(|_| RegisterError::Answer("an address is malformed"))
}

fn nonce(answer: &Response<Vec<u8>>) -> Option<String> {
    answer.headers().get("Replay-Nonce").and_then(|value| value.to_str().ok()).map(str::to_owned)
}

fn problem(answer: &Response<Vec<u8>>) -> RegisterError {
    match serde_json::from_slice::<Problem>(answer.body()) {
        Ok(mut problem) => {
            problem.status = problem.status.or(Some(answer.status().as_u16()));
            RegisterError::Problem(problem)
        }
        Err(_) => RegisterError::Answer("it is an error without a reason"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;

    #[test]
    fn signatures_are_over_what_is_sent() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"0123456789abcdef");
        let value = jws(&json!({"alg": "HS256"}), &json!({"a": 1}), |text| {
            hmac::sign(&key, text).as_ref().to_vec()
        });
        let text = |name: &str| value[name].as_str().unwrap().to_owned();
        assert_eq!(BASE64URL_NOPAD.decode(text("payload").as_bytes()).unwrap(), b"{\"a\":1}");
        let over = format!("{}.{}", text("protected"), text("payload"));
        let signature = BASE64URL_NOPAD.decode(text("signature").as_bytes()).unwrap();
        hmac::verify(&key, over.as_bytes(), &signature).unwrap();
    }

    #[test]
    fn keys_are_read_as_authorities_print_them() {
        let bytes: Vec<u8> = (0xe0..=0xff).collect();
        let url = BASE64URL_NOPAD.encode(&bytes);
        let plain = data_encoding::BASE64.encode(&bytes);
        assert_ne!(url, plain);
        for text in [url.clone(), format!("{url}=\n"), plain, format!("  {url}\r\n")] {
            let account = ExternalAccount::parse("kid", &text).unwrap();
            assert_eq!(account.hmac_key.expose(), &bytes);
            assert!(!format!("{account:?}").contains(&url));
        }
        for nonsense in ["", "short", "not base64 at all!"] {
            assert!(ExternalAccount::parse("kid", nonsense).is_err(), "{nonsense}");
        }
    }
}
