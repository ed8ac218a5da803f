//! What all web pages share.
//!
//! * [`Site`] puts the roles' routers together and serves them: connections and TLS, the headers that
//!   every answer carries, forms of other sites refused, host names that have paths of their own, and
//!   on the port without TLS nothing but redirects (and what an authority asks for there).
//! * [`Shell`] and the templates `base.html`, `plain.html` and `phone.html` are the frame around a page.
//!   Another crate reaches them with an `askama.toml` that says
//!   `dirs = ["templates", "../web/templates"]`, and has a field `shell: Shell` in each of its templates.
//! * [`Sessions`] remembers who is signed in, for a bounded time and in bounded memory; [`Cookie`] is how
//!   a browser proves it; [`FormSeal`] and form tokens tell our own forms from others.
//!
//! A role gives a plain `axum::Router`, without fallbacks and without headers: the site adds these.

mod cookie;
mod form;
mod guard;
mod host;
mod pace;
mod page;
mod qr;
mod random;
mod serve;
mod sessions;
mod shell;
mod site;

pub use cookie::Cookie;
pub use form::FormSeal;
pub use guard::with_script;
pub use host::asked_host;
pub use pace::Pace;
pub use page::{page, plain, size, trouble};
pub use qr::qr_svg;
pub use random::{is_same, random};
pub use serve::{Connection, Redirects};
pub use sessions::{Bounds, Sessions};
pub use shell::Shell;
pub use site::{PageName, Site, SiteBuilder};
