//! Authenticated encryption.
