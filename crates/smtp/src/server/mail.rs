//! Commands that move mail: MAIL, RCPT, DATA, BDAT (RFC 5321 §3.3, RFC 3030).

use super::profile::{bad_sequence, ok, reply};
use super::transaction::{self, Transaction};
use super::{Channel, Event, MAX_OVERRUN, Pending, Refusal, ServerSession, State};
use crate::command::{Command, CommandError, ForwardPath, MailParameters, RcptParameters};
use crate::data::DotReader;
use std::sync::Arc;
use wardpost_mail::{Envelope, Reply};

impl ServerSession {
    pub(super) fn mail(&mut self, mail: MailParameters) {
        if self.client.is_none() {
            return self.fault(Refusal::Sequence, bad_sequence("EHLO comes first"));
        }
        if self.profile.auth && !self.authenticated {
            // RFC 4954 §6.
            let answer = reply(530, (5, 7, 0), "Authentication required");
            return self.fault(Refusal::Unauthenticated, answer);
        }
        if self.transaction.is_some() {
            return self.fault(Refusal::Sequence, bad_sequence("A transaction is open already"));
        }
        let announced = self.profile.require_tls && self.channel == Channel::Tls;
        if (mail.require_tls && !announced) || (mail.auth && !self.profile.auth) {
            return self.bad_command(CommandError::UnknownParameter);
        }
        if self.transactions >= self.profile.max_transactions {
            self.refuse(Refusal::Limit);
            return self.close(reply(421, (4, 5, 3), "Enough for one session; come again"));
        }
        if mail.size.is_some_and(|size| size > self.profile.max_size as u64) {
            self.refuse(Refusal::Size);
            return self.say(&transaction::too_large(&self.profile));
        }
        self.state = State::Waiting(Pending::Mail(mail.clone()));
        self.events.push_back(Event::Mail(mail));
    }

    pub(super) fn begin_transaction(&mut self, mail: MailParameters) {
        self.transactions += 1;
        let mut envelope = Envelope::new(mail.from, []);
        envelope.body = mail.body;
        envelope.smtputf8 = mail.smtputf8;
        envelope.require_tls = mail.require_tls;
        envelope.ret = mail.ret;
        envelope.envid = mail.envid;
        self.transaction = Some(Transaction::new(envelope, mail.size));
    }

    pub(super) fn rcpt(&mut self, rcpt: RcptParameters) {
        let Some(transaction) = &self.transaction else {
            return self.fault(Refusal::Sequence, bad_sequence("MAIL comes first"));
        };
        if transaction.in_chunks() {
            return self.fault(Refusal::Sequence, bad_sequence("The message has begun"));
        }
        let utf8 = matches!(&rcpt.to, ForwardPath::Address(to) if to.needs_smtputf8());
        if utf8 && !transaction.envelope.smtputf8 {
            return self.bad_command(CommandError::NeedsSmtpUtf8);
        }
        if transaction.envelope.to.len() >= self.profile.max_recipients {
            self.refuse(Refusal::Limit);
            // RFC 5321 §4.5.3.1.10.
            return self.say(&reply(452, (4, 5, 3), "Too many recipients; send again to the rest"));
        }
        let recipient = rcpt.into_recipient(&self.profile.domain);
        self.state = State::Waiting(Pending::Recipient(recipient.clone()));
        self.events.push_back(Event::Recipient(recipient));
    }

    /// The transaction, if a message may come now.
    pub(super) fn ready(&mut self) -> Option<&mut Transaction> {
        self.transaction.as_mut().filter(|transaction| !transaction.envelope.to.is_empty())
    }

    pub(super) fn begin_data(&mut self) {
        match self.ready() {
            Some(transaction) if transaction.in_chunks() => {
                self.fault(Refusal::Sequence, bad_sequence("DATA cannot follow BDAT"));
            }
            Some(transaction) => {
                transaction.begin_data();
                let reader = DotReader::new(self.profile.max_line);
                self.state = State::Data { reader, taken: 0 };
                self.say(&Reply::plain(354, "Go ahead; end with <CRLF>.<CRLF>"));
            }
            None => {
                let answer = transaction::not_now(self.transaction.as_ref());
                self.fault(Refusal::Sequence, answer);
            }
        }
    }

    pub(super) fn data(&mut self, mut reader: DotReader, taken: usize) -> bool {
        let profile = Arc::clone(&self.profile);
        let Some(transaction) = &mut self.transaction else { return true };
        let input = &self.input[self.used..];
        if input.is_empty() {
            self.state = State::Data { reader, taken };
            return false;
        }
        let (consumed, ended) = transaction.data(&mut reader, input, &profile);
        self.used += consumed;
        if ended {
            self.end_of_message();
            return true;
        }
        let taken = taken + consumed;
        if taken > profile.max_size.saturating_mul(MAX_OVERRUN) {
            self.refuse(Refusal::Size);
            self.close(transaction::too_large(&profile));
        } else {
            self.state = State::Data { reader, taken };
        }
        false
    }

    pub(super) fn begin_chunk(&mut self, size: u64, last: bool) {
        let profile = Arc::clone(&self.profile);
        if let Some(transaction) = self.ready() {
            transaction.begin_chunk(size, &profile);
            self.enter_chunk(size, last, None);
        } else {
            let answer = transaction::not_now(self.transaction.as_ref());
            self.refuse_command(&Command::Bdat { size, last }, Refusal::Sequence, answer);
        }
    }

    pub(super) fn enter_chunk(&mut self, size: u64, last: bool, refuse: Option<Reply>) {
        if size > (self.profile.max_size as u64).saturating_mul(MAX_OVERRUN as u64) {
            self.refuse(Refusal::Size);
            return self.close(transaction::too_large(&self.profile));
        }
        self.state = State::Chunk { left: size, last, refuse };
    }

    pub(super) fn chunk(&mut self, left: u64, last: bool, refuse: Option<Reply>) -> bool {
        let input = &self.input[self.used..];
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(input.len());
        if let (None, Some(transaction)) = (&refuse, &mut self.transaction) {
            transaction.chunk(&input[..part]);
        }
        self.used += part;
        let left = left - part as u64;
        if left > 0 {
            self.state = State::Chunk { left, last, refuse };
            return false;
        }
        match refuse {
            Some(answer) => self.say_fault(&answer),
            None if last => {
                if let Some(transaction) = &mut self.transaction {
                    transaction.end_chunks();
                }
                self.end_of_message();
            }
            None => self.end_of_chunk(),
        }
        true
    }

    /// After a chunk that is not the last. A chunk refused takes the transaction with it: what follows
    /// of it is answered 503 (RFC 3030 §2).
    pub(super) fn end_of_chunk(&mut self) {
        let refused = self.transaction.as_ref().and_then(|t| t.refused(&self.profile));
        match refused {
            Some((refusal, answer)) => {
                self.transaction = None;
                self.refuse(refusal);
                self.say(&answer);
            }
            None => self.say(&ok()),
        }
    }

    pub(super) fn end_of_message(&mut self) {
        let Some(transaction) = self.transaction.take() else { return };
        if let Some((refusal, answer)) = transaction.refused(&self.profile) {
            self.refuse(refusal);
            return self.say(&answer);
        }
        self.fruitless = 0;
        let (envelope, message) = transaction.into_parts();
        self.state = State::Waiting(Pending::Message);
        self.events.push_back(Event::Message { envelope, message });
    }
}
