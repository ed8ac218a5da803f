//! Proving once more who one is, before something is made that outlasts the session: whoever sits at an
//! open page may be somebody else.

use crate::Staff;
use crate::form::Fields;
use crate::session::SignedIn;
use crate::signin::{codes_slowed, not_admitted};
use axum::http::StatusCode;
use std::net::IpAddr;
use std::time::{Duration, Instant, SystemTime};
use wardpost_directory::{AuthError, Way};

/// How long a proof is enough.
const HOLDS: Duration = Duration::from_secs(5 * 60);

/// Why somebody is not believed.
pub(crate) struct Unproven {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    pub(crate) error: Option<AuthError>,
}

impl Unproven {
    fn new(error: AuthError, wrong: &str) -> Self {
        let (status, text) = not_admitted(error, wrong);
        Self { status, text, error: Some(error) }
    }

    /// The page was open for so long that its form did not ask yet.
    fn not_asked(what: &str) -> Self {
        let text =
            format!("You signed in a while ago. To show that it is you, please enter {what}, too.");
        Self { status: StatusCode::UNPROCESSABLE_ENTITY, text, error: None }
    }
}

impl SignedIn {
    /// Whether this person has to prove again who they are.
    pub(crate) fn must_prove(&self) -> bool {
        self.visitor.proven.lock().is_none_or(|proven| proven.elapsed() > HOLDS)
    }
}

impl Staff {
    /// Takes what [`SignedIn::must_prove`] asks for: a code where the account has a second factor, else
    /// the password.
    pub(crate) async fn prove(
        &self,
        who: &SignedIn,
        form: &Fields,
        peer: IpAddr,
    ) -> Result<(), Unproven> {
        if !who.must_prove() {
            return Ok(());
        }
        if who.account.second_factor {
            if form.code.trim().is_empty() {
                return Err(Unproven::not_asked("the code that the app shows"));
            }
            let directory = &self.parts.directory;
            let checked =
                directory.check_second_factor(who.account.id, &form.code, SystemTime::now());
            let wrong = checked.map_err(|error| {
                let wrong = "That code is not right. Each counts once: please enter the one that the app \
                             shows now.";
                let unproven = Unproven::new(error, wrong);
                Unproven { text: codes_slowed(error).unwrap_or(unproven.text), ..unproven }
            })?;
            if wrong.is_some() {
                *who.visitor.wrong_codes.lock() = wrong;
            }
        } else {
            if form.password.expose().is_empty() {
                return Err(Unproven::not_asked("your password"));
            }
            let (login, password) = (who.account.address.to_string(), &form.password);
            let login = self.parts.directory.authenticate(&login, password, peer, Way::Page).await;
            login.map_err(|error| {
                let wrong = "That is not your password. Please try again. An app password does not work \
                             here.";
                Unproven::new(error, wrong)
            })?;
        }
        *who.visitor.proven.lock() = Some(Instant::now());
        Ok(())
    }
}
