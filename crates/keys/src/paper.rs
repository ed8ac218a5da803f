//! Secrets as people print and type them.
