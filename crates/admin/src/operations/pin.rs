//! Rules for domains.

use super::Admin;
use crate::error::{Failure, FailureKind};
use crate::pin_request::{PinRequest, PinSpec, SmarthostSpec};
use crate::views::{Answer, PinView, time_text};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::time::{Duration, SystemTime};
use wardpost_mail::TlsGrade;
use wardpost_pins::{Draft, Login, Pattern, Pin, Smarthost, authorities_from_pem};
use wardpost_verdict::{Fingerprint, Floor};

/// Most days that an end may be away; what is longer has none.
const MAX_DAYS: u64 = 36_500;

impl Admin {
    pub(super) async fn pin(&self, request: PinRequest) -> Result<Answer, Failure> {
        let pins = &self.parts.pins;
        match request {
            PinRequest::Add(spec) => self.add_pin(*spec).await,
            PinRequest::List => {
                let view = |pin: &std::sync::Arc<Pin>| PinView::new(pin, Vec::new());
                Ok(Answer::Pins(pins.list().iter().map(view).collect()))
            }
            PinRequest::Show { pattern } => {
                let pattern: Pattern = pattern.parse()?;
                let pin = pins.get(&pattern);
                let pin =
                    pin.ok_or_else(|| Failure::from(wardpost_pins::PinsError::NotFound(pattern)))?;
                Ok(Answer::Pin(Box::new(PinView::new(&pin, self.notes(&pin)))))
            }
            PinRequest::Remove { pattern } => {
                let pattern: Pattern = pattern.parse()?;
                pins.remove(&pattern).await?;
                tracing::info!("rule for a domain removed");
                Ok(Answer::Done)
            }
        }
    }

    async fn add_pin(&self, spec: PinSpec) -> Result<Answer, Failure> {
        let now = SystemTime::now();
        let pin = Pin::new(draft(spec, now)?, Floor::new(self.parts.floor), now)?;
        let mut notes = self.notes(&pin);
        if let Some(old) = self.parts.pins.set(pin.clone()).await? {
            let (set, by) = (time_text(old.set_at()), old.set_by());
            notes.push(format!("It stands in place of the rule that {by} set at {set}."));
        }
        // Who and for whom is in the rule; the log names no domain.
        tracing::info!(
            pickup = pin.pickup(),
            exception = pin.is_exception(),
            certificates = !pin.trust().is_empty(),
            smarthost = pin.smarthost().is_some(),
            "rule for a domain set"
        );
        Ok(Answer::Pin(Box::new(PinView::new(&pin, notes))))
    }

    /// What a rule comes to, and what somebody who sets it may not have thought of.
    fn notes(&self, pin: &Pin) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |text: String| notes.push(text);
        if let Pattern::Exactly(domain) = pin.pattern()
            && self.parts.directory.is_ours(domain)
        {
            note(
                "The domain is served here, so its mail stays here and the rule does nothing."
                    .into(),
            );
        }
        if let Some(end) = pin.expires() {
            let end = time_text(end);
            note(format!("It ends at {end}; from then on it is as if it were not there."));
        }
        if let Some(text) = self.about_floor(pin) {
            note(text);
        }
        if !pin.trust().is_empty() {
            note(
                "Only a server with the pinned certificate gets mail, whatever public CAs say; when its \
                 owner changes it, mail is picked up until the rule is changed."
                    .into(),
            );
        }
        if let Some(smarthost) = pin.smarthost() {
            note(about_smarthost(smarthost));
        } else if let Some(wider) = self.wider_smarthost(pin) {
            note(format!(
                "Its mail does not go by the smarthost of the rule for {wider} any more: one rule holds, \
                 whole. Add --smarthost if it should."
            ));
        }
        notes
    }

    fn about_floor(&self, pin: &Pin) -> Option<String> {
        let practice = self.parts.floor;
        if pin.is_exception() {
            return Some(
                "Whoever can tamper with the network between here and there can read this mail. Where the \
                 domain publishes DANE or an enforced MTA-STS policy, that has to be satisfied all the \
                 same (T4), and mail is picked up if it is not."
                    .into(),
            );
        }
        let demanded = pin.floor().map_or(practice, Floor::grade);
        match demanded {
            _ if pin.pickup() || pin.smarthost().is_some() => None,
            TlsGrade::T4 => Some(
                "T4 can be reached only where the domain publishes DANE or an enforced MTA-STS policy; \
                 otherwise its mail is picked up."
                    .into(),
            ),
            TlsGrade::T5 => Some(
                "T5 can be reached only where the domain publishes DANE or an enforced MTA-STS policy and \
                 its server offers REQUIRETLS; otherwise its mail is picked up."
                    .into(),
            ),
            lower if lower < practice => Some(format!(
                "That is less than the practice's floor, {practice}. What the domain publishes still counts."
            )),
            _ => None,
        }
    }

    /// The wider rule whose smarthost a rule without one takes its domains away from.
    fn wider_smarthost(&self, pin: &Pin) -> Option<Pattern> {
        let inside = match pin.pattern() {
            _ if pin.pickup() => return None,
            Pattern::Any => return None,
            Pattern::Below(domain) | Pattern::Exactly(domain) => domain,
        };
        let covers = |pattern: &Pattern| match pattern {
            Pattern::Any => true,
            Pattern::Below(parent) => inside != parent && inside.is_within(parent),
            Pattern::Exactly(_) => false,
        };
        let now = SystemTime::now();
        let mut wider: Vec<Pattern> = self
            .parts
            .pins
            .list()
            .iter()
            .filter(|other| other.smarthost().is_some() && !other.has_ended(now))
            .map(|other| other.pattern().clone())
            .filter(covers)
            .collect();
        // The longest is the nearest.
        wider.sort_by_key(|pattern| pattern.to_string().len());
        wider.pop()
    }
}

