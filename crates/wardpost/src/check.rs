//! `wardpost check`: whether `serve` would find what the configuration names.

use crate::failure::Failure;
use crate::system_key;
use std::path::Path;
use std::time::SystemTime;
use wardpost_config::Config;
use wardpost_dns::TrustAnchor;
use wardpost_net::ServerTls;

/// Checks everything and tells all that is wrong, not only the first thing.
pub(crate) fn check(config: &Config) -> Result<(), Failure> {
    let checks = [
        certificate(config),
        key(config),
        data_directory(config),
        roots(config),
        trust_anchor(config),
    ];
    let mut wrong: Vec<String> = checks.into_iter().filter_map(Result::err).collect();
    wrong.extend(not_yet(config));
    if wrong.is_empty() {
        println!("{}: fine", config.file.display());
        return Ok(());
    }
    Err(Failure::Failed(wrong.join("\nwardpost: ")))
}

fn certificate(config: &Config) -> Result<(), String> {
    let Some(tls) = &config.tls else {
        println!("no [tls]: a self-signed certificate will be made, which others do not trust");
        return Ok(());
    };
    let tls = ServerTls::from_pem_files(&tls.certificate, &tls.private_key)
        .map_err(|error| error.to_string())?;
    if tls.expires_at() <= SystemTime::now() {
        return Err("the certificate has expired".to_owned());
    }
    Ok(())
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

/// Settings whose time has not come.
fn not_yet(config: &Config) -> Option<String> {
    config.acme.as_ref()?;
    Some("[acme] is not supported by this version: give certificate files with [tls]".to_owned())
}
