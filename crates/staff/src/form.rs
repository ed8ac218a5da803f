//! Forms without files.

use crate::Staff;
use crate::session::SignedIn;
use axum::extract::{Form, FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use std::fmt;
use std::sync::Arc;
use wardpost_mail::Secret;

/// A form that arrived.
pub(crate) struct Filled(pub(crate) Fields);

impl FromRequest<Arc<Staff>> for Filled {
    type Rejection = Response;

    async fn from_request(request: Request, staff: &Arc<Staff>) -> Result<Self, Response> {
        match Form::from_request(request, staff).await {
            Ok(Form(fields)) => Ok(Self(fields)),
            Err(_) => {
                let text = "What you typed did not arrive whole, so nothing was done. Please go back \
                            and try again.";
                Err(staff.plain(StatusCode::BAD_REQUEST, "That did not work", text))
            }
        }
    }
}

/// A form that somebody who is signed in sent from a page of this very session. Without that there is no
/// handler to forget it in: the answer is given before.
pub(crate) struct Sent<W>(pub(crate) W, pub(crate) Fields);

impl<W> FromRequest<Arc<Staff>> for Sent<W>
where
    W: FromRequestParts<Arc<Staff>, Rejection = Response> + AsRef<SignedIn> + Send,
{
    type Rejection = Response;

    async fn from_request(request: Request, staff: &Arc<Staff>) -> Result<Self, Response> {
        let (mut parts, body) = request.into_parts();
        let who = W::from_request_parts(&mut parts, staff).await?;
        let Filled(fields) = Filled::from_request(Request::from_parts(parts, body), staff).await?;
        if !who.as_ref().is_our_form(&fields.form_token) {
            return Err(staff.refused());
        }
        Ok(Self(who, fields))
    }
}

/// What a form may hold; each page looks at its own fields. Passwords are wiped with the form.
#[derive(Deserialize)]
pub(crate) struct Fields {
    #[serde(default)]
    pub(crate) form_token: String,
    #[serde(default)]
    pub(crate) address: String,
    #[serde(default = "nothing", deserialize_with = "secret")]
    pub(crate) password: Secret<String>,
    #[serde(default = "nothing", deserialize_with = "secret")]
    pub(crate) new: Secret<String>,
    #[serde(default = "nothing", deserialize_with = "secret")]
    pub(crate) again: Secret<String>,
    #[serde(default = "nothing", deserialize_with = "secret")]
    pub(crate) kit: Secret<String>,
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) next: String,
}

fn nothing() -> Secret<String> {
    Secret::new(String::new())
}

fn secret<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
    String::deserialize(from).map(Secret::new)
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fields(…)")
    }
}
