//! The doctor looks at a complete zone and finds it good; then the administrator makes one mistake after the
//! other, and each is found, with words, and nothing else is.

use crate::doctor::{Found, examine};
use crate::published::{publish, start, with_pair};
use std::net::Ipv6Addr;
use wardpost_tests::knot::{Proof, Zone};
use wardpost_tests::wardpost::HOSTNAME;
use wardpost_tests::{DOMAIN, Lab, Result};

/// All that is about names.
const CHECKS: [&str; 11] = [
    "dns-server",
    "dns-address",
    "dns-mx",
    "dns-spf",
    "dns-dkim",
    "dns-dmarc",
    "dns-mta-sts",
    "dns-tls-rpt",
    "dns-tlsa",
    "dns-clients",
    "certificate",
];

/// One mistake: which lines of the zone go, which come, and what is found.
struct Mistake {
    without: &'static [&'static str],
    with: &'static [&'static str],
    check: &'static str,
    state: &'static str,
    says: &'static str,
    to_do: &'static str,
}

const fn mistake(
    without: &'static [&'static str],
    with: &'static [&'static str],
    found: [&'static str; 4],
) -> Mistake {
    let [check, state, says, to_do] = found;
    Mistake { without, with, check, state, says, to_do }
}

/// A second public address, for benchmarks (RFC 5180 §8): those of a lab have no reverse names that anybody
/// asks for.
const FAR: Ipv6Addr = Ipv6Addr::new(0x2001, 2, 0, 0, 0, 0, 0, 7);

fn reverse_name() -> String {
    let nibbles = FAR.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
    let nibbles: Vec<String> = nibbles.map(|nibble| format!("{nibble:x}")).collect();
    format!("{}.ip6.arpa", nibbles.join("."))
}

const AT_SHOP: &str = "the company where the domain clinic.test was bought";

