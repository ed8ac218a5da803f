//! Certificates: from files, from an authority, or of our own making.

use super::publishing::{Publishing, mta_sts};
use super::state::State;
use crate::failure::Failure;
use async_trait::async_trait;
use futures_util::{StreamExt, stream};
use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use wardpost_acme::{Acme, ExternalAccount, Names, Parts, Settings, Status, Way, Wish};
use wardpost_admin::{AcmeFailureView, AcmeLeftOutView, AcmeView, Certifier, unix_text};
use wardpost_config::Config;
use wardpost_directory::Directory;
use wardpost_dns::{DnsError, HickoryResolver, Resolver};
use wardpost_mail::{Domain, Secret};
use wardpost_net::{Https, ServerTls, SetUpCertificate, extend_roots};
use wardpost_publish::{KeyPlan, Readiness};
use wardpost_verdict::Roots;

/// How long the look-up of one name may take.
const LOOK_UP: Duration = Duration::from_secs(5);
/// Names that are looked up at the same time.
const AT_ONCE: usize = 8;
/// How long whoever asks for a certificate waits for it: less than their connection does.
const PATIENCE: Duration = Duration::from_secs(100);

/// Our side of TLS: certificate files or an authority, whichever is configured, and else a certificate of
/// our own making. Whether this process was set up just now says how long the set-up's certificate stays.
pub(crate) fn server_tls(
    config: &Config,
    state: &State,
    set_up_here: bool,
) -> Result<ServerTls, Failure> {
    let (dir, host) = (&config.data_dir, &config.hostname);
    let set_up = set_up_certificate(config, set_up_here);
    if config.acme.is_some() {
        let tls = wardpost_acme::open_tls(&state.store, &state.keys, dir, host, set_up);
        let tls = tls.map_err(Failure::from_error)?;
        use_announced_key(&tls, &state.keys)?;
        if tls.is_self_signed() {
            tracing::warn!(
                "there is no certificate from the authority yet: using a self-signed one"
            );
        }
        return Ok(tls);
    }
    let tls = match &config.tls {
        Some(files) => ServerTls::from_pem_files(&files.certificate, &files.private_key),
        None => ServerTls::self_signed_after_set_up(dir, host, set_up),
    };
    let tls = tls.map_err(Failure::from_error)?;
    if tls.is_self_signed() {
        tracing::warn!(
            "no certificate is configured: using a self-signed one that others do not trust"
        );
    }
    Ok(tls)
}

/// The set-up ends when it writes the configuration.
fn set_up_certificate(config: &Config, set_up_here: bool) -> SetUpCertificate {
    let written = || std::fs::metadata(&config.file).and_then(|file| file.modified()).ok();
    match set_up_here {
        true => SetUpCertificate::Stays,
        false => written().map_or(SetUpCertificate::Ends, SetUpCertificate::SetUpAt),
    }
}

/// Whoever came from certificate files has made a next key ahead and published its record. It is used in
/// place of one that nobody knows.
fn use_announced_key(tls: &ServerTls, keys: &KeyPlan) -> Result<(), Failure> {
    let known = keys.is_current_or_next(&tls.certificate().public_key_info);
    if known || keys.readiness(SystemTime::now()) != Readiness::Ready {
        return Ok(());
    }
    match keys.next_key().map_err(Failure::from_error)? {
        Some(next) => tls.replace_key(&next).map_err(Failure::from_error),
        None => Ok(()),
    }
}

