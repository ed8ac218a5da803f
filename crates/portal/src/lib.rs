//! The practice's web pages: where a message waits that could not be sent in encrypted form.
//!
//! A patient comes here from a link in a notice, gives the code that was told by telephone, reads,
//! downloads, answers, and may choose a password for next time. Nothing here needs JavaScript, and
//! nothing comes from anywhere else.
//!
//! What keeps it safe:
//!
//! * `GET` and `HEAD` of a link read nothing and write nothing. The page is the same for a link that
//!   leads somewhere, one that once did, and one that never did; so a mail scanner that follows links,
//!   even one that presses the button, neither uses a message up nor learns about it.
//! * A right code opens a *visit* ([`visit`]): the decrypted message lives in memory, for a quarter
//!   of an hour after the last page, under a random cookie that is sent for this one message's pages
//!   only.
//! * HTML is sanitised ([`sanitise`]) *and* shown in a frame whose own policy allows no script, no
//!   form and no connection; pictures from elsewhere are not fetched.
//! * Every form within a visit carries a token; every form at all is refused when the browser says
//!   that another site sent it.
//! * Answers are sealed into the staff member's mailbox before the page says that they were sent.
//!
//! Our MTA-STS policy ([`sts`]) is given here, too, for host names of its own.
//!
//! Nothing about persons or messages is logged or counted.

mod answer;
mod gate;
mod metrics;
mod pages;
mod reading;
mod sanitise;
mod sts;
mod upload;
mod visit;
mod write;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::HeaderMap;
use axum::routing::{get, post};
use metrics::Metrics;
use prometheus::Registry;
use std::sync::Arc;
use tokio::sync::Semaphore;
use visit::{Visit, Visits};
use wardpost_directory::Directory;
use wardpost_mail::Domain;
use wardpost_mailbox::Mailboxes;
use wardpost_net::ServerTls;
use wardpost_parcel::{ParcelError, Parcels};
use wardpost_publish::OwnPolicy;
use wardpost_web::{Pace, Shell};

/// Octets of a form that carries no files.
const SMALL_FORM: usize = 16 * 1024;
/// Octets that a multipart form may have around its fields.
const MULTIPART_OVERHEAD: usize = 64 * 1024;
/// Answers being uploaded at the same time.
const ANSWERS_AT_ONCE: usize = 8;
/// Messages being uploaded with the form that anybody can use, at the same time.
const LETTERS_AT_ONCE: usize = 4;

/// What the pages say about the practice, and their limits.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the pages are reached: `https://mail.clinic.test`, without a final slash.
    pub url: String,
    /// The practice's name.
    pub practice: String,
    /// Its telephone number.
    pub phone: Option<String>,
    /// This machine's host name, for Received fields and Message-IDs.
    pub hostname: Domain,
    /// Most octets of one answer with its attachments.
    pub max_answer: usize,
    /// Our MTA-STS policy, where we publish one.
    pub mta_sts: Option<OwnPolicy>,
}

/// The pages.
pub struct Portal {
    settings: Settings,
    shell: Shell,
    directory: Directory,
    mailboxes: Mailboxes,
    parcels: Parcels,
    tls: ServerTls,
    visits: Visits,
    answers: Semaphore,
    letters: Semaphore,
    pace: Pace,
    metrics: Metrics,
}

impl Portal {
    /// Sets the pages up. `tls` tells whether others trust our certificate, which the policy depends on.
    pub fn new(
        settings: Settings,
        directory: Directory,
        mailboxes: Mailboxes,
        parcels: Parcels,
        tls: &ServerTls,
    ) -> Arc<Self> {
        let metrics = Metrics::new();
        Arc::new(Self {
            shell: Shell::new(&settings.practice, settings.phone.as_deref()),
            settings,
            directory,
            mailboxes,
            parcels,
            tls: tls.clone(),
            visits: Visits::new(metrics.visits.clone()),
            answers: Semaphore::new(ANSWERS_AT_ONCE),
            letters: Semaphore::new(LETTERS_AT_ONCE),
            pace: Pace::new(write::WINDOW, write::PER_NETWORK, write::IN_TOTAL),
            metrics,
        })
    }

    /// Registers the pages' metrics.
    ///
    /// # Errors
    /// When a metric of that name is registered already.
    pub fn register(&self, registry: &Registry) -> Result<(), prometheus::Error> {
        self.metrics.register(registry)
    }

    /// The visit that a request belongs to, unless its message is gone meanwhile: what was taken back
    /// is not shown any longer to somebody who has it open.
    fn visit(&self, headers: &HeaderMap, view: &str) -> Option<Arc<Visit>> {
        let visit = self.visits.find(headers, view)?;
        match self.parcels.show(visit.parcel) {
            Ok(parcel) if parcel.state.is_there() => Some(visit),
            Ok(_) | Err(ParcelError::NotFound) => {
                self.visits.end(&visit);
                None
            }
            Err(error) => {
                tracing::error!(%error, "portal: a parcel's state cannot be read");
                None
            }
        }
    }

    /// All pages, for a [`wardpost_web::Site`]: it adds what holds for every page.
    pub fn router(self: &Arc<Self>) -> Router {
        let uploads = DefaultBodyLimit::max(self.settings.max_answer + MULTIPART_OVERHEAD);
        Router::new()
            .route("/m/{view}/answer", post(answer::send))
            .route("/write", get(write::form).post(write::send))
            .layer(uploads)
            .merge(
                Router::new()
                    .route("/", get(pages::landing))
                    .route("/p/{token}", get(gate::ask).post(gate::open))
                    .route("/m/{view}", get(reading::message))
                    .route("/m/{view}/formatted", get(reading::formatted))
                    .route("/m/{view}/file/{number}", get(reading::file))
                    .route("/m/{view}/sent", get(answer::sent))
                    .route("/m/{view}/password", get(gate::choose).post(gate::set_password))
                    .route("/m/{view}/leave", post(gate::leave))
                    .route("/left", get(pages::left))
                    .layer(DefaultBodyLimit::max(SMALL_FORM)),
            )
            .with_state(Arc::clone(self))
    }

    /// Our MTA-STS policy, for the host names `mta-sts.` and each of our domains.
    pub fn policy_router(self: &Arc<Self>) -> Router {
        Router::new().route(sts::PATH, get(sts::policy)).with_state(Arc::clone(self))
    }

    /// A page's name for metrics: the route, without what stands in it.
    pub fn page_name(path: &str) -> Option<&'static str> {
        let mut segments = path.split('/').skip(1);
        let name = match (segments.next(), segments.next(), segments.next()) {
            (Some(""), None, None) => "landing",
            (Some("p"), Some(_), None) => "link",
            (Some("m"), Some(_), None) => "message",
            (Some("m"), Some(_), Some("formatted")) => "formatted",
            (Some("m"), Some(_), Some("file")) => "file",
            (Some("m"), Some(_), Some("answer" | "sent")) => "answer",
            (Some("m"), Some(_), Some("password")) => "password",
            (Some("m"), Some(_), Some("leave")) | (Some("left"), None, None) => "leave",
            (Some("write"), None, None) => "write",
            (Some(".well-known"), Some("mta-sts.txt"), None) => "mta-sts",
            _ => return None,
        };
        Some(name)
    }
}
