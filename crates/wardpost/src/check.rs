//! `wardpost check`: whether `serve` would find what the configuration names.

use crate::cli::KitOptions;
use crate::failure::Failure;
use crate::kit;
use crate::serve::certificates::external;
use crate::serve::publishing::mta_sts;
use crate::serve::scraping;
use crate::system_key;
use std::path::Path;
use std::time::SystemTime;
use wardpost_admin::{Answer, Client, Request};
use wardpost_config::Config;
use wardpost_dns::TrustAnchor;
use wardpost_mail::Domain;
use wardpost_net::{CertificateFacts, ServerTls};
use wardpost_publish::OwnPolicy;

/// Checks everything and tells all that is wrong, not only the first thing.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let checks = [
        certificate(config),
        key(config),
        data_directory(config),
        roots(config),
        trust_anchor(config),
        scraping::look(&config.metrics).map(drop).map_err(|failure| failure.to_string()),
    ];
    let wrong: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
    if wrong.is_empty() {
        println!("{}: fine", config.file.display());
        return Ok(());
    }
    Err(Failure::Failed(wrong.join("\nwardpost: ")))
}

fn certificate(config: &Config) -> Result<(), String> {
    if config.acme.is_some() {
        return authority(config);
    }
    let Some(tls) = &config.tls else {
        println!("no [tls]: a self-signed certificate will be made, which others do not trust");
        return Ok(());
    };
    let tls = ServerTls::from_pem_files(&tls.certificate, &tls.private_key)
        .map_err(|error| error.to_string())?;
    if tls.expires_at() <= SystemTime::now() {
        return Err("the certificate has expired".to_owned());
    }
    for remark in policy_remarks(config, &tls.certificate()) {
        println!("{remark}");
    }
    Ok(())
}

/// Whether there is everything that getting certificates from an authority takes.
fn authority(config: &Config) -> Result<(), String> {
    let Some(acme) = &config.acme else { return Ok(()) };
    external(config)?;
    wardpost_net::load_roots(acme.extra_root.as_deref()).map_err(|error| error.to_string())?;
    if config.listen.http.is_empty() && config.listen.https.is_empty() {
        let text = "[acme] needs http or https in [listen]: the authority looks there whether the name is \
                    ours";
        return Err(text.to_owned());
    }
    println!("[acme]: certificates come from {}, see `wardpost tls show`", acme.directory);
    Ok(())
}

/// What keeps our MTA-STS policy from being fetched, if we publish one. Domains besides the main one
/// are known to the daemon alone, which is asked if it runs.
fn policy_remarks(config: &Config, certificate: &CertificateFacts) -> Vec<String> {
    if mta_sts(config).is_none() {
        return Vec::new();
    }
    if certificate.self_issued {
        let text = "the certificate is self-signed: other servers cannot fetch our MTA-STS policy, \
                    which asks for no more than \"testing\"";
        return vec![text.to_owned()];
    }
    let mut domains = vec![config.domain.clone()];
    domains.extend(served_domains(config).into_iter().filter(|domain| *domain != config.domain));
    let hosts = domains.iter().filter_map(OwnPolicy::policy_host);
    let uncovered = hosts.filter(|host| !certificate.covers(host));
    let remark = |host| {
        format!(
            "the certificate is not for {host}: other servers cannot fetch our MTA-STS policy. Get one \
             that names it, or set [publish] mta_sts = \"off\""
        )
    };
    uncovered.map(remark).collect()
}

fn served_domains(config: &Config) -> Vec<Domain> {
    let Ok(mut client) = Client::connect(&config.admin_socket()) else { return Vec::new() };
    // A recovery kit that nobody got yet comes with whatever answer is next: it must not get lost.
    let keep = |kit| drop(kit::hand_out(&kit, &KitOptions { recovery_kit: None }));
    match client.call(&Request::Status, keep) {
        Ok(Answer::Status(status)) => status.domains,
        _ => Vec::new(),
    }
}

fn key(config: &Config) -> Result<(), String> {
    match system_key::look(config) {
        Ok(Some(_)) => Ok(()),
        Ok(None) => {
            println!("no system key yet: the first start makes it");
            Ok(())
        }
        Err(failure) => Err(failure.to_string()),
    }
}

fn data_directory(config: &Config) -> Result<(), String> {
    let at = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let directory = &config.data_dir;
    match std::fs::metadata(directory) {
        Ok(data) if !data.is_dir() => Err(format!("{}: not a directory", directory.display())),
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = directory.parent().unwrap_or(Path::new("/"));
            std::fs::metadata(parent).map(drop).map_err(|error| at(parent, error))
        }
        Err(error) => Err(at(directory, error)),
    }
}

fn roots(config: &Config) -> Result<(), String> {
    let extra = config.transport.extra_roots.as_deref();
    wardpost_net::load_roots(extra).map(drop).map_err(|error| error.to_string())
}

fn trust_anchor(config: &Config) -> Result<(), String> {
    let Some(file) = &config.dns.trust_anchor else { return Ok(()) };
    let anchor = TrustAnchor::read_file(file);
    anchor.map(drop).map_err(|error| format!("{}: {error}", file.display()))
}
