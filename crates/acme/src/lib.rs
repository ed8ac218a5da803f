//! Certificates from an authority (ACME, RFC 8555).
