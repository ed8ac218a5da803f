//! Pages for the practice's own people: signing in, connecting phones and computers, and, for
//! administrators, how the box is and what belongs into the DNS.
//!
//! What keeps them safe:
//!
//! * Signing in is a password and, where the account has one, a code from an authenticator app. Both are
//!   slowed by the directory; whether an address exists is told by neither words nor time.
//! * A session ([`session`]) ends after a quarter of an hour without a page and after eight hours, when
//!   its password is changed, and by signing out. While it lasts the account's keys are unlocked, because
//!   an app password is a key of its own to the mailbox.
//! * What outlasts a session (an app password) wants the password again, or a fresh code, unless that was
//!   given within five minutes ([`prove`]).
//! * Every form carries a token: of the session, or of this browser where there is no session yet.
//! * An app password travels to a phone by a link that is opened once, within ten minutes, by one browser
//!   ([`connect`]). Opening the link by `GET` uses nothing up.
//! * The pages for administrators look at every request whether this is still one.
//!
//! Nothing about persons is logged or counted. A copy button is the only script, and nothing needs it.

mod connect;
mod devices;
mod dns;
mod factor;
mod form;
mod health;
mod join;
mod lost;
mod machine;
mod metrics;
mod pages;
mod password;
mod people;
mod prove;
mod session;
mod signin;
mod watch;
mod welcome;
mod words;

#[cfg(test)]
mod tests;

use axum::Router;
use axum::routing::{get, post};
use connect::Link;
use metrics::Metrics;
use prometheus::Registry;
use session::Visitor;
use signin::Pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use wardpost_directory::{Account, Directory, Login, Removal};
use wardpost_health::Examiner;
use wardpost_mail::{Domain, Secret};
use wardpost_net::ServerTls;
use wardpost_publish::records::Source;
use wardpost_web::{Bounds, FormSeal, Pace, Sessions, Shell};

/// Automatic log-off: a quarter of an hour without a page, eight hours in all.
const SESSIONS: Bounds = Bounds {
    idle: Duration::from_secs(15 * 60),
    longest: Duration::from_secs(8 * 3600),
    sessions: 512,
    weight: usize::MAX / 2,
};
/// Between the password and the code.
const PENDING: Bounds =
    Bounds { idle: Duration::from_secs(5 * 60), longest: Duration::from_secs(10 * 60), ..SESSIONS };
/// Links that bring an app password to a phone, and the link that set-up ends with.
const LINKS: Bounds = Bounds {
    idle: Duration::from_secs(10 * 60),
    longest: Duration::from_secs(10 * 60),
    ..SESSIONS
};
/// Recoveries being tried at the same time: each works on a key.
const RECOVERIES_AT_ONCE: usize = 2;

/// What the pages say about the practice and its server.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the pages are reached: `https://mail.clinic.test`, without a final slash.
    pub url: String,
    /// The practice's name.
    pub practice: String,
    /// Its telephone number.
    pub phone: Option<String>,
    /// This machine's host name, which mail programs connect to.
    pub hostname: Domain,
    /// Where mail programs connect.
    pub ports: MailPorts,
    /// How the server's numbers are read.
    pub watching: Watching,
    /// The folder where a file `poweroff` or `reboot` makes the machine do so, if it listens to anybody.
    pub power: Option<PathBuf>,
}

/// The ports of mail programs; `None` is off.
#[derive(Debug, Clone, Copy, Default)]
pub struct MailPorts {
    /// Mailboxes.
    pub imaps: Option<u16>,
    /// Submission in TLS from the first byte.
    pub submissions: Option<u16>,
    /// Submission with STARTTLS.
    pub submission: Option<u16>,
}

/// How the server's numbers are read.
#[derive(Debug, Clone, Default)]
pub struct Watching {
    /// Where they are; empty is off.
    pub addresses: Vec<SocketAddr>,
    /// The file with the token that a reader shows, if one is asked for.
    pub token_file: Option<PathBuf>,
    /// Whether a client certificate is taken instead.
    pub client_certificates: bool,
}

/// Whoever makes settings that a phone takes as a file (Apple's configuration profiles).
pub trait Profiles: Send + Sync {
    /// The file for an account with an app password, which is in it; `None` when it cannot be made. Reads
    /// files and signs: not for async threads.
    fn profile(&self, account: &Account, app_password: &Secret<String>) -> Option<Secret<Vec<u8>>>;
}

/// What the pages work with.
pub struct Parts {
    /// Who signs in.
    pub directory: Directory,
    /// How the box is.
    pub examiner: Arc<dyn Examiner>,
    /// What belongs into the DNS.
    pub records: Arc<dyn Source>,
    /// The certificate that is shown to the world.
    pub tls: ServerTls,
    /// What removes an account with all its mail.
    pub removal: Arc<dyn Removal>,
    /// Settings as a file.
    pub profiles: Option<Arc<dyn Profiles>>,
}

