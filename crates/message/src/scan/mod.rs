//! Where things begin and end: header fields, addresses, parameters and parts. Linear and bounded.

pub(crate) mod address;
pub(crate) mod field;
pub(crate) mod params;
pub(crate) mod parts;
