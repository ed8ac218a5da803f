//! kill -9 in the middle of orders loses nothing but the order.

use crate::acme::{Certified, serial, show};
use crate::published::{dane_verifies, tlsa};
use std::time::Duration;
use wardpost_tests::Result;
use wardpost_tests::pebble::Manners;

#[test]
fn acme_05_kill_nine_loses_nothing_but_the_order() -> Result<()> {
    let manners = Manners { dawdles: 3, bad_nonces: 20, ..Manners::default() };
    let mut practice = Certified::open(manners)?;
    // From before the account is made until after the certificate is there.
    for millis in [0, 150, 400, 700, 1000, 1500, 2000, 3000] {
        std::thread::sleep(Duration::from_millis(millis));
        practice.wardpost.kill();
        practice.wardpost.run()?;
    }
    practice.certified()?;
    let record = tlsa(&practice.wardpost, "current")?;
    assert!(dane_verifies(&practice.wardpost, &record)?);
    // However often it was killed, the authority saw one account.
    let log = practice.pebble.log();
    assert!(
        log.contains("There are now 1 accounts") && !log.contains("There are now 2 accounts"),
        "{log}"
    );

    // And in the middle of renewals: the certificate that there was, or the new one, with the same key.
    for millis in [100, 600, 1500, 2500] {
        let renewing = std::thread::scope(|scope| -> Result<()> {
            let wardpost = &practice.wardpost;
            scope.spawn(move || wardpost.cli(&["tls", "renew"], "").is_ok());
            std::thread::sleep(Duration::from_millis(millis));
            wardpost.process().ok_or("it does not run")?.signal("KILL")
        });
        renewing?;
        practice.wardpost.kill();
        practice.wardpost.run()?;
        let view = show(&practice.wardpost)?;
        assert_eq!(view["self_signed"], false, "{view}");
        assert_eq!(tlsa(&practice.wardpost, "current")?, record);
        serial(&practice.wardpost)?;
    }
    practice.wardpost.cli(&["tls", "renew"], "")?;
    assert!(!practice.pebble.log().contains("There are now 2 accounts"));
    Ok(())
}
