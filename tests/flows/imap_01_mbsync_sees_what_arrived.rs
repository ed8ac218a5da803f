//! mbsync fetches what arrived, uploads what was written locally, and propagates flags and deletions.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use wardpost_tests::practice::{Practice, exists, message};
use wardpost_tests::wardpost::{HOSTNAME, PASSWORD};
use wardpost_tests::{Result, run};

#[test]
fn imap_01_mbsync_sees_what_arrived() -> Result<()> {
    let practice = Practice::open()?;
    for n in 0..20 {
        let text =
            message("a@hospital.test", &practice.dana, &format!("n{n}"), &format!("text {n}"));
        practice.stranger()?.send("a@hospital.test", &[&practice.dana], &text)?;
    }
    let client = Client::new(&practice)?;
    client.sync()?;
    let inbox = client.folder.join("mail/INBOX");
    assert_eq!(files(&inbox)?.len(), 20);

    // Read one, delete one, write one.
    let mut names = files(&inbox)?;
    names.sort();
    let seen = inbox.join("cur").join(format!("{}:2,S", stem(&names[0])));
    fs::rename(&names[0], &seen)?;
    let trashed = inbox.join("cur").join(format!("{}:2,T", stem(&names[1])));
    fs::rename(&names[1], &trashed)?;
    let draft = message(&practice.dana, "b@hospital.test", "draft", "not finished");
    fs::write(client.folder.join("mail/Drafts/cur/1.local:2,D"), draft.replace("\r\n", "\n"))?;
    client.sync()?;

    let mut imap = practice.imap(&practice.dana)?;
    assert_eq!(exists(&imap.must("SELECT INBOX")?), Some(19));
    let found = imap.must("SEARCH SEEN")?;
    assert!(
        found.lines().any(|l| l.starts_with("* SEARCH ") && l.split(' ').count() == 3),
        "{found}"
    );
    assert_eq!(exists(&imap.must("SELECT Drafts")?), Some(1));
    assert!(imap.must("FETCH 1 BODY.PEEK[TEXT]")?.contains("not finished"));

    // Nothing changed since: a further run changes nothing.
    client.sync()?;
    assert_eq!(files(&inbox)?.len(), 19);
    Ok(())
}

/// An mbsync with folders of its own.
struct Client {
    folder: PathBuf,
}

impl Client {
    fn new(practice: &Practice) -> Result<Self> {
        let folder = practice.lab.folder("mbsync")?;
        fs::create_dir_all(folder.join("mail"))?;
        let server = practice.wardpost.imaps();
        // mbsync checks the certificate against Host; HOST_ALIASES-free: a tunnel that speaks TLS for it.
        let config = format!(
            "IMAPAccount wardpost\n\
             Tunnel \"openssl s_client -quiet -verify_return_error -CAfile {root} -verify_hostname {HOSTNAME} -connect {server} 2>/dev/null\"\n\
             User {user}\nPass \"{PASSWORD}\"\nSSLType None\nAuthMechs *\n\n\
             IMAPStore far\nAccount wardpost\n\n\
             MaildirStore near\nPath {dir}/mail/\nInbox {dir}/mail/INBOX\nSubFolders Verbatim\n\n\
             Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSyncState *\n",
            root = practice.lab.ca.root.display(),
            user = practice.dana,
            dir = folder.display(),
        );
        fs::write(folder.join("mbsyncrc"), config)?;
        Ok(Self { folder })
    }

    fn sync(&self) -> Result<()> {
        run(Command::new("mbsync").arg("-c").arg(self.folder.join("mbsyncrc")).arg("-a"))?;
        Ok(())
    }
}

fn files(maildir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for part in ["new", "cur"] {
        found.extend(fs::read_dir(maildir.join(part))?.flatten().map(|entry| entry.path()));
    }
    Ok(found)
}

/// A maildir file's name without its flags.
fn stem(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split(":2,").next().unwrap_or_default().to_owned()
}
