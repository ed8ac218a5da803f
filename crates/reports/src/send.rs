//! Making reports and sending them.

use crate::layout::{self, DAY, Meta, Outgoing};
use crate::rua::{self, Destination};
use crate::tally::{self, Key};
use crate::{Reports, ReportsError, aggregate, letter, tlsrpt};
use async_trait::async_trait;
use std::sync::Arc;
use thiserror::Error;
use tokio::task::JoinSet;
use wardpost_dns::{DnsError, Resolver};
use wardpost_mail::{Address, Domain};
use wardpost_message::report::ReportKind;
use wardpost_store::{Batch, Column, CommitTicket, Committed};

/// How long after a day's end its reports are spread (RFC 8460 §4.1), in seconds.
const SPREAD: u64 = 4 * 3600;
/// How long a report is tried (RFC 8460 §5.5), in seconds.
const PATIENCE: u64 = 24 * 3600;
/// The first wait after a failure; each is twice the one before.
const FIRST_WAIT: u64 = 5 * 60;
/// The longest wait.
const LONGEST_WAIT: u64 = 4 * 3600;
/// Reports that are sent at once.
const AT_ONCE: usize = 8;
/// Media types (RFC 8460 §6.3).
const TLSRPT_GZIP: &str = "application/tlsrpt+gzip";

/// A mail with a report, to be signed and queued with a null reverse-path.
#[derive(Debug, Clone)]
pub struct Letter {
    /// The domain whose key must sign it.
    pub submitter: Domain,
    /// The recipient.
    pub to: Address,
    /// The mail, with CRLF line ends, unsigned.
    pub message: Vec<u8>,
}

/// Why a report could not be handed over; to be tried again.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct PostError(pub String);

/// The ways a report leaves. The program provides them.
#[async_trait]
pub trait Post: Send + Sync {
    /// Signs a mail and puts it into the queue, with `done` in the same commit: the mail is queued and
    /// the report marked as sent, or neither.
    async fn mail(&self, letter: Letter, done: Batch) -> Result<Committed, PostError>;

    /// Sends `body` to an `https:` URL by POST. Any answer but 2xx is an error.
    async fn https(&self, url: &str, media_type: &str, body: &[u8]) -> Result<(), PostError>;
}

/// What [`Reports::send_now`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SentNow {
    /// Domains that were counted and asked about.
    pub domains: usize,
    /// Reports made, one for each destination.
    pub made: usize,
    /// Reports that are still to be sent, because sending failed.
    pub waiting: usize,
}

/// A report before it has a destination.
struct Draft<'a> {
    kind: ReportKind,
    domain: &'a Domain,
    id: String,
    period: (u64, u64),
    body: Vec<u8>,
}

