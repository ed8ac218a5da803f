//! Whether an answer makes sense, and what to say where it does not. Pure.

use crate::answers::{Administrator, Backups, Notices, Outgoing, Practice};
use crate::typed::{AdministratorForm, BackupsForm, NoticesForm, OutgoingForm, PracticeForm};
use std::net::IpAddr;
use wardpost_directory::{DirectoryError, check_password};
use wardpost_mail::{Address, Domain, Secret};
use wardpost_pins::{Login, LoginError, Smarthost};

/// Longest name, in characters.
const MAX_NAME: usize = 80;
/// Longest text, in characters.
const MAX_TEXT: usize = 200;
/// What server names must not begin with: the names of services that stand beside them.
const TAKEN: [&str; 3] = ["mta-sts.", "autoconfig.", "autodiscover."];
/// Domains that exist within one network only (RFC 6762, RFC 8375, RFC 9476, and what routers use).
const INSIDE: [&str; 7] = ["local", "localhost", "lan", "home", "internal", "localdomain", "arpa"];

/// What is wrong with a form: a sentence for each field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Errors(Vec<(&'static str, String)>);

impl Errors {
    /// Nothing is wrong.
    pub(crate) fn none() -> Self {
        Self::default()
    }

    /// One thing is wrong.
    pub(crate) fn one(field: &'static str, sentence: impl Into<String>) -> Self {
        Self(vec![(field, sentence.into())])
    }

    /// Adds what is wrong with a field.
    pub(crate) fn add(&mut self, field: &'static str, sentence: impl Into<String>) {
        self.0.push((field, sentence.into()));
    }

    /// Whether nothing is wrong.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many things are wrong.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// What is wrong with a field.
    pub(crate) fn of(&self, field: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == field).map(|(_, sentence)| sentence.as_str())
    }

    /// Puts other complaints in place of those about a field.
    pub(crate) fn replace(&mut self, field: &str, others: Self) {
        self.0.retain(|(name, _)| *name != field);
        self.0.extend(others.0);
    }

    /// Notes what is wrong with a field, if something is.
    fn note<T>(&mut self, field: &'static str, read: Result<T, String>) -> Option<T> {
        read.map_err(|sentence| self.add(field, sentence)).ok()
    }
}

/// The server's name that is suggested for a domain.
pub(crate) fn suggested_hostname(domain: &str) -> String {
    domain_of(domain).map_or_else(|_| String::new(), |domain| format!("mail.{domain}"))
}

/// The first question.
pub(crate) fn practice(form: &PracticeForm) -> Result<Practice, Errors> {
    let mut errors = Errors::none();
    let name = errors.note("name", line(&form.name, MAX_NAME, "the name of your practice"));
    let domain = errors.note("domain", domain_of(&form.domain));
    let hostname = match (form.hostname.trim(), &domain) {
        ("", Some(domain)) => errors.note("hostname", host_of(&format!("mail.{domain}"))),
        ("", None) => None,
        (typed, _) => errors.note("hostname", host_of(typed)),
    };
    match (name, domain, hostname) {
        (Some(name), Some(domain), Some(hostname)) if errors.is_empty() => {
            Ok(Practice { name, domain, hostname })
        }
        _ => Err(errors),
    }
}

/// The second question. `password` is what was typed in both fields, or else what was kept from before.
pub(crate) fn administrator(
    form: &AdministratorForm,
    domain: &Domain,
    password: Option<&Secret<String>>,
) -> Result<Administrator, Errors> {
    let mut errors = Errors::none();
    let name = errors.note("name", line(&form.name, MAX_NAME, "your name"));
    let address = errors.note("address", own_address(&form.address, domain));
    let password = match (password, &address) {
        (None, _) => {
            errors.add("password", "Please choose a password, and type it into both fields.");
            None
        }
        (Some(password), Some(address)) => {
            errors.note("password", strong(password, address)).map(|()| password)
        }
        // Judged when the address is there, which it must not contain.
        (Some(password), None) => Some(password),
    };
    match (name, address, password) {
        (Some(name), Some(address), Some(password)) if errors.is_empty() => {
            Ok(Administrator { name, address, password: password.clone() })
        }
        _ => Err(errors),
    }
}

