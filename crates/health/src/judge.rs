//! From facts to a report.

use crate::facts::Facts;
use crate::{Check, Finding, Report, certificate, machine, network, records};

/// What is wrong, worst first. Says nothing of what nobody looked at.
pub fn judge(facts: &Facts) -> Report {
    let mut findings: Vec<Finding> = Vec::new();
    findings.extend(facts.daemon.map(machine::daemon));
    findings.extend(facts.store.as_ref().map(machine::store));
    findings.extend(facts.ports.as_deref().map(machine::ports));
    findings.extend(facts.units.as_ref().map(machine::units));
    findings.extend(facts.dns.as_ref().map(network::dns_server));
    if let Some(host) = &facts.host {
        findings.push(network::address(facts, host));
        findings.extend(network::reverse(&facts.hostname, host));
    }
    findings.extend(facts.port_out.iter().flat_map(network::port_out));
    findings.extend(facts.port_in.as_ref().map(|port_in| network::port_in(facts, port_in)));
    findings
        .extend(facts.certificate.iter().flat_map(|found| certificate::certificate(facts, found)));
    findings.extend(records::judge(facts));
    findings.extend(facts.clock.as_ref().map(machine::clock));
    findings.extend(facts.disk.as_ref().map(machine::disk));
    findings.extend(facts.opening.map(machine::opening));
    findings.extend(facts.system_key.map(|key| machine::system_key(key, facts.opening)));
    findings.extend(facts.queue.as_ref().map(machine::queue));
    findings.extend(facts.backups.map(machine::backups));
    sort(&mut findings);
    Report { when: facts.when, findings }
}

impl Report {
    /// What both found, worst first.
    #[must_use]
    pub fn merged(mut self, other: Self) -> Self {
        self.findings.extend(other.findings);
        sort(&mut self.findings);
        self
    }
}

/// Worst first, and of the same state what matters most.
fn sort(findings: &mut [Finding]) {
    let rank = |finding: &Finding| Check::ALL.iter().position(|check| check.id() == finding.check);
    findings.sort_by_key(|finding| (std::cmp::Reverse(finding.state), rank(finding)));
}
