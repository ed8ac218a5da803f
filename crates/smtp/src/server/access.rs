//! Commands that say who the client is: EHLO, STARTTLS, AUTH (RFC 5321 §4.1.1.1, RFC 3207, RFC 4954).

use super::profile::{bad_sequence, reply};
use super::{Channel, Client, Event, Pending, Refusal, ServerSession, State};
use crate::Mechanism;
use crate::sasl::{Exchange, SaslError, Step};
use wardpost_mail::Reply;
use zeroize::Zeroize;

impl ServerSession {
    pub(super) fn hello(&mut self, name: String, extended: bool) {
        self.reset();
        self.client = Some(Client { name, extended });
        let answer = if extended {
            self.profile.ehlo(self.channel == Channel::Tls)
        } else {
            Reply::plain(250, self.profile.hostname.to_string())
        };
        self.say(&answer);
        self.events.push_back(Event::Hello);
    }

    pub(super) fn starttls(&mut self) {
        if self.channel == Channel::Tls || !self.profile.starttls {
            return self.fault(Refusal::Sequence, bad_sequence("TLS is not to be had here"));
        }
        self.say(&reply(220, (2, 0, 0), "Go ahead"));
        self.input.clear();
        self.used = 0;
        self.state = State::Handshake;
        self.events.push_back(Event::StartTls);
    }

    pub(super) fn auth(&mut self, mechanism: Option<Mechanism>, initial: Option<String>) {
        if !self.profile.auth || self.channel == Channel::Plain {
            return self.fault(Refusal::Sequence, reply(502, (5, 5, 1), "AUTH is not offered"));
        }
        if self.authenticated || self.transaction.is_some() || self.client.is_none() {
            return self.fault(Refusal::Sequence, bad_sequence("AUTH is out of place"));
        }
        let Some(mechanism) = mechanism else {
            return self.fault(Refusal::Syntax, reply(504, (5, 5, 4), "Use PLAIN or LOGIN"));
        };
        let (exchange, challenge) = Exchange::begin(mechanism);
        match initial {
            None => self.challenge(exchange, challenge),
            Some(mut initial) => {
                // A lone "=" is an empty initial response (RFC 4954 §4).
                let line = if initial == "=" { "" } else { initial.as_str() };
                self.sasl(exchange, line.as_bytes());
                initial.zeroize();
            }
        }
    }

    pub(super) fn challenge(&mut self, exchange: Exchange, challenge: &str) {
        self.say(&Reply::plain(334, challenge));
        self.state = State::Sasl(exchange);
    }

    pub(super) fn sasl(&mut self, exchange: Exchange, line: &[u8]) {
        match exchange.step(line) {
            Ok(Step::Challenge(next, challenge)) => self.challenge(next, challenge),
            Ok(Step::Done(credentials)) => {
                self.state = State::Waiting(Pending::Auth);
                self.events.push_back(Event::Auth(credentials));
            }
            Err(error @ SaslError::OtherIdentity) => {
                self.say(&reply(535, (5, 7, 8), &error.to_string()));
                self.count_auth_failure();
            }
            Err(error) => self.fault(Refusal::Syntax, reply(501, (5, 5, 2), &error.to_string())),
        }
    }

    pub(super) fn count_auth_failure(&mut self) {
        self.auth_failures += 1;
        if self.auth_failures >= self.profile.max_auth_failures {
            self.close(reply(421, (4, 7, 0), "Too many failed log-ins"));
        }
    }
}
