//! A rule, and what it takes to make one.

use crate::error::{LoginError, PinError};
use crate::pattern::Pattern;
use crate::{pem, record};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use wardpost_mail::{Domain, Secret, TlsGrade};
use wardpost_policy::PinFacts;
use wardpost_verdict::{Fingerprint, Floor, Floors, Roots, Trust};

/// Longest time that an exception may last: a year, leap day included.
pub const MAX_EXCEPTION: Duration = Duration::from_secs(366 * 24 * 3600);
/// Most certificates and authorities in a rule.
const MAX_CERTIFICATES: usize = 32;
/// Longest reason and name, in characters.
const MAX_TEXT: usize = 500;
/// Longest user name and password of a smarthost, in octets (RFC 4616 leaves it open).
const MAX_LOGIN: usize = 255;

/// Somebody else's server that passes our mail on.
#[derive(Debug, Clone)]
pub struct Smarthost {
    /// Its name, which its certificate must carry unless it is pinned.
    pub host: Domain,
    /// Its port: 465 begins with the handshake (RFC 8314 §3.3), all others with STARTTLS.
    pub port: u16,
    /// How to log in there; `None` where it knows us by our address.
    pub login: Option<Login>,
    /// Its owner answers for TLS on the way onward. Otherwise it must take REQUIRETLS (RFC 8689),
    /// which obliges it to.
    pub trusted_onward: bool,
}

/// A name and a password at a smarthost.
#[derive(Debug, Clone)]
pub struct Login {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret<String>,
}

impl Login {
    /// Whether it can be used: neither half is empty, longer than 255 octets, or has an octet that would
    /// break out of its place in the conversation.
    ///
    /// # Errors
    /// Which half cannot be used.
    pub fn check(&self) -> Result<(), LoginError> {
        let fits = |text: &str| {
            !text.is_empty() && text.len() <= MAX_LOGIN && !text.contains(['\0', '\r', '\n'])
        };
        if !fits(&self.user) {
            return Err(LoginError::User);
        }
        if !fits(self.password.expose()) {
            return Err(LoginError::Password);
        }
        Ok(())
    }
}

/// What a rule is to say; [`Pin::new`] makes a rule of it.
#[derive(Debug, Clone)]
pub struct Draft {
    /// For which domains.
    pub pattern: Pattern,
    /// How good TLS to the next hop must be, T3 to T5, in place of the practice's own floor.
    pub floor: Option<TlsGrade>,
    /// An exception: TLS whose certificate proves nothing will do. A floor of T2.
    pub allow_unverified: bool,
    /// Mail is always picked up.
    pub pickup: bool,
    /// The certificates or keys that the next hop may show, in place of all that CAs vouch for.
    pub certificates: Vec<Fingerprint>,
    /// CA certificates, in DER, in place of the public ones.
    pub authorities: Vec<Vec<u8>>,
    /// Mail goes through this server.
    pub smarthost: Option<Smarthost>,
    /// Why.
    pub reason: String,
    /// Who says so.
    pub set_by: String,
    /// When it ends by itself.
    pub expires: Option<SystemTime>,
}

impl Draft {
    /// A draft that says nothing yet.
    pub fn new(pattern: Pattern, set_by: impl Into<String>) -> Self {
        Self {
            pattern,
            floor: None,
            allow_unverified: false,
            pickup: false,
            certificates: Vec::new(),
            authorities: Vec::new(),
            smarthost: None,
            reason: String::new(),
            set_by: set_by.into(),
            expires: None,
        }
    }
}

/// A rule for a domain or several.
#[derive(Debug, Clone)]
pub struct Pin {
    pub(crate) pattern: Pattern,
    pub(crate) floor: Option<Floor>,
    pub(crate) pickup: bool,
    pub(crate) certificates: Vec<Fingerprint>,
    pub(crate) authorities: Vec<Vec<u8>>,
    pub(crate) trust: Arc<Trust>,
    pub(crate) smarthost: Option<Smarthost>,
    pub(crate) reason: String,
    pub(crate) set_by: String,
    /// Unix seconds.
    pub(crate) set_at: i64,
    /// Unix seconds.
    pub(crate) expires: Option<i64>,
}

