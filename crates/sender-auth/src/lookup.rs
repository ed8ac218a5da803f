//! The look-ups made here, besides mail-auth's.

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::{Name, RData};

/// DNS gave no answer; a later try may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unavailable;

/// The TXT records at a name, each joined (RFC 7208 §3.3); none when the name does not exist.
pub(crate) async fn txt(dns: &TokioResolver, name: &str) -> Result<Vec<Vec<u8>>, Unavailable> {
    // What is no name of DNS has no records there.
    let Ok(name) = absolute(name) else { return Ok(Vec::new()) };
    match dns.txt_lookup(name).await {
        Ok(lookup) => {
            let records = lookup.answers().iter().filter_map(|record| match &record.data {
                RData::TXT(txt) => {
                    Some(txt.txt_data.iter().flat_map(|part| part.iter().copied()).collect())
                }
                _ => None,
            });
            Ok(records.collect())
        }
        Err(error) if error.is_no_records_found() => Ok(Vec::new()),
        Err(_) => Err(Unavailable),
    }
}

/// Whether a name exists, with whatever records (RFC 8020).
pub(crate) async fn exists(dns: &TokioResolver, name: &str) -> Result<bool, Unavailable> {
    let Ok(name) = absolute(name) else { return Ok(false) };
    match dns.ipv4_lookup(name).await {
        Ok(_) => Ok(true),
        Err(error) if error.is_nx_domain() => Ok(false),
        Err(error) if error.is_no_records_found() => Ok(true),
        Err(_) => Err(Unavailable),
    }
}

/// With a final dot, so that no search list has a part in it.
fn absolute(name: &str) -> Result<Name, hickory_resolver::proto::ProtoError> {
    Name::from_str_relaxed(format!("{}.", name.trim_end_matches('.')))
}