/// The pages.
pub struct Staff {
    settings: Settings,
    shell: Shell,
    parts: Parts,
    forms: FormSeal,
    sessions: Arc<Sessions<Visitor>>,
    pending: Arc<Sessions<Pending>>,
    links: Arc<Sessions<Link>>,
    welcome: welcome::Welcomes,
    recoveries: Semaphore,
    recovery_pace: Pace,
    metrics: Metrics,
}

impl Staff {
    /// Sets the pages up.
    pub fn new(settings: Settings, parts: Parts) -> Arc<Self> {
        let metrics = Metrics::new();
        Arc::new(Self {
            shell: Shell::new(&settings.practice, settings.phone.as_deref()),
            settings,
            parts,
            forms: FormSeal::new(),
            sessions: Sessions::new(SESSIONS, metrics.sessions.clone()),
            pending: Sessions::new(PENDING, metrics.pending.clone()),
            links: Sessions::new(LINKS, metrics.links.clone()),
            welcome: welcome::Welcomes::default(),
            recoveries: Semaphore::new(RECOVERIES_AT_ONCE),
            recovery_pace: Pace::new(Duration::from_secs(3600), 10, 1_000),
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

    /// Lets whoever opens `/staff/welcome/TOKEN` within ten minutes, once, be signed in as `login` says:
    /// so that set-up need not ask for a password that was just chosen.
    pub fn hand_over(&self, token: &Secret<String>, login: Login) {
        self.welcome.expect(token, login);
    }

    /// All pages, for a [`wardpost_web::Site`]: it adds what holds for every page.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route("/staff", get(signin::start).post(signin::sign_in))
            .route("/staff/code", get(signin::ask_code).post(signin::take_code))
            .route("/staff/leave", post(signin::leave))
            .route("/staff/left", get(signin::left))
            .route("/staff/lost", get(lost::choose))
            .route("/staff/lost/phone", get(lost::ask_phone).post(lost::phone))
            .route("/staff/lost/password", get(lost::ask_password).post(lost::password))
            .route("/staff/welcome/{token}", get(welcome::ask).post(welcome::enter))
            .route("/staff/phone", get(devices::list).post(devices::add))
            .route("/staff/phone/new", get(devices::show))
            .route("/staff/phone/{slot}/remove", get(devices::ask_remove).post(devices::remove))
            .route("/staff/connect/{token}", get(connect::ask).post(connect::open))
            .route("/staff/connect/{token}/settings", get(connect::settings))
            .route("/staff/connect/{token}/mail.mobileconfig", get(connect::profile))
            .route("/staff/second-factor", get(factor::show).post(factor::begin))
            .route("/staff/second-factor/new", get(factor::ask).post(factor::finish))
            .route("/staff/password", get(password::show).post(password::change))
            .route("/staff/join/{link}", get(join::ask).post(join::join))
            .route("/admin", get(health::show).post(health::look))
            .route("/admin/people", get(people::list).post(people::invite))
            .route("/admin/people/withdraw", post(people::withdraw))
            .route("/admin/people/{id}", get(people::show))
            .route("/admin/people/{id}/administrator", post(people::administrator))
            .route("/admin/people/{id}/cut-off", get(people::ask_cut_off).post(people::cut_off))
            .route("/admin/people/{id}/remove", post(people::remove))
            .route("/admin/dns", get(dns::show))
            .route("/admin/dns/zone/{domain}", get(dns::zone))
            .route("/admin/watch", get(watch::show).post(watch::token))
            .route("/admin/watch/certificate", get(watch::certificate))
            .route("/admin/machine", get(machine::show).post(machine::wanted))
            .with_state(Arc::clone(self))
    }

    /// A page's name for metrics: the route, without what stands in it.
    pub fn page_name(path: &str) -> Option<&'static str> {
        let mut segments = path.split('/').skip(1);
        let name = match (segments.next(), segments.next().unwrap_or("")) {
            (Some("staff"), "") => "staff",
            (Some("staff"), "code") => "staff-code",
            (Some("staff"), "leave" | "left") => "staff-leave",
            (Some("staff"), "lost") => "staff-lost",
            (Some("staff"), "welcome") => "staff-welcome",
            (Some("staff"), "phone") => "staff-phone",
            (Some("staff"), "connect") => "staff-connect",
            (Some("staff"), "second-factor") => "staff-second-factor",
            (Some("staff"), "password") => "staff-password",
            (Some("admin"), "") => "admin-health",
            (Some("staff"), "join") => "staff-join",
            (Some("admin"), "people") => "admin-people",
            (Some("admin"), "dns") => "admin-dns",
            (Some("admin"), "watch") => "admin-watch",
            (Some("admin"), "machine") => "admin-machine",
            _ => return None,
        };
        Some(name)
    }
}