impl Reports {
    /// Writes counts down, makes the reports that are due, sends what waits, and deletes what is old.
    /// To be called once a minute.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn tick(
        &self,
        resolver: &dyn Resolver,
        post: &Arc<dyn Post>,
    ) -> Result<(), ReportsError> {
        self.flush().await?;
        let _turn = self.0.making.lock().await;
        self.make(resolver, false).await?;
        self.send(post).await?;
        if let Err(error) = self.expire_received().await {
            tracing::warn!(%error, "old reports could not be deleted");
        }
        Ok(())
    }

    /// Makes and sends reports of everything counted so far, without waiting for the day's end.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn send_now(
        &self,
        resolver: &dyn Resolver,
        post: &Arc<dyn Post>,
    ) -> Result<SentNow, ReportsError> {
        self.flush().await?;
        let _turn = self.0.making.lock().await;
        let (domains, made) = self.make(resolver, true).await?;
        // Whoever asks for it now does not want to wait for the next try of an older one either.
        self.0.outgoing.lock().values_mut().for_each(|due| *due = 0);
        self.send(post).await?;
        Ok(SentNow { domains, made, waiting: self.0.outgoing.lock().len() })
    }

    /// Makes reports; says for how many domains, and how many. With `all`, also of the day that is not
    /// over.
    async fn make(
        &self,
        resolver: &dyn Resolver,
        all: bool,
    ) -> Result<(usize, usize), ReportsError> {
        if all {
            self.cut().await?;
        }
        let now = self.now();
        let is_due = |key: &&Key| all || self.due(key) <= now;
        let (tls, dmarc): (Vec<Key>, Vec<Key>) = {
            let tally = self.0.tally.lock();
            let tls = tally.tls.keys().filter(is_due).cloned().collect();
            (tls, tally.dmarc.keys().filter(is_due).cloned().collect())
        };
        let domains = tls.len() + dmarc.len();
        let mut made = 0;
        for key in tls {
            made += self.make_tls(resolver, key).await?;
        }
        for key in dmarc {
            made += self.make_dmarc(resolver, key).await?;
        }
        Ok((domains, made))
    }

    /// Notes that today's counts begin anew.
    async fn cut(&self) -> Result<(), ReportsError> {
        let cut = self.now();
        self.0.tally.lock().cut = cut;
        let mut batch = Batch::new();
        batch.put(Column::Report, layout::META, layout::encode(&Meta { cut }));
        self.0.store.commit(batch).await?;
        Ok(())
    }

    /// When the report of a domain's day is made.
    fn due(&self, (day, domain): &Key) -> u64 {
        let parts = [b"spread".as_slice(), domain.as_str().as_bytes(), &day.to_be_bytes()];
        let place = self.0.store.name_key(Column::Report, &parts);
        let number = u64::from(u32::from_be_bytes([place[0], place[1], place[2], place[3]]));
        tally::start_of(*day) + DAY + number % SPREAD
    }

    /// Whether DNS has been asked about a day's report for long enough.
    fn is_hopeless(&self, day: u32) -> bool {
        self.now() > tally::start_of(day) + DAY + SPREAD + PATIENCE
    }

    async fn make_tls(&self, resolver: &dyn Resolver, key: Key) -> Result<usize, ReportsError> {
        let destinations = match rua::tls(resolver, &key.1).await {
            Ok(destinations) => destinations,
            Err(error) if self.keeps_waiting(key.0, &error) => return Ok(0),
            Err(_) => Vec::new(),
        };
        let settings = &self.0.settings;
        let (ticket, taken, made) = {
            let mut tally = self.0.tally.lock();
            let Some(counts) = tally.take_tls(&key) else { return Ok(0) };
            let (id, period) = (self.new_id(key.0), self.period(key.0, counts.begin));
            let contact = settings.contact.to_string();
            let mut batch = Batch::new();
            batch
                .delete(Column::Report, layout::day_key(&self.0.store, layout::TLS, key.0, &key.1));
            let made = if destinations.is_empty() {
                Vec::new()
            } else {
                let report = tlsrpt::report(&counts, period, &settings.organization, &contact, &id);
                let body = letter::gzip(&report.to_json());
                let draft = Draft { kind: ReportKind::Tls, domain: &key.1, id, period, body };
                self.address(&mut batch, &draft, &destinations)
            };
            (self.0.store.submit(batch), counts, made)
        };
        self.made(ticket, made, |tally| tally.put_tls(key.0, taken)).await
    }

    async fn make_dmarc(&self, resolver: &dyn Resolver, key: Key) -> Result<usize, ReportsError> {
        let destinations = match rua::dmarc(resolver, &key.1).await {
            Ok(destinations) => destinations,
            Err(error) if self.keeps_waiting(key.0, &error) => return Ok(0),
            Err(_) => Vec::new(),
        };
        let settings = &self.0.settings;
        let (ticket, taken, made) = {
            let mut tally = self.0.tally.lock();
            let Some(counts) = tally.take_dmarc(&key) else { return Ok(0) };
            let (id, period) = (self.new_id(key.0), self.period(key.0, counts.begin));
            let place = layout::day_key(&self.0.store, layout::DMARC, key.0, &key.1);
            let mut batch = Batch::new();
            batch.delete(Column::Report, place);
            let made = if destinations.is_empty() {
                Vec::new()
            } else {
                let frame = aggregate::Frame {
                    organization: &settings.organization,
                    contact: &settings.contact.to_string(),
                    id: &id,
                    period,
                };
                let body = letter::gzip(aggregate::report(&frame, &counts).to_xml().as_bytes());
                let draft = Draft { kind: ReportKind::Dmarc, domain: &key.1, id, period, body };
                self.address(&mut batch, &draft, &destinations)
            };
            (self.0.store.submit(batch), counts, made)
        };
        self.made(ticket, made, |tally| tally.put_dmarc(key.0, taken)).await
    }

    /// Whether a look-up that failed is to be repeated.
    fn keeps_waiting(&self, day: u32, error: &DnsError) -> bool {
        let waits = !self.is_hopeless(day);
        if !waits {
            tracing::info!(%error, "a report was not made: DNS did not say where to");
        }
        waits
    }

    fn new_id(&self, day: u32) -> String {
        format!("{day}-{:032x}", rand::random::<u128>())
    }

    fn period(&self, day: u32, begin: u64) -> (u64, u64) {
        let last = (tally::start_of(day) + DAY - 1).min(self.now());
        (begin.min(last), last)
    }

    /// Puts a report for each destination into the batch.
    fn address(
        &self,
        batch: &mut Batch,
        draft: &Draft<'_>,
        destinations: &[Destination],
    ) -> Vec<([u8; 16], u64)> {
        let now = self.now();
        let mut made = Vec::new();
        for destination in destinations {
            let report = Outgoing {
                kind: draft.kind,
                domain: draft.domain.clone(),
                to: destination.text(),
                id: draft.id.clone(),
                begin: draft.period.0,
                end: draft.period.1,
                made: now,
                attempts: 0,
                due: now,
                body: draft.body.clone(),
            };
            if let Destination::Mail { to, limit: Some(limit) } = destination
                && self.letter(&report, to).message.len() as u64 > *limit
            {
                tracing::info!("a report is larger than its recipient allows and was not sent");
                self.0.metrics.failed.with_label_values(&[draft.kind.name()]).inc();
                continue;
            }
            let id: [u8; 16] = rand::random();
            batch.put(Column::Report, layout::outgoing_key(&id), layout::encode(&report));
            made.push((id, now));
        }
        made
    }

    /// Waits for the disk, and puts counts back when it could not be written.
    async fn made(
        &self,
        ticket: CommitTicket,
        made: Vec<([u8; 16], u64)>,
        put_back: impl FnOnce(&mut tally::Tally),
    ) -> Result<usize, ReportsError> {
        match ticket.await {
            Ok(_) => {
                let count = made.len();
                self.0.outgoing.lock().extend(made);
                Ok(count)
            }
            Err(error) => {
                put_back(&mut self.0.tally.lock());
                Err(error.into())
            }
        }
    }

    /// Sends what is due.
    async fn send(&self, post: &Arc<dyn Post>) -> Result<(), ReportsError> {
        let now = self.now();
        let due = |(id, due): (&[u8; 16], &u64)| (*due <= now).then_some(*id);
        let mut waiting: Vec<_> = self.0.outgoing.lock().iter().filter_map(due).collect();
        let mut running = JoinSet::new();
        loop {
            while running.len() < AT_ONCE
                && let Some(id) = waiting.pop()
            {
                let (reports, post) = (self.clone(), Arc::clone(post));
                running.spawn(async move { reports.send_one(id, post.as_ref()).await });
            }
            match running.join_next().await {
                Some(Ok(outcome)) => outcome?,
                // It stays where it is and is tried again.
                Some(Err(error)) => tracing::error!(%error, "sending a report ended in a panic"),
                None => return Ok(()),
            }
        }
    }

    async fn send_one(&self, id: [u8; 16], post: &dyn Post) -> Result<(), ReportsError> {
        let key = layout::outgoing_key(&id);
        let Some(bytes) = self.0.store.get(Column::Report, &key)? else {
            self.0.outgoing.lock().remove(&id);
            return Ok(());
        };
        let report: Outgoing = layout::decode(&bytes)?;
        // Whatever else may have sent it meanwhile: it is sent once.
        let mut done = Batch::new();
        done.require_value(Column::Report, key.as_slice(), &bytes);
        done.delete(Column::Report, key.as_slice());
        let sent = match Address::parse(&report.to) {
            Ok(to) => {
                let outcome = post.mail(self.letter(&report, &to), done).await;
                outcome.map(|_| "mail")
            }
            Err(_) => match post.https(&report.to, TLSRPT_GZIP, &report.body).await {
                Ok(()) => self.0.store.commit(done).await.map(|_| "https").map_err(|error| {
                    // It will be sent again, under the same report-id.
                    PostError(error.to_string())
                }),
                Err(error) => Err(error),
            },
        };
        let kind = report.kind.name();
        match sent {
            Ok(way) => {
                self.0.outgoing.lock().remove(&id);
                self.0.metrics.sent.with_label_values(&[kind, way]).inc();
                tracing::info!(kind, way, "report sent");
                Ok(())
            }
            Err(error) => {
                tracing::info!(kind, %error, attempts = report.attempts + 1, "report not sent");
                self.put_off(id, report).await
            }
        }
    }

    /// Keeps a report for another try, or gives it up.
    async fn put_off(&self, id: [u8; 16], mut report: Outgoing) -> Result<(), ReportsError> {
        let (now, key) = (self.now(), layout::outgoing_key(&id));
        let mut batch = Batch::new();
        let gives_up = now >= report.made + PATIENCE;
        if gives_up {
            self.0.metrics.failed.with_label_values(&[report.kind.name()]).inc();
            batch.delete(Column::Report, key);
            self.0.outgoing.lock().remove(&id);
        } else {
            let wait = FIRST_WAIT << report.attempts.min(16);
            report.attempts = report.attempts.saturating_add(1);
            report.due = (now + wait.min(LONGEST_WAIT)).min(report.made + PATIENCE);
            batch.put(Column::Report, key, layout::encode(&report));
            self.0.outgoing.lock().insert(id, report.due);
        }
        self.0.store.commit(batch).await?;
        Ok(())
    }

    fn letter(&self, report: &Outgoing, to: &Address) -> Letter {
        let settings = &self.0.settings;
        let now = i64::try_from(self.now()).unwrap_or(i64::MAX);
        let message = letter::write(report, &settings.domain, &settings.contact, to, now);
        Letter { submitter: settings.domain.clone(), to: to.clone(), message }
    }
}
