//! The way out.

mod courier;
mod metrics;
mod probe;
mod settings;

pub use courier::Courier;
pub use probe::{HostReport, PathReport};
pub use settings::{Parts, Settings, Timeouts};
