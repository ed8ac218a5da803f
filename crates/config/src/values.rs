//! Texts that become typed values.

use crate::TimeServer;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use thiserror::Error;
use wardpost_mail::Domain;

/// Someone who may send to us without TLS although others may not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CleartextException {
    /// Peers in a network, e.g. `192.0.2.7` or `192.0.2.0/24`: a scanner or fax machine in the office.
    Network {
        /// The network's first address: the bits that do not count are zero.
        address: IpAddr,
        /// How many leading bits count.
        prefix: u8,
    },
    /// Senders of a domain, by MAIL FROM.
    Domain(Domain),
}

/// Why a text is neither a network nor a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NetworkError {
    /// The part after the slash is not a prefix length of the address before it.
    #[error("the number after the slash must be between 0 and {0}")]
    Prefix(u8),
    /// Neither an address, a network nor a domain.
    #[error("must be an IP address, a network such as 192.0.2.0/24, or a sender's domain")]
    Neither,
}

impl CleartextException {
    /// Reads an address, a network in CIDR form, or a domain.
    ///
    /// # Errors
    /// When the text is none of these.
    pub fn parse(text: &str) -> Result<Self, NetworkError> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let Ok(address) = address.parse::<IpAddr>() else {
            let domain = Domain::parse(text).map_err(|_| NetworkError::Neither)?;
            return Ok(Self::Domain(domain));
        };
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => longest,
            Some(digits) => digits.parse().map_err(|_| NetworkError::Prefix(longest))?,
        };
        if prefix > longest {
            return Err(NetworkError::Prefix(longest));
        }
        Ok(Self::Network { address: first_of(address, prefix), prefix })
    }

    /// Whether it covers this peer, or this domain of MAIL FROM.
    pub fn matches(&self, peer: IpAddr, sender: Option<&Domain>) -> bool {
        match self {
            Self::Network { address, prefix } => same_network(*address, peer, *prefix),
            Self::Domain(domain) => sender == Some(domain),
        }
    }
}

/// The address with the bits after the prefix cleared, so that one network has one form.
fn first_of(address: IpAddr, prefix: u8) -> IpAddr {
    let cleared = |bits: u128, longest: u8| {
        let idle = u32::from(longest - prefix);
        bits.checked_shr(idle).and_then(|bits| bits.checked_shl(idle)).unwrap_or(0)
    };
    match address {
        // No more than 32 bits were taken from it.
        IpAddr::V4(v4) => Ipv4Addr::from_bits(cleared(v4.to_bits().into(), 32) as u32).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(cleared(v6.to_bits(), 128)).into(),
    }
}

/// As [`CleartextException::parse`] reads it.
impl fmt::Display for CleartextException {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Network { address, prefix } => {
                let longest = if address.is_ipv4() { 32 } else { 128 };
                match *prefix == longest {
                    true => write!(f, "{address}"),
                    false => write!(f, "{address}/{prefix}"),
                }
            }
            Self::Domain(domain) => domain.fmt(f),
        }
    }
}

fn same_network(a: IpAddr, b: IpAddr, prefix: u8) -> bool {
    match (a, b.to_canonical()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let differing = u32::from(a) ^ u32::from(b);
            differing.leading_zeros() >= u32::from(prefix)
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let differing = u128::from(a) ^ u128::from(b);
            differing.leading_zeros() >= u32::from(prefix)
        }
        _ => false,
    }
}

/// `address:port`; a bare port means all IPv4 addresses, as `:25` does in other programs.
pub(crate) fn listen_address(text: &str) -> Result<SocketAddr, &'static str> {
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "must be an address and a port, such as \"0.0.0.0:25\" or \"[::]:25\"")?;
    Ok(address)
}

/// `address:port`, or an address alone for port 53.
pub(crate) fn dns_server(text: &str) -> Result<SocketAddr, &'static str> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(SocketAddr::new(address, 53));
    }
    match text.parse::<SocketAddr>() {
        Ok(address) if address.port() != 0 => Ok(address),
        _ => Err("must be an IP address, with or without a port, such as \"127.0.0.1:53\""),
    }
}

/// A time server: `name`, `address`, `name:port` or `[address]:port`.
pub(crate) fn time_server(text: &str) -> Result<TimeServer, &'static str> {
    let wrong = "must be a host name or an address, with or without a port, such as \"time.cloudflare.com\"";
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(TimeServer { host: address.ip().to_string(), port: address.port() });
    }
    if text.parse::<IpAddr>().is_ok() {
        return Ok(TimeServer { host: text.to_owned(), port: 123 });
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, port.parse().map_err(|_| wrong)?),
        None => (text, 123),
    };
    let host = Domain::parse(host).map_err(|_| wrong)?.to_string();
    if port == 0 { Err(wrong) } else { Ok(TimeServer { host, port }) }
}