/// Who gets certificates from the authority, if one is configured.
pub(crate) fn acme(
    config: &Config,
    state: &State,
    tls: &ServerTls,
    resolver: &HickoryResolver,
    publishing: &Publishing,
    system_roots: Roots,
) -> Result<Option<Acme>, Failure> {
    let Some(authority) = &config.acme else { return Ok(None) };
    let (http, https) = (!config.listen.http.is_empty(), !config.listen.https.is_empty());
    let ways = [(http, Way::Http), (https, Way::TlsAlpn)];
    let settings = Settings {
        host: config.hostname.clone(),
        directory: authority.directory.clone(),
        contact: authority.contact.clone(),
        external: external(config).map_err(Failure::Failed)?,
        ways: ways.into_iter().filter(|(open, _)| *open).map(|(_, way)| way).collect(),
    };
    let resolver: Arc<dyn Resolver> = Arc::new(resolver.clone());
    let roots = extend_roots(system_roots, authority.extra_root.as_deref());
    let roots = roots.map_err(Failure::from_error)?;
    let parts = Parts {
        store: state.store.clone(),
        tls: tls.clone(),
        keys: state.keys.clone(),
        own: Arc::clone(&publishing.own),
        resolver: Arc::clone(&resolver),
        https: Https::new(&roots).map_err(Failure::from_error)?,
        names: Arc::new(Leading::new(config, state, resolver)),
    };
    Acme::open(settings, parts).map(Some).map_err(Failure::from_error)
}

/// Who we are to an authority that knows its customers.
pub(crate) fn external(config: &Config) -> Result<Option<ExternalAccount>, String> {
    let Some(external) = config.acme.as_ref().and_then(|acme| acme.external.as_ref()) else {
        return Ok(None);
    };
    let file = &external.key_file;
    let bad = |error: String| format!("[acme] eab_key_file {}: {error}", file.display());
    let text = std::fs::read_to_string(file).map_err(|error| bad(error.to_string()))?;
    ExternalAccount::parse(&external.key_id, Secret::new(text).expose()).map(Some).map_err(bad)
}

/// Names of services beside our host's that lead to this server.
struct Leading {
    host: Domain,
    addresses: Vec<IpAddr>,
    directory: Directory,
    resolver: Arc<dyn Resolver>,
    labels: Vec<&'static str>,
}

impl Leading {
    fn new(config: &Config, state: &State, resolver: Arc<dyn Resolver>) -> Self {
        let mut labels = Vec::new();
        if !config.listen.https.is_empty() {
            labels.extend(mta_sts(config).is_some().then_some("mta-sts"));
            labels.extend(["autoconfig", "autodiscover"]);
        }
        Self {
            host: config.hostname.clone(),
            addresses: config.publish.addresses.clone(),
            directory: state.directory.clone(),
            resolver,
            labels,
        }
    }

    /// `None` when the DNS is silent, which proves nothing.
    async fn addresses(&self, name: &Domain) -> Option<Vec<IpAddr>> {
        let asking = self.resolver.addresses(name);
        match tokio::time::timeout(LOOK_UP, asking).await {
            Ok(Ok(found)) => Some(found.value),
            Ok(Err(DnsError::NoSuchDomain)) => Some(Vec::new()),
            Ok(Err(DnsError::Bogus | DnsError::Temporary(_))) | Err(_) => None,
        }
    }

    /// Whether a name leads to one of `ours`, which are all there are if they are `known`.
    async fn look(
        &self,
        name: Domain,
        ours: &HashSet<IpAddr>,
        known: bool,
    ) -> (Domain, Option<bool>) {
        let leads = self.addresses(&name).await.and_then(|found| {
            let here = found.iter().any(|address| ours.contains(address));
            (here || known || found.is_empty()).then_some(here)
        });
        (name, leads)
    }
}

#[async_trait]
impl Names for Leading {
    async fn others(&self) -> Vec<(Domain, Option<bool>)> {
        let mut ours: HashSet<IpAddr> = self.addresses.iter().copied().collect();
        let host = self.addresses(&self.host).await;
        let known = host.is_some();
        ours.extend(host.into_iter().flatten());
        let domains = self.directory.domains();
        let names = domains.iter().flat_map(|domain| {
            let labels = self.labels.iter();
            labels.filter_map(move |label| Domain::parse(&format!("{label}.{domain}")).ok())
        });
        let looks: Vec<_> = names.map(|name| self.look(name, &ours, known)).collect();
        // One after another, a few dead domains would hold everything up for minutes.
        stream::iter(looks).buffered(AT_ONCE).collect().await
    }
}

/// Certificates in the shape that the control interface asks for.
pub(crate) fn certifier(acme: Acme) -> Arc<dyn Certifier> {
    Arc::new(Certificates(acme))
}

