//! One attempt to get a certificate: an account, a key, and as many orders as it takes.

use crate::AcmeError;
use crate::order::{OrderError, Ordering, Wanted, Way, trouble};
use crate::records::{AccountRecord, CertificateRecord, Progress};
use crate::register::{RegisterError, register};
use crate::schedule::{self, Window};
use crate::status::LeftOut;
use crate::trouble::{Kind, Step, Trouble};
use crate::worker::{Acme, Kept, Wish, now};
use instant_acme::{Account, CertificateIdentifier, Error};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use std::time::{Duration, SystemTime};
use wardpost_mail::Domain;
use wardpost_net::{CertificateFacts, OwnKey};
use wardpost_publish::Readiness;

/// Most orders in one attempt: both ways for the host, and without those that failed.
const MAX_ORDERS: usize = 4;

/// What came of it.
pub(crate) struct Outcome {
    pub(crate) record: CertificateRecord,
    pub(crate) left_out: Vec<LeftOut>,
    /// How the host name was proven.
    pub(crate) way: Way,
}

impl Acme {
    /// Orders a certificate.
    pub(crate) async fn order(&self, wish: Option<Wish>) -> Result<Outcome, Trouble> {
        let settings = &self.0.settings;
        let asked = wish.is_some();
        let wish = wish.unwrap_or_default();
        if wish.new_account {
            self.0.records.forget_account().await.map_err(here)?;
        }
        let key = self.key(wish).await?;
        let mut account = self.account().await?;
        let replaces = self.replaces();
        let mut left_out = self.left_out(asked);
        let mut wanted = self.wanted(&left_out)?;
        let mut last = None;
        let mut renewed_account = false;
        for _ in 0..MAX_ORDERS {
            let ordering = Ordering {
                authority: &self.0.authority,
                account: &account,
                proofs: &self.0.proofs,
                key: &key,
                replaces: replaces.clone(),
            };
            let error = match ordering.place(&wanted).await {
                Ok(chain) => {
                    let way = wanted.first().map_or(Way::Http, |host| host.way);
                    let record = record(settings.directory.clone(), chain, &key, &settings.host)?;
                    let others = self.others();
                    let is_in = |name: &Domain| wanted.iter().any(|wanted| wanted.name == *name);
                    left_out.retain(|left| others.contains(&left.name) && !is_in(&left.name));
                    return Ok(Outcome { record, left_out, way });
                }
                Err(error) => error,
            };
            match error {
                // The authority has forgotten the account, or lost it: the same key makes it anew.
                OrderError::All(trouble) if trouble.kind == Kind::Account && !renewed_account => {
                    renewed_account = true;
                    self.lose_account().await.map_err(here)?;
                    account = self.account().await?;
                    last = Some(trouble);
                }
                OrderError::All(trouble) => return Err(self.with_clock(trouble)),
                OrderError::Names(failed) => {
                    last = self.without(failed, &mut wanted, &mut left_out)?.or(last);
                }
            }
        }
        Err(last.unwrap_or_else(|| Trouble::new(Kind::Authority, "Too many orders failed.")))
    }

    /// The next key when it is ready or wished for; else the one in use, which others may know by its
    /// record in the DNS.
    async fn key(&self, wish: Wish) -> Result<OwnKey, Trouble> {
        let parts = &self.0.parts;
        let ready = || parts.keys.readiness(SystemTime::now()) == Readiness::Ready;
        if ready() {
            // Once more, for it may have been taken out again. Silence leaves what was seen.
            let looked =
                parts.keys.look(&*parts.own, &self.0.settings.host, SystemTime::now()).await;
            if let Err(error) = looked {
                tracing::debug!(%error, "acme: our TLSA records could not be looked at");
            }
        }
        let next =
            if wish.next_key || ready() { parts.keys.next_key().map_err(here)? } else { None };
        match next {
            Some(next) => Ok(next),
            None => {
                let tls = parts.tls.clone();
                tokio::task::spawn_blocking(move || tls.own_key())
                    .await
                    .map_err(here)?
                    .map_err(here)
            }
        }
    }

