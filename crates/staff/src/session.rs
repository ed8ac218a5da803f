//! Who is signed in, as handlers ask for it.

use crate::Staff;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Instant;
use wardpost_directory::{Account, Login, Revocation, WrongCodes};
use wardpost_keys::Unlocked;
use wardpost_mail::{AccountId, Secret};
use wardpost_web::{Cookie, is_same, random};

/// The cookie of a session.
const COOKIE: Cookie = Cookie::for_host("__Host-staff");
/// Where signing in can lead: never anywhere else, whatever a form says.
const PAGES: [&str; 9] = [
    "/staff",
    "/staff/phone",
    "/staff/second-factor",
    "/staff/password",
    "/admin",
    "/admin/dns",
    "/admin/watch",
    "/admin/people",
    "/admin/machine",
];
/// What a page's address says when the page loaded itself: that is no sign that anybody is there.
pub(crate) const BY_ITSELF: &str = "live";

/// Somebody's session.
pub(crate) struct Visitor {
    account: AccountId,
    pub(crate) unlocked: Arc<Unlocked>,
    revocation: Revocation,
    form_token: String,
    /// When this person last proved who they are.
    pub(crate) proven: Mutex<Option<Instant>>,
    /// Wrong codes that were tried before this session.
    pub(crate) wrong_codes: Mutex<Option<WrongCodes>>,
    /// The link that connects a device, shown until its time is over.
    pub(crate) connecting: Mutex<Option<String>>,
    /// A second factor that was shown and is yet to be proven.
    pub(crate) new_factor: Mutex<Option<Secret<Vec<u8>>>>,
}

impl Visitor {
    fn is_over(&self) -> bool {
        self.revocation.is_revoked()
    }
}

/// Somebody who is signed in; a handler that asks for it is for these only.
pub(crate) struct SignedIn {
    pub(crate) visitor: Arc<Visitor>,
    pub(crate) account: Account,
}

impl SignedIn {
    /// What every form of this session carries.
    pub(crate) fn form_token(&self) -> &str {
        &self.visitor.form_token
    }

    /// Whether a form is one of this session's.
    pub(crate) fn is_our_form(&self, token: &str) -> bool {
        is_same(token, &self.visitor.form_token)
    }
}

impl FromRequestParts<Arc<Staff>> for SignedIn {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, staff: &Arc<Staff>) -> Result<Self, Response> {
        let used = parts.uri.query() != Some(BY_ITSELF);
        staff.signed_in(&parts.headers, used).ok_or_else(|| {
            let ended = COOKIE.value(&parts.headers).is_some();
            to_sign_in(parts.uri.path(), ended)
        })
    }
}

/// An administrator who is signed in.
pub(crate) struct Administrator(pub(crate) SignedIn);

impl FromRequestParts<Arc<Staff>> for Administrator {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, staff: &Arc<Staff>) -> Result<Self, Response> {
        let who = SignedIn::from_request_parts(parts, staff).await?;
        if who.account.administrator {
            return Ok(Self(who));
        }
        let text = format!(
            "This page is for those who look after the mail server, and you are signed in as {}. If \
             you should see it, ask whoever looks after the server to make you an administrator.",
            who.account.address
        );
        Err(staff.plain(StatusCode::FORBIDDEN, "This page is for administrators", &text))
    }
}

impl AsRef<SignedIn> for SignedIn {
    fn as_ref(&self) -> &SignedIn {
        self
    }
}

impl AsRef<SignedIn> for Administrator {
    fn as_ref(&self) -> &SignedIn {
        &self.0
    }
}

fn to_sign_in(path: &str, ended: bool) -> Response {
    let next = known_page(path).unwrap_or("/staff");
    let ended = if ended { "&ended" } else { "" };
    Redirect::to(&format!("/staff?next={next}{ended}")).into_response()
}

/// A page of ours that signing in may lead to.
pub(crate) fn known_page(path: &str) -> Option<&'static str> {
    PAGES.into_iter().find(|page| *page == path)
}

impl Staff {
    /// Whoever sent this request, if signed in; `used` says that somebody is really there.
    pub(crate) fn signed_in(&self, headers: &HeaderMap, used: bool) -> Option<SignedIn> {
        let ticket = COOKIE.value(headers)?;
        let visitor = match used {
            true => self.sessions.find(ticket, |visitor| !visitor.is_over()),
            false => self.sessions.look(ticket, |visitor| !visitor.is_over()),
        }?;
        let account = self.parts.directory.account(visitor.account)?;
        Some(SignedIn { visitor, account })
    }

    /// Begins a session; the answer is the `Set-Cookie` value that goes with it.
    pub(crate) fn begin_session(&self, login: Login, wrong: Option<WrongCodes>) -> HeaderValue {
        self.metrics.signed_in(Ok(()));
        tracing::info!(account = %login.account.id, "staff: signed in");
        self.begin(login, Some(Instant::now()), wrong)
    }

    /// Goes on with another log-in of the same person, whose session was ended: it proves no more than
    /// that one.
    pub(crate) fn go_on(&self, login: Login, who: &SignedIn) -> HeaderValue {
        let proven = *who.visitor.proven.lock();
        self.begin(login, proven, None)
    }

    fn begin(
        &self,
        login: Login,
        proven: Option<Instant>,
        wrong: Option<WrongCodes>,
    ) -> HeaderValue {
        let visitor = Visitor {
            account: login.account.id,
            unlocked: login.unlocked,
            revocation: login.revocation,
            form_token: random(32),
            proven: Mutex::new(proven),
            wrong_codes: Mutex::new(wrong),
            connecting: Mutex::default(),
            new_factor: Mutex::default(),
        };
        // What is over need not wait for its time: the account's keys go with it.
        self.sessions.end(Visitor::is_over);
        COOKIE.set("/", &self.sessions.begin(Arc::new(visitor), 1))
    }

    /// Ends one session; the answer is the `Set-Cookie` value that removes its cookie.
    pub(crate) fn end_session(&self, who: &SignedIn) -> HeaderValue {
        self.sessions.end(|visitor| visitor.form_token == who.visitor.form_token);
        COOKIE.remove("/")
    }

    /// Ends all sessions of an account, but for one.
    pub(crate) fn end_sessions(&self, account: AccountId, but: Option<&SignedIn>) {
        let kept = but.map(|who| who.visitor.form_token.as_str());
        self.sessions
            .end(|visitor| visitor.account == account && Some(visitor.form_token.as_str()) != kept);
    }
}
