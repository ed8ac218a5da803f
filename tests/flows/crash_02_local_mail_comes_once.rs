//! Local mail, reports included, is in the mailbox once, however often the server is killed while it delivers.

use crate::pickup::mails_with;
use wardpost_tests::Result;
use wardpost_tests::practice::{Practice, message};

#[test]
fn crash_02_local_mail_comes_once() -> Result<()> {
    const ROUNDS: usize = 4;
    let mut practice = Practice::open()?;
    let mut taken = Vec::new();
    for round in 0..ROUNDS {
        for n in 0..10 {
            let mark = format!("mark-{round}-{n}-end");
            let text = message(&practice.dana, &practice.lee, "Local", &mark);
            practice.submit(&practice.dana, &[&practice.lee, "nobody@gone.test"], &text)?;
            taken.push(mark);
        }
        practice.wardpost.kill();
        practice.wardpost.run()?;
    }
    practice.settled()?;
    let all = mails_with(&practice, &practice.lee, "mark-")?;
    for mark in &taken {
        assert_eq!(all.iter().filter(|mail| mail.contains(mark)).count(), 1, "{mark}");
    }
    // The reports that the other recipient is unknown are local mail too.
    let reports = mails_with(&practice, &practice.dana, "nobody@gone.test")?;
    assert_eq!(reports.len(), taken.len());
    Ok(())
}
