//! Where the system key comes from.

use crate::failure::Failure;
use std::path::Path;
use wardpost_config::Config;
use wardpost_keys::SystemKey;

/// The system key: from the configured file, or from the systemd credential.
///
/// A missing file is made only while there is no data: a new key for old data would open nothing, and
/// making one would hide that the right one is missing.
pub(crate) fn load_or_create(config: &Config) -> Result<SystemKey, Failure> {
    let Some(path) = &config.keys.system_key_file else {
        return credential();
    };
    if path.try_exists().map_err(Failure::during(path.display()))? {
        return SystemKey::read_file(path).map_err(Failure::from_error);
    }
    if !is_empty(&config.data_dir)? {
        return Err(missing(path, &config.data_dir));
    }
    let key = SystemKey::create_file(path).map_err(Failure::from_error)?;
    eprintln!(
        "wardpost: made the system key {}; keep a copy apart from the backups of {}",
        path.display(),
        config.data_dir.display()
    );
    Ok(key)
}

/// As [`load_or_create`], but makes nothing. `None` when a key would be made.
pub(crate) fn look(config: &Config) -> Result<Option<SystemKey>, Failure> {
    match &config.keys.system_key_file {
        Some(path) if !path.try_exists().map_err(Failure::during(path.display()))? => {
            if is_empty(&config.data_dir)? {
                return Ok(None);
            }
            Err(missing(path, &config.data_dir))
        }
        _ => load_or_create(config).map(Some),
    }
}

fn credential() -> Result<SystemKey, Failure> {
    let key = SystemKey::from_systemd_credential().map_err(Failure::from_error)?;
    key.ok_or_else(|| {
        Failure::Failed(format!(
            "there is no system key: name a file with [keys] system_key_file, or give the systemd \
             credential {}",
            SystemKey::CREDENTIAL
        ))
    })
}

fn missing(key: &Path, data: &Path) -> Failure {
    Failure::Failed(format!(
        "the system key {} is missing, but {} holds data that only it opens; bring the key back from \
         its copy. Nothing was touched",
        key.display(),
        data.display()
    ))
}

/// Whether a directory is absent or has nothing in it.
fn is_empty(directory: &Path) -> Result<bool, Failure> {
    match std::fs::read_dir(directory) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(Failure::during(directory.display())(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(directory: &Path) -> Config {
        let text = "hostname = \"mail.clinic.test\"\ndomain = \"clinic.test\"\ndata_dir = \"data\"\n\
                    [keys]\nsystem_key_file = \"system.key\"\n";
        Config::parse(text, &directory.join("wardpost.toml")).unwrap()
    }

    #[test]
    fn a_key_is_made_for_a_new_installation_and_then_kept() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        assert!(look(&config).unwrap().is_none());
        load_or_create(&config).unwrap();
        let made = std::fs::read(directory.path().join("system.key")).unwrap();
        load_or_create(&config).unwrap();
        assert_eq!(std::fs::read(directory.path().join("system.key")).unwrap(), made);
    }

    #[test]
    fn no_key_is_made_for_data_that_is_there() {
        let directory = tempfile::tempdir().unwrap();
        let config = config(directory.path());
        std::fs::create_dir(directory.path().join("data")).unwrap();
        std::fs::write(directory.path().join("data/FORMAT"), "1").unwrap();
        let error = load_or_create(&config).err().unwrap().to_string();
        assert!(error.contains("system.key is missing") && error.contains("Nothing was touched"));
        assert!(look(&config).is_err());
        assert!(!directory.path().join("system.key").exists());
    }
}
