//! How far a set-up is. Pure: what the network says about an answer is told from outside.
//!
//! ```text
//! practice → administrator → second factor → notices → outgoing → backups → review → sheet → done
//! ```
//! A step can be seen once all before it are answered, and answered again at any time; an answer that no
//! longer fits those before it is asked for anew. [`Flow::finish`] is the only way to the end.

use crate::answers::{Administrator, Answers, Backups, Notices, Outgoing, Practice};
use crate::check::{self, Errors};
use crate::clock::{clock_difference, utc};
use crate::paper::is_end;
use crate::typed::{AdministratorForm, BackupsForm, NoticesForm, OutgoingForm, PracticeForm};
use std::time::SystemTime;
use wardpost_directory::{DirectoryError, second_factor};
use wardpost_keys::RecoveryKit;
use wardpost_mail::Secret;

/// The pages, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    /// Question 1.
    Practice,
    /// Question 2.
    Administrator,
    /// Its second half.
    SecondFactor,
    /// Question 3.
    Notices,
    /// Question 4.
    Outgoing,
    /// Question 5.
    Backups,
    /// All answers at a glance.
    Review,
    /// The recovery sheet.
    Sheet,
}

impl Step {
    /// All of them.
    pub(crate) const ALL: [Self; 8] = [
        Self::Practice,
        Self::Administrator,
        Self::SecondFactor,
        Self::Notices,
        Self::Outgoing,
        Self::Backups,
        Self::Review,
        Self::Sheet,
    ];

    /// Where its page is.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Practice => "/set-up/practice",
            Self::Administrator => "/set-up/administrator",
            Self::SecondFactor => "/set-up/second-factor",
            Self::Notices => "/set-up/notices",
            Self::Outgoing => "/set-up/outgoing",
            Self::Backups => "/set-up/backups",
            Self::Review => "/set-up/review",
            Self::Sheet => "/set-up/recovery-sheet",
        }
    }

    /// The number of its question; 0 for what is none.
    pub(crate) fn number(self) -> u8 {
        match self {
            Self::Practice => 1,
            Self::Administrator | Self::SecondFactor => 2,
            Self::Notices => 3,
            Self::Outgoing => 4,
            Self::Backups => 5,
            Self::Review | Self::Sheet => 0,
        }
    }

    /// The page before it.
    pub(crate) fn before(self) -> Option<Self> {
        let at = Self::ALL.iter().position(|step| *step == self)?;
        at.checked_sub(1).map(|at| Self::ALL[at])
    }
}

/// What was typed so far, without passwords.
#[derive(Debug, Clone, Default)]
pub(crate) struct Typed {
    /// Question 1.
    pub(crate) practice: PracticeForm,
    /// Question 2.
    pub(crate) administrator: AdministratorForm,
    /// Question 3.
    pub(crate) notices: NoticesForm,
    /// Question 4.
    pub(crate) outgoing: OutgoingForm,
    /// Question 5.
    pub(crate) backups: BackupsForm,
}

/// A set-up on its way.
pub(crate) struct Flow {
    typed: Typed,
    password: Option<Secret<String>>,
    relay_password: Option<Secret<String>>,
    factor: Secret<Vec<u8>>,
    factor_proven: bool,
    practice: Option<Practice>,
    administrator: Option<Administrator>,
    notices: Option<Notices>,
    outgoing: Option<Outgoing>,
    backups: Option<Backups>,
    relay_remark: Option<String>,
    reviewed: bool,
    kit: Option<RecoveryKit>,
}

