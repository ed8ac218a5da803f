//! Questions to the servers, answered with everything that is signed.
//!
//! Asked with DO, so that signatures come along (RFC 3225), and with CD, so that a server that
//! validates leaves the judgement to us (RFC 6840 §5.9). Truncated answers are asked for again over
//! TCP, lost ones again; that is hickory's work.

use super::work::Work;
use crate::DnsError;
use crate::answer::failure;
use crate::live::tuned;
use hickory_resolver::config::NameServerConfig;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer, RetryDnsHandle};
use hickory_resolver::net::{DnsError as WireError, NetError};
use hickory_resolver::proto::op::{DnsRequest, DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{DNSClass, Name, Record, RecordType};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};
use std::sync::Arc;

/// Servers to ask.
pub(super) struct Upstream {
    pool: RetryDnsHandle<NameServerPool<TokioRuntimeProvider>>,
    options: DnsRequestOptions,
}

/// What a server said. Nothing of it is believed yet.
#[derive(Debug)]
pub(super) struct Reply {
    /// NXDOMAIN; it is not, when it is NOERROR.
    pub(super) no_such_name: bool,
    pub(super) answers: Vec<Record>,
    pub(super) authorities: Vec<Record>,
}

impl Upstream {
    /// For these servers or, without any, the system's.
    pub(super) fn new(servers: &[NameServerConfig]) -> Result<Self, DnsError> {
        let (servers, resolver) = tuned(servers)?;
        let tls = TlsConfig::new().map_err(|error| DnsError::Temporary(error.to_string()))?;
        let mut options = DnsRequestOptions::default();
        options.use_edns = true;
        options.edns_set_dnssec_ok = true;
        options.edns_payload_len = resolver.edns_payload_len;
        options.case_randomization = resolver.case_randomization;
        let attempts = resolver.attempts;
        let context = Arc::new(PoolContext::new(resolver, tls));
        let pool = NameServerPool::from_config(servers, context, TokioRuntimeProvider::default());
        Ok(Self { pool: RetryDnsHandle::new(pool, attempts), options })
    }

    /// Asks.
    ///
    /// # Errors
    /// [`DnsError::Temporary`] when there is no answer, or one that says that something failed.
    pub(super) async fn ask(
        &self,
        name: &Name,
        kind: RecordType,
        work: &mut Work,
    ) -> Result<Reply, DnsError> {
        work.question()?;
        let query = Query::query(name.clone(), kind);
        let mut request = DnsRequest::from_query(query, self.options);
        request.metadata.checking_disabled = true;
        match self.pool.send(request).first_answer().await {
            Ok(response) => {
                let code = response.response_code;
                let message = response.into_message();
                reply(code, message.answers, message.authorities)
            }
            Err(NetError::Dns(WireError::NoRecordsFound(no))) => {
                let authorities = no.authorities.map(|records| records.to_vec());
                reply(no.response_code, Vec::new(), authorities.unwrap_or_default())
            }
            Err(error) => Err(failure(&error)),
        }
    }
}

fn reply(
    code: ResponseCode,
    mut answers: Vec<Record>,
    mut authorities: Vec<Record>,
) -> Result<Reply, DnsError> {
    let no_such_name = match code {
        ResponseCode::NoError => false,
        ResponseCode::NXDomain => true,
        code => return Err(DnsError::Temporary(code.to_string())),
    };
    for section in [&mut answers, &mut authorities] {
        section.retain(|record| record.dns_class == DNSClass::IN);
    }
    Ok(Reply { no_such_name, answers, authorities })
}
