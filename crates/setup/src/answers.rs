//! The answers, once they are known to make sense.

use wardpost_mail::{Address, Domain, Secret};
use wardpost_pins::Smarthost;

/// The first question: who the practice is.
#[derive(Debug, Clone)]
pub struct Practice {
    /// Its name, as patients know it.
    pub name: String,
    /// What stands after the @ in its addresses.
    pub domain: Domain,
    /// What this server is called.
    pub hostname: Domain,
}

/// The second: the first administrator.
#[derive(Debug, Clone)]
pub struct Administrator {
    /// The person's name.
    pub name: String,
    /// The person's address.
    pub address: Address,
    /// The password.
    pub password: Secret<String>,
}

/// The third: whom patients call, and who hears of trouble.
#[derive(Debug, Clone)]
pub struct Notices {
    /// The telephone number that patients read.
    pub phone: String,
    /// The mail address of whoever looks after the server.
    pub contact: Address,
}

/// The fourth: how mail goes out.
#[derive(Debug, Clone)]
pub enum Outgoing {
    /// Straight to each recipient's server.
    Direct,
    /// Through somebody else's server.
    Smarthost(Box<Smarthost>),
}

/// The fifth: where backups will go.
#[derive(Debug, Clone)]
pub struct Backups {
    /// In the practice's own words; `None` when that is still open.
    pub destination: Option<String>,
}

/// All of them.
#[derive(Debug, Clone)]
pub struct Answers {
    /// Who the practice is.
    pub practice: Practice,
    /// The first administrator.
    pub administrator: Administrator,
    /// The secret of the administrator's second factor, proven.
    pub second_factor: Secret<Vec<u8>>,
    /// Whom patients call, and who hears of trouble.
    pub notices: Notices,
    /// How mail goes out.
    pub outgoing: Outgoing,
    /// Where backups will go.
    pub backups: Backups,
}
