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
    settle(place.data(), &place.machine.disk).unwrap();

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
    assert_eq!(prepare(place.data()).unwrap(), Found::Empty);
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
    assert_eq!(prepare(place.data()).unwrap(), Found::Empty);
    place.apply(&answers(Outgoing::Direct), false).await.unwrap();
    // As if it had been killed right before the end.
    fs::remove_file(&place.machine.config_file).unwrap();
    assert!(place.data().join(MARK).exists() && place.data().join("keyring").exists());
    fs::write(place.data().join("self-signed.key"), "key").unwrap();
    assert_eq!(prepare(place.data()).unwrap(), Found::Empty);
    assert_eq!(place.files(), ["self-signed.key"]);
    place.apply(&answers(Outgoing::Direct), false).await.unwrap();
    settle(place.data(), &place.machine.disk).unwrap();

    // Data whose configuration was lost is nobody's to clear away.
    fs::remove_file(&place.machine.config_file).unwrap();
    let before = place.files();
    assert_eq!(prepare(place.data()).unwrap(), Found::Data);
    assert_eq!(place.files(), before);
}

#[tokio::test]
async fn the_disk_s_key_is_forgotten_only_when_it_is_on_paper() {
    let place = place();
    let key = place.machine.disk.join("recovery-key");
    fs::write(&key, "abcd-efgh").unwrap();
    settle(place.data(), &place.machine.disk).unwrap();
    assert!(key.exists(), "nothing was set up yet");
    place.apply(&answers(Outgoing::Direct), true).await.unwrap();
    // Killed here, the next start of the machine must not make another key.
    assert!(is_confirmed(place.data()) && key.exists());
    settle(place.data(), &place.machine.disk).unwrap();
    assert!(is_confirmed(place.data()) && !key.exists());
    // And it is not done twice: another key is another matter.
    fs::write(&key, "ijkl-mnop").unwrap();
    settle(place.data(), &place.machine.disk).unwrap();
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
