//! Handing out the next TLS key, to be put into place beside the certificate made for it.

use crate::failure::Failure;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use wardpost_admin::Answer;
use wardpost_mail::Secret;

/// If the answer carries the next key, takes it out and writes it to a new file that only its owner
/// can read: `file`, or one beside the key file in use. Says what to do with it.
pub(crate) fn write(answer: &mut Answer, file: Option<PathBuf>) -> Result<(), Failure> {
    let Answer::Tls(view) = answer else { return Ok(()) };
    let Some(next) = view.next_key.take() else { return Ok(()) };
    let file = file.unwrap_or_else(|| beside(&next.key_file));
    write_new(&file, &next.pem).map_err(Failure::during(file.display()))?;
    eprintln!(
        "wardpost: the next key is in {file}. Now, all at once:\n\
         \x20 1. put the certificate that was issued for it (`wardpost tls next-key --csr`) into the \
         file that [tls] certificate names\n\
         \x20 2. mv {file} {key}\n\
         \x20 3. systemctl reload wardpost\n\
         Until then the old key stays in use. If the two files do not belong together the reload is \
         refused, and nothing changes.",
        file = file.display(),
        key = next.key_file.display(),
    );
    Ok(())
}

fn beside(key_file: &Path) -> PathBuf {
    let mut name = key_file.as_os_str().to_owned();
    name.push(".next");
    name.into()
}

fn write_new(file: &Path, pem: &Secret<String>) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(pem.expose().as_bytes())?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn the_key_goes_into_a_new_file_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let file = beside(&folder.path().join("privkey.pem"));
        assert!(file.ends_with("privkey.pem.next"));
        write_new(&file, &Secret::new("key".to_owned())).unwrap();
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(write_new(&file, &Secret::new("other".to_owned())).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "key");
    }
}
