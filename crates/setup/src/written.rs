//! The configuration file that set-up writes: what was answered, with a word about each, and what the
//! machine brings along.

use crate::answers::Answers;
use std::path::Path;
use toml::{Table, Value};
use wardpost_config::{Config, ConfigError};

/// What stands at the top of the file.
const HEAD: &str = "\
# Wardpost: the configuration file, written by the set-up.
#
# It may be changed by hand: `wardpost check` names mistakes, and after `systemctl restart wardpost` the change
# holds. Every setting is explained in /usr/share/doc/wardpost/examples/wardpost.toml. Accounts, aliases, further
# domains and rules for single domains are not here but in the data (`wardpost account`, `alias`, `domain`, `pin`).
";

/// Settings that a machine brings along for the file that set-up will write: where to listen, whom to ask
/// for DNS. Text like that file's, without what set-up asks for.
#[derive(Debug, Clone, Default)]
pub struct Seed(Table);

impl Seed {
    /// Reads the seed's text. `file` is where the configuration will be; paths count from there.
    ///
    /// # Errors
    /// With words, when it is not TOML or no configuration could have it.
    pub fn parse(text: &str, file: &Path) -> Result<Self, String> {
        let seed: Table =
            text.parse().map_err(|error: toml::de::Error| error.message().to_owned())?;
        let seed = Self(seed);
        for key in ["hostname", "domain"] {
            if seed.0.contains_key(key) {
                return Err(format!("{key} is asked for by the set-up and cannot be given before"));
            }
        }
        seed.provisional(file).map_err(|error| error.to_string())?;
        Ok(seed)
    }

    /// The configuration as it would be, with names that nobody has.
    ///
    /// # Errors
    /// When the seed has mistakes.
    pub fn provisional(&self, file: &Path) -> Result<Config, ConfigError> {
        let mut table = self.0.clone();
        for key in ["hostname", "domain"] {
            table.insert(key.to_owned(), Value::from(wardpost_net::SET_UP_HOST));
        }
        Config::parse(&toml::to_string(&table).unwrap_or_default(), file)
    }

    /// Whether the machine brings a certificate, or an authority, of its own.
    fn has_certificate(&self) -> bool {
        self.0.contains_key("tls") || self.0.contains_key("acme")
    }

    /// Whether set-up itself would turn on an authority.
    pub(crate) fn wants_authority(&self) -> bool {
        !self.has_certificate()
    }
}

/// The text of the file. `system_key_file` is named unless the key comes as a credential.
pub(crate) fn configuration(
    answers: &Answers,
    seed: &Seed,
    system_key_file: Option<&Path>,
) -> String {
    let mut rest = seed.0.clone();
    let mut text = String::from(HEAD);
    let practice = &answers.practice;
    setting(&mut text, "This machine's mail host name.", "hostname", practice.hostname.as_str());
    setting(&mut text, "The practice's mail domain.", "domain", practice.domain.as_str());
    let top: Vec<String> =
        rest.iter().filter(|(_, value)| !value.is_table()).map(|(key, _)| key.clone()).collect();
    for key in top {
        if let Some(value) = rest.remove(&key) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }

    section(&mut text, &mut rest, "practice", |text| {
        let notices = &answers.notices;
        setting(text, "What patients read about who writes to them.", "name", &practice.name);
        setting(text, "Where they can ask whether a notice is real.", "phone", &notices.phone);
        let contact = notices.contact.to_string();
        setting(text, "Who looks after this server and hears of trouble.", "contact", &contact);
    });
    if let Some(file) = system_key_file {
        section(&mut text, &mut rest, "keys", |text| {
            let file = file.display().to_string();
            let about = "The system key. Whoever has it and the data can open what is not under a person's own key; \
                         if it is lost, so is everything. Keep a copy apart from the backups.";
            setting(text, about, "system_key_file", &file);
        });
    }
    if let Some(destination) = &answers.backups.destination {
        section(&mut text, &mut rest, "backup", |text| {
            let about = "Where backups are to go. Kept for a later version: this one makes none.";
            setting(text, about, "destination", destination);
        });
    }
    if !seed.has_certificate() {
        section(&mut text, &mut rest, "acme", |text| {
            let contact = answers.notices.contact.to_string();
            let about =
                "Certificates come from Let's Encrypt by themselves, whose warnings go here.";
            setting(text, about, "contact", &contact);
        });
    }
    for (name, table) in &rest {
        let Value::Table(table) = table else { continue };
        text.push_str(&format!("\n[{name}]\n{}", toml::to_string(table).unwrap_or_default()));
    }
    text
}