impl Flow {
    /// Nothing is answered yet.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub(crate) fn new() -> Result<Self, DirectoryError> {
        Ok(Self {
            typed: Typed::default(),
            password: None,
            relay_password: None,
            factor: second_factor::new_secret()?,
            factor_proven: false,
            practice: None,
            administrator: None,
            notices: None,
            outgoing: None,
            backups: None,
            relay_remark: None,
            reviewed: false,
            kit: None,
        })
    }

    /// What was typed.
    pub(crate) fn typed(&self) -> &Typed {
        &self.typed
    }

    /// The first page that still wants something.
    pub(crate) fn next(&self) -> Step {
        let answered = [
            self.practice.is_some(),
            self.administrator.is_some(),
            self.factor_proven,
            self.notices.is_some(),
            self.outgoing.is_some(),
            self.backups.is_some(),
            self.reviewed,
        ];
        let first = answered.iter().position(|answered| !answered);
        first.map_or(Step::Sheet, |at| Step::ALL[at])
    }

    /// Whether a page can be seen yet.
    pub(crate) fn may_see(&self, step: Step) -> bool {
        step <= self.next()
    }

    /// The practice, once it is known.
    pub(crate) fn practice(&self) -> Option<&Practice> {
        self.practice.as_ref()
    }

    /// The administrator, once known.
    pub(crate) fn administrator(&self) -> Option<&Administrator> {
        self.administrator.as_ref()
    }

    /// Whether a password is kept that need not be typed again.
    pub(crate) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// Whether the smarthost's password is kept.
    pub(crate) fn has_relay_password(&self) -> bool {
        self.relay_password.is_some()
    }

    /// The secret for the authenticator app.
    pub(crate) fn factor(&self) -> &Secret<Vec<u8>> {
        &self.factor
    }

    /// Whether the app was shown to have it.
    pub(crate) fn factor_proven(&self) -> bool {
        self.factor_proven
    }

    /// What was seen of the smarthost.
    pub(crate) fn relay_remark(&self) -> Option<&str> {
        self.relay_remark.as_deref()
    }

    /// Looks at the first answer, and remembers what was typed.
    pub(crate) fn check_practice(&mut self, form: PracticeForm) -> Result<Practice, Errors> {
        self.typed.practice = form;
        check::practice(&self.typed.practice)
    }

    /// Takes the first answer.
    pub(crate) fn set_practice(&mut self, practice: Practice) {
        self.reviewed = false;
        let domain = practice.domain.clone();
        self.practice = Some(practice);
        // The address follows the domain, or is asked for again.
        if self.administrator.is_some() {
            let form = &self.typed.administrator;
            self.administrator = check::administrator(form, &domain, self.password.as_ref()).ok();
        }
    }

    /// The second answer, with what was typed into both fields of the password.
    pub(crate) fn answer_administrator(
        &mut self,
        form: AdministratorForm,
        first: Secret<String>,
        second: &Secret<String>,
    ) -> Result<(), Errors> {
        self.typed.administrator = form;
        let Some(practice) = &self.practice else { return Err(Errors::none()) };
        let domain = practice.domain.clone();
        let typed = check::typed_twice(first, second);
        let (new, slip) = match typed {
            Ok(new) => (new, None),
            Err(errors) => (None, Some(errors)),
        };
        let password = new.as_ref().or(self.password.as_ref());
        let mut outcome = check::administrator(&self.typed.administrator, &domain, password);
        if let Some(slip) = slip {
            // Whatever else is wrong is said, too, but not that a password is missing.
            let mut errors = outcome.err().unwrap_or_default();
            errors.replace("password", slip);
            outcome = Err(errors);
        }
        // One that can be used is kept, whatever is wrong elsewhere: nobody types it twice more.
        let usable = match &outcome {
            Ok(_) => true,
            Err(errors) => errors.of("password").is_none() && errors.of("again").is_none(),
        };
        if let (Some(new), true) = (new, usable) {
            self.password = Some(new);
        }
        match outcome {
            Ok(administrator) => {
                self.reviewed = false;
                // So that it follows the domain.
                administrator.address.local().clone_into(&mut self.typed.administrator.address);
                if self.typed.notices.contact.is_empty() {
                    self.typed.notices.contact = administrator.address.to_string();
                }
                self.administrator = Some(administrator);
                Ok(())
            }
            Err(errors) => {
                self.administrator = None;
                Err(errors)
            }
        }
    }

    /// A code from the authenticator app.
    pub(crate) fn prove_factor(&mut self, code: &str, now: SystemTime) -> Result<(), Errors> {
        if second_factor::proves(&self.factor, code, now).is_some() {
            self.factor_proven = true;
            return Ok(());
        }
        Err(Errors::one("code", self.why_not(code, now)))
    }

    fn why_not(&self, code: &str, now: SystemTime) -> String {
        if code.chars().filter(char::is_ascii_digit).count() != 6 {
            return "Please type the six digits that the app shows for this server.".to_owned();
        }
        match clock_difference(&self.factor, code, now) {
            Some(difference) => format!(
                "The code is from the right app, but the clocks do not agree: this server’s clock is {difference}. \
                 Please set the clock of this machine (or of the one it runs on) right, and try again; no need \
                 to begin anew."
            ),
            None => {
                let time = utc(now);
                format!(
                    "That is not the code. It changes every half minute: please type the one that the app \
                     shows now. (This server’s clock says {time} UTC; if that is wrong, no code fits.)"
                )
            }
        }
    }

    /// The third answer.
    pub(crate) fn answer_notices(&mut self, form: NoticesForm) -> Result<(), Errors> {
        self.typed.notices = form;
        self.reviewed = false;
        let outcome = check::notices(&self.typed.notices);
        self.notices = outcome.as_ref().ok().cloned();
        outcome.map(drop)
    }

    /// Looks at the fourth answer, and remembers what was typed.
    pub(crate) fn check_outgoing(
        &mut self,
        form: OutgoingForm,
        password: Secret<String>,
    ) -> Result<Outgoing, Errors> {
        // Another server gets no password that was meant for the one before.
        let same = form.host.trim().eq_ignore_ascii_case(self.typed.outgoing.host.trim())
            && form.user.trim() == self.typed.outgoing.user.trim();
        if !password.expose().is_empty() {
            self.relay_password = Some(password);
        } else if !same {
            self.relay_password = None;
        }
        self.typed.outgoing = form;
        let outcome = check::outgoing(&self.typed.outgoing, self.relay_password.as_ref());
        if outcome.is_err() {
            self.outgoing = None;
        }
        outcome
    }

    /// Takes the fourth answer; `remark` is what was seen of a smarthost.
    pub(crate) fn set_outgoing(&mut self, outgoing: Outgoing, remark: Option<String>) {
        self.reviewed = false;
        self.outgoing = Some(outgoing);
        self.relay_remark = remark;
    }

    /// The fifth answer.
    pub(crate) fn answer_backups(&mut self, form: BackupsForm) -> Result<(), Errors> {
        self.typed.backups = form;
        self.reviewed = false;
        let outcome = check::backups(&self.typed.backups);
        self.backups = outcome.as_ref().ok().cloned();
        outcome.map(drop)
    }

    /// All answers were looked at once more.
    pub(crate) fn review(&mut self) -> bool {
        if self.next() >= Step::Review {
            self.reviewed = true;
        }
        self.reviewed
    }

    /// All answers, once there are all.
    pub(crate) fn answers(&self) -> Option<Answers> {
        Some(Answers {
            practice: self.practice.clone()?,
            administrator: self.administrator.clone()?,
            second_factor: self.factor_proven.then(|| self.factor.clone())?,
            notices: self.notices.clone()?,
            outgoing: self.outgoing.clone()?,
            backups: self.backups.clone()?,
        })
    }

    /// The kit that stands on the sheet.
    pub(crate) fn kit(&self) -> Option<&RecoveryKit> {
        self.kit.as_ref()
    }

    /// Puts a kit on the sheet, unless there is one.
    pub(crate) fn keep_kit(&mut self, kit: RecoveryKit) {
        self.kit.get_or_insert(kit);
    }

    /// Another browser goes on. Whoever sat before the first may have been somebody else: what they printed
    /// counts no more, and neither does a password or an authenticator app of theirs.
    pub(crate) fn hand_over(&mut self) {
        (self.kit, self.reviewed) = (None, false);
        (self.password, self.administrator) = (None, None);
        let Ok(factor) = second_factor::new_secret() else {
            unreachable!("the system's random generator does not fail once it has been seeded");
        };
        (self.factor, self.factor_proven) = (factor, false);
        self.relay_password = None;
        if !matches!(self.outgoing, Some(Outgoing::Direct)) {
            (self.outgoing, self.relay_remark) = (None, None);
        }
    }

    /// The end: all answers and the kit, if all of it is there and was confirmed. `disk_key` is the disk's
    /// recovery key, where there is one.
    pub(crate) fn finish(
        &self,
        kit_group: &str,
        disk_group: &str,
        disk_key: Option<&Secret<String>>,
    ) -> Result<(Answers, &RecoveryKit), Errors> {
        let (Step::Sheet, Some(answers), Some(kit)) = (self.next(), self.answers(), &self.kit)
        else {
            return Err(Errors::none());
        };
        let mut errors = Errors::none();
        if !is_end(&kit.secret, kit_group) {
            errors.add("kit", NOT_THE_GROUP);
        }
        if disk_key.is_some_and(|key| !is_end(key, disk_group)) {
            errors.add("disk", NOT_THE_GROUP);
        }
        if errors.is_empty() { Ok((answers, kit)) } else { Err(errors) }
    }
}

const NOT_THE_GROUP: &str = "This is not the end of what is printed. Please look at the sheet on paper and type \
    its last letters and digits as they stand there.";

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