    /// Our account with the authority; made if there is none.
    async fn account(&self) -> Result<Account, Trouble> {
        let (settings, records) = (&self.0.settings, &self.0.records);
        let kept = records.account().map_err(here)?;
        let kept = kept.filter(|kept| kept.directory == settings.directory);
        let mut account = match kept {
            Some(account) => account,
            None => {
                let key = OwnKey::generate().map_err(here)?;
                let account = AccountRecord {
                    directory: settings.directory.clone(),
                    pkcs8: key.pkcs8().expose().clone(),
                    url: None,
                    contact: None,
                };
                records.keep_account(&account).await.map_err(here)?;
                account
            }
        };
        let contact = self.contact();
        let url = match account.url.clone() {
            Some(url) => url,
            None => {
                let url = self.make_account(&account, contact.as_deref()).await?;
                (account.url, account.contact) = (Some(url.clone()), contact.clone());
                records.keep_account(&account).await.map_err(here)?;
                url
            }
        };
        let builder = Account::builder_with_http(Box::new(self.0.authority.clone()));
        let key = account.pkcs8.clone().into();
        let opened = builder.from_parts(url, key, settings.directory.clone()).await;
        let opened = opened.map_err(|error| self.with_clock(trouble(&error)))?;
        if account.contact != contact {
            self.tell_contact(&opened, account, contact).await;
        }
        Ok(opened)
    }

    fn contact(&self) -> Option<String> {
        let contact = self.0.settings.contact.as_deref()?;
        Some(match contact.contains(':') {
            true => contact.to_owned(),
            false => format!("mailto:{contact}"),
        })
    }

    /// That the authority knows an old address is no reason to have no certificate.
    async fn tell_contact(
        &self,
        opened: &Account,
        mut account: AccountRecord,
        contact: Option<String>,
    ) {
        let contacts: Vec<&str> = contact.as_deref().into_iter().collect();
        match opened.update_contacts(&contacts).await {
            Ok(()) => {
                account.contact = contact;
                if let Err(error) = self.0.records.keep_account(&account).await {
                    tracing::warn!(%error, "acme: the account could not be kept");
                }
            }
            Err(_) => tracing::warn!("acme: the authority was not told the new contact address"),
        }
    }

    async fn make_account(
        &self,
        account: &AccountRecord,
        contact: Option<&str>,
    ) -> Result<String, Trouble> {
        let settings = &self.0.settings;
        let (directory, external) = (&settings.directory, settings.external.as_ref());
        let made = register(&self.0.authority, directory, &account.pkcs8, contact, external).await;
        let trouble = match made {
            Ok(url) => return Ok(url),
            Err(RegisterError::NoAnswer(no_answer)) => no_answer.trouble(),
            Err(RegisterError::Problem(problem)) => {
                let step = Step::Account { bound: external.is_some() };
                let mut trouble = Trouble::of(&problem, step, &settings.host);
                trouble.wait = self.0.authority.retry_after();
                trouble
            }
            Err(RegisterError::Key) => Trouble::new(Kind::Here, "The account's key is damaged."),
            Err(error) => Trouble::new(
                Kind::Authority,
                format!("The certificate authority made no account for us: {error}."),
            ),
        };
        Err(self.with_clock(trouble))
    }

    /// The account's address is no longer good; its key may be.
    async fn lose_account(&self) -> Result<(), AcmeError> {
        if let Some(mut account) = self.0.records.account()? {
            account.url = None;
            self.0.records.keep_account(&account).await?;
        }
        Ok(())
    }

    /// Names that are left out now; when somebody asks, all get another chance.
    fn left_out(&self, asked: bool) -> Vec<LeftOut> {
        let now = now();
        let mut left_out = self.progress().left_out;
        if asked {
            left_out.iter_mut().for_each(|left| left.until = left.until.min(now));
        }
        left_out
    }

    /// The names to be ordered, the host's first, and how each is proven.
    fn wanted(&self, left_out: &[LeftOut]) -> Result<Vec<Wanted>, Trouble> {
        let (settings, now) = (&self.0.settings, now());
        let worked = self.progress().works.filter(|way| settings.ways.contains(way));
        let Some(way) = worked.or(settings.ways.first().copied()) else {
            let says = "Neither port 80 nor port 443 is open here, so no name can be proven.";
            return Err(Trouble::new(Kind::NoWay, says));
        };
        let is_left_out =
            |name: &Domain| left_out.iter().any(|left| left.name == *name && left.until > now);
        let others = self.others().into_iter().filter(|name| !is_left_out(name));
        Ok([settings.host.clone()]
            .into_iter()
            .chain(others)
            .map(|name| Wanted { name, way })
            .collect())
    }

    /// Goes on after some names failed: the other way, or without them. The host's name is never left out.
    fn without(
        &self,
        failed: Vec<(Domain, Trouble)>,
        wanted: &mut Vec<Wanted>,
        left_out: &mut Vec<LeftOut>,
    ) -> Result<Option<Trouble>, Trouble> {
        let first = self.progress().works.or(self.0.settings.ways.first().copied());
        let mut last = None;
        for (name, trouble) in failed {
            let Some(place) = wanted.iter().position(|wanted| wanted.name == name) else {
                continue;
            };
            let other = self.0.settings.ways.iter().copied().find(|way| *way != wanted[place].way);
            match other {
                Some(other)
                    if trouble.kind.other_way_may_help() && Some(wanted[place].way) == first =>
                {
                    wanted[place].way = other;
                }
                _ if name == self.0.settings.host => return Err(self.with_clock(trouble)),
                _ => {
                    wanted.remove(place);
                    leave_out(left_out, name, &trouble);
                }
            }
            last = Some(trouble);
        }
        Ok(last)
    }

