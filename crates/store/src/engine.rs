//! Raw ordered key-value engines below the sealing.
