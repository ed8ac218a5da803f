//! Configuration profiles for iPhones, iPads and Macs: a property list in a CMS signature.

use crate::settings::Settings;
use askama::Template;
use aws_lc_rs::digest::{SHA256, digest};
use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::pkey::PKey;
use openssl::stack::Stack;
use openssl::x509::X509;
use thiserror::Error;
use wardpost_mail::{Address, Secret};
use wardpost_net::TlsError;

/// Whose mail is to be set up.
#[derive(Debug, Clone)]
pub struct Person<'a> {
    /// The address, which is the user name too.
    pub address: &'a Address,
    /// The name shown to others; may be empty.
    pub name: &'a str,
    /// An app password for this device. Without one the device asks.
    pub app_password: Option<&'a Secret<String>>,
}

/// Why there is no profile.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// There is nothing to set up.
    #[error(
        "reading or sending mail is switched off: see [listen] imaps, submissions and submission"
    )]
    Off,
    /// The certificate or its key cannot be read.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// It could not be signed.
    #[error("the profile could not be signed: {0}")]
    Sign(#[from] ErrorStack),
    /// It could not be written.
    #[error("the profile could not be written: {0}")]
    Write(#[from] askama::Error),
}

#[derive(Template)]
#[template(path = "profile.xml")]
struct Profile<'a> {
    settings: &'a Settings,
    address: String,
    name: String,
    imap: u16,
    smtp: u16,
    password: Option<&'a str>,
    identifier: String,
    uuid: String,
    mail_uuid: String,
}

/// The profile in clear. The same person gets the same names in it each time, so that a device puts a new one in the old
/// one's place.
pub(crate) fn write(
    settings: &Settings,
    person: &Person<'_>,
) -> Result<Secret<String>, ProfileError> {
    let (Some(imap), Some(smtp)) = (settings.imaps, settings.outgoing().next()) else {
        return Err(ProfileError::Off);
    };
    let address = person.address.to_string();
    let mut labels: Vec<&str> = settings.hostname.as_str().split('.').collect();
    labels.reverse();
    let uuid = uuid(&[settings.hostname.as_str(), &address, "profile"]);
    let profile = Profile {
        identifier: format!("{}.mail.{}", labels.join("."), &uuid[..8]),
        mail_uuid: self::uuid(&[settings.hostname.as_str(), &address, "mail"]),
        uuid,
        // What no XML document may hold would make the device refuse all of it.
        name: person.name.chars().filter(|c| !c.is_control()).collect(),
        address,
        imap,
        smtp: smtp.port,
        password: person.app_password.map(|password| password.expose().as_str()),
        settings,
    };
    Ok(Secret::new(profile.render()?))
}

/// A UUID that stands for these words (RFC 9562 §5.8).
fn uuid(words: &[&str]) -> String {
    let hash = digest(&SHA256, words.join("\n").as_bytes());
    let mut octets = [0; 16];
    octets.copy_from_slice(&hash.as_ref()[..16]);
    octets[6] = octets[6] & 0x0f | 0x80;
    octets[8] = octets[8] & 0x3f | 0x80;
    let hex: String = octets.iter().map(|octet| format!("{octet:02X}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

/// Puts a profile into a CMS signature (RFC 5652 §5) by the first certificate of `chain`, the others along with it.
pub(crate) fn signed(
    profile: &Secret<String>,
    chain: &[Vec<u8>],
    key: &Secret<Vec<u8>>,
) -> Result<Secret<Vec<u8>>, ProfileError> {
    let key = PKey::private_key_from_der(key.expose())?;
    let mut certificates = chain.iter().map(|der| X509::from_der(der));
    let own = certificates.next().transpose()?;
    let mut others = Stack::new()?;
    for certificate in certificates {
        others.push(certificate?)?;
    }
    let content = profile.expose().as_bytes();
    let options = CMSOptions::BINARY | CMSOptions::NOSMIMECAP;
    let signed =
        CmsContentInfo::sign(own.as_deref(), Some(&key), Some(&others), Some(content), options)?;
    Ok(Secret::new(signed.to_der()?))
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
