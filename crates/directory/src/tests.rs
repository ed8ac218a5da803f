//! The directory through its public interface.

use std::net::IpAddr;
use std::ops::ControlFlow;
use std::time::Duration;

use super::*;
use wardpost_store::Column;

const OFFICE: &str = "192.0.2.7";
const PASSWORD: &str = "three blind mice on a bus";
const OTHER: &str = "a green door in the rain";

fn domain() -> Domain {
    Domain::parse("clinic.test").unwrap()
}

fn address(text: &str) -> Address {
    Address::parse(text).unwrap()
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

async fn open(store: &Store) -> Directory {
    let options = Options { grace: Duration::from_millis(100), ..Options::for_tests() };
    Directory::open_with(store.clone(), &domain(), options).await.unwrap()
}

async fn add(directory: &Directory, local: &str) -> AccountId {
    let address = address(&format!("{local}@clinic.test"));
    let new = NewAccount {
        address,
        name: "Somebody".to_owned(),
        password: secret(PASSWORD),
        administrator: false,
    };
    directory.add_account(new).await.unwrap()
}

/// A directory with one account.
async fn with_dana() -> (Store, Directory, AccountId) {
    let store = Store::in_memory();
    let directory = open(&store).await;
    directory.initialise().await.unwrap().unwrap();
    let id = add(&directory, "Dana").await;
    (store, directory, id)
}

async fn login(directory: &Directory, name: &str, password: &str) -> Result<Login, AuthError> {
    directory.authenticate(name, &secret(password), ip(OFFICE), Way::MailProgram).await
}

#[tokio::test]
async fn the_recovery_kit_is_handed_out_once() {
    let store = Store::in_memory();
    let directory = open(&store).await;
    assert!(!directory.is_initialised());
    let new = NewAccount {
        address: address("dana@clinic.test"),
        name: String::new(),
        password: secret(PASSWORD),
        administrator: false,
    };
    let refused = directory.add_account(new).await;
    assert!(matches!(refused, Err(DirectoryError::NotInitialised)));
    let kit = directory.initialise().await.unwrap().unwrap();
    assert!(directory.initialise().await.unwrap().is_none());
    assert!(open(&store).await.initialise().await.unwrap().is_none());

    let id = add(&directory, "dana").await;
    let wrong = directory.reset_with_recovery(id, &secret("nonsense"), &secret(OTHER)).await;
    assert!(matches!(wrong, Err(DirectoryError::WrongSecret)));
    directory.reset_with_recovery(id, &kit.secret, &secret(OTHER)).await.unwrap();
    assert_eq!(login(&directory, "dana", PASSWORD).await.unwrap_err(), AuthError::Rejected);
    assert_eq!(login(&directory, "dana", OTHER).await.unwrap().account.id, id);
}

#[tokio::test]
async fn addresses_reach_people() {
    let (_, directory, dana) = with_dana().await;
    let lee = add(&directory, "lee").await;
    let front = address("Front.Desk@clinic.test");
    directory.add_alias(&front, vec![lee, dana, lee]).await.unwrap();
    let reached = |text: &str| directory.resolve(&address(text));
    assert_eq!(reached("DANA@Clinic.Test"), Resolution::Accounts(vec![dana]));
    assert_eq!(reached("dana+lab@clinic.test"), Resolution::Accounts(vec![dana]));
    assert_eq!(reached("front.desk+x@clinic.test"), Resolution::Accounts(vec![dana, lee]));
    assert_eq!(reached("nobody@clinic.test"), Resolution::Unknown);
    assert_eq!(reached("dana@elsewhere.test"), Resolution::NotOurs);
    // Somebody always reads this (RFC 5321 §4.5.1).
    assert_eq!(reached("Postmaster@clinic.test"), Resolution::Accounts(vec![dana]));
    directory.add_alias(&address("postmaster@clinic.test"), vec![lee]).await.unwrap();
    assert_eq!(reached("postmaster@clinic.test"), Resolution::Accounts(vec![lee]));

    assert!(directory.may_send_as(dana, &address("Dana+news@clinic.test")));
    assert!(directory.may_send_as(dana, &front));
    assert!(!directory.may_send_as(dana, &address("lee@clinic.test")));
    assert!(!directory.may_send_as(dana, &address("dana@elsewhere.test")));
    assert!(!directory.may_send_as(AccountId(99), &front));
    // A sub-address that is somebody else's alias is theirs.
    directory.add_alias(&address("dana+billing@clinic.test"), vec![lee]).await.unwrap();
    assert!(!directory.may_send_as(dana, &address("dana+billing@clinic.test")));
    assert!(directory.may_send_as(lee, &address("dana+billing@clinic.test")));

    directory.remove_alias(&front).await.unwrap();
    assert_eq!(reached("front.desk@clinic.test"), Resolution::Unknown);
    assert!(matches!(directory.remove_alias(&front).await, Err(DirectoryError::NoSuchAlias)));
}

#[tokio::test]
async fn what_cannot_be_is_refused() {
    let (_, directory, dana) = with_dana().await;
    let try_add = async |text: &str, name: &str, password: &str| {
        let new = NewAccount {
            address: address(text),
            name: name.to_owned(),
            password: secret(password),
            administrator: false,
        };
        directory.add_account(new).await.unwrap_err()
    };
    let taken = try_add("dAna@clinic.test", "", PASSWORD).await;
    assert!(matches!(taken, DirectoryError::AddressTaken));
    let foreign = try_add("x@elsewhere.test", "", PASSWORD).await;
    assert!(matches!(foreign, DirectoryError::NotOurDomain));
    assert!(matches!(try_add("x@clinic.test", "a\nb", PASSWORD).await, DirectoryError::BadName));
    assert!(matches!(try_add("x@clinic.test", "", "short").await, DirectoryError::WeakPassword(_)));
    let alias = |text: &str, to: Vec<AccountId>| {
        let (directory, address) = (directory.clone(), address(text));
        async move { directory.add_alias(&address, to).await.unwrap_err() }
    };
    assert!(matches!(alias("dana@clinic.test", vec![dana]).await, DirectoryError::AddressTaken));
    assert!(matches!(alias("x@clinic.test", vec![]).await, DirectoryError::NoTargets));
    let nobody = alias("x@clinic.test", vec![AccountId(9)]).await;
    assert!(matches!(nobody, DirectoryError::NoSuchAccount));
    let gone = directory.remove_account(AccountId(9)).await;
    assert!(matches!(gone, Err(DirectoryError::NoSuchAccount)));
}

#[tokio::test]
async fn domains_have_keys_of_their_own() {
    let (store, directory, _) = with_dana().await;
    let second = Domain::parse("another.test").unwrap();
    directory.add_domain(&second).await.unwrap();
    assert_eq!(directory.domains(), [domain(), second.clone()]);
    let keys = directory.dkim_keys(&second);
    assert_eq!(keys.len(), 2);
    assert_ne!(keys[0].public_record, directory.dkim_keys(&domain())[0].public_record);
    assert_eq!(keys[0].record_name(&second), "wp1-ed25519._domainkey.another.test");
    // Adding it again changes nothing; nor does a restart.
    directory.add_domain(&second).await.unwrap();
    let again = open(&store).await.dkim_keys(&second);
    assert_eq!(again[1].public_record, keys[1].public_record);
    assert_eq!(again[1].private_pkcs8.expose(), keys[1].private_pkcs8.expose());

    let in_use = directory.remove_domain(&domain()).await;
    assert!(matches!(in_use, Err(DirectoryError::DomainInUse)));
    let front = address("front@another.test");
    directory.add_alias(&front, vec![AccountId(1)]).await.unwrap();
    assert!(matches!(directory.remove_domain(&second).await, Err(DirectoryError::DomainInUse)));
    directory.remove_alias(&front).await.unwrap();
    directory.remove_domain(&second).await.unwrap();
    assert!(!directory.is_ours(&second) && directory.dkim_keys(&second).is_empty());
    assert!(matches!(directory.remove_domain(&second).await, Err(DirectoryError::NoSuchDomain)));
}

#[tokio::test]
async fn a_restart_changes_nothing() {
    let (store, directory, dana) = with_dana().await;
    let lee = add(&directory, "lee").await;
    directory.add_alias(&address("front@clinic.test"), vec![dana, lee]).await.unwrap();
    directory.remove_account(lee).await.unwrap();
    let again = open(&store).await;
    assert_eq!(again.accounts(), directory.accounts());
    assert_eq!(again.aliases(), directory.aliases());
    assert_eq!(again.aliases()[0].targets, [dana]);
    assert_eq!(again.certificate(dana), directory.certificate(dana));
    assert!(again.certificate(lee).is_none());
    assert!(login(&again, "dana", PASSWORD).await.is_ok());
    // Numbers are never used again.
    assert!(add(&again, "lee").await > lee);
}

#[tokio::test]
async fn people_log_in_by_address_or_local_part() {
    let (_, directory, dana) = with_dana().await;
    for name in ["dana", "DANA", "Dana@clinic.test", " dana@CLINIC.test "] {
        let login = login(&directory, name, PASSWORD).await.unwrap();
        assert_eq!(login.account.id, dana);
        assert!(!format!("{login:?}").contains("clinic"));
    }
    for name in ["", "@", "lee", "dana@elsewhere.test", "dana@clinic.test\0", "a b"] {
        assert_eq!(login(&directory, name, PASSWORD).await.unwrap_err(), AuthError::Rejected);
    }
    let stats = directory.stats();
    assert_eq!((stats.logins_ok, stats.logins_failed, stats.accounts), (4, 6, 1));
    assert_eq!(stats.unlocked, 1);
}

#[tokio::test]
async fn a_proven_password_is_not_hashed_again() {
    let (_, directory, _) = with_dana().await;
    let first = login(&directory, "dana", PASSWORD).await.unwrap();
    let hashes = directory.stats().hashes;
    for _ in 0..20 {
        let next = login(&directory, "dana@clinic.test", PASSWORD).await.unwrap();
        assert!(Arc::ptr_eq(&first.unlocked, &next.unlocked));
    }
    assert_eq!(directory.stats().hashes, hashes);
    // A wrong one is.
    assert!(login(&directory, "dana", OTHER).await.is_err());
    assert_eq!(directory.stats().hashes, hashes + 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_opens_many_connections_at_once_costs_one_hash() {
    let (_, directory, _) = with_dana().await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let directory = directory.clone();
            tokio::spawn(async move { login(&directory, "dana", PASSWORD).await })
        })
        .collect();
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert_eq!(directory.stats().hashes, 1);
}

#[tokio::test]
async fn unknown_names_cost_a_hash_too() {
    let (_, directory, _) = with_dana().await;
    assert!(login(&directory, "dana", OTHER).await.is_err());
    assert!(login(&directory, "nobody", OTHER).await.is_err());
    assert_eq!(directory.stats().hashes, 2);
}

#[tokio::test]
async fn keys_are_dropped_after_the_grace() {
    let (_, directory, _) = with_dana().await;
    let session = login(&directory, "dana", PASSWORD).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(directory.unlocked_count(), 1);
    let keys = Arc::downgrade(&session.unlocked);
    drop(session);
    assert_eq!(directory.unlocked_count(), 1);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while directory.unlocked_count() > 0 {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(keys.upgrade().is_none());
}

#[tokio::test]
async fn app_passwords_come_and_go() {
    let (_, directory, dana) = with_dana().await;
    let owner = login(&directory, "dana", PASSWORD).await.unwrap();
    let phone = directory.add_app_password(dana, &owner.unlocked, "phone").await.unwrap();
    let tablet = directory.add_app_password(dana, &owner.unlocked, "tablet").await.unwrap();
    let list = directory.app_passwords(dana);
    assert_eq!(list.iter().map(|a| a.label.as_str()).collect::<Vec<_>>(), ["phone", "tablet"]);

    let hashes = directory.stats().hashes;
    let mut on_phone = login(&directory, "dana", phone.expose()).await.unwrap();
    let on_tablet = login(&directory, "dana", tablet.expose()).await.unwrap();
    assert_eq!(directory.stats().hashes, hashes);

    directory.remove_app_password(dana, list[0].slot).await.unwrap();
    assert!(on_phone.revocation.is_revoked());
    tokio::time::timeout(Duration::from_secs(5), on_phone.revocation.revoked()).await.unwrap();
    assert!(!on_tablet.revocation.is_revoked() && !owner.revocation.is_revoked());
    assert!(login(&directory, "dana", phone.expose()).await.is_err());
    assert!(login(&directory, "dana", tablet.expose()).await.is_ok());
    let gone = directory.remove_app_password(dana, list[0].slot).await;
    assert!(matches!(gone, Err(DirectoryError::NoSuchAppPassword)));
    // The password's own slot cannot be taken away like that.
    for slot in 0..10 {
        if slot != list[1].slot {
            assert!(directory.remove_app_password(dana, slot).await.is_err());
        }
    }
    // Nor does a revoked phone that keeps trying slow the office.
    for _ in 0..200 {
        assert_eq!(
            login(&directory, "dana", phone.expose()).await.unwrap_err(),
            AuthError::Rejected
        );
    }
    assert!(login(&directory, "dana", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn no_session_outlives_its_credential_however_it_was_typed() {
    let (_, directory, dana) = with_dana().await;
    let owner = login(&directory, "dana", PASSWORD).await.unwrap();
    let phone = directory.add_app_password(dana, &owner.unlocked, "phone").await.unwrap();
    let first = login(&directory, "dana", phone.expose()).await.unwrap();
    // Spaces do not matter to an app password: each of these is recognised apart.
    for spaces in 1..=36 {
        let spaces = " ".repeat(spaces);
        for typed in [phone.expose().clone() + &spaces, spaces + phone.expose()] {
            assert!(login(&directory, "dana", &typed).await.is_ok(), "{typed:?}");
        }
    }
    let slot = directory.app_passwords(dana)[0].slot;
    directory.remove_app_password(dana, slot).await.unwrap();
    assert!(first.revocation.is_revoked());
    assert!(!owner.revocation.is_revoked());
}

#[tokio::test]
async fn a_session_without_keys_is_told_too() {
    let (_, directory, dana) = with_dana().await;
    // Submission needs no keys, so it drops them, and the account is locked again.
    let Login { revocation, unlocked, .. } = login(&directory, "dana", PASSWORD).await.unwrap();
    drop(unlocked);
    let deadline = std::time::Instant::now() + Duration::from_secs(10);
    while directory.unlocked_count() > 0 {
        assert!(std::time::Instant::now() < deadline);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!revocation.is_revoked());
    directory.change_password_with(dana, &secret(PASSWORD), &secret(OTHER)).await.unwrap();
    assert!(revocation.is_revoked());
}

#[tokio::test]
async fn a_changed_password_ends_what_the_old_one_opened() {
    let (store, directory, dana) = with_dana().await;
    let old = login(&directory, "dana", PASSWORD).await.unwrap();
    let app = directory.add_app_password(dana, &old.unlocked, "phone").await.unwrap();
    let on_phone = login(&directory, "dana", app.expose()).await.unwrap();
    // A device that was told of the new password too early.
    assert!(login(&directory, "dana", OTHER).await.is_err());

    let weak = directory.change_password(dana, &old.unlocked, &secret("short")).await;
    assert!(matches!(weak, Err(DirectoryError::WeakPassword(_))));
    let wrong = directory.change_password_with(dana, &secret(OTHER), &secret(OTHER)).await;
    assert!(matches!(wrong, Err(DirectoryError::WrongSecret)));
    directory.change_password_with(dana, &secret(PASSWORD), &secret(OTHER)).await.unwrap();

    assert!(old.revocation.is_revoked() && !on_phone.revocation.is_revoked());
    assert!(login(&directory, "dana", PASSWORD).await.is_err());
    let new = login(&directory, "dana", OTHER).await.unwrap();
    // The account key is the same: no mail was rewritten.
    assert_eq!(new.unlocked.blind(&[b"x"]), old.unlocked.blind(&[b"x"]));
    let again = open(&store).await;
    assert!(login(&again, "dana", OTHER).await.is_ok());
    assert!(login(&again, "dana", app.expose()).await.is_ok());
}

#[tokio::test]
async fn somebody_who_leaves_is_cut_off_at_once() {
    let (_, directory, dana) = with_dana().await;
    let session = login(&directory, "dana", PASSWORD).await.unwrap();
    let lee = add(&directory, "lee").await;
    directory.add_alias(&address("front@clinic.test"), vec![dana]).await.unwrap();
    directory.add_alias(&address("both@clinic.test"), vec![dana, lee]).await.unwrap();
    directory.remove_account(dana).await.unwrap();
    assert!(session.revocation.is_revoked());
    assert_eq!(directory.unlocked_count(), 0);
    assert!(login(&directory, "dana", PASSWORD).await.is_err());
    assert_eq!(directory.resolve(&address("dana@clinic.test")), Resolution::Unknown);
    assert_eq!(directory.resolve(&address("front@clinic.test")), Resolution::Unknown);
    let both = directory.resolve(&address("both@clinic.test"));
    assert_eq!(both, Resolution::Accounts(vec![lee]));
}

#[tokio::test]
async fn guessing_is_slowed_and_the_office_is_not() {
    let (_, directory, _) = with_dana().await;
    let attacker = ip("198.51.100.9");
    let mut slowed = 0;
    for n in 0..50 {
        let guess = secret(&format!("a guess that is long enough {n}"));
        if let Err(AuthError::SlowDown(wait)) =
            directory.authenticate("dana", &guess, attacker, Way::MailProgram).await
        {
            assert!(wait <= Duration::from_secs(15 * 60));
            slowed += 1;
        }
    }
    // Five are looked at, and one more for each second that the machine was busy elsewhere.
    assert!((35..=45).contains(&slowed), "{slowed}");
    let right = directory.authenticate("dana", &secret(PASSWORD), attacker, Way::MailProgram).await;
    assert!(matches!(right, Err(AuthError::SlowDown(_))));
    assert!(login(&directory, "dana", PASSWORD).await.is_ok());
    assert_eq!(directory.stats().logins_slowed, slowed + 1);
}

#[tokio::test]
async fn a_full_or_closed_store_changes_nothing_in_memory() {
    let (store, directory, dana) = with_dana().await;
    store.close();
    let new = NewAccount {
        address: address("lee@clinic.test"),
        name: String::new(),
        password: secret(PASSWORD),
        administrator: false,
    };
    assert!(matches!(directory.add_account(new).await, Err(DirectoryError::Store(_))));
    assert!(directory.remove_account(dana).await.is_err());
    assert_eq!(directory.accounts().len(), 1);
    assert_eq!(directory.resolve(&address("lee@clinic.test")), Resolution::Unknown);
    assert!(login(&directory, "dana", PASSWORD).await.is_ok());
}

#[tokio::test]
async fn keys_in_the_store_tell_no_names() {
    let (store, directory, dana) = with_dana().await;
    directory.add_alias(&address("frontdesk@clinic.test"), vec![dana]).await.unwrap();
    let mut records = 0;
    store
        .for_each(Column::Directory, b"", &mut |key, _| {
            records += 1;
            for name in ["dana", "frontdesk", "clinic"] {
                assert!(!key.windows(name.len()).any(|w| w == name.as_bytes()));
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(records, 4);
}

async fn on_page(directory: &Directory, password: &str) -> Result<Login, AuthError> {
    directory.authenticate("dana", &secret(password), ip(OFFICE), Way::Page).await
}

#[tokio::test]
async fn with_a_second_factor_mail_programs_need_app_passwords() {
    let (store, directory, dana) = with_dana().await;
    let old = login(&directory, "dana", PASSWORD).await.unwrap();
    let phone = directory.add_app_password(dana, &old.unlocked, "phone").await.unwrap();
    let page = on_page(&directory, PASSWORD).await.unwrap();
    directory.set_second_factor(dana, Some(second_factor::new_secret().unwrap())).await.unwrap();
    assert!(directory.account(dana).unwrap().second_factor);
    // What the password opened in a mail program ends; the page goes on.
    assert!(old.revocation.is_revoked() && !page.revocation.is_revoked());

    // The right password is refused like a wrong one, again and again, though the account is unlocked.
    for _ in 0..3 {
        for password in [PASSWORD, OTHER] {
            let refused = login(&directory, "dana", password).await.unwrap_err();
            assert_eq!(refused, AuthError::Rejected);
        }
    }
    let app = login(&directory, "dana", phone.expose()).await.unwrap();
    // And what a mail program tried in vain is right on a page, where app passwords are not.
    assert!(on_page(&directory, PASSWORD).await.is_ok());
    assert_eq!(on_page(&directory, phone.expose()).await.unwrap_err(), AuthError::Rejected);

    // A changed password keeps it; so does another start.
    directory.change_password_with(dana, &secret(PASSWORD), &secret(OTHER)).await.unwrap();
    assert!(page.revocation.is_revoked() && !app.revocation.is_revoked());
    assert!(directory.account(dana).unwrap().second_factor);
    let again = open(&store).await;
    assert!(login(&again, "dana", OTHER).await.is_err());
    assert!(login(&again, "dana", phone.expose()).await.is_ok());

    directory.set_second_factor(dana, None).await.unwrap();
    assert!(login(&directory, "dana", OTHER).await.is_ok());
    assert!(login(&directory, "dana", phone.expose()).await.is_ok());
    assert!(on_page(&directory, phone.expose()).await.is_err());
}

#[tokio::test]
async fn a_log_in_that_waited_while_the_second_factor_came_is_refused() {
    let (_, directory, dana) = with_dana().await;
    let page = on_page(&directory, PASSWORD).await.unwrap();
    let begin = |password: &'static str| {
        let directory = directory.clone();
        tokio::spawn(async move { login(&directory, "dana", password).await })
    };
    // The first has the turn and waits for its hash; the second, which need not be hashed, waits for
    // the turn.
    let busy = directory.0.logins.gate.clone().acquire_many_owned(2).await.unwrap();
    let wrong = begin(OTHER);
    tokio::task::yield_now().await;
    let right = begin(PASSWORD);
    tokio::task::yield_now().await;
    directory.set_second_factor(dana, Some(second_factor::new_secret().unwrap())).await.unwrap();
    drop(busy);
    assert_eq!(wrong.await.unwrap().unwrap_err(), AuthError::Rejected);
    assert_eq!(right.await.unwrap().unwrap_err(), AuthError::Rejected);
    assert!(!page.revocation.is_revoked() && on_page(&directory, PASSWORD).await.is_ok());
}

#[tokio::test]
async fn a_code_counts_once_and_guessing_codes_is_slowed_from_anywhere() {
    let (_, directory, dana) = with_dana().await;
    let secret = second_factor::new_secret().unwrap();
    let now = UNIX_EPOCH + Duration::from_secs(3_000_000);
    let check = |code: &str, now| directory.check_second_factor(dana, code, now);
    let at = |steps: u64| now + Duration::from_secs(30 * steps);
    let shown = |steps| second_factor::code(&secret, at(steps));
    // Nobody is let in for want of a second factor.
    assert_eq!(check(shown(0).expose(), now), Err(AuthError::Rejected));

    directory.set_second_factor(dana, Some(secret.clone())).await.unwrap();
    assert_eq!(check("", now), Err(AuthError::Rejected));
    let one = WrongCodes { count: 1, since: 3_000_000 };
    assert_eq!(check(shown(0).expose(), now), Ok(Some(one)));
    // Not again, and no older one.
    let before = second_factor::code(&secret, now - Duration::from_secs(30));
    assert_eq!(check(shown(0).expose(), now), Err(AuthError::Rejected));
    assert_eq!(check(before.expose(), now), Err(AuthError::Rejected));
    assert!(matches!(check(shown(1).expose(), at(1)), Ok(Some(WrongCodes { count: 2, .. }))));

    let guess = |n: u32| check(&format!("{n:06}"), now);
    let looked_at = (0..1_000).filter(|n| guess(*n) == Err(AuthError::Rejected)).count();
    assert!(looked_at <= 6, "{looked_at}");
    // A right password forgives nothing, nor does the network from which it comes.
    on_page(&directory, PASSWORD).await.unwrap();
    let slowed = check(shown(2).expose(), at(2));
    assert!(matches!(slowed, Err(AuthError::SlowDown(_))), "{slowed:?}");
    // Another password does: whoever guessed does not know that one.
    directory
        .change_password_with(dana, &self::secret(PASSWORD), &self::secret(OTHER))
        .await
        .unwrap();
    let told = check(shown(2).expose(), at(2)).unwrap().unwrap();
    assert!(told.count as usize >= 4, "{told:?}");
    assert_eq!(check(shown(3).expose(), at(3)), Ok(None));
}

#[tokio::test]
async fn there_is_always_an_administrator_if_there_was_one() {
    let (_, directory, dana) = with_dana().await;
    let lee = add(&directory, "lee").await;
    directory.set_administrator(dana, false).await.unwrap();
    directory.set_administrator(dana, true).await.unwrap();
    assert!(directory.is_only_administrator(dana) && !directory.is_only_administrator(lee));
    directory.set_administrator(lee, true).await.unwrap();
    assert!(!directory.is_only_administrator(dana) && !directory.is_only_administrator(lee));
    // Both at once: one of the two stays.
    let (one, other) =
        tokio::join!(directory.set_administrator(dana, false), directory.remove_account(lee));
    assert!(one.is_ok() != other.is_ok(), "{one:?} {other:?}");
    let refused = one.and(other).unwrap_err();
    assert!(matches!(refused, DirectoryError::LastAdministrator));
    let (last, rest): (Vec<_>, Vec<_>) =
        directory.accounts().into_iter().partition(|account| account.administrator);
    for account in rest {
        directory.remove_account(account.id).await.unwrap();
    }
    assert!(directory.is_only_administrator(last[0].id));
    for refused in [
        directory.set_administrator(last[0].id, false).await,
        directory.remove_account(last[0].id).await,
    ] {
        assert!(matches!(refused, Err(DirectoryError::LastAdministrator)));
    }
    assert!(directory.account(last[0].id).unwrap().administrator);
}

#[tokio::test]
async fn a_stolen_account_is_cut_off_everywhere() {
    let (store, directory, dana) = with_dana().await;
    assert_eq!(directory.password_used_by_mail_program(dana), None);
    let own = login(&directory, "dana", PASSWORD).await.unwrap();
    assert!(directory.password_used_by_mail_program(dana).unwrap() > 1_700_000_000);
    let phone = directory.add_app_password(dana, &own.unlocked, "phone").await.unwrap();
    let tablet = directory.add_app_password(dana, &own.unlocked, "tablet").await.unwrap();
    let open_now = [
        login(&directory, "dana", phone.expose()).await.unwrap(),
        login(&directory, "dana", tablet.expose()).await.unwrap(),
        on_page(&directory, PASSWORD).await.unwrap(),
        own,
    ];
    directory.cut_off(dana).await.unwrap();
    assert!(open_now.iter().all(|login| login.revocation.is_revoked()));
    for directory in [&directory, &open(&store).await] {
        assert!(directory.app_passwords(dana).is_empty());
        assert!(login(directory, "dana", phone.expose()).await.is_err());
        assert!(on_page(directory, PASSWORD).await.is_ok(), "the password itself stays");
    }
    let nobody = directory.cut_off(AccountId(99)).await;
    assert!(matches!(nobody, Err(DirectoryError::NoSuchAccount)));
}

#[tokio::test]
async fn administrators_are_made_and_unmade() {
    let (store, directory, dana) = with_dana().await;
    assert!(!directory.account(dana).unwrap().administrator);
    let new = NewAccount {
        address: address("lee@clinic.test"),
        name: String::new(),
        password: secret(PASSWORD),
        administrator: true,
    };
    let lee = directory.add_account(new).await.unwrap();
    directory.set_administrator(dana, true).await.unwrap();
    directory.set_administrator(lee, false).await.unwrap();
    for directory in [&directory, &open(&store).await] {
        let [dana, lee] = [dana, lee].map(|id| directory.account(id).unwrap());
        assert!(dana.administrator && !lee.administrator);
        assert_eq!((&*dana.called(), &*lee.called()), ("Somebody", "lee@clinic.test"));
        assert!(login(directory, "lee", PASSWORD).await.is_ok());
    }
    let nobody = directory.set_administrator(AccountId(99), true).await;
    assert!(matches!(nobody, Err(DirectoryError::NoSuchAccount)));
}

#[tokio::test]
async fn the_recovery_kit_opens_an_account() {
    let store = Store::in_memory();
    let directory = open(&store).await;
    let kit = directory.initialise().await.unwrap().unwrap();
    let dana = add(&directory, "dana").await;
    assert!(directory.unlock_with_recovery(dana, &kit.secret).await.is_ok());
    let wrong = directory.unlock_with_recovery(dana, &secret(PASSWORD)).await;
    assert!(matches!(wrong, Err(DirectoryError::WrongSecret)));
}

#[tokio::test]
async fn an_invitation_makes_an_account_once_with_a_password_of_the_guests_own() {
    let (store, directory, _) = with_dana().await;
    let robin = address("Robin@clinic.test");
    let first = directory.invite(&robin, "Robin").await.unwrap();
    let secret_of = directory.invite(&robin, "Robin Roe").await.unwrap();
    assert!(directory.invited(&first).is_none(), "a second invitation ends the first");
    assert_eq!(directory.invitations().len(), 1);
    assert_eq!(directory.resolve(&robin), Resolution::Unknown);

    // It holds after a restart, a weak password does not use it up, and nobody guesses it.
    let again = open(&store).await;
    assert_eq!(again.invited(&secret_of).unwrap().name, "Robin Roe");
    let weak = again.accept_invitation(&secret_of, secret("short")).await;
    assert!(matches!(weak, Err(DirectoryError::WeakPassword(_))));
    let guess = again.accept_invitation(&secret("guess"), secret(OTHER)).await;
    assert!(matches!(guess, Err(DirectoryError::NoSuchInvitation)));
    let (one, other) = tokio::join!(
        again.accept_invitation(&secret_of, secret(OTHER)),
        again.accept_invitation(&secret_of, secret(PASSWORD)),
    );
    assert!(one.is_ok() != other.is_ok(), "one of two clicks counts");
    assert!(again.invited(&secret_of).is_none() && again.invitations().is_empty());
    let account = again.account_by_address(&robin).unwrap();
    assert_eq!((account.name.as_str(), account.administrator), ("Robin Roe", false));
    assert!(open(&store).await.invitations().is_empty(), "used up on the disk, too");
}

#[tokio::test]
async fn who_may_be_invited_and_how_it_ends() {
    let (_, directory, _) = with_dana().await;
    let taken = directory.invite(&address("dana@clinic.test"), "").await;
    assert!(matches!(taken, Err(DirectoryError::AddressTaken)));
    let foreign = directory.invite(&address("robin@elsewhere.test"), "").await;
    assert!(matches!(foreign, Err(DirectoryError::NotOurDomain)));

    let robin = address("robin@clinic.test");
    let link = directory.invite(&robin, "").await.unwrap();
    directory.withdraw_invitation(&address("ROBIN@clinic.test")).await.unwrap();
    assert!(directory.invited(&link).is_none());
    let gone = directory.accept_invitation(&link, secret(OTHER)).await;
    assert!(matches!(gone, Err(DirectoryError::NoSuchInvitation)));
    let gone = directory.withdraw_invitation(&robin).await;
    assert!(matches!(gone, Err(DirectoryError::NoSuchInvitation)));

    // Somebody has the address as an alias meanwhile: the link leads to an error.
    let link = directory.invite(&robin, "").await.unwrap();
    directory.add_alias(&robin, vec![AccountId(1)]).await.unwrap();
    let taken = directory.accept_invitation(&link, secret(OTHER)).await;
    assert!(matches!(taken, Err(DirectoryError::AddressTaken)));
}

#[tokio::test]
async fn no_invitation_outlives_what_it_was_for() {
    let (store, directory, _) = with_dana().await;
    let second = Domain::parse("second.test").unwrap();
    directory.add_domain(&second).await.unwrap();
    let (robin, lee) = (address("robin@clinic.test"), address("lee@second.test"));
    let kept = directory.invite(&address("pat@clinic.test"), "").await.unwrap();
    let to_robin = directory.invite(&robin, "").await.unwrap();
    let to_lee = directory.invite(&lee, "").await.unwrap();

    // An account made otherwise, and removed: the link does not make it again.
    let id = add(&directory, "Robin").await;
    assert!(directory.invited(&to_robin).is_none());
    directory.remove_account(id).await.unwrap();
    // A domain that goes and comes back.
    directory.remove_domain(&second).await.unwrap();
    assert!(directory.invited(&to_lee).is_none());
    directory.add_domain(&second).await.unwrap();
    for directory in [&directory, &open(&store).await] {
        for link in [&to_robin, &to_lee] {
            let over = directory.accept_invitation(link, secret(OTHER)).await;
            assert!(matches!(over, Err(DirectoryError::NoSuchInvitation)), "{over:?}");
        }
        assert_eq!(directory.invitations().len(), 1, "the others hold");
        assert!(directory.invited(&kept).is_some());
    }
}
