//! Importing keys by the fingerprints of their secrets: all of them or none, tried out first.

use keyholt_core::id::UserId;
use keyholt_core::issue::{SecretOrigin, Wish};
use keyholt_core::owner::Owner;
use keyholt_core::secret::Fingerprint;
use keyholt_core::time::Span;
use keyholt_server::keeper::{BULK_MAX, Import, Imported, Refusal, Rehearsal};
use keyholt_store::KeyQuery;

use crate::acts::{cause, client_made};
use crate::house::{House, Wishes, canary, refusal, wish};

fn imported(owner: Owner, name: &str, secret: &str) -> Wish {
    Wish {
        origin: SecretOrigin::Imported {
            fingerprint: Fingerprint::of(secret.as_bytes()),
            hint: None,
        },
        ..wish(owner, name).scopes(&["orders:read"])
    }
}

async fn import(house: &House, rehearsal: Rehearsal, wishes: Vec<Wish>) -> Imported {
    let import = Import { wishes, rehearsal };
    house
        .keeper
        .import_keys(&house.olga(), house.project(), import)
        .await
        .unwrap()
}

/// Where an import was refused, and why.
fn refusals(imported: &Imported) -> Vec<(usize, String)> {
    let refusals = imported.refused.iter();
    refusals
        .map(|refused| (refused.index, refused.refusal.to_string()))
        .collect()
}

const TAKEN: &str = "another key has that secret";
/// How another product writes its keys.
const FOREIGN: [&str; 3] = [
    "legacy-0123456789abcdef",
    "legacy-fedcba9876543210",
    "LEGACY.0000000000000000",
];

#[tokio::test]
async fn imported_keys_work_with_the_secrets_that_their_holders_have() {
    let house = House::open().await;
    FOREIGN.iter().for_each(|secret| canary(secret));
    let alice = Owner::User(house.user("alice").await.id);
    let wishes = || vec![imported(alice, "one", FOREIGN[0]), imported(alice, "two", FOREIGN[1])];

    let before = house.commits().await;
    let tried = import(&house, Rehearsal::Yes, wishes()).await;
    assert_eq!((tried.keys.len(), tried.refused.len()), (2, 0));
    assert_eq!(house.commits().await, before, "a rehearsal writes nothing");
    assert_eq!(house.code(FOREIGN[0], &[]), "unknown");

    let meant = import(&house, Rehearsal::No, wishes()).await;
    assert_eq!((meant.keys.len(), meant.refused.len()), (2, 0));
    for secret in &FOREIGN[..2] {
        assert_eq!(house.code(secret, &["orders:read"]), "valid");
    }
    assert_eq!(house.code(FOREIGN[2], &[]), "unknown");
}

#[tokio::test]
async fn one_bad_line_and_none_is_imported() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let (known, _) = client_made(1);
    let existing = house.issue(wish(alice, "existing").scopes(&[])).await;
    import(&house, Rehearsal::No, vec![imported(alice, "known", &known)]).await;

    let nobody = Owner::User(UserId::from_uuid(existing.id().uuid()));
    let wishes = || {
        vec![
            imported(alice, "good", FOREIGN[0]),
            imported(alice, "twice", FOREIGN[0]),
            imported(alice, "known", &known),
            imported(alice, "minted", &existing.secret),
            imported(nobody, "nobody's", FOREIGN[1]),
            imported(alice, "dead", FOREIGN[2]).lasting(Span::ZERO),
        ]
    };
    let expected = [
        (1, TAKEN),
        (2, TAKEN),
        (3, TAKEN),
        (4, "no such user"),
        (5, "the expiry is not in the future"),
    ]
    .map(|(index, why)| (index, why.to_owned()));
    for rehearsal in [Rehearsal::Yes, Rehearsal::No] {
        let before = house.trail().await.len();
        let imported = import(&house, rehearsal, wishes()).await;
        assert_eq!(
            refusals(&imported),
            expected,
            "a rehearsal tells the same as the real thing"
        );
        assert!(imported.keys.is_empty());
        let told = house.trail().await.len() - before;
        assert_eq!(told, usize::from(rehearsal == Rehearsal::No), "only an attempt is told");
    }
    assert_eq!(house.code(FOREIGN[0], &[]), "unknown");
    assert_eq!(house.named(KeyQuery::default()).await, ["known", "existing"]);
}

#[tokio::test]
async fn an_import_beyond_the_policys_limit_is_refused_as_a_whole() {
    let house = House::open().await;
    house.policy(|policy| policy.keys_per_owner = 2).await;
    let alice = Owner::User(house.user("alice").await.id);
    let wishes: Vec<Wish> = (0..3).map(|n| imported(alice, &format!("k{n}"), FOREIGN[n])).collect();
    let import = Import {
        wishes,
        rehearsal: Rehearsal::No,
    };
    let refused = house.keeper.import_keys(&house.olga(), house.project(), import).await;
    assert!(matches!(refusal(refused), Refusal::TooManyKeys));
    assert!(house.named(KeyQuery::default()).await.is_empty());
    assert!(FOREIGN.iter().all(|secret| house.code(secret, &[]) == "unknown"));
}

#[tokio::test]
async fn any_number_of_dead_keys_does_not_stand_in_the_way_of_ending_the_live_ones() {
    let house = House::open().await;
    house.policy(|policy| policy.keys_per_owner = 1_000_000).await;
    let robot = house.service("robot", "member").await;
    let robot = Owner::Service(robot.id);
    let many = BULK_MAX;
    let wishes = (0..many)
        .map(|n| imported(robot, "old", &format!("{}{n}", FOREIGN[0])))
        .collect();
    assert_eq!(import(&house, Rehearsal::No, wishes).await.keys.len() as u64, many);
    let olga = house.olga();
    let revoke = |expected| {
        let all = KeyQuery::default();
        house
            .keeper
            .revoke_matching(&olga, house.project(), all, expected, cause("clean-up"))
    };
    assert_eq!(revoke(many).await.unwrap(), many);

    let last = house.issue(wish(robot, "last").scopes(&[])).await;
    assert_eq!(revoke(1).await.unwrap(), 1);
    assert_eq!(house.code(&last.secret, &[]), "revoked");
    house.issue(wish(robot, "after").scopes(&[])).await;
    house.remove(robot).await;
}