struct Certificates(Acme);

#[async_trait]
impl Certifier for Certificates {
    fn status(&self) -> AcmeView {
        view(self.0.status())
    }

    async fn renew(&self, next_key: bool, new_account: bool) -> Option<AcmeView> {
        let renewing = self.0.renew(Wish { next_key, new_account });
        tokio::time::timeout(PATIENCE, renewing).await.ok().map(view)
    }
}

fn view(status: Status) -> AcmeView {
    AcmeView {
        directory: status.directory,
        since: status.since.map(unix_text),
        renewal: status.renewal.map(unix_text),
        working: status.working,
        failures: status.failures,
        last_failure: status.last_failure.map(|failed| AcmeFailureView {
            when: unix_text(failed.when),
            kind: failed.kind.name().to_owned(),
            says: failed.says,
            to_do: failed.to_do,
        }),
        next_try: status.next_try.map(unix_text),
        left_out: status
            .left_out
            .into_iter()
            .map(|left| AcmeLeftOutView {
                name: left.name,
                until: unix_text(left.until),
                says: left.says,
                to_do: left.to_do,
            })
            .collect(),
        refused: status.refused,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

    use super::*;
    use std::collections::HashMap;
    use wardpost_dns::{Dnssec, FakeResolver};
    use wardpost_store::Store;

    fn name(text: &str) -> Domain {
        Domain::parse(text).unwrap()
    }

    fn here() -> IpAddr {
        "192.0.2.1".parse().unwrap()
    }

    /// Two domains; the names of the first lead here, as our host's does, and those of the second do not exist.
    async fn leading(resolver: Arc<dyn Resolver>) -> Leading {
        let directory = Directory::open(Store::in_memory(), &name("clinic.test")).await.unwrap();
        directory.add_domain(&name("ward.test")).await.unwrap();
        Leading {
            host: name("mail.clinic.test"),
            addresses: Vec::new(),
            directory,
            resolver,
            labels: vec!["mta-sts", "autoconfig"],
        }
    }

    fn dns() -> FakeResolver {
        let dns = FakeResolver::new();
        for host in ["mail.clinic.test", "mta-sts.clinic.test", "autoconfig.clinic.test"] {
            dns.set_addresses(&name(host), &[here()], Dnssec::Indeterminate);
        }
        dns
    }

    #[tokio::test]
    async fn silence_about_a_name_is_no_answer() {
        const NAMES: [&str; 4] = [
            "mta-sts.clinic.test",
            "autoconfig.clinic.test",
            "mta-sts.ward.test",
            "autoconfig.ward.test",
        ];
        let dns = dns();
        let leading = leading(Arc::new(dns.clone())).await;
        let found = async || {
            let found: HashMap<_, _> = leading.others().await.into_iter().collect();
            assert_eq!(found.len(), NAMES.len());
            NAMES.map(|known| found[&name(known)])
        };
        let (yes, no) = (Some(true), Some(false));
        assert_eq!(found().await, [yes, yes, no, no]);
        for error in [DnsError::Temporary("no answer".into()), DnsError::Bogus] {
            dns.fail_addresses(&name("autoconfig.clinic.test"), error.clone());
            dns.fail_addresses(&name("mta-sts.ward.test"), error);
            assert_eq!(found().await, [yes, None, None, no]);
        }
        // That there is nothing is an answer, and so is another address.
        dns.fail_addresses(&name("mta-sts.clinic.test"), DnsError::NoSuchDomain);
        dns.set_addresses(&name("autoconfig.clinic.test"), &[], Dnssec::Indeterminate);
        let elsewhere = ["192.0.2.2".parse().unwrap()];
        dns.set_addresses(&name("mta-sts.ward.test"), &elsewhere, Dnssec::Indeterminate);
        assert_eq!(found().await, [no, no, no, no]);
        // But not when nobody says where we are.
        dns.fail_addresses(&name("mail.clinic.test"), DnsError::Bogus);
        assert_eq!(found().await, [no, no, None, no]);
    }
}
