//! The authority says when a certificate is to be renewed (RFC 9773), and when it says "now", it is.

use crate::acme::{Certified, serial, show};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use data_encoding::BASE64URL_NOPAD;
use serde_json::{Value, json};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};
use wardpost_tests::pebble::{DIRECTORY, Manners, Pebble};
use wardpost_tests::wardpost::Wardpost;
use wardpost_tests::{Result, run, wait_for};

/// The daemon looks every minute.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long the certificate lasts, in seconds: without a word from the authority, it is renewed after two thirds
/// of that.
const LIFE: u32 = 480;

#[test]
fn acme_03_authority_says_now() -> Result<()> {
    let manners = Manners { newer: true, bad_nonces: 0, validity: LIFE, ..Manners::default() };
    let practice = Certified::open(manners)?;
    let view = practice.certified()?;
    let planned = view["acme"]["renewal"].as_str().ok_or("no renewal")?.to_owned();
    let first = serial(&practice.wardpost)?;

    // Something is wrong with the certificate: it is revoked, so the authority would have it replaced.
    revoke(&practice.pebble, &practice.wardpost)?;
    // It was issued just now, so another would fare no better: for a quarter of its life nothing happens.
    std::thread::sleep(Duration::from_secs(u64::from(LIFE / 4) - 20));
    assert_eq!(serial(&practice.wardpost)?, first);
    let begun = Instant::now();
    wait_for("the certificate to be renewed", PATIENCE, || {
        (serial(&practice.wardpost).ok()? != first).then_some(())
    })
    .map_err(|e| format!("{e}\n{}\n{}", practice.wardpost.log(), practice.pebble.log()))?;
    assert!(begun.elapsed() < Duration::from_secs(u64::from(LIFE / 3)), "that was by itself");
    let log = practice.pebble.log();
    assert!(log.contains("renewalInfo"), "{log}");
    assert_eq!(log.matches("Issued certificate").count(), 2, "{log}");

    // The new one is good; its time is later.
    let view = show(&practice.wardpost)?;
    let renewal = view["acme"]["renewal"].as_str().ok_or("no renewal")?.to_owned();
    assert!(renewal >= planned, "{renewal} {planned}");

    // And now it is quiet, whatever the authority would like.
    std::thread::sleep(Duration::from_secs(65));
    assert_eq!(practice.pebble.log().matches("Issued certificate").count(), 2);
    Ok(())
}

/// Revokes the certificate in use, with its own key (RFC 8555 §7.6).
fn revoke(pebble: &Pebble, wardpost: &Wardpost) -> Result<()> {
    let key =
        rcgen::KeyPair::from_pem(&fs::read_to_string(wardpost.data().join("self-signed.key"))?)?;
    let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &key.serialize_der())
        .map_err(|e| e.to_string())?;
    let der = run(Command::new("sh")
        .args([
            "-c",
            "openssl s_client -connect \"$0\" </dev/null 2>/dev/null | openssl x509 -outform DER | \
             basenc --base64url -w0 | tr -d =",
        ])
        .arg(wardpost.imaps().to_string()))?;
    let directory: Value = serde_json::from_str(&pebble.ask(DIRECTORY, &[])?)?;
    let url = directory["revokeCert"].as_str().ok_or("no revokeCert")?;
    let head = pebble.ask(directory["newNonce"].as_str().ok_or("no newNonce")?, &["--head"])?;
    let nonce = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("replay-nonce").then(|| value.trim().to_owned())
    });
    let (x, y) = key.public_key().as_ref()[1..].split_at(32);
    let encode = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let header = json!({
        "alg": "ES256", "nonce": nonce.ok_or("no nonce")?, "url": url,
        "jwk": { "kty": "EC", "crv": "P-256", "x": encode(x), "y": encode(y) },
    });
    let protected = encode(header.to_string().as_bytes());
    let payload = encode(json!({ "certificate": der }).to_string().as_bytes());
    let signed = key
        .sign(&SystemRandom::new(), format!("{protected}.{payload}").as_bytes())
        .map_err(|e| e.to_string())?;
    let body =
        json!({ "protected": protected, "payload": payload, "signature": encode(signed.as_ref()) });
    pebble.ask(
        url,
        &["--fail", "-H", "Content-Type: application/jose+json", "--data", &body.to_string()],
    )?;
    Ok(())
}