/// The two fields of a new password: what was typed, nothing, or what is wrong.
pub(crate) fn typed_twice(
    first: Secret<String>,
    second: &Secret<String>,
) -> Result<Option<Secret<String>>, Errors> {
    match (first.expose().is_empty(), second.expose().is_empty()) {
        (true, true) => Ok(None),
        _ if first.expose() == second.expose() => Ok(Some(first)),
        (false, true) => Err(Errors::one("again", "Please type the same password here once more.")),
        _ => Err(Errors::one(
            "again",
            "The two passwords are not the same. Please type it into both fields again.",
        )),
    }
}

/// The third question.
pub(crate) fn notices(form: &NoticesForm) -> Result<Notices, Errors> {
    let mut errors = Errors::none();
    let phone = errors.note("phone", phone(&form.phone));
    let contact = errors.note("contact", any_address(&form.contact));
    match (phone, contact) {
        (Some(phone), Some(contact)) => Ok(Notices { phone, contact }),
        _ => Err(errors),
    }
}

/// The fourth question. `password` is what was typed, or else what was kept from before.
pub(crate) fn outgoing(
    form: &OutgoingForm,
    password: Option<&Secret<String>>,
) -> Result<Outgoing, Errors> {
    match form.way.as_str() {
        "direct" => return Ok(Outgoing::Direct),
        "smarthost" => {}
        _ => return Err(Errors::one("way", "Please choose one of the two ways.")),
    }
    let mut errors = Errors::none();
    let host = errors.note("host", relay_host(&form.host));
    let port = match form.port.trim() {
        "" => Some(587),
        typed => errors.note("port", port(typed)),
    };
    let user = form.user.trim();
    let login = match (user, password) {
        ("", _) => Ok(None),
        (_, None) => Err(("password", "Please type the password that belongs to the user name.")),
        (user, Some(password)) => {
            // As it will be judged when the rule is made: not only then, with everything printed.
            let login = Login { user: user.to_owned(), password: password.clone() };
            match login.check() {
                Ok(()) => Ok(Some(login)),
                Err(LoginError::User) => Err((
                    "user",
                    "This user name is too long, or has a line break in it. Please check it.",
                )),
                Err(LoginError::Password) => Err((
                    "password",
                    "This password is too long, or has a line break in it. Please check it.",
                )),
            }
        }
    };
    let login = errors.note_login(login);
    match (host, port, login) {
        (Some(host), Some(port), Some(login)) => Ok(Outgoing::Smarthost(Box::new(Smarthost {
            host,
            port,
            login,
            trusted_onward: form.onward == "yes",
        }))),
        _ => Err(errors),
    }
}

impl Errors {
    fn note_login(
        &mut self,
        login: Result<Option<Login>, (&'static str, &'static str)>,
    ) -> Option<Option<Login>> {
        login.map_err(|(field, sentence)| self.add(field, sentence)).ok()
    }
}

/// The fifth question.
pub(crate) fn backups(form: &BackupsForm) -> Result<Backups, Errors> {
    match form.destination.trim() {
        "" => Ok(Backups { destination: None }),
        typed => match line(typed, MAX_TEXT, "where backups are to go") {
            Ok(text) => Ok(Backups { destination: Some(text) }),
            Err(sentence) => Err(Errors::one("destination", sentence)),
        },
    }
}

fn line(typed: &str, longest: usize, what: &str) -> Result<String, String> {
    let text = typed.split_whitespace().collect::<Vec<_>>().join(" ");
    match text.chars().count() {
        0 => Err(format!("Please type {what}.")),
        n if n > longest => Err(format!("That is too long: {longest} characters at most, please.")),
        _ if text.chars().any(char::is_control) => {
            Err("There is a character in it that cannot be shown. Please type it anew.".to_owned())
        }
        _ => Ok(text),
    }
}

fn domain_of(typed: &str) -> Result<Domain, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err("Please type the domain: what stands after the @ in your addresses.".to_owned());
    }
    let bare = without_address_parts(typed);
    let domain = public_name(bare).map_err(|()| {
        format!(
            "“{}” is not a domain. A domain looks like clinic.example: letters, digits and hyphens, with a \
             dot before its ending.",
            short(typed)
        )
    })?;
    match domain.as_str().strip_prefix("www.") {
        Some(rest) => Err(format!(
            "{domain} is the name of a web site. Mail addresses end in {rest}: please type that."
        )),
        None => inside(&domain).map(|()| domain),
    }
}

/// The domain in a mail address or in a web address.
fn without_address_parts(typed: &str) -> &str {
    let rest = typed.rsplit_once('@').map_or(typed, |(_, domain)| domain);
    let rest = rest.trim_start_matches("https://").trim_start_matches("http://");
    rest.trim_end_matches('/')
}

