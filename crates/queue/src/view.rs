//! The queue as people and metrics see it.

use crate::{Evidence, Kind};
use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};
use wardpost_mail::{AccountId, Address, QueueId, ReversePath};
use wardpost_policy::Route;

/// One item, without its message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemView {
    /// The item.
    pub id: QueueId,
    /// What it is.
    pub kind: Kind,
    /// The account to be told.
    pub sender: Option<AccountId>,
    /// The envelope's sender.
    pub from: ReversePath,
    /// When it was taken.
    pub created: SystemTime,
    /// When it is given up.
    pub expires: SystemTime,
    /// When its last recipient ended; what is shown then is its history.
    pub ended: Option<SystemTime>,
    /// Octets of the message.
    pub size: u64,
    /// Every recipient, ended ones included.
    pub recipients: Vec<RecipientView>,
}

/// One recipient of an item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecipientView {
    /// Who.
    pub address: Address,
    /// How.
    pub route: Route,
    /// How it stands.
    pub state: RecipientState,
    /// Attempts made.
    pub attempts: u32,
    /// What they saw, oldest first; the last twenty.
    pub history: Vec<Evidence>,
}

/// How a recipient stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RecipientState {
    /// Waits for its time.
    Waiting {
        /// The time.
        next_due: SystemTime,
    },
    /// Is being tried.
    InProgress,
    /// Waits for a decision.
    Held,
    /// Was handed over.
    Delivered,
    /// Became a parcel.
    Parcel,
    /// Failed for good.
    Failed,
}

/// Numbers for metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct QueueStats {
    /// Messages in the queue.
    pub items: usize,
    /// Recipients that have not ended.
    pub recipients: usize,
    /// Of these, due now and not being tried.
    pub due: usize,
    /// Of these, being tried.
    pub leased: usize,
    /// Of these, held.
    pub held: usize,
    /// Age of the oldest message.
    pub oldest_age: Option<Duration>,
}