    /// What the authority should know that the new certificate replaces.
    fn replaces(&self) -> Option<CertificateIdentifier<'static>> {
        let kept = self.kept().filter(|kept| kept.directory == self.0.settings.directory)?;
        identifier(&kept)
    }

    /// Asks the authority when it would have the certificate renewed (RFC 9773 §4), if it is time to ask.
    pub(crate) async fn ask_window(&self, now: i64) {
        let mut progress = self.progress();
        // A time farther off than we ever set was set by a wrong clock.
        let farthest = now.saturating_add(2 * schedule::ask_again(Some(Duration::MAX)));
        if (now..farthest).contains(&progress.ask_window) && progress.ask_window > now {
            return;
        }
        let Some(kept) = self.kept() else { return };
        if kept.directory != self.0.settings.directory {
            return;
        }
        let asked = self.window(&kept, &progress).await;
        progress.ask_window = now.saturating_add(schedule::ask_again(asked.1));
        if let Some(window) = asked.0 {
            progress.window = Some(window);
        }
        self.set(&progress, None);
        if let Err(error) = self.0.records.keep_progress(&progress).await {
            tracing::warn!(%error, "acme: the time of renewal could not be kept");
        }
    }

    async fn window(&self, kept: &Kept, progress: &Progress) -> (Option<Window>, Option<Duration>) {
        let Some(identifier) = identifier(kept) else { return (None, None) };
        let account = match self.account().await {
            Ok(account) => account,
            Err(trouble) => {
                tracing::debug!(reason = trouble.kind.name(), "acme: the authority was not asked");
                return (None, None);
            }
        };
        match account.renewal_info(&identifier).await {
            Ok((info, again)) => {
                let (start, end) = (
                    info.suggested_window.start.unix_timestamp(),
                    info.suggested_window.end.unix_timestamp(),
                );
                let window = Window::choose(start, end, progress.window, rand::random());
                (Some(window), Some(again))
            }
            Err(Error::Unsupported(_)) => (None, Some(Duration::MAX)),
            Err(error) => {
                tracing::debug!(%error, "acme: the authority did not say when to renew");
                (None, None)
            }
        }
    }

    /// A clock that is far off explains more than what it led to.
    fn with_clock(&self, trouble: Trouble) -> Trouble {
        match self.0.authority.clock_off() {
            Some(off) if matches!(trouble.kind, Kind::Authority | Kind::Untrusted) => {
                let (minutes, side) = (off.abs() / 60, if off > 0 { "slow" } else { "fast" });
                let says = format!(
                    "This machine's clock is {minutes} minutes {side} by the certificate authority's. {}",
                    trouble.says
                );
                Trouble { wait: trouble.wait, ..Trouble::new(Kind::Clock, says) }
            }
            _ => trouble,
        }
    }
}

fn identifier(kept: &Kept) -> Option<CertificateIdentifier<'static>> {
    let own = CertificateDer::pem_slice_iter(kept.chain.as_bytes()).next()?.ok()?;
    Some(CertificateIdentifier::try_from(&own).ok()?.into_owned())
}

fn leave_out(left_out: &mut Vec<LeftOut>, name: Domain, trouble: &Trouble) {
    let times = left_out.iter().find(|left| left.name == name).map_or(0, |left| left.times) + 1;
    left_out.retain(|left| left.name != name);
    left_out.push(LeftOut {
        name,
        until: now().saturating_add(schedule::left_out_for(times)),
        times,
        says: trouble.says.clone(),
        to_do: trouble.to_do.clone(),
    });
}

/// The record of a new certificate, if it is what was ordered.
fn record(
    directory: String,
    chain: String,
    key: &OwnKey,
    host: &Domain,
) -> Result<CertificateRecord, Trouble> {
    let wrong = |what: &str| {
        Trouble::new(
            Kind::Authority,
            format!("The authority's certificate cannot be used: {what}."),
        )
    };
    let facts = CertificateFacts::of_chain(&chain).map_err(|error| wrong(&error))?;
    if facts.public_key_info != key.public_key_info() {
        return Err(wrong("it is for another key"));
    }
    if !facts.covers(host) {
        return Err(wrong("it is for another name"));
    }
    Ok(CertificateRecord { directory, chain, pkcs8: key.pkcs8().expose().clone(), since: now() })
}

fn here(error: impl std::fmt::Display) -> Trouble {
    Trouble::new(Kind::Here, format!("On this machine: {error}."))
}