/// An address that others could reach us at.
pub(crate) fn public_address(text: &str) -> Result<IpAddr, &'static str> {
    match text.parse::<IpAddr>() {
        Ok(address) if !address.is_unspecified() && !address.is_multicast() => Ok(address),
        _ => Err("must be an IP address without a port, such as \"203.0.113.7\""),
    }
}

/// A size in octets, such as `50 MiB`, `500 kB` or `1048576`.
pub(crate) fn size(text: &str) -> Result<u64, String> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim() {
        "" | "B" => 1,
        "kB" => 1000,
        "KiB" => 1 << 10,
        "MB" => 1_000_000,
        "MiB" => 1 << 20,
        "GB" => 1_000_000_000,
        "GiB" => 1 << 30,
        _ => return Err("must be a size such as \"50 MiB\"".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "must be a size such as \"50 MiB\"".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "is too large".to_owned())
}

/// The start of links: an https URL of scheme, host and perhaps port and path, without a final slash.
pub(crate) fn https_url(text: &str) -> Result<String, &'static str> {
    let rest = text.strip_prefix("https://").ok_or("must begin with https://")?;
    let clean = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/[]".contains(&byte);
    if rest.is_empty() || rest.starts_with('/') || !rest.bytes().all(clean) {
        return Err("must be a plain address such as https://mail.clinic.example");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A line shown to people: not empty, no control characters, bounded.
pub(crate) fn line(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    if text.is_empty() || text.chars().count() > 200 {
        return Err("must be between 1 and 200 characters");
    }
    if text.chars().any(char::is_control) {
        return Err("must be one line without control characters");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("1048576", Some(1 << 20)),
            ("50 MiB", Some(50 << 20)),
            ("50MiB", Some(50 << 20)),
            ("2 GB", Some(2_000_000_000)),
            ("MiB", None),
            ("1.5 MiB", None),
            ("-1", None),
            ("99999999999999999999", None),
            ("99999999999999 GiB", None),
            ("5 mib", None),
        ] {
            assert_eq!(size(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn exceptions_cover_what_they_say() {
        let domain = Domain::parse("lab.test").unwrap();
        for (exception, peer, sender, covered) in [
            ("192.0.2.7", "192.0.2.7", None, true),
            ("192.0.2.7", "::ffff:192.0.2.7", None, true),
            ("192.0.2.0/24", "192.0.2.200", None, true),
            ("192.0.2.0/24", "192.0.3.1", None, false),
            ("0.0.0.0/0", "8.8.8.8", None, true),
            ("0.0.0.0/0", "2001:db8::1", None, false),
            ("2001:db8::/32", "2001:db8:1::1", None, true),
            ("lab.test", "10.0.0.1", Some(&domain), true),
            ("lab.test", "10.0.0.1", None, false),
            ("other.test", "10.0.0.1", Some(&domain), false),
        ] {
            let exception = CleartextException::parse(exception).unwrap();
            assert_eq!(exception.matches(peer.parse().unwrap(), sender), covered, "{exception:?}");
        }
        for (text, shown) in [
            ("192.0.2.7", "192.0.2.7"),
            ("192.0.2.7/24", "192.0.2.0/24"),
            ("192.0.2.7/0", "0.0.0.0/0"),
            ("2001:db8:1::7/32", "2001:db8::/32"),
            ("::1/0", "::/0"),
            ("2001:db8::7/128", "2001:db8::7"),
            ("Lab.Test", "lab.test"),
        ] {
            assert_eq!(CleartextException::parse(text).unwrap().to_string(), shown);
        }
        for text in ["192.0.2.0/33", "192.0.2.0/", "2001:db8::/129", "", "a b"] {
            assert!(CleartextException::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn urls() {
        assert_eq!(https_url("https://a.test/"), Ok("https://a.test".to_owned()));
        assert_eq!(https_url("https://a.test:8443"), Ok("https://a.test:8443".to_owned()));
        for text in
            ["http://a.test", "a.test", "https://", "https:///x", "https://a\r\nb", "https://a b"]
        {
            assert!(https_url(text).is_err(), "{text}");
        }
    }
}
