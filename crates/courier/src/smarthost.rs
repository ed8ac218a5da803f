//! What is different when a smarthost passes mail on, because a rule for the domain says so.
//!
//! It must reach T3 like anybody, by public CAs or by what was pinned, and only then learns the
//! password. From there on nothing can be seen from here, so it is obliged: every message is sent with
//! REQUIRETLS, whether its sender asked for it or not, and where the smarthost does not offer that,
//! mail is picked up. Only a rule that says `--trusted-onward` waives it. RFC 8689 §4.2.1 wants the
//! server's name to be proven where it comes from an MX record; a smarthost's comes from the
//! administrator.
//!
//! A smarthost that does not know us is our mistake and not the recipient's: nobody's mail is returned
//! for it, it waits until somebody has set the rule right.

use crate::direct::Demand;
use crate::fate::{Fate, Word};
use wardpost_mail::{EnhancedStatus, Reply};
use wardpost_pins::Login;
use wardpost_queue::{Evidence, Kind};

impl Demand<'_> {
    /// How to log in, if one has to.
    pub(crate) fn login(&self) -> Option<&Login> {
        self.exchanger.smarthost().and_then(|smarthost| smarthost.login.as_ref())
    }

    /// Whether the server has to promise TLS on the way onward. Notices say nothing, and must arrive
    /// where there is no TLS.
    pub(crate) fn asks_onward(&self, kind: Kind) -> bool {
        kind != Kind::Notice
            && self.exchanger.smarthost().is_some_and(|smarthost| !smarthost.trusted_onward)
    }

    /// The fate that a reply spells. Of a smarthost's replies some are about us, and some say that it
    /// cannot keep the promise.
    pub(crate) fn fate(&self, reply: Reply, mut evidence: Evidence, dsn_passed_on: bool) -> Fate {
        if self.exchanger.smarthost().is_none() {
            return Fate::of_reply(reply, evidence, dsn_passed_on);
        }
        let status = reply.enhanced.map(|status| (status.class, status.subject, status.detail));
        match (reply.code, status) {
            // RFC 8689 §6: REQUIRETLS needed and not to be had from here on.
            (500.., Some((5, 7, 10 | 30))) => {
                evidence.summary = "the smarthost has no way onward with verified TLS".into();
                evidence.reply = Some(reply);
                Fate { word: Word::Pickup, evidence }
            }
            // RFC 4954 §6: it wants us to log in, or otherwise than we did.
            (530 | 534 | 535 | 538, _) => {
                evidence.summary = "the smarthost does not know us: set its rule right".into();
                evidence.reply = Some(reply);
                let ours = Reply::new(451, EnhancedStatus::new(4, 7, 0), evidence.summary.clone());
                Fate { word: Word::Later(ours), evidence }
            }
            _ => Fate::of_reply(reply, evidence, dsn_passed_on),
        }
    }
}

/// The same fate, but no message is given up because the smarthost cannot be found.
pub(crate) fn patient(fate: Fate) -> Fate {
    match fate.word {
        Word::Never(reply) => {
            let text = format!("the smarthost cannot be found: {}", reply.lines.join(" "));
            // RFC 3463 §3.5: unable to route.
            let ours = Reply::new(451, EnhancedStatus::new(4, 4, 4), text);
            Fate { word: Word::Later(ours), ..fate }
        }
        _ => fate,
    }
}
