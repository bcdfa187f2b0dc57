//! The file: what is in it, who may read it, and that not one byte of it can be changed.

use std::os::unix::fs::PermissionsExt;

use keyholt_core::owner::Owner;
use keyholt_server::backup::Seals;
use keyholt_store::Memory;

use super::*;
use crate::house::{Wishes, canary, wish};

/// A house in which a little of everything has happened.
async fn lived_in(house: &House) -> Vec<String> {
    let (ada, bob) = (house.user("ada").await, house.user("bob").await);
    let team = house
        .team("crew", vec![(&ada, keyholt_core::owner::MemberRight::ManageKeys)])
        .await;
    let mut secrets = vec![house.operator.secret.clone(), house.verifier().await.secret];
    for (at, owner) in [Owner::User(ada.id), Owner::User(bob.id), Owner::Team(team.id)]
        .into_iter()
        .enumerate()
    {
        let key = house
            .issue(
                wish(owner, &format!("key {at} – naïve 鍵 \"quoted\""))
                    .scopes(&["orders:*"])
                    .lasting(Span::days(9)),
            )
            .await;
        house.code(&key.secret, &["orders:read"]);
        secrets.push(key.secret);
    }
    secrets
}

#[tokio::test]
async fn a_backup_brings_back_what_was_there_whatever_the_store() {
    let house = House::open_on(Arc::new(Memory::new())).await;
    let secrets = lived_in(&house).await;
    let yard = Yard::new();
    let made = backup::create(
        &Data::Opened(Arc::clone(&house.store)),
        &yard.backup(),
        None,
        house.keeper.now(),
        &mut |_| (),
    )
    .await
    .unwrap();
    assert_eq!((made.projects, made.keys, made.active_keys), (2, 5, 5));
    let before = dump_of(&*house.store).await;

    let restored = yard.restore(&house, Consent::AcceptGap).await.unwrap();
    assert_eq!(
        (restored.aside.clone(), restored.ended, restored.suspended),
        (None, 0, 0)
    );
    let keeper = yard.reopened(&house).await;
    for secret in &secrets[1..] {
        assert_eq!(code(&house, &keeper, secret), "valid");
    }
    assert_eq!(keeper.alarms(), 0);
    keeper.rest().await;

    // The same again, from SQLite into SQLite: only the account of the restore came to it.
    let store = Sqlite::open(&yard.database()).unwrap();
    let after = dump_of(&store).await;
    let unlike: Vec<&DumpLine> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(
        matches!(unlike[..], [DumpLine::Event { numbered, .. }, DumpLine::End { .. }] if numbered.event.action == "backup.restore"),
        "{unlike:#?}"
    );
    let second = Yard::new();
    let data = Data::Opened(Arc::new(store));
    backup::create(&data, &second.backup(), None, house.keeper.now(), &mut |_| ())
        .await
        .unwrap();
    second.restore(&house, Consent::AcceptGap).await.unwrap();
    let twice = dump_of(&Sqlite::open(&second.database()).unwrap()).await;
    assert!(after.iter().rev().skip(1).all(|line| twice.contains(line)));
    assert_eq!(twice.len(), after.len() + 1);
}