impl Pin {
    /// Makes a rule. `practice` is the floor it may stand in place of; a rule that asks for less needs
    /// a reason.
    ///
    /// # Errors
    /// When it contradicts itself, or lowers what it may not lower like this.
    pub fn new(draft: Draft, practice: Floor, now: SystemTime) -> Result<Self, PinError> {
        check_what(&draft)?;
        check_trust(&draft)?;
        check_smarthost(&draft)?;
        check_why(&draft, practice)?;
        check_end(&draft, now)?;
        let trust = trust(&draft.certificates, &draft.authorities)?;
        let floor = match (&draft.smarthost, draft.allow_unverified) {
            (Some(_), _) => Some(Floor::new(TlsGrade::T3)),
            (None, true) => Some(Floor::new(TlsGrade::T2)),
            (None, false) => draft.floor.map(Floor::new),
        };
        Ok(Self {
            pattern: draft.pattern,
            floor,
            pickup: draft.pickup,
            certificates: draft.certificates,
            authorities: draft.authorities,
            trust: Arc::new(trust),
            smarthost: draft.smarthost,
            reason: draft.reason,
            set_by: draft.set_by,
            set_at: unix(now),
            expires: draft.expires.map(unix),
        })
    }

    /// For which domains.
    pub fn pattern(&self) -> &Pattern {
        &self.pattern
    }

    /// What the path to the next hop must reach in place of the practice's own floor. Of a smarthost's
    /// rule it is the smarthost's; T2 is an exception.
    pub fn floor(&self) -> Option<Floor> {
        self.floor
    }

    /// Whether mail is always picked up.
    pub fn pickup(&self) -> bool {
        self.pickup
    }

    /// Whether unverified TLS will do.
    pub fn is_exception(&self) -> bool {
        self.floor == Some(Floor::new(TlsGrade::T2))
    }

    /// The certificates and keys that are trusted.
    pub fn certificates(&self) -> &[Fingerprint] {
        &self.certificates
    }

    /// The CA certificates that are trusted, in DER.
    pub fn authorities(&self) -> &[Vec<u8>] {
        &self.authorities
    }

    /// What stands in place of the public CAs; empty when nothing is pinned. Give it to
    /// [`Policy::with_trust`](wardpost_verdict::Policy::with_trust).
    pub fn trust(&self) -> &Arc<Trust> {
        &self.trust
    }

    /// The server that passes mail on.
    pub fn smarthost(&self) -> Option<&Smarthost> {
        self.smarthost.as_ref()
    }

    /// Why it was set; empty where no reason was needed.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Who set it.
    pub fn set_by(&self) -> &str {
        &self.set_by
    }

    /// When it was set.
    pub fn set_at(&self) -> SystemTime {
        time(self.set_at)
    }

    /// When it ends; from then on it counts for nothing.
    pub fn expires(&self) -> Option<SystemTime> {
        self.expires.map(time)
    }

    /// Whether it has ended.
    pub fn has_ended(&self, now: SystemTime) -> bool {
        self.expires().is_some_and(|end| end <= now)
    }

    /// What the outbound policy wants to know.
    pub fn facts(&self) -> PinFacts {
        PinFacts {
            floor: self.floor.map(Floor::grade),
            pickup: self.pickup,
            certificates: !self.trust.is_empty(),
            smarthost: self.smarthost.is_some(),
        }
    }

    /// The floors for one message to a domain under this rule, or under none. `default` is what the
    /// message's route says, `message` what the message itself asks for.
    ///
    /// A smarthost is held to its own floor: REQUIRETLS is then asked for of the server itself, which
    /// is enough where no MX record could have been forged (RFC 8689 §4.2.1).
    pub fn floors(pin: Option<&Self>, default: Floor, message: Option<Floor>) -> Floors {
        let by_name = pin.is_some_and(|pin| pin.smarthost.is_some());
        let message = message.filter(|_| !by_name);
        // A message may have been queued with a lower floor before the rule named a certificate.
        let trusted = |pin: &Self| (!pin.trust.is_empty()).then(|| default.max(Floor::default()));
        Floors { default, pin: pin.and_then(|pin| pin.floor.or_else(|| trusted(pin))), message }
    }

    /// What tells connections made under this rule from all others, if its trust or its smarthost
    /// makes them different: mail under another rule, or under an older text of this one, must not go
    /// over them.
    pub fn connection_key(&self) -> Option<[u8; 32]> {
        let special = !self.trust.is_empty() || self.smarthost.is_some();
        special.then(|| *Fingerprint::of_certificate(&record::encode(self)).octets())
    }
}

