//! Secrets on the wire of the control socket, the one place where they are written out.

use serde::{Deserialize, Deserializer, Serializer};
use wardpost_mail::Secret;

pub(crate) fn serialize<S: Serializer>(
    secret: &Secret<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Secret<String>, D::Error> {
    String::deserialize(deserializer).map(Secret::new)
}
