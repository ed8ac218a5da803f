//! Which authority may issue: its name in CAA records, by the directory that certificates are ordered at.

/// Directories' hosts, or the domain they lie in, and the names in CAA records, from the authorities' own
/// documents.
const KNOWN: [(&str, &str); 7] = [
    ("api.letsencrypt.org", "letsencrypt.org"),
    ("acme.zerossl.com", "sectigo.com"),
    ("acme.sectigo.com", "sectigo.com"),
    ("pki.goog", "pki.goog"),
    ("api.buypass.com", "buypass.com"),
    ("acme.digicert.com", "digicert.com"),
    ("acme.ssl.com", "ssl.com"),
];

/// The authority's name in CAA records (RFC 8659 §4.2), for the URL of an ACME directory. `None` for
/// authorities that we do not know, whose own list (`caaIdentities`, RFC 8555 §7.1.1) counts.
pub fn authority_of(directory: &str) -> Option<&'static str> {
    let rest = directory.strip_prefix("https://")?;
    let host = rest.split(['/', ':']).next()?;
    let within = |domain: &str| {
        host.strip_suffix(domain).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    // Let's Encrypt's own hosts are named `acme-v02.api…`, `acme-staging-v02.api…`.
    KNOWN.iter().find(|(domain, _)| within(domain)).map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn authorities_by_their_directories() {
        for (directory, name) in [
            ("https://acme-v02.api.letsencrypt.org/directory", Some("letsencrypt.org")),
            ("https://acme-staging-v02.api.letsencrypt.org/directory", Some("letsencrypt.org")),
            ("https://acme.zerossl.com/v2/DV90", Some("sectigo.com")),
            ("https://dv.acme-v02.api.pki.goog/directory", Some("pki.goog")),
            ("https://127.0.0.1:14000/dir", None),
            ("https://evilpki.goog/directory", None),
            ("https://acme.zerossl.com.evil.test/", None),
            ("", None),
        ] {
            assert_eq!(authority_of(directory), name, "{directory}");
        }
    }
}
