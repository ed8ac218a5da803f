//! MTA-STS policies of other domains: found, fetched, kept and refreshed (RFC 8461).
