//! The way back: what is demanded before it, what lies where after it, and that somebody can still get in.

use keyholt_core::bond::Bond;
use keyholt_core::owner::Owner;
use keyholt_core::text::Cause;
use keyholt_server::backup::Operators;
use keyholt_server::keeper::FirstStart;

use super::*;
use crate::house::{Held, Wishes, source, wish};

async fn backed_up() -> (Yard, House, Held) {
    let yard = Yard::new();
    let house = yard.house().await;
    let ada = house.user("ada").await;
    let key = house
        .issue(wish(Owner::User(ada.id), "deploy").scopes(&["orders:*"]))
        .await;
    yard.back_up(&house).await;
    (yard, house, key)
}

async fn gap(yard: &Yard, house: &House) -> Gap {
    match yard.plan(house.clock.now_ms()).await.unwrap().comparison() {
        Comparison::Unknown(gap) => gap.clone(),
        known => panic!("{known:?}"),
    }
}

#[tokio::test]
async fn a_running_server_is_not_restored_over() {
    let (yard, house, _) = backed_up().await;
    assert!(matches!(yard.plan(house.clock.now_ms()).await, Err(BackupError::InUse)));
}

#[tokio::test]
async fn no_server_starts_between_plan_and_deed() {
    let (yard, house, _) = backed_up().await;
    stop(&house).await;
    let plan = yard.plan(house.clock.now_ms()).await.unwrap();
    assert!(Sqlite::open(&yard.database()).is_err());
    drop(plan);
    assert!(Sqlite::open(&yard.database()).is_ok());
}

#[tokio::test]
async fn where_the_data_are_lost_somebody_must_say_what_that_means() {
    let (yard, house, key) = backed_up().await;
    stop(&house).await;
    fs::remove_file(yard.database()).unwrap();
    assert_eq!(gap(&yard, &house).await, Gap::NoData);
    let refused = yard.restore(&house, Consent::EndWhatEnded).await;
    assert!(matches!(refused, Err(BackupError::GapNotAccepted)));
    assert!(!yard.database().exists());
    let restored = yard.restore(&house, Consent::AcceptGap).await.unwrap();
    assert_eq!((restored.aside, restored.operators), (None, Operators::Known));
    let keeper = yard.reopened(&house).await;
    assert_eq!(code(&house, &keeper, &key.secret), "valid");
}

#[tokio::test]
async fn where_the_data_cannot_be_read_they_are_kept_and_somebody_must_say_what_that_means() {
    let (yard, house, key) = backed_up().await;
    stop(&house).await;
    let broken = vec![7; 16_384];
    fs::write(yard.database(), &broken).unwrap();
    assert!(matches!(gap(&yard, &house).await, Gap::Unreadable(_)));
    assert!(matches!(
        yard.restore(&house, Consent::EndWhatEnded).await,
        Err(BackupError::GapNotAccepted)
    ));
    let restored = yard.restore(&house, Consent::AcceptGap).await.unwrap();
    let aside = restored.aside.unwrap();
    assert_eq!(
        aside.file_name().unwrap(),
        "keyholt.db.before-restore-2030-01-01T00-00-00Z"
    );
    assert_eq!(fs::read(aside).unwrap(), broken);
    let keeper = yard.reopened(&house).await;
    assert_eq!(code(&house, &keeper, &key.secret), "valid");
}

#[tokio::test]
async fn data_that_are_no_later_state_of_the_backup_say_nothing_about_it() {
    let (yard, house, _) = backed_up().await;
    stop(&house).await;
    // The same installation, brought back to before the backup and gone on differently.
    fs::remove_file(yard.database()).unwrap();
    let other = yard.house().await;
    other.user("mallory").await;
    stop(&other).await;
    assert_eq!(gap(&yard, &house).await, Gap::OtherHistory);
}

#[tokio::test]
async fn data_of_another_master_key_say_nothing_about_the_backup() {
    let (yard, house, _) = backed_up().await;
    stop(&house).await;
    fs::remove_file(yard.database()).unwrap();
    let store = Sqlite::open(&yard.database()).unwrap();
    let other = Bond::to(MasterKey::new([43; 32]).check());
    store.rebind(None, other).await.unwrap();
    store.close().await;
    drop(store);
    assert_eq!(gap(&yard, &house).await, Gap::OtherMasterKey);
}