/// A section, with what the seed has in it and set-up does not say.
fn section(text: &mut String, rest: &mut Table, name: &str, write: impl FnOnce(&mut String)) {
    let mut own = String::new();
    write(&mut own);
    let said: Table = own.parse().unwrap_or_default();
    text.push_str(&format!("\n[{name}]\n{own}"));
    if let Some(Value::Table(table)) = rest.remove(name) {
        for (key, value) in table.iter().filter(|(key, _)| !said.contains_key(*key)) {
            text.push_str(&format!("{key} = {value}\n"));
        }
    }
}

/// A setting under a line about it.
fn setting(text: &mut String, about: &str, key: &str, value: &str) {
    let value = Value::from(value);
    text.push_str(&format!("# {about}\n{key} = {value}\n"));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answers::{Administrator, Backups, Notices, Outgoing, Practice};
    use proptest::prelude::*;
    use wardpost_mail::{Address, Domain, Secret};

    fn answers(name: &str, phone: &str, destination: Option<&str>) -> Answers {
        let address = Address::parse("dana@clinic.test").unwrap();
        Answers {
            practice: Practice {
                name: name.into(),
                domain: Domain::parse("clinic.test").unwrap(),
                hostname: Domain::parse("mail.clinic.test").unwrap(),
            },
            administrator: Administrator {
                name: "Dana".into(),
                address: address.clone(),
                password: Secret::new("CANARY password".into()),
            },
            second_factor: Secret::new(b"CANARY factor".to_vec()),
            notices: Notices { phone: phone.into(), contact: address },
            outgoing: Outgoing::Direct,
            backups: Backups { destination: destination.map(str::to_owned) },
        }
    }

    fn read(text: &str) -> Config {
        let file = Path::new("/etc/wardpost/wardpost.toml");
        Config::parse(text, file).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn what_was_answered_is_read_back() {
        let answers = answers("Dr. \"Elm\" & Söhne", "+1 555 0100", Some("the NAS"));
        let key = Path::new("/etc/wardpost/system.key");
        let text = configuration(&answers, &Seed::default(), Some(key));
        let config = read(&text);
        assert_eq!(config.hostname, answers.practice.hostname);
        assert_eq!(config.domain, answers.practice.domain);
        assert_eq!(config.practice.name, "Dr. \"Elm\" & Söhne");
        assert_eq!(config.practice.phone.as_deref(), Some("+1 555 0100"));
        assert_eq!(config.practice.contact.as_ref(), Some(&answers.notices.contact));
        assert_eq!(config.keys.system_key_file.as_deref(), Some(key));
        assert_eq!(config.backup.destination.as_deref(), Some("the NAS"));
        assert_eq!(config.acme.unwrap().contact.as_deref(), Some("dana@clinic.test"));
        assert!(!text.contains("CANARY"));
        let credential = read(&configuration(&answers, &Seed::default(), None));
        assert_eq!(credential.keys.system_key_file, None);
    }

    #[test]
    fn what_the_machine_brings_along_stays() {
        let file = Path::new("/etc/wardpost/wardpost.toml");
        let seed = "data_dir = \"/srv/mail\"\n[listen]\nmx = [\"127.0.0.1:2525\", \"[::1]:2525\"]\n\
                    [tls]\ncertificate = \"c.pem\"\nprivate_key = \"k.pem\"\n[practice]\nname = \"?\"\n\
                    [portal]\nurl = \"https://x.test\"\n";
        let seed = Seed::parse(seed, file).unwrap();
        assert_eq!(seed.provisional(file).unwrap().data_dir, Path::new("/srv/mail"));
        let config = read(&configuration(&answers("Elm", "555 0100", None), &seed, None));
        assert_eq!(config.data_dir, Path::new("/srv/mail"));
        assert_eq!(config.listen.mx.len(), 2);
        assert_eq!(config.practice.name, "Elm");
        assert_eq!(config.portal.url, "https://x.test");
        assert!(config.acme.is_none() && config.tls.is_some());
        for (wrong, part) in [
            ("domain = \"x.test\"", "asked for by the set-up"),
            ("nonsense = 1", "unknown key"),
            ("= 3", ""),
        ] {
            let said = Seed::parse(wrong, file).unwrap_err();
            assert!(said.contains(part), "{said}");
        }
    }

    proptest! {
        #[test]
        fn any_words_give_a_file_that_is_read(
            name in "[^\\x00-\\x1f\\x7f-\\x9f\\s]{1,40}", words in "[^\\x00-\\x1f\\x7f-\\x9f\\s]{1,40}",
        ) {
            let answers = answers(&name, "555 0100", Some(&words));
            let config = read(&configuration(&answers, &Seed::default(), None));
            prop_assert_eq!(config.practice.name, name);
            prop_assert_eq!(config.backup.destination, Some(words));
        }
    }
}
