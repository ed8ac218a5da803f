//! Reports between mail servers: TLS-RPT (RFC 8460) and DMARC aggregate reports, out and in.
