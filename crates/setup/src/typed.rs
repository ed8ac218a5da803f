//! What was typed, as it was typed: it stands in the form again when something in it was wrong.
//! Passwords do not; they are taken out before anything is kept.

use serde::Deserialize;

/// The form of the first question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct PracticeForm {
    /// The practice's name.
    pub(crate) name: String,
    /// Its domain.
    pub(crate) domain: String,
    /// The server's name; empty for the one that is suggested.
    pub(crate) hostname: String,
}

/// The form of the second question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct AdministratorForm {
    /// The person's name.
    pub(crate) name: String,
    /// The address, or what stands before the @.
    pub(crate) address: String,
}

/// The form of the third question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct NoticesForm {
    /// The telephone number.
    pub(crate) phone: String,
    /// The contact's address.
    pub(crate) contact: String,
}

/// The form of the fourth question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct OutgoingForm {
    /// `direct` or `smarthost`.
    pub(crate) way: String,
    /// The smarthost's name.
    pub(crate) host: String,
    /// Its port.
    pub(crate) port: String,
    /// The user name there.
    pub(crate) user: String,
    /// `yes` when its owner promised to pass mail on encrypted only.
    pub(crate) onward: String,
}

/// The form of the fifth question.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct BackupsForm {
    /// Where to, in words.
    pub(crate) destination: String,
}
