//! The sealed key-value store: ordered keys, sealed values, atomic batches with preconditions.
//!
//! Every value is sealed under its column's data key before it reaches the engine, bound to its
//! column and key; keys are ids and keyed hashes ([`Store::name_key`]), never names. One writer
//! thread takes all waiting batches, checks their preconditions in order, writes them as one and
//! syncs once; only then do their tickets resolve. [`Committed`] is the proof of it.

mod batch;
mod column;
mod commit;
mod engine;
mod error;
mod layout;
mod metrics;
pub mod record;
mod store;
mod writer;

pub use batch::Batch;
pub use column::Column;
pub use commit::{CommitTicket, Committed};
pub use error::{CommitError, OpenError, StoreError};
pub use metrics::{Histogram, StoreMetrics};
pub use store::{Entry, Options, Store, Visitor};