fn about_smarthost(smarthost: &Smarthost) -> String {
    let host = &smarthost.host;
    let onward = if smarthost.trusted_onward {
        "You have said that its owner answers for TLS on the way onward; nothing here can check it. \
         Messages that ask for REQUIRETLS go only if it offers that"
    } else {
        "It must offer REQUIRETLS, which obliges it to use verified TLS on the way onward; as long as it \
         does not, mail is picked up (docs/pins.md tells about --trusted-onward)"
    };
    format!(
        "{host} can read all mail that goes through it, so its owner is a business associate of the \
         practice and needs a contract as one. {onward}."
    )
}

fn draft(spec: PinSpec, now: SystemTime) -> Result<Draft, Failure> {
    let bad = |text: String| Failure::new(FailureKind::BadRequest, text);
    let fingerprint = |text: &String| {
        text.parse::<Fingerprint>().map_err(|error| bad(format!("--certificate: {error}")))
    };
    let mut authorities = Vec::new();
    for pem in &spec.authorities {
        let found = authorities_from_pem(pem.as_bytes());
        authorities.extend(found.map_err(|error| bad(format!("--ca: {error}")))?);
    }
    Ok(Draft {
        pattern: spec.pattern.parse()?,
        floor: spec.floor,
        allow_unverified: spec.allow_unverified,
        pickup: spec.pickup,
        certificates: spec.certificates.iter().map(fingerprint).collect::<Result<_, _>>()?,
        authorities,
        smarthost: spec.smarthost.map(smarthost),
        reason: spec.reason.trim().to_owned(),
        set_by: spec.set_by,
        expires: spec.expires.map(|text| end(&text, now)).transpose()?,
    })
}

fn smarthost(spec: SmarthostSpec) -> Smarthost {
    let login = spec.login.map(|login| Login { user: login.user, password: login.password });
    Smarthost { host: spec.host, port: spec.port, login, trusted_onward: spec.trusted_onward }
}

/// A time from `30d`, or from a date, the whole of which counts (UTC).
fn end(text: &str, now: SystemTime) -> Result<SystemTime, Failure> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    if let Some(days) = days.filter(|days| *days <= MAX_DAYS) {
        return Ok(now + Duration::from_secs(days * 24 * 3600));
    }
    let midnight =
        text.parse::<Date>().and_then(Date::tomorrow).and_then(|next| next.to_zoned(TimeZone::UTC));
    midnight.map(|midnight| SystemTime::from(midnight.timestamp())).map_err(|_| {
        let text = "--expires is a date such as 2030-06-30, or a number of days such as 30d";
        Failure::new(FailureKind::BadRequest, text)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_days_or_dates() {
        let now = SystemTime::UNIX_EPOCH;
        let seconds = |text: &str| {
            end(text, now).map(|time| time.duration_since(now).unwrap_or_default().as_secs())
        };
        assert_eq!(seconds("30d").unwrap(), 30 * 86_400);
        // All of the day that is named.
        assert_eq!(seconds("1970-01-01").unwrap(), 86_400);
        assert_eq!(seconds("1970-03-01").unwrap(), 60 * 86_400);
        for text in ["", "d", "30", "-1d", "99999d", "30 days", "2030-13-01", "2030-02-30", "soon"]
        {
            let failure = seconds(text).unwrap_err();
            assert!(failure.message.contains("--expires is a date"), "{text}");
        }
    }
}
