//! `wardpost setup`: the system key, the data directory and the recovery kit of a new installation; and
//! `wardpost rotate-system-key`.

use crate::cli::KitOptions;
use crate::failure::Failure;
use crate::{kit, system_key};
use std::path::Path;
use wardpost_admin::{Client, ClientError, Request};
use wardpost_config::Config;
use wardpost_directory::Directory;
use wardpost_keys::SystemKey;
use wardpost_mail::Secret;
use wardpost_store::Store;

/// Makes what is missing. Asks the daemon if it is running, and otherwise works on the files.
pub(crate) fn setup(config: &Config, options: &KitOptions) -> Result<(), Failure> {
    let secret = match Client::connect(&config.admin_socket()) {
        Ok(mut client) => {
            let mut secret = None;
            client.call(&Request::Setup, |kit| secret = Some(kit))?;
            secret
        }
        Err(ClientError::NotRunning(_)) => offline(config)?,
        Err(error) => return Err(error.into()),
    };
    match secret {
        Some(secret) => kit::hand_out(&secret, options),
        None => {
            eprintln!("wardpost: everything was set up before; nothing was done");
            Ok(())
        }
    }
}

fn offline(config: &Config) -> Result<Option<Secret<String>>, Failure> {
    let key = system_key::load_or_create(config)?;
    let store = Store::open(&config.data_dir, &key).map_err(Failure::from_error)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::during("starting"))?;
    let kit = runtime.block_on(async {
        let directory = Directory::open(store.clone(), &config.domain).await?;
        directory.initialise().await
    });
    store.close();
    Ok(kit.map_err(Failure::from_error)?.map(|kit| kit.secret))
}

/// Makes a new system key and wraps the store's keyring under it.
///
/// The new key is on the disk before the keyring changes, and the old key's file stays: whenever this is
/// interrupted, one of the two opens the store.
pub(crate) fn rotate_system_key(config: &Config, new_file: &Path) -> Result<(), Failure> {
    let Some(old) = system_key::look(config)? else {
        return Err(Failure::Failed("there is no system key yet; nothing was done".to_owned()));
    };
    let store = Store::open(&config.data_dir, &old).map_err(Failure::from_error)?;
    let rotated = SystemKey::create_file(new_file)
        .map_err(Failure::from_error)
        .and_then(|new| store.rotate_system_key(&new).map_err(Failure::from_error));
    store.close();
    rotated?;
    let file = new_file.display();
    eprintln!(
        "wardpost: the data opens with {file} only, now. Set [keys] system_key_file to it (or seal it \
         into the systemd credential), keep a copy apart from the backups, and destroy the old key"
    );
    Ok(())
}