#[rustfmt::skip]
const MISTAKES: [Mistake; 24] = [
    mistake(&[" MX "], &["clinic.test. MX 10 mx.old-provider.test."],
        ["dns-mx", "bad", "Mail for clinic.test goes to mx.old-provider.test, not to this server.", "As long as mail is to go there, this is right"]),
    mistake(&[" MX "], &[], ["dns-mx", "bad", "The domain clinic.test has no MX record", AT_SHOP]),
    mistake(&[], &["clinic.test. MX 20 mx.old-provider.test."], ["dns-mx", "warning", "but mx.old-provider.test is named besides", "take the MX records out"]),
    mistake(&[], &["clinic.test. MX 5 mx.old-provider.test."], ["dns-mx", "bad", "goes to mx.old-provider.test first", "take the MX records out"]),
    mistake(&[" MX "], &["clinic.test. MX 0 ."], ["dns-mx", "bad", "takes no mail at all", "Take that record out"]),
    mistake(&["\"v=spf1 mx"], &[], ["dns-spf", "bad", "(SPF) is missing", AT_SHOP]),
    mistake(&["\"v=spf1 mx"], &["clinic.test. TXT \"v=spf1 ip4:192.0.2.0/24 -all\""], ["dns-spf", "bad", "does not name this server: its mail looks forged", AT_SHOP]),
    mistake(&["\"v=spf1 mx"], &["clinic.test. TXT \"v=spf1 include:_spf.big.test -all\""], ["dns-spf", "warning", "include:_spf.big.test", "Put the word \"mx\" in"]),
    mistake(&[], &["clinic.test. TXT \"v=spf1 -all\""], ["dns-spf", "bad", "There are 2 SPF records at clinic.test", "Leave one of them"]),
    mistake(&["\"v=spf1 mx"], &["clinic.test. TXT \"v=spf1 +all\""], ["dns-spf", "warning", "lets everybody send", AT_SHOP]),
    mistake(&["k=rsa"], &[], ["dns-dkim", "bad", "there is no key at", "._domainkey.clinic.test TXT"]),
    mistake(&["_dmarc"], &[], ["dns-dmarc", "warning", "_dmarc.clinic.test TXT\" is missing", AT_SHOP]),
    mistake(&["_dmarc"], &["_dmarc.clinic.test. TXT \"v=DMARC1; p=none; rua=mailto:joe@home.test\""], ["dns-dmarc", "warning", "\"p=none\"", AT_SHOP]),
    mistake(&["_mta-sts."], &[], ["dns-mta-sts", "warning", "_mta-sts.clinic.test TXT\" is missing", AT_SHOP]),
    mistake(&["_mta-sts."], &["_mta-sts.clinic.test. TXT \"v=STSv1; id=1\""], ["dns-mta-sts", "warning", "has another \"id\" than our policy", AT_SHOP]),
    mistake(&["mta-sts.clinic.test. CNAME"], &[], ["dns-mta-sts", "warning", "mta-sts.clinic.test leads nowhere", AT_SHOP]),
    mistake(&["mta-sts.clinic.test. CNAME"], &["mta-sts.clinic.test. A 192.0.2.7"], ["dns-mta-sts", "warning", "leads to 192.0.2.7, not to this server", AT_SHOP]),
    mistake(&["_smtp._tls"], &[], ["dns-tls-rpt", "warning", "_smtp._tls.clinic.test TXT\" is missing", AT_SHOP]),
    mistake(&["_smtp._tls"], &["_smtp._tls.clinic.test. TXT \"v=TLSRPTv1; rua=mailto:joe@home.test\""], ["dns-tls-rpt", "warning", "go to somebody else", AT_SHOP]),
    mistake(&[" TLSA "], &[], ["dns-tlsa", "warning", "_25._tcp.mail.clinic.test TLSA\" is missing", AT_SHOP]),
    mistake(&[" TLSA "], &["_25._tcp.mail.clinic.test. TLSA 3 1 1 0000000000000000000000000000000000000000000000000000000000000000"],
        ["dns-tlsa", "bad", "names another key than this server has: servers that use DANE bring no mail", "Take those records"]),
    mistake(&["_imaps._tcp"], &["_imaps._tcp.clinic.test. SRV 0 1 993 imap.old-provider.test."], ["dns-clients", "warning", "_imaps._tcp.clinic.test are missing or lead elsewhere", AT_SHOP]),
    mistake(&["autoconfig.clinic.test. CNAME", "autodiscover.clinic.test. CNAME"], &[], ["dns-clients", "warning", "autoconfig.clinic.test and autodiscover.clinic.test", AT_SHOP]),
    mistake(&["\"v=spf1 a -all"], &[], ["dns-spf", "warning", "\"mail.clinic.test TXT\" (SPF) is missing", AT_SHOP]),
];