#[tokio::test]
async fn data_that_were_restored_in_part_say_nothing_about_the_backup() {
    let (yard, house, _) = backed_up().await;
    let mut lines = dump_of(&*house.store).await;
    stop(&house).await;
    fs::remove_file(yard.database()).unwrap();
    let store = Sqlite::open(&yard.database()).unwrap();
    lines.pop();
    store.fill(lines).await.unwrap();
    store.close().await;
    drop(store);
    assert!(matches!(gap(&yard, &house).await, Gap::Unreadable(_)));
}

#[tokio::test]
async fn the_present_data_lie_aside_with_all_that_was_in_them() {
    let (yard, house, key) = backed_up().await;
    house.issue(wish(key.key.owner, "newer").scopes(&[])).await;
    stop(&house).await;
    let present = dump_of(&Sqlite::open(&yard.database()).unwrap()).await;
    let restored = yard.restore(&house, Consent::EndWhatEnded).await.unwrap();
    let aside = Sqlite::open(&restored.aside.unwrap()).unwrap();
    assert!(dump_of(&aside).await == present);
}

#[tokio::test]
async fn every_key_can_come_back_suspended_and_the_set_up_lets_somebody_in() {
    let (yard, house, key) = backed_up().await;
    stop(&house).await;
    fs::remove_file(yard.database()).unwrap();
    let restored = yard.restore(&house, Consent::SuspendAllKeys).await.unwrap();
    assert_eq!((restored.suspended, restored.operators), (2, Operators::SetUpAgain));
    let keeper = yard.reopened(&house).await;
    assert_eq!(code(&house, &keeper, &key.secret), "suspended");
    assert!(keeper.authenticate(&house.operator.secret, source()).is_err());

    let FirstStart::Token(token) = keeper.start(source()).await.unwrap() else {
        panic!("nobody can get in")
    };
    let who = keyholt_core::found::FirstOperator {
        name: keyholt_core::text::Name::new("Olaf").unwrap(),
        external_id: keyholt_core::text::ExternalId::new("olaf").unwrap(),
        email: None,
    };
    let token = token.reveal();
    let operator = crate::house::held(keeper.set_up(&token, who, source()).await.unwrap().issued);
    let olaf = keeper.authenticate(&operator.secret, source()).unwrap();
    keeper
        .resume_key(&olaf, house.project(), key.id(), None, None)
        .await
        .unwrap();
    assert_eq!(code(&house, &keeper, &key.secret), "valid");
}

#[tokio::test]
async fn an_operators_key_that_was_revoked_after_the_backup_does_not_lock_everybody_out() {
    let (yard, house, _) = backed_up().await;
    let olga = house.olga();
    let second = house
        .keeper
        .issue_key(
            &olga,
            keyholt_core::id::SYSTEM,
            wish(olga.owner, "second").everything(),
            None,
        )
        .await
        .unwrap();
    let second = crate::house::held(second);
    let cause = Cause::new("left").unwrap();
    let actor = house.actor(&second.secret);
    house
        .keeper
        .revoke_key(&actor, keyholt_core::id::SYSTEM, house.operator.id(), cause, None)
        .await
        .unwrap();
    stop(&house).await;
    let restored = yard.restore(&house, Consent::EndWhatEnded).await.unwrap();
    assert_eq!((restored.ended, restored.operators), (1, Operators::SetUpAgain));
    let keeper = yard.reopened(&house).await;
    assert!(keeper.authenticate(&house.operator.secret, source()).is_err());
    assert!(matches!(keeper.start(source()).await.unwrap(), FirstStart::Token(_)));
}

#[tokio::test]
async fn a_restored_installation_can_be_backed_up_and_restored_again() {
    let (yard, house, key) = backed_up().await;
    let cause = Cause::new("leak").unwrap();
    house
        .keeper
        .revoke_key(&house.olga(), house.project(), key.id(), cause, None)
        .await
        .unwrap();
    stop(&house).await;
    yard.restore(&house, Consent::EndWhatEnded).await.unwrap();
    house.advance(Span::hours(1));
    // The same old backup once more: what was ended by the first restore is still known.
    let restored = yard.restore(&house, Consent::EndWhatEnded).await.unwrap();
    assert_eq!(restored.ended, 1);
    let keeper = yard.reopened(&house).await;
    assert_eq!(code(&house, &keeper, &key.secret), "revoked");
}

