//! What is looked at, by names that stay the same: in metrics, in links to docs/doctor.md, in alerts.

/// One thing that is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Check {
    /// Whether the daemon runs.
    Daemon,
    /// Whether the store takes writes.
    Store,
    /// Whether our ports listen.
    Ports,
    /// Whether parts of the system have failed.
    Units,
    /// Whether the DNS answers, and validates.
    DnsServer,
    /// Our host's A and AAAA records.
    DnsAddress,
    /// A domain's MX records.
    DnsMx,
    /// Other mail servers, from here.
    Port25Out,
    /// Whether STARTTLS gets through.
    StartTls,
    /// We, from outside.
    Port25In,
    /// PTR records of our addresses.
    ReverseDns,
    /// Our certificate.
    Certificate,
    /// Where certificates come from.
    CertificateRenewal,
    /// SPF records.
    DnsSpf,
    /// DKIM records.
    DnsDkim,
    /// DMARC records.
    DnsDmarc,
    /// The announcement of our MTA-STS policy, and the host it is fetched from.
    DnsMtaSts,
    /// Who hears of failing TLS.
    DnsTlsRpt,
    /// DANE.
    DnsTlsa,
    /// How mail programs find their settings.
    DnsClients,
    /// Who may issue certificates for our host.
    DnsCaa,
    /// The time.
    Clock,
    /// Room on the disk.
    Disk,
    /// How the disk is opened.
    DiskOpening,
    /// What protects the system key.
    SystemKey,
    /// Mail that waits to go out.
    Queue,
    /// Backups.
    Backups,
}

impl Check {
    /// All of them; what matters most comes first.
    pub const ALL: [Self; 27] = [
        Self::Daemon,
        Self::Store,
        Self::Ports,
        Self::Units,
        Self::DnsServer,
        Self::DnsAddress,
        Self::DnsMx,
        Self::Port25Out,
        Self::StartTls,
        Self::Port25In,
        Self::ReverseDns,
        Self::Certificate,
        Self::CertificateRenewal,
        Self::DnsSpf,
        Self::DnsDkim,
        Self::DnsDmarc,
        Self::DnsMtaSts,
        Self::DnsTlsRpt,
        Self::DnsTlsa,
        Self::DnsClients,
        Self::DnsCaa,
        Self::Clock,
        Self::Disk,
        Self::DiskOpening,
        Self::SystemKey,
        Self::Queue,
        Self::Backups,
    ];

    /// The name in [`crate::Finding::check`], in metric labels, and of the section in docs/doctor.md.
    pub fn id(self) -> &'static str {
        self.words().0
    }

    /// What it is called on a page.
    pub fn title(self) -> &'static str {
        self.words().1
    }

    /// Whether it is looked at only to learn whether the machine came up well.
    pub fn is_for_boot_alone(self) -> bool {
        matches!(self, Self::Daemon | Self::Store | Self::Ports | Self::Units)
    }

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Daemon => ("daemon", "The mail server itself"),
            Self::Store => ("store", "Data can be written"),
            Self::Ports => ("ports", "The ports listen"),
            Self::Units => ("units", "No part of the system has failed"),
            Self::DnsServer => ("dns-server", "DNS answers"),
            Self::DnsAddress => ("dns-address", "The name of this server leads here (A, AAAA)"),
            Self::DnsMx => ("dns-mx", "Mail for the domain comes to this server (MX)"),
            Self::Port25Out => ("port-25-out", "Other mail servers can be reached (port 25, out)"),
            Self::StartTls => ("starttls", "Encryption gets through to other mail servers"),
            Self::Port25In => ("port-25-in", "Other mail servers can reach us (port 25, in)"),
            Self::ReverseDns => ("reverse-dns", "The reverse name of our address (PTR)"),
            Self::Certificate => ("certificate", "The certificate"),
            Self::CertificateRenewal => {
                ("certificate-renewal", "Certificates come from the authority by themselves")
            }
            Self::DnsSpf => ("dns-spf", "This server may send mail of the domain (SPF)"),
            Self::DnsDkim => ("dns-dkim", "Signatures on our mail can be checked (DKIM)"),
            Self::DnsDmarc => ("dns-dmarc", "Forged mail in our name is distrusted (DMARC)"),
            Self::DnsMtaSts => ("dns-mta-sts", "Others must use verified encryption (MTA-STS)"),
            Self::DnsTlsRpt => ("dns-tls-rpt", "Others tell us when encryption fails (TLS-RPT)"),
            Self::DnsTlsa => ("dns-tlsa", "The key of this server is in the DNS (DANE)"),
            Self::DnsClients => ("dns-clients", "Mail programs set themselves up"),
            Self::DnsCaa => ("dns-caa", "Only our authority issues certificates for us (CAA)"),
            Self::Clock => ("clock", "The clock"),
            Self::Disk => ("disk", "Room on the disk"),
            Self::DiskOpening => ("disk-opening", "How the disk is opened at the start"),
            Self::SystemKey => ("system-key", "The key that opens all data"),
            Self::Queue => ("queue", "Mail that waits to go out"),
            Self::Backups => ("backups", "Backups"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_check_has_a_name_of_its_own_and_a_section_in_the_documentation() {
        let sections: HashSet<&str> = include_str!("../../../docs/doctor.md")
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        let ids: HashSet<&str> = Check::ALL.iter().map(|check| check.id()).collect();
        assert_eq!(ids.len(), Check::ALL.len());
        for id in &ids {
            assert!(sections.contains(id), "{id}");
        }
        // A section that no check links to is one that was forgotten.
        assert_eq!(sections.difference(&ids).copied().collect::<Vec<_>>(), ["Metrics"]);
    }
}