#[test]
fn doc_01_mistakes_in_the_zone_are_found() -> Result<()> {
    let reverse = |names: &[&str]| {
        let record = |name: &&str| format!("{}. PTR {name}.", reverse_name());
        let records: Vec<String> = names.iter().map(record).collect();
        Zone::new("2.0.0.0.1.0.0.2.ip6.arpa", Proof::Unsigned, &records)
    };
    let lab = Lab::start_with(|plan| {
        plan.zones.push(reverse(&[HOSTNAME]));
        Ok(())
    })?;
    let us = lab.host(10);
    let names = ["mta-sts", "autoconfig", "autodiscover"].map(|label| format!("{label}.{DOMAIN}"));
    let names: Vec<&str> = [HOSTNAME].into_iter().chain(names.iter().map(String::as_str)).collect();
    let pair = lab.ca.issue(&names)?;
    let publishing = format!("[publish]\naddresses = [\"{us}\"]\n");
    let mut wardpost = start(&lab, |text| with_pair(&text, &pair) + &publishing)?;
    let zone = publish(&lab, &wardpost)?;
    assert!(zone.contains(&format!("\n{HOSTNAME}. A {us}\n")), "{zone}");

    all_good_but(&examine(&wardpost, &[])?, &[]);
    for mistake in &MISTAKES {
        let goes = |line: &&str| mistake.without.iter().any(|part| line.contains(part));
        assert!(
            mistake.without.is_empty() || zone.lines().any(|line| goes(&line)),
            "{:?}",
            mistake.without
        );
        let kept = zone.lines().filter(|line| !goes(line)).map(str::to_owned);
        let lines: Vec<String> =
            kept.chain(mistake.with.iter().map(|line| (*line).to_owned())).collect();
        lab.dns.change(&Zone::new(DOMAIN, Proof::Signed, &lines))?;
        let found = examine(&wardpost, &[])?;
        let all = found.of(mistake.check);
        let [(state, says, to_do)] = all.as_slice() else { panic!("{found:?}") };
        assert_eq!(*state, mistake.state, "{says}");
        assert!(says.contains(mistake.says), "{says}");
        assert!(to_do.contains(mistake.to_do), "{to_do}");
        assert!(!says.contains("joe@"), "{says}");
        all_good_but(&found, &[mistake.check]);
    }

    // The host's own address hangs together with much else.
    let elsewhere =
        zone.replace(&format!("{HOSTNAME}. A {us}"), &format!("{HOSTNAME}. A 198.18.0.99"));
    lab.dns.change(&Zone::new(DOMAIN, Proof::Signed, &[elsewhere]))?;
    let found = examine(&wardpost, &[])?;
    let [("bad", says, to_do)] = found.of("dns-address")[..] else { panic!("{found:?}") };
    assert_eq!(
        says,
        format!(
            "The name {HOSTNAME} leads to 198.18.0.99, but this server's public address is {us}."
        )
    );
    assert!(to_do.contains(&format!("A with the value {us}")), "{to_do}");
    let is_address = |line: &str| line.starts_with(&format!("{HOSTNAME}. A"));
    let nowhere: Vec<String> =
        zone.lines().filter(|line| !is_address(line)).map(str::to_owned).collect();
    lab.dns.change(&Zone::new(DOMAIN, Proof::Signed, &nowhere))?;
    let found = examine(&wardpost, &[])?;
    let [("bad", says, _)] = found.of("dns-address")[..] else { panic!("{found:?}") };
    assert_eq!(says, "The name mail.clinic.test leads nowhere: nobody finds this server.");

    // The reverse name: of a second address, which is in the zone and in the configuration.
    let second = format!("{zone}{HOSTNAME}. AAAA {FAR}\n");
    lab.dns.change(&Zone::new(DOMAIN, Proof::Signed, &[second]))?;
    wardpost.stop()?;
    let text = std::fs::read_to_string(wardpost.config())?;
    let both = format!("addresses = [\"{us}\", \"{FAR}\"]");
    std::fs::write(wardpost.config(), text.replace(&format!("addresses = [\"{us}\"]"), &both))?;
    wardpost.run()?;
    let found = examine(&wardpost, &[])?;
    let [("good", says, _)] = found.of("reverse-dns")[..] else { panic!("{found:?}") };
    assert_eq!(says, format!("{FAR} is {HOSTNAME}, in both directions."));
    lab.dns.change(&reverse(&["dialup-7.provider.test"]))?;
    let found = examine(&wardpost, &[])?;
    let [("bad", says, to_do)] = found.of("reverse-dns")[..] else { panic!("{found:?}") };
    assert!(says.contains("is dialup-7.provider.test, not mail.clinic.test"), "{says}");
    assert!(
        to_do.contains(&format!(
            "please set the reverse DNS (PTR) of our address {FAR} to {HOSTNAME}"
        )),
        "{to_do}"
    );
    all_good_but(&found, &[]);
    lab.dns.change(&reverse(&[]))?;
    let found = examine(&wardpost, &[])?;
    let [("bad", says, _)] = found.of("reverse-dns")[..] else { panic!("{found:?}") };
    assert!(says.contains("has no reverse name"), "{says}");

    // For people: the worst first, no line too long, and nothing private in the log.
    let output = wardpost.cli_output(&["doctor"], "")?;
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout)?;
    assert!(said.starts_with("BAD: "), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
    assert!(said.contains("\nGOOD\n"), "{said}");
    let log = wardpost.log();
    assert!(log.contains("check=\"reverse-dns\""), "{log}");
    assert!(!log.contains("old-provider") && !log.contains("joe@"), "{log}");
    Ok(())
}

fn all_good_but(found: &Found, wrong: &[&str]) {
    for check in CHECKS.iter().filter(|check| !wrong.contains(*check)) {
        let all = found.of(check);
        assert!(!all.is_empty(), "nothing about {check}: {found:?}");
        for (state, says, _) in all {
            assert_eq!(state, "good", "{check}: {says}");
        }
    }
}