/// The rule says something, and nothing that excludes another.
fn check_what(draft: &Draft) -> Result<(), PinError> {
    let trusts = !(draft.certificates.is_empty() && draft.authorities.is_empty());
    let transport =
        draft.floor.is_some() || draft.allow_unverified || trusts || draft.smarthost.is_some();
    match (draft.pickup, transport) {
        (false, false) => return Err(PinError::Nothing),
        (true, true) => return Err(PinError::PickupAndMore),
        _ => {}
    }
    if draft.allow_unverified && draft.floor.is_some() {
        return Err(PinError::FloorAndException);
    }
    if draft.allow_unverified && trusts {
        return Err(PinError::TrustAndException);
    }
    if draft.allow_unverified && draft.pattern.is_sweeping() {
        return Err(PinError::SweepingException);
    }
    match draft.floor {
        Some(floor) if floor < TlsGrade::T3 => Err(PinError::FloorTooLow(floor)),
        _ => Ok(()),
    }
}

fn check_trust(draft: &Draft) -> Result<(), PinError> {
    let count = draft.certificates.len() + draft.authorities.len();
    if count > MAX_CERTIFICATES {
        return Err(PinError::TooManyCertificates(MAX_CERTIFICATES));
    }
    if count > 0 && draft.pattern.is_sweeping() && draft.smarthost.is_none() {
        return Err(PinError::SweepingTrust);
    }
    Ok(())
}

fn check_smarthost(draft: &Draft) -> Result<(), PinError> {
    let Some(smarthost) = &draft.smarthost else { return Ok(()) };
    if draft.allow_unverified {
        return Err(PinError::UnverifiedSmarthost);
    }
    if draft.floor.is_some_and(|floor| floor > TlsGrade::T3) {
        return Err(PinError::SmarthostFloor);
    }
    if smarthost.host.as_str().parse::<IpAddr>().is_ok() {
        return Err(PinError::SmarthostAddress);
    }
    if smarthost.port == 0 {
        return Err(PinError::Text("the smarthost's port"));
    }
    if let Some(login) = &smarthost.login {
        login.check()?;
    }
    Ok(())
}

/// Whatever lowers has a reason.
fn check_why(draft: &Draft, practice: Floor) -> Result<(), PinError> {
    let fits = |text: &str| text.chars().count() <= MAX_TEXT && !text.chars().any(char::is_control);
    if !fits(&draft.reason) {
        return Err(PinError::Text("the reason"));
    }
    if draft.set_by.is_empty() || !fits(&draft.set_by) {
        return Err(PinError::Text("the name of who sets the rule"));
    }
    let asked = match &draft.smarthost {
        Some(_) => Some(TlsGrade::T3),
        None => draft.floor,
    };
    let lowers = draft.allow_unverified
        || asked.is_some_and(|floor| floor < practice.grade())
        || draft.smarthost.as_ref().is_some_and(|smarthost| smarthost.trusted_onward);
    if lowers && draft.reason.trim().is_empty() {
        return Err(PinError::NoReason);
    }
    Ok(())
}

fn check_end(draft: &Draft, now: SystemTime) -> Result<(), PinError> {
    match draft.expires {
        Some(end) if end <= now => Err(PinError::Ended),
        Some(end) if draft.allow_unverified && end > now + MAX_EXCEPTION => {
            Err(PinError::EndTooFar)
        }
        None if draft.allow_unverified => Err(PinError::NoEnd),
        _ => Ok(()),
    }
}

/// The trust that certificates and authorities amount to.
pub(crate) fn trust(
    certificates: &[Fingerprint],
    authorities: &[Vec<u8>],
) -> Result<Trust, PinError> {
    let mut roots = Roots::new();
    for der in authorities {
        if !pem::is_authority(der) {
            return Err(PinError::Authority(pem::PemError::NoAuthority.to_string()));
        }
        roots.add(der).map_err(|error| PinError::Authority(error.to_string()))?;
    }
    Ok(Trust::new(certificates.to_vec(), roots))
}

fn unix(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

fn time(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
    UNIX_EPOCH.checked_add(since).unwrap_or(UNIX_EPOCH)
}