fn host_of(typed: &str) -> Result<Domain, String> {
    let host = public_name(typed.trim()).map_err(|()| {
        format!(
            "“{}” is not a server name. One looks like mail.clinic.example: letters, digits and hyphens, \
             with dots between.",
            short(typed.trim())
        )
    })?;
    if let Some(prefix) = TAKEN.iter().find(|prefix| host.as_str().starts_with(**prefix)) {
        return Err(format!(
            "A name that begins with {prefix} is needed for something else. Please choose another, such as mail."
        ));
    }
    inside(&host).map(|()| host)
}

fn relay_host(typed: &str) -> Result<Domain, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err("Please type the name of the server, such as smtp.provider.example.".to_owned());
    }
    if typed.parse::<IpAddr>().is_ok() {
        return Err(
            "Please type the server’s name, not its number: its certificate is checked by \
                    its name."
                .to_owned(),
        );
    }
    public_name(typed).map_err(|()| {
        format!("“{}” is not a server name. One looks like smtp.provider.example.", short(typed))
    })
}

/// A name with a dot, whose last label is not a number.
fn public_name(typed: &str) -> Result<Domain, ()> {
    let domain = Domain::parse(typed).map_err(drop)?;
    let text = domain.as_str();
    let (_, last) = text.rsplit_once('.').ok_or(())?;
    let number = last.bytes().all(|b| b.is_ascii_digit());
    if number || text.contains('_') { Err(()) } else { Ok(domain) }
}

fn inside(domain: &Domain) -> Result<(), String> {
    let last = domain.as_str().rsplit('.').next().unwrap_or_default();
    if INSIDE.contains(&last) {
        return Err(format!(
            "Names that end in .{last} exist only inside one network, so no mail from outside would find \
             it. Please use the domain that you have registered."
        ));
    }
    Ok(())
}

fn own_address(typed: &str, domain: &Domain) -> Result<Address, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err(format!("Please type your address, such as dana.lee@{domain}."));
    }
    let whole = if typed.contains('@') { typed.to_owned() } else { format!("{typed}@{domain}") };
    let address = Address::parse(&whole).map_err(|_| {
        format!("“{}” is not a mail address. One looks like dana.lee@{domain}.", short(typed))
    })?;
    if address.domain() != domain {
        return Err(format!(
            "Your address must end in @{domain}, because that is what this server is for. If the \
             domain is wrong, change it on the page before."
        ));
    }
    if address.local().contains(['+', '"', ' ']) {
        return Err("Please choose an address without spaces, + or quotation marks.".to_owned());
    }
    Ok(address.folded())
}

fn any_address(typed: &str) -> Result<Address, String> {
    let typed = typed.trim();
    if typed.is_empty() {
        return Err("Please type the mail address of whoever looks after this server.".to_owned());
    }
    let address = Address::parse(typed).ok().filter(|a| public_name(a.domain().as_str()).is_ok());
    address.ok_or_else(|| format!("“{}” is not a mail address.", short(typed)))
}

fn strong(password: &Secret<String>, address: &Address) -> Result<(), String> {
    match check_password(password, address) {
        Ok(()) => Ok(()),
        Err(DirectoryError::WeakPassword(why)) => {
            let mut said: String = why.to_owned();
            if let Some(first) = said.get_mut(..1) {
                first.make_ascii_uppercase();
            }
            Err(format!("{said}. Four or five words that do not belong together make a good one."))
        }
        Err(_) => Err("This password cannot be used. Please choose another.".to_owned()),
    }
}

fn phone(typed: &str) -> Result<String, String> {
    let text = line(typed, 40, "a telephone number at which patients reach the practice")?;
    let digits = text.chars().filter(char::is_ascii_digit).count();
    let fits = |c: char| c.is_ascii_alphanumeric() || " +-()./".contains(c);
    if digits < 5 || !text.chars().all(fits) {
        return Err(format!(
            "“{}” is not a telephone number. Please type it as patients dial it, such as \
             +1 555 010 0200.",
            short(&text)
        ));
    }
    Ok(text)
}

fn port(typed: &str) -> Result<u16, String> {
    let port = typed.parse().ok().filter(|port| *port != 0u16);
    port.ok_or_else(|| {
        "A port is a number, usually 587 or 465. Your provider’s instructions say which.".to_owned()
    })
}

/// The beginning of what was typed, to be shown in a sentence.
fn short(typed: &str) -> String {
    match typed.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &typed[..end]),
        None => typed.to_owned(),
    }
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
