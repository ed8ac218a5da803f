//! The answers, once they are known to make sense.

use wardpost_mail::{Address, Domain, Secret};
use wardpost_pins::Smarthost;

/// The first question: who the practice is.
#[derive(Debug, Clone)]
pub(crate) struct Practice {
    /// Its name, as patients know it.
    pub(crate) name: String,
    /// What stands after the @ in its addresses.
    pub(crate) domain: Domain,
    /// What this server is called.
    pub(crate) hostname: Domain,
}

/// The second: the first administrator.
#[derive(Debug, Clone)]
pub(crate) struct Administrator {
    /// The person's name.
    pub(crate) name: String,
    /// The person's address.
    pub(crate) address: Address,
    /// The password.
    pub(crate) password: Secret<String>,
}

/// The third: whom patients call, and who hears of trouble.
#[derive(Debug, Clone)]
pub(crate) struct Notices {
    /// The telephone number that patients read.
    pub(crate) phone: String,
    /// The mail address of whoever looks after the server.
    pub(crate) contact: Address,
}

/// The fourth: how mail goes out.
#[derive(Debug, Clone)]
pub(crate) enum Outgoing {
    /// Straight to each recipient's server.
    Direct,
    /// Through somebody else's server.
    Smarthost(Box<Smarthost>),
}

/// The fifth: where backups will go.
#[derive(Debug, Clone)]
pub(crate) struct Backups {
    /// In the practice's own words; `None` when that is still open.
    pub(crate) destination: Option<String>,
}

/// All of them.
#[derive(Debug, Clone)]
pub(crate) struct Answers {
    /// Who the practice is.
    pub(crate) practice: Practice,
    /// The first administrator.
    pub(crate) administrator: Administrator,
    /// The secret of the administrator's second factor, proven.
    pub(crate) second_factor: Secret<Vec<u8>>,
    /// Whom patients call, and who hears of trouble.
    pub(crate) notices: Notices,
    /// How mail goes out.
    pub(crate) outgoing: Outgoing,
    /// Where backups will go.
    pub(crate) backups: Backups,
}
