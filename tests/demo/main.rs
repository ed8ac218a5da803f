//! Placeholder until the flows land.
fn main() {}
