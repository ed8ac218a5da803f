//! One attempt to get a certificate: an account, a key, and as many orders as it takes.

use crate::AcmeError;
use crate::kept::Kept;
use crate::order::{OrderError, Ordering, Way, trouble};
use crate::parts::Wish;
use crate::records::{AccountRecord, CertificateRecord, Progress};
use crate::register::{RegisterError, register};
use crate::roster::Roster;
use crate::schedule::{self, Window};
use crate::status::{Failed, LeftOut};
use crate::trouble::{Kind, Step, Trouble};
use crate::worker::{Acme, now};
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
        // The authority is not asked for what could not be kept.
        self.0.records.keep_progress(&self.progress()).await.map_err(here)?;
        let settings = &self.0.settings;
        let asked = wish.is_some();
        let wish = wish.unwrap_or_default();
        if wish.new_account {
            self.0.records.forget_account().await.map_err(here)?;
        }
        let key = self.key(wish).await?;
        let mut account = self.account().await?;
        let replaces = self.replaces();
        let mut roster = self.roster(asked)?;
        let mut renewed_account = false;
        let mut last = None;
        for _ in 0..MAX_ORDERS {
            let ordering = Ordering {
                authority: &self.0.authority,
                account: &account,
                proofs: &self.0.proofs,
                key: &key,
                replaces: replaces.clone(),
            };
            let error = match ordering.place(roster.wanted()).await {
                Ok(chain) => {
                    let way = roster.wanted().first().map_or(Way::Http, |host| host.way);
                    let record = record(settings.directory.clone(), chain, &key, &settings.host)?;
                    let left_out = roster.left_out(&self.others());
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
                }
                OrderError::All(trouble) => return Err(self.refused(trouble, &roster)),
                OrderError::Chance(trouble) => last = Some(trouble),
                OrderError::Names(failed) => {
                    let failed = self.with_dns(failed).await;
                    let done = roster.fail(failed, now());
                    done.map_err(|trouble| self.refused(trouble, &roster))?;
                }
            }
        }
        let trouble = last.unwrap_or_else(|| {
            let says = "The certificate authority refused one name after the other.";
            Trouble::new(Kind::Authority, says)
        });
        Err(self.refused(trouble, &roster))
    }

    /// What a refused order means, with what is known of the names: now, or from the last time. Those that are
    /// left out stay out, so that they do not fail the next order as well.
    fn refused(&self, trouble: Trouble, roster: &Roster) -> Trouble {
        let progress = Progress { left_out: roster.left_out_so_far(), ..self.progress() };
        self.set(&progress, None);
        if trouble.kind != Kind::RateLimited {
            return self.with_clock(trouble);
        }
        let before = progress.last_failure.filter(|failed| failed.kind.is_about_a_name());
        let before = before.map(|Failed { kind, says, to_do, .. }| Trouble {
            kind,
            says,
            to_do,
            wait: None,
        });
        match roster.failed().cloned().or(before) {
            Some(known) => known.and(trouble),
            None => self.with_clock(trouble),
        }
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

    /// The names to be ordered. When somebody asks, those left out get another chance.
    fn roster(&self, asked: bool) -> Result<Roster, Trouble> {
        let (settings, progress, now) = (&self.0.settings, self.progress(), now());
        let mut left_out = progress.left_out;
        if asked {
            left_out.iter_mut().for_each(|left| left.until = left.until.min(now));
        }
        let (host, others, ways) = (&settings.host, self.others(), &settings.ways);
        Roster::new(host, others, left_out, ways, progress.works, now).ok_or_else(|| {
            let says = "Neither port 80 nor port 443 is open here, so no name can be proven.";
            Trouble::new(Kind::NoWay, says)
        })
    }

    /// An authority that cannot connect may mean that the name leads nowhere. The DNS knows.
    async fn with_dns(&self, failed: Vec<(Domain, Trouble)>) -> Vec<(Domain, Trouble)> {
        let mut told = Vec::new();
        for (name, trouble) in failed {
            let leads_nowhere =
                trouble.kind == Kind::NotReachable && self.leads_nowhere(&name).await;
            let trouble = match leads_nowhere {
                true => {
                    let says = format!("There is no address of {name} in the DNS.");
                    Trouble::new(Kind::Dns, says)
                }
                false => trouble,
            };
            told.push((name, trouble));
        }
        told
    }

    /// What the authority should know that the new certificate replaces.
    fn replaces(&self) -> Option<CertificateIdentifier<'static>> {
        let kept = self.kept().filter(|kept| kept.directory == self.0.settings.directory)?;
        identifier(&kept)
    }

    /// Asks the authority when it would have the certificate renewed (RFC 9773 §4), if it is time to ask.
    pub(crate) async fn ask_window(&self, now: i64) {
        // Nobody else changes how things stand meanwhile.
        let _one = self.0.attempting.lock().await;
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
