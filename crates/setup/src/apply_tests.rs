//! Everything or nothing, on a real disk with a real store.

use super::*;
use crate::answers::{Administrator, Backups, Notices, Practice};
use crate::written::Seed;
use std::net::{IpAddr, Ipv4Addr};
use wardpost_directory::{AuthError, Way, second_factor};
use wardpost_keys::RecoveryKit;
use wardpost_mail::{Address, Domain, Secret};
use wardpost_pins::Login;

const PASSWORD: &str = "three blind mice on a bus";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A machine in a folder.
struct Place {
    folder: tempfile::TempDir,
    machine: Machine,
}

fn place() -> Place {
    let folder = tempfile::tempdir().unwrap();
    let config_file = folder.path().join("etc/wardpost.toml");
    let data = folder.path().join("data");
    let seed = format!("data_dir = \"{}\"\n", data.display());
    let seed = Seed::parse(&seed, &config_file).unwrap();
    fs::create_dir_all(folder.path().join("etc")).unwrap();
    fs::create_dir_all(folder.path().join("disk")).unwrap();
    fs::create_dir_all(&data).unwrap();
    let provisional = seed.provisional(&config_file).unwrap();
    let disk = folder.path().join("disk");
    Place { machine: Machine { config_file, seed, provisional, disk }, folder }
}

impl Place {
    fn data(&self) -> &Path {
        &self.machine.provisional.data_dir
    }

    async fn apply(&self, answers: &Answers, disk_key: bool) -> Result<RecoveryKit, NotApplied> {
        let kit = RecoveryKit::generate().unwrap();
        apply(&self.machine, answers, &kit.certificate, disk_key).await.map(|()| kit)
    }

    fn prepare(&self) -> io::Result<Found> {
        prepare(&self.machine.config_file, self.data())
    }

    fn settle(&self) -> io::Result<()> {
        settle(&self.machine.config_file, self.data(), &self.machine.disk)
    }