#[tokio::test]
async fn a_backup_is_for_its_owner_alone_and_holds_no_secret() {
    let yard = Yard::new();
    let house = yard.house().await;
    let secrets = lived_in(&house).await;
    yard.back_up(&house).await;
    let mode = fs::metadata(yard.backup()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = fs::read_to_string(yard.backup()).unwrap();
    canary(&"2a".repeat(32));
    for secret in secrets.iter().map(String::as_str).chain(["2a2a2a2a2a2a2a2a"]) {
        assert!(!text.contains(secret), "a secret is in the backup");
    }
    assert!(!keyholt_core::secret::holds_secret(&text));
    let left: Vec<_> = yard
        .files()
        .into_iter()
        .filter(|(path, _)| path.to_string_lossy().contains(".keyholt-backup-"))
        .collect();
    assert!(left.is_empty());
}

#[tokio::test]
async fn no_backup_is_overwritten() {
    let yard = Yard::new();
    let house = yard.house().await;
    yard.back_up(&house).await;
    let before = fs::read(yard.backup()).unwrap();
    let data = yard.place().open(&mut seeded(1)).await.unwrap();
    let again = backup::create(&data, &yard.backup(), None, house.keeper.now(), &mut |_| ()).await;
    assert!(matches!(again, Err(BackupError::Exists(_))));
    assert_eq!(fs::read(yard.backup()).unwrap(), before);
}

#[tokio::test]
async fn a_backup_made_while_somebody_writes_is_of_one_instant() {
    let yard = Yard::new();
    let house = Arc::new(yard.house().await);
    let ada = house.user("ada").await;
    let writer = {
        let house = Arc::clone(&house);
        tokio::spawn(async move {
            for at in 0..60 {
                let key = house
                    .issue(wish(Owner::User(ada.id), &format!("k{at}")).scopes(&["a:b"]))
                    .await;
                let cause = keyholt_core::text::Cause::new("story").unwrap();
                house
                    .keeper
                    .revoke_key(&house.olga(), house.project(), key.id(), cause, None)
                    .await
                    .unwrap();
                if at % 3 == 0 {
                    house
                        .keeper
                        .delete_key(&house.olga(), house.project(), key.id(), None, None)
                        .await
                        .unwrap();
                }
            }
        })
    };
    let mut heads = std::collections::BTreeSet::new();
    let mut last = false;
    while !last {
        // The last one is of a server that stands still.
        last = writer.is_finished();
        fs::remove_file(yard.backup()).ok();
        heads.insert(yard.back_up(&house).await.events);
        backup::verify(
            &yard.backup(),
            None,
            Some(&Arc::new(MasterKey::new([42; 32]).into())),
            &mut |_| (),
        )
        .unwrap();
        agrees_with_its_trail(&yard.backup());
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
    assert!(heads.len() > 2, "no backup was made while somebody wrote: {heads:?}");
}

/// Each key of the project is there, revoked or not, exactly as the audit trail of the same backup says.
fn agrees_with_its_trail(backup: &Path) {
    let mut said = std::collections::BTreeMap::new();
    let mut is = std::collections::BTreeMap::new();
    for line in fs::read_to_string(backup).unwrap().lines() {
        match serde_json::from_str::<DumpLine>(line) {
            Ok(DumpLine::Key(key)) => drop(is.insert(key.id.uuid(), key.state.clone())),
            Ok(DumpLine::Event { numbered, .. }) => {
                let event = numbered.event;
                match (event.action.as_str(), event.target.id) {
                    ("key.issue", Some(id)) => drop(said.insert(id, "active".to_owned())),
                    ("key.revoke", Some(id)) => drop(said.insert(id, "revoked".to_owned())),
                    ("key.delete", Some(id)) => drop(said.remove(&id)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    // The first operator's key is the one that was made at set-up.
    is.retain(|id, _| said.contains_key(id) || !is_operator(backup, *id));
    assert_eq!(is, said);
}

fn is_operator(backup: &Path, id: uuid::Uuid) -> bool {
    fs::read_to_string(backup).unwrap().lines().any(|line| {
        matches!(serde_json::from_str(line), Ok(DumpLine::Key(key)) if key.id.uuid() == id && key.project == keyholt_core::id::SYSTEM)
    })
}

#[tokio::test]
async fn an_altered_byte_anywhere_is_noticed() {
    let yard = Yard::new();
    let house = yard.house().await;
    lived_in(&house).await;
    yard.back_up(&house).await;
    stop(&house).await;
    let good = fs::read(yard.backup()).unwrap();
    let database = fs::read(yard.database()).unwrap();
    // All of the last line, and two hundred others.
    let trailer = good.len() - 100..good.len();
    for at in numbers(5).map(|number| number % good.len()).take(200).chain(trailer) {
        let mut altered = good.clone();
        altered[at] ^= 1 << (at % 7);
        fs::write(yard.backup(), &altered).unwrap();
        let verdict = backup::verify(&yard.backup(), None, None, &mut |_| ());
        assert!(verdict.is_err(), "byte {at} of {} was altered unnoticed", good.len());
        if at % 16 == 0 {
            assert!(yard.plan(house.clock.now_ms()).await.is_err());
        }
    }
    assert_eq!(fs::read(yard.database()).unwrap(), database, "something was touched");
}

#[tokio::test]
async fn a_cut_off_backup_is_refused_with_the_line_where_it_ends() {
    let yard = Yard::new();
    let house = yard.house().await;
    lived_in(&house).await;
    yard.back_up(&house).await;
    stop(&house).await;
    let good = fs::read(yard.backup()).unwrap();
    let line_ends = good
        .iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'\n')
        .map(|(at, _)| at + 1);
    let cuts: Vec<usize> = line_ends
        .take_while(|at| *at < good.len())
        .chain([0, 1, good.len() - 1])
        .collect();
    for at in numbers(6).map(|number| number % good.len()).take(60).chain(cuts) {
        fs::write(yard.backup(), &good[..at]).unwrap();
        let lines = good[..at].iter().filter(|byte| **byte == b'\n').count() as u64;
        match backup::verify(&yard.backup(), None, None, &mut |_| ()) {
            Err(BackupError::Bad { line, .. }) => assert_eq!(line, lines + 1),
            other => panic!("cut at {at}: {other:?}"),
        }
    }
    fs::write(yard.backup(), [&good[..], b"\n"].concat()).unwrap();
    assert!(
        backup::verify(&yard.backup(), None, None, &mut |_| ()).is_err(),
        "more after the end"
    );
}

#[tokio::test]
async fn a_changed_row_with_a_right_checksum_is_told_by_its_seal() {
    let yard = Yard::new();
    let house = yard.house().await;
    let secrets = lived_in(&house).await;
    yard.back_up(&house).await;
    stop(&house).await;
    let text = fs::read_to_string(yard.backup()).unwrap();
    let widened = text.replacen(r#"{\"only\":[\"orders:*\"]}"#, r#"\"everything\""#, 1);
    assert_ne!(text, widened);
    let body = widened.rsplit_once("{\"lines\"").unwrap().0;
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body.as_bytes());
    let sum: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let lines = body.lines().count();
    fs::write(
        yard.backup(),
        format!("{body}{{\"lines\":{lines},\"sha256\":\"{sum}\"}}\n"),
    )
    .unwrap();

    assert!(
        backup::verify(&yard.backup(), None, None, &mut |_| ()).is_ok(),
        "only the seal knows"
    );
    let summary = backup::verify(
        &yard.backup(),
        None,
        Some(&Arc::new(MasterKey::new([42; 32]).into())),
        &mut |_| (),
    )
    .unwrap();
    let Seals::Checked { broken, count: 1 } = summary.seals else {
        panic!("{:?}", summary.seals)
    };
    assert!(
        text.lines()
            .nth(broken[0].line as usize - 1)
            .unwrap()
            .contains(&broken[0].id.to_string())
    );
    let now = house.clock.now_ms();
    assert!(matches!(yard.plan(now).await, Err(BackupError::BrokenSeals(1))));

    // Whoever wants it nevertheless gets it as it is: refused by the server.
    let plan = yard
        .plan_with(&Arc::new(MasterKey::new([42; 32]).into()), BrokenSeals::Keep, now)
        .await
        .unwrap();
    plan.carry_out(Consent::EndWhatEnded, &mut seeded(3), &mut |_| ())
        .await
        .unwrap();
    let keeper = yard.reopened(&house).await;
    assert_eq!(keeper.alarms(), 1);
    let codes: Vec<String> = secrets[2..]
        .iter()
        .map(|secret| code(&house, &keeper, secret))
        .collect();
    assert_eq!(codes.iter().filter(|code| *code == "tampered").count(), 1, "{codes:?}");
}

#[tokio::test]
async fn another_master_key_is_refused_before_anything_is_touched() {
    let yard = Yard::new();
    let house = yard.house().await;
    yard.back_up(&house).await;
    stop(&house).await;
    let before = yard.files();
    let other = Arc::new(MasterKey::new([43; 32]).into());
    assert!(matches!(
        backup::verify(&yard.backup(), None, Some(&other), &mut |_| ()),
        Err(BackupError::WrongMasterKey)
    ));
    let plan = yard.plan_with(&other, BrokenSeals::Refuse, house.clock.now_ms()).await;
    assert!(matches!(plan, Err(BackupError::WrongMasterKey)));
    assert_eq!(yard.files(), before);
}

#[tokio::test]
async fn a_file_of_a_newer_program_is_refused_as_such() {
    let yard = Yard::new();
    fs::write(yard.backup(), "{\"keyholt_backup\":2,\"more\":[]}\n").unwrap();
    assert!(matches!(
        backup::verify(&yard.backup(), None, None, &mut |_| ()),
        Err(BackupError::TooNew { found: 2, known: 1 })
    ));
    for nothing in ["", "\n", "{}\n", "[1]\n", "key\n", "{\"keyholt_backup\":1}\n"] {
        fs::write(yard.backup(), nothing).unwrap();
        let verdict = backup::verify(&yard.backup(), None, None, &mut |_| ());
        assert!(
            matches!(verdict, Err(BackupError::Bad { line: 1, .. })),
            "{nothing:?}: {verdict:?}"
        );
    }
}