#[tokio::test]
async fn the_data_in_use_until_now_may_lie_elsewhere() {
    let (yard, house, key) = backed_up().await;
    let cause = Cause::new("leak").unwrap();
    house
        .keeper
        .revoke_key(&house.olga(), house.project(), key.id(), cause, None)
        .await
        .unwrap();
    stop(&house).await;
    let elsewhere = Yard::new();
    let (backup, into, present) = (yard.backup(), elsewhere.place(), yard.place());
    let request = Request {
        backup: &backup,
        passphrase: None,
        into: &into,
        present: Some(&present),
        masters: &Arc::new(MasterKey::new([42; 32]).into()),
        broken: BrokenSeals::Refuse,
        now: house.keeper.now(),
    };
    let plan = backup::plan(request, &mut seeded(2), &mut |_| ()).await.unwrap();
    plan.carry_out(Consent::EndWhatEnded, &mut seeded(3), &mut |_| ())
        .await
        .unwrap();
    let keeper = elsewhere.reopened(&house).await;
    assert_eq!(code(&house, &keeper, &key.secret), "revoked");
}

#[tokio::test]
async fn a_backup_from_before_the_master_key_was_replaced_comes_back_under_the_new_one() {
    let yard = Yard::new();
    let house = yard.house().await;
    let owner = Owner::User(house.user("ada").await.id);
    let renewed = house.issue(wish(owner, "renewed").everything()).await;
    let idle = house.issue(wish(owner, "idle").everything()).await;
    let revoked = house.issue(wish(owner, "revoked").everything()).await;
    yard.back_up(&house).await;
    stop(&house).await;
    let masters = |previous: Option<u8>| Masters {
        present: MasterKey::new([43; 32]),
        previous: previous.map(|byte| MasterKey::new([byte; 32])),
    };
    let open = async |previous: Option<u8>, seed| {
        let store = Arc::new(Sqlite::open(&yard.database()).unwrap());
        let parts = keyholt_server::keeper::Parts {
            masters: masters(previous),
            ..crate::house::parts(store, Arc::clone(&house.clock), seed)
        };
        Arc::new(Keeper::open(parts).await.unwrap())
    };
    // The master key is replaced; of what is in the backup one key is renewed, one revoked.
    let after = open(Some(42), 60).await;
    after.seal_anew().await.unwrap();
    assert_eq!(code(&house, &after, &renewed.secret), "valid");
    after.renew_shown().await.unwrap();
    let olga = after.authenticate(&house.operator.secret, source()).unwrap();
    let cause = Cause::new("leaked").unwrap();
    let project = house.project();
    after
        .revoke_key(&olga, project, revoked.id(), cause, None)
        .await
        .unwrap();
    after.rest().await;
    drop(after);

    let now = house.clock.now_ms();
    let alone = yard.plan_with(&Arc::new(masters(None)), BrokenSeals::Refuse, now).await;
    assert!(matches!(alone, Err(BackupError::WrongMasterKey)));
    let both = Arc::new(masters(Some(42)));
    let plan = yard.plan_with(&both, BrokenSeals::Refuse, now).await.unwrap();
    assert!(
        matches!(plan.comparison(), Comparison::Known { ended, .. } if ended.len() == 1),
        "a renewed digest is no other secret: {:?}",
        plan.comparison()
    );
    plan.carry_out(Consent::EndWhatEnded, &mut seeded(3), &mut |_| ())
        .await
        .unwrap();
    let back = open(Some(42), 61).await;
    back.seal_anew().await.unwrap();
    for (key, expected) in [(&renewed, "valid"), (&idle, "valid"), (&revoked, "revoked")] {
        assert_eq!(code(&house, &back, &key.secret), expected);
    }
    back.renew_shown().await.unwrap();
    back.rest().await;
    drop(back);
    let last = open(None, 62).await;
    assert_eq!(
        (code(&house, &last, &idle.secret).as_str(), last.alarms()),
        ("valid", 0)
    );
}
