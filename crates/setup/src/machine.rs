//! The world as it is: this machine.

use crate::answers::{Answers, Practice};
use crate::apply;
use crate::relay::Trial;
use crate::world::{Disk, DomainLook, NotApplied, RelayLook, World};
use crate::written::Seed;
use async_trait::async_trait;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;
use wardpost_config::Config;
use wardpost_dns::{DnsError, HickoryResolver, Mx, Resolver};
use wardpost_keys::RecoveryCertificate;
use wardpost_mail::{Domain, Secret};
use wardpost_net::{ClientTls, load_roots};
use wardpost_pins::Smarthost;

/// How long the DNS may take before the pages go on without it.
const DNS_PATIENCE: Duration = Duration::from_secs(6);
/// A name that every working DNS has an answer about.
const ROOT_SERVER: &str = "a.root-servers.net";
/// Octets of a file that the disk's owner left for us.
const MAX_FILE: u64 = 1024;

/// This machine.
pub struct Machine {
    /// Where the configuration will be.
    pub config_file: PathBuf,
    /// What the machine brings along.
    pub seed: Seed,
    /// The configuration as it would be, with names that nobody has.
    pub provisional: Config,
    /// Where the disk's recovery key and how it opens are told (`/run/wardpost-disk`).
    pub disk: PathBuf,
}

impl Machine {
    fn resolver(&self) -> Result<HickoryResolver, DnsError> {
        // Made anew each time: the network, and with it the servers to ask, may come while we wait.
        HickoryResolver::new(&self.provisional.dns.servers)
    }

    async fn mx(&self, domain: &Domain) -> Result<Mx, DnsError> {
        let resolver = self.resolver()?;
        Ok(patiently(resolver.mx(domain)).await?.value)
    }
}

async fn patiently<T>(look: impl Future<Output = Result<T, DnsError>>) -> Result<T, DnsError> {
    let late = |_| DnsError::Temporary("it took too long".to_owned());
    tokio::time::timeout(DNS_PATIENCE, look).await.map_err(late)?
}

#[async_trait]
impl World for Machine {
    async fn domain(&self, practice: &Practice) -> DomainLook {
        match self.mx(&practice.domain).await {
            Ok(Mx::Hosts(hosts)) => {
                let hosts: Vec<Domain> = hosts.into_iter().map(|one| one.host).collect();
                if hosts.is_empty() || hosts.contains(&practice.hostname) {
                    return DomainLook::Free;
                }
                DomainLook::Elsewhere(hosts)
            }
            Ok(Mx::Null | Mx::Implicit) => DomainLook::Free,
            Err(DnsError::NoSuchDomain) => DomainLook::Missing,
            Err(DnsError::Bogus | DnsError::Temporary(_)) => DomainLook::Unknown,
        }
    }

    async fn relay(&self, practice: &Practice, relay: &Smarthost) -> RelayLook {
        let broken = |error: String| RelayLook {
            works: false,
            says: format!("The server could not be tried: {error}"),
        };
        let resolver = match self.resolver() {
            Ok(resolver) => resolver,
            Err(error) => return broken(error.to_string()),
        };
        let tls = match ClientTls::new() {
            Ok(tls) => tls,
            Err(error) => return broken(error.to_string()),
        };
        let roots = match load_roots(self.provisional.transport.extra_roots.as_deref()) {
            Ok(roots) => roots,
            Err(error) => return broken(error.to_string()),
        };
        let hostname = &practice.hostname;
        Trial { resolver: &resolver, tls: &tls, roots: &roots, hostname }.run(relay).await
    }

    async fn is_online(&self) -> bool {
        let (Ok(resolver), Ok(name)) = (self.resolver(), Domain::parse(ROOT_SERVER)) else {
            return false;
        };
        let outcome = patiently(resolver.addresses(&name)).await;
        !matches!(outcome, Err(DnsError::Temporary(_)))
    }

    fn free_space(&self) -> Option<u64> {
        let space = rustix::fs::statvfs(&self.provisional.data_dir).ok()?;
        space.f_bavail.checked_mul(space.f_frsize)
    }

    fn disk(&self) -> Disk {
        let unlock = small_file(&self.disk.join("unlock")).map(|text| text.expose().clone());
        Disk {
            recovery_key: small_file(&self.disk.join("recovery-key")),
            on_paper: apply::is_confirmed(&self.provisional.data_dir),
            // The appliance makes the folder at each start, whatever becomes of its keys.
            silent: unlock.is_none() && self.disk.exists(),
            unlock,
        }
    }

    fn fetches_certificates(&self) -> bool {
        self.seed.wants_authority() || self.provisional.acme.is_some()
    }

    async fn apply(
        &self,
        answers: &Answers,
        recovery: &RecoveryCertificate,
        disk_key_confirmed: bool,
    ) -> Result<(), NotApplied> {
        apply::apply(self, answers, recovery, disk_key_confirmed).await
    }
}

/// A short text; nothing when there is none.
fn small_file(path: &Path) -> Option<Secret<String>> {
    let mut text = Secret::new(String::with_capacity(MAX_FILE as usize));
    let file = std::fs::File::open(path).ok()?;
    file.take(MAX_FILE).read_to_string(text.expose_mut()).ok()?;
    let trimmed = Secret::new(text.expose().trim().to_owned());
    (!trimmed.expose().is_empty()).then_some(trimmed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// Only a machine that says nothing about any disk, and so has none of its own, may do without a key.
    #[test]
    fn a_disk_whose_key_is_missing_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let config_file = folder.path().join("wardpost.toml");
        let seed = format!("data_dir = \"{}\"\n", folder.path().join("data").display());
        let seed = Seed::parse(&seed, &config_file).unwrap();
        let provisional = seed.provisional(&config_file).unwrap();
        let disk = folder.path().join("disk");
        let machine = Machine { config_file, seed, provisional, disk: disk.clone() };
        assert!(!machine.disk().lacks_key(), "a plain machine");
        fs::create_dir(&disk).unwrap();
        assert!(machine.disk().lacks_key(), "nothing is told");
        for (unlock, lacks) in
            [("tpm\n", true), ("passphrase", true), ("\n", true), ("none", false)]
        {
            fs::write(disk.join("unlock"), unlock).unwrap();
            assert_eq!(machine.disk().lacks_key(), lacks, "{unlock:?}");
        }
        fs::write(disk.join("unlock"), "tpm").unwrap();
        fs::write(disk.join("recovery-key"), "abcd-efgh\n").unwrap();
        assert!(!machine.disk().lacks_key());
        fs::remove_file(disk.join("recovery-key")).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        fs::write(folder.path().join("data/recovery-key-confirmed"), "").unwrap();
        assert!(!machine.disk().lacks_key(), "it is on a sheet of before");
    }
}