    /// What lies in the data directory, sorted.
    fn files(&self) -> Vec<String> {
        let entries = fs::read_dir(self.data()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

fn answers(outgoing: Outgoing) -> Answers {
    let address = Address::parse("dana@clinic.test").unwrap();
    Answers {
        practice: Practice {
            name: "Elm Street Clinic".into(),
            domain: Domain::parse("clinic.test").unwrap(),
            hostname: Domain::parse("mail.clinic.test").unwrap(),
        },
        administrator: Administrator {
            name: "Dana".into(),
            address: address.clone(),
            password: Secret::new(PASSWORD.into()),
        },
        second_factor: second_factor::new_secret().unwrap(),
        notices: Notices { phone: "555 0100".into(), contact: address },
        outgoing,
        backups: Backups { destination: None },
    }
}

fn smarthost() -> Outgoing {
    Outgoing::Smarthost(Box::new(Smarthost {
        host: Domain::parse("smtp.isp.test").unwrap(),
        port: 587,
        login: Some(Login { user: "clinic".into(), password: Secret::new("x".into()) }),
        trusted_onward: true,
    }))
}

#[tokio::test]
async fn everything_is_there_afterwards() {
    let place = place();
    let answers = answers(smarthost());
    let kit = place.apply(&answers, false).await.unwrap();
    place.settle().unwrap();

    let config = Config::load(&place.machine.config_file).unwrap();
    assert_eq!(config.practice.name, "Elm Street Clinic");
    let key = SystemKey::read_file(&place.folder.path().join("etc/system.key")).unwrap();
    let store = Store::open(&config.data_dir, &key).unwrap();
    let directory = Directory::open(store.clone(), &config.domain).await.unwrap();
    let password = Secret::new(PASSWORD.into());
    let page = directory.authenticate("dana", &password, HERE, Way::Page).await.unwrap();
    assert!(page.account.administrator && page.account.second_factor);
    let mail = directory.authenticate("dana", &password, HERE, Way::MailProgram).await;
    assert_eq!(mail.unwrap_err(), AuthError::Rejected);
    assert!(directory.unlock_with_recovery(page.account.id, &kit.secret).await.is_ok());
    let pins = Pins::open(store.clone()).unwrap();
    let pin = pins.of(&Domain::parse("anywhere.test").unwrap()).unwrap();
    assert_eq!(pin.smarthost().unwrap().host.as_str(), "smtp.isp.test");
    assert_eq!(pin.smarthost().unwrap().login.as_ref().unwrap().user, "clinic");
    store.close();
    assert!(!place.data().join(MARK).exists() && !place.data().join(CONFIRMED).exists());
}

#[tokio::test]
async fn what_cannot_be_done_leaves_nothing() {
    let place = place();
    fs::write(place.data().join("self-signed.pem"), "certificate").unwrap();
    let mut wrong = answers(Outgoing::Direct);
    // Only the directory refuses it: after the store was made.
    wrong.administrator.address = Address::parse("dana@elsewhere.test").unwrap();
    let said = place.apply(&wrong, true).await.err().unwrap().0;
    assert!(said.contains("Nothing was set up"), "{said}");
    // That the disk's key is on paper is true all the same; it was only not reached here.
    assert_eq!(place.files(), ["self-signed.pem"]);
    assert!(!place.machine.config_file.exists());
    assert_eq!(place.prepare().unwrap(), Found::Empty);
    // And then it works, with the key that was made before.
    place.apply(&answers(Outgoing::Direct), false).await.unwrap();
    assert!(place.machine.config_file.exists());
}

#[tokio::test]
async fn a_configuration_that_cannot_be_written_leaves_nothing() {
    let place = place();
    // The name is taken by something that cannot be replaced.
    fs::create_dir_all(place.machine.config_file.join("full")).unwrap();
    let said = place.apply(&answers(Outgoing::Direct), false).await.err().unwrap().0;
    assert!(said.contains("wardpost.toml could not be written"), "{said}");
    assert_eq!(place.files(), Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_set_up_is_cleared_away_and_nothing_else_ever_is() {
    let place = place();
    assert_eq!(place.prepare().unwrap(), Found::Empty);
    place.apply(&answers(Outgoing::Direct), false).await.unwrap();
    // As if it had been killed right before the end.
    fs::remove_file(&place.machine.config_file).unwrap();
    assert!(place.data().join(MARK).exists() && place.data().join("keyring").exists());
    fs::write(place.data().join("self-signed.key"), "key").unwrap();
    assert_eq!(place.prepare().unwrap(), Found::Empty);
    assert_eq!(place.files(), ["self-signed.key"]);
    place.apply(&answers(Outgoing::Direct), false).await.unwrap();
    place.settle().unwrap();

    // Data whose configuration was lost is nobody's to clear away.
    fs::remove_file(&place.machine.config_file).unwrap();
    let before = place.files();
    assert_eq!(place.prepare().unwrap(), Found::Data);
    assert_eq!(place.files(), before);
}

#[tokio::test]
async fn the_disk_s_key_is_forgotten_only_when_it_is_on_paper() {
    let place = place();
    let key = place.machine.disk.join("recovery-key");
    fs::write(&key, "abcd-efgh").unwrap();
    place.settle().unwrap();
    assert!(key.exists(), "nothing was set up yet");
    place.apply(&answers(Outgoing::Direct), true).await.unwrap();
    // Killed here, the next start of the machine must not make another key.
    assert!(is_confirmed(place.data()) && key.exists());
    place.settle().unwrap();
    assert!(is_confirmed(place.data()) && !key.exists());
    // And it is not done twice: another key is another matter.
    fs::write(&key, "ijkl-mnop").unwrap();
    place.settle().unwrap();
    assert!(key.exists());
}

#[tokio::test]
async fn what_came_meanwhile_is_neither_marked_nor_cleared_away() {
    let place = place();
    fs::write(place.data().join("FORMAT"), "1").unwrap();
    let refused = place.apply(&answers(Outgoing::Direct), false).await.err().unwrap();
    assert!(refused.0.contains("was not there when the set-up began"), "{refused}");
    assert_eq!(place.files(), ["FORMAT"]);

    fs::remove_file(place.data().join("FORMAT")).unwrap();
    let kit = place.apply(&answers(Outgoing::Direct), false).await;
    kit.expect("an empty place is set up");
    let before = place.files();
    let refused = place.apply(&answers(Outgoing::Direct), false).await.err().unwrap();
    assert!(refused.0.contains("set up already"), "{refused}");
    assert_eq!(place.files(), before, "a second time changes nothing");
}

/// As after a power cut between the configuration and the removal of the mark.
#[tokio::test]
async fn data_that_has_its_configuration_is_never_cleared_away() {
    let place = place();
    place.apply(&answers(Outgoing::Direct), false).await.unwrap();
    let before = place.files();
    assert!(before.iter().any(|name| name == MARK));
    assert_eq!(place.prepare().unwrap(), Found::Data);
    assert_eq!(place.files(), before);
    place.settle().unwrap();
    assert!(!place.data().join(MARK).exists() && place.data().join("keyring").exists());
}

/// As long as the configuration may be lost, its data stays what a new set-up clears away.
#[tokio::test]
async fn the_mark_stays_until_the_configuration_is_safe() {
    let place = place();
    let key = place.machine.disk.join("recovery-key");
    fs::write(&key, "abcd-efgh").unwrap();
    place.apply(&answers(Outgoing::Direct), true).await.unwrap();
    let (folder, away) = (place.folder.path().join("etc"), place.folder.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    place.settle().unwrap_err();
    assert!(place.data().join(MARK).exists() && key.exists());
    fs::rename(&away, &folder).unwrap();
    place.settle().unwrap();
    assert!(!place.data().join(MARK).exists() && !key.exists());
}

/// Another server that is started meanwhile touches nothing.
#[test]
fn a_set_up_at_work_is_not_cleared_away() {
    let place = place();
    let marked = mark(place.data(), false).unwrap();
    fs::write(place.data().join("keyring"), "half").unwrap();
    let refused = place.prepare().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::WouldBlock);
    assert_eq!(place.files(), ["keyring", MARK]);
    drop(marked);
    assert_eq!(place.prepare().unwrap(), Found::Empty);
    assert_eq!(place.files(), Vec::<String>::new());
}

#[test]
fn folders_are_made_with_all_above_them() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b/c");
    make_folder(&deep).unwrap();
    make_folder(&deep).unwrap();
    assert!(deep.is_dir());
    fs::write(folder.path().join("file"), "").unwrap();
    make_folder(&folder.path().join("file/below")).unwrap_err();
    make_folder(&folder.path().join("file")).unwrap_err();
}
