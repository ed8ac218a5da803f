//! Domains, as shown: for people, who mostly copy values into forms of their provider's web page, and
//! as a zone file.

use std::fmt;
use wardpost_publish::records::Listing;

/// A domain, with what to publish for it.
pub type DomainView = Listing;
/// A DNS record to publish.
pub type DnsRecordView = wardpost_publish::records::Record;

pub(super) fn domains(domains: &[DomainView], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, domain) in domains.iter().enumerate() {
        if index > 0 {
            writeln!(f)?;
        }
        write!(f, "{domain}")?;
    }
    Ok(())
}
