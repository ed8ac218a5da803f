//! Mail programs that set themselves up.
//!
//! * [`Clients::router`] and its siblings answer Thunderbird's and others' autoconfig, and Outlook's Autodiscover. What
//!   they say is for a whole domain: nobody learns from it which addresses exist.
//! * [`Clients::profile`] is a configuration profile for iPhones, iPads and Macs, signed with the server's own key.
//!
//! All of it comes from the configuration, and tells only of what is switched on. There is never anything in it but
//! TLS.

mod answers;
mod profile;
mod question;
mod settings;

pub use answers::Clients;
pub use profile::{Person, ProfileError};
pub use settings::Settings;
