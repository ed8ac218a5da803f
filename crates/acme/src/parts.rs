//! What looking after the certificate takes.

use crate::order::Way;
use crate::register::ExternalAccount;
use async_trait::async_trait;
use std::sync::Arc;
use wardpost_dns::{OwnRecords, Resolver};
use wardpost_mail::Domain;
use wardpost_net::{Https, ServerTls};
use wardpost_publish::KeyPlan;
use wardpost_store::Store;

/// What is set.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Our host name: always in the certificate.
    pub host: Domain,
    /// The authority's directory.
    pub directory: String,
    /// A mail address for the authority's warnings.
    pub contact: Option<String>,
    /// Who we are to an authority that knows its customers.
    pub external: Option<ExternalAccount>,
    /// Where names can be proven, best first.
    pub ways: Vec<Way>,
}

/// Whoever knows which names there should be.
#[async_trait]
pub trait Names: Send + Sync {
    /// Names besides the host's that may be in the certificate, and whether each leads to us now: `None`
    /// when the DNS is silent about it.
    async fn others(&self) -> Vec<(Domain, Option<bool>)>;
}

/// What is worked with.
pub struct Parts {
    /// Where everything is kept.
    pub store: Store,
    /// Our side of TLS, of [`crate::open_tls`].
    pub tls: ServerTls,
    /// The plan of keys.
    pub keys: KeyPlan,
    /// Our own records in the DNS.
    pub own: Arc<dyn OwnRecords>,
    /// Look-ups of the authority's address.
    pub resolver: Arc<dyn Resolver>,
    /// HTTPS to the authority, with the roots that it is trusted by.
    pub https: Https,
    /// The names.
    pub names: Arc<dyn Names>,
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Wish {
    /// With the next key of the plan, whether or not its record is published.
    pub next_key: bool,
    /// With a new account.
    pub new_account: bool,
}
