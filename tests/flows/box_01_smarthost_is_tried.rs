//! A provider's server is tried while its owner waits: what is wrong with it is said in words, the password
//! goes to nobody whose certificate does not verify, and what was chosen is the rule for everybody.

use crate::set_up::{Hand, expect};
use wardpost_tests::destinations::{BILLER, Destination, Face, HOSPITAL, PLAINMAIL};
use wardpost_tests::knot::Proof;
use wardpost_tests::wardpost::{PARTNER, PASSWORD, Wardpost};
use wardpost_tests::{Lab, Result, run};

#[test]
fn box_01_smarthost_is_tried() -> Result<()> {
    let mut pair = None;
    let lab = Lab::start_with(|plan| {
        let made = plan.ca.issue(&[PARTNER.hostname])?;
        let (domain, ip) = (PARTNER.domain.to_owned(), plan.host(PARTNER.host));
        let face = Face { domain, ip, tls: Some(made.clone()), old: false };
        plan.zones.push(face.zone(Proof::Signed, &face.tlsa(&made.tlsa)));
        pair = Some(made);
        Ok(())
    })?;
    let partner = Wardpost::start_as(&lab, PARTNER, &pair.ok_or("no certificate")?, "")?;
    let joe = partner.add_account("joe", "Joe")?;
    let hospital = HOSPITAL.start(&lab)?;
    let _biller = BILLER.start(&lab)?;
    let _plainmail = PLAINMAIL.start(&lab)?;
    let mut wardpost = Wardpost::prepare_new(&lab, true)?;
    wardpost.run()?;
    let hand = Hand::new(&lab, &wardpost, "dana")?;
    hand.answer_all(&wardpost, &[("way", "direct")])?;

    let tried = |host: &str, port: &str, more: &[(&str, &str)]| {
        let fields = [&[("way", "smarthost"), ("host", host), ("port", port)], more].concat();
        hand.post("/set-up/outgoing", &fields)
    };
    let login = [("user", joe.as_str()), ("password", PASSWORD), ("onward", "yes")];
    for (host, port, more, words) in [
        ("smtp.nowhere.test", "587", &login[..], "There is no server called smtp.nowhere.test"),
        ("mx.hospital.test", "587", &login, "does not take connections on port 587"),
        ("mx.plainmail.test", "2525", &login, "does not offer encryption (STARTTLS)"),
        ("mx.biller.test", "2525", &login, "its certificate cannot be trusted"),
        ("mx.hospital.test", "2525", &login, "does not let anybody log in"),
        ("mx.hospital.test", "2525", &[], "does not promise to pass mail on encrypted"),
        ("mx.partner.test", "8443", &login, ""),
        (
            "mx.partner.test",
            "5870",
            &[login[0], ("password", "wrong")],
            "did not take the user name",
        ),
    ] {
        let page = expect(tried(host, port, more)?, words)?;
        expect(page, "Go on all the same").map_err(|error| format!("{host}:{port}: {error}"))?;
    }
    expect(tried("mx.hospital.test", "2525", &[("onward", "yes")])?, "Is everything right?")?;
    let page = tried("mx.partner.test", "5870", &login)?;
    let page = expect(page, "Is everything right?")?;
    expect(page, "It took the user name and the password.")?;

    let sheet = hand.post("/set-up/review", &[])?;
    let kit = sheet.split("id=\"kit-text\">").nth(1).and_then(|rest| rest.split('<').next());
    let kit = kit.ok_or("no sheet")?;
    expect(run(&mut hand.confirmation(kit)?)?, "Your mail server is set up")?;
    wardpost.wait_for_ports()?;
    let rules = wardpost.cli(&["pin", "show", "*"], "")?;
    assert!(rules.contains("mx.partner.test:5870"), "{rules}");
    assert!(!rules.contains(PASSWORD), "{rules}");
    let log = hospital.log();
    assert!(!log.contains("joe"), "the password's owner was named to a server without log-ins");
    Ok(())
}
