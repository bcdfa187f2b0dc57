//! Operators: whatever is done, one of them keeps a key that does everything.

use keyholt_core::amend::Amendment;
use keyholt_core::commit::Record;
use keyholt_core::enrol::EnrolError;
use keyholt_core::id::SYSTEM;
use keyholt_core::key::State;
use keyholt_core::owner::{Owner, User};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::{Description, Slug};
use keyholt_server::keeper::{KeyView, Refusal};
use keyholt_store::KeyQuery;

use crate::acts::{cause, meaning};
use crate::house::{Held, House, Wishes, refusal, source, wish};

async fn appoint(house: &House, name: &str, role: &str) -> User {
    let operator = house.new_user(SYSTEM, name, &[role]);
    house.enrol(Record::User(operator.clone())).await;
    operator
}

async fn key_of(house: &House, operator: &User) -> Held {
    let wish = wish(Owner::User(operator.id), operator.name.as_str()).everything();
    house.issue_in(SYSTEM, wish).await
}

fn without_roles(record: &mut Record) -> Result<(), Refusal> {
    if let Record::User(user) = record {
        user.roles.clear();
    }
    Ok(())
}

/// Everything that could lock everybody out, each with what came of it.
async fn lock_out(house: &House) -> Vec<(&'static str, Result<(), Refusal>)> {
    let (keeper, olga, id) = (&house.keeper, house.olga(), house.operator.id());
    let owner = house.operator.key.owner;
    let role = keeper.role_named(SYSTEM, "operator").unwrap().id;
    let narrow = Amendment {
        access: Some(Access::Only(ScopeSet::parse(["*", "keyholt:*"]).unwrap())),
        ..Amendment::default()
    };
    let all = KeyQuery::default();
    let keys = keeper.keys(&olga, SYSTEM, all.clone()).await.unwrap().entries;
    let revoked = |view: &&KeyView| matches!(view.key.state, State::Revoked { .. });
    let live = (keys.len() - keys.iter().filter(revoked).count()) as u64;
    vec![
        (
            "bulk revoke",
            keeper
                .revoke_matching(&olga, SYSTEM, all, live, cause("x"))
                .await
                .map(drop),
        ),
        (
            "narrow role",
            keeper
                .change_role(&olga, SYSTEM, role, meaning(&["keyholt:operate"]), None)
                .await
                .map(drop),
        ),
        (
            "narrow key",
            keeper.amend_key(&olga, SYSTEM, id, narrow, None).await.map(drop),
        ),
        (
            "suspend key",
            keeper.suspend_key(&olga, SYSTEM, id, None, None).await.map(drop),
        ),
        ("delete key", keeper.delete_key(&olga, SYSTEM, id, None, None).await),
        (
            "revoke key",
            keeper.revoke_key(&olga, SYSTEM, id, cause("x"), None).await.map(drop),
        ),
        (
            "revoke own key",
            keeper.revoke_own_key(&olga, cause("x")).await.map(drop),
        ),
        (
            "strip roles",
            keeper
                .change_owner(&olga, SYSTEM, owner, None, &without_roles)
                .await
                .map(drop),
        ),
        (
            "suspend operator",
            keeper.suspend_owner(&olga, SYSTEM, owner, None, None).await.map(drop),
        ),
        (
            "remove operator",
            keeper.remove_owner(&olga, SYSTEM, owner, None, None).await,
        ),
    ]
}

async fn nothing_locks_out(house: &House) {
    for (what, outcome) in lock_out(house).await {
        match outcome {
            Err(Refusal::Enrol(EnrolError::LastOperator)) => {}
            other => panic!("{what}: {other:?}"),
        }
    }
    house.olga();
}

#[tokio::test]
async fn the_last_operator_cannot_be_locked_out_in_any_way() {
    let house = House::open().await;
    nothing_locks_out(&house).await;
}

#[tokio::test]
async fn an_operator_without_a_working_key_is_no_way_in() {
    let house = House::open().await;
    let otto = appoint(&house, "otto", "operator").await;
    nothing_locks_out(&house).await;
    let key = key_of(&house, &otto).await;
    house
        .keeper
        .suspend_key(&house.olga(), SYSTEM, key.id(), None, None)
        .await
        .unwrap();
    nothing_locks_out(&house).await;
}

#[tokio::test]
async fn somebody_with_few_rights_in_the_system_project_is_no_operator() {
    let house = House::open().await;
    let scopes = ScopeSet::parse(["keyholt:operate", "keyholt:audit:read"]).unwrap();
    let (name, description) = (Slug::new("looker").unwrap(), Description::new("").unwrap());
    let looker = house.keeper.new_role(SYSTEM, name, description, scopes);
    house.keeper.make_role(&house.olga(), looker).await.unwrap();
    let luke = appoint(&house, "luke", "looker").await;
    key_of(&house, &luke).await;
    let narrow = appoint(&house, "otto", "operator").await;
    house
        .issue_in(
            SYSTEM,
            wish(Owner::User(narrow.id), "narrow").scopes(&["*", "keyholt:*"]),
        )
        .await;
    nothing_locks_out(&house).await;
}

#[tokio::test]
async fn with_another_operator_at_work_the_first_one_may_go() {
    for at in 0..10 {
        let house = House::open().await;
        let otto = appoint(&house, "otto", "operator").await;
        let ottos = key_of(&house, &otto).await;
        let (keeper, olga) = (&house.keeper, house.olga());
        let (id, owner) = (house.operator.id(), house.operator.key.owner);
        let outcome = match at {
            0 => keeper.suspend_key(&olga, SYSTEM, id, None, None).await.map(drop),
            1 => keeper.delete_key(&olga, SYSTEM, id, None, None).await,
            2 => keeper.revoke_key(&olga, SYSTEM, id, cause("x"), None).await.map(drop),
            3 => keeper.revoke_own_key(&olga, cause("x")).await.map(drop),
            4 => keeper
                .change_owner(&olga, SYSTEM, owner, None, &without_roles)
                .await
                .map(drop),
            5 => keeper.suspend_owner(&olga, SYSTEM, owner, None, None).await.map(drop),
            6 => keeper.remove_owner(&olga, SYSTEM, owner, None, None).await,
            // What hits both operators at once stays refused.
            7 => {
                let role = keeper.role_named(SYSTEM, "operator").unwrap().id;
                let change = keeper.change_role(&olga, SYSTEM, role, meaning(&["keyholt:operate"]), None);
                assert!(matches!(
                    refusal(change.await),
                    Refusal::Enrol(EnrolError::LastOperator)
                ));
                continue;
            }
            8 => {
                let all = keeper.revoke_matching(&olga, SYSTEM, KeyQuery::default(), 2, cause("x"));
                assert!(matches!(refusal(all.await), Refusal::Enrol(EnrolError::LastOperator)));
                continue;
            }
            _ => {
                let otto = house.actor(&ottos.secret);
                keeper.suspend_owner(&otto, SYSTEM, owner, None, None).await.map(drop)
            }
        };
        outcome.unwrap();
        assert!(house.keeper.authenticate(&ottos.secret, source()).is_ok());
        // And now he is the last one.
        let otto = house.actor(&ottos.secret);
        let revoked = house.keeper.revoke_own_key(&otto, cause("x")).await;
        assert!(matches!(refusal(revoked), Refusal::Enrol(EnrolError::LastOperator)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_operators_who_stop_each_other_one_stays() {
    for _ in 0..50 {
        let house = std::sync::Arc::new(House::open().await);
        let otto = appoint(&house, "otto", "operator").await;
        let ottos = key_of(&house, &otto).await;
        let stop = |who: Held, whom: Held| {
            let house = std::sync::Arc::clone(&house);
            tokio::spawn(async move {
                match house.keeper.authenticate(&who.secret, source()) {
                    Ok(actor) => house
                        .keeper
                        .revoke_key(&actor, SYSTEM, whom.id(), cause("x"), None)
                        .await
                        .is_ok(),
                    Err(_) => false,
                }
            })
        };
        let one = stop(house.operator.clone(), ottos.clone());
        let other = stop(ottos.clone(), house.operator.clone());
        let stopped = [one.await.unwrap(), other.await.unwrap()];
        let alive = [&house.operator, &ottos]
            .iter()
            .filter(|key| house.keeper.authenticate(&key.secret, source()).is_ok())
            .count();
        assert_eq!(alive, 1, "{stopped:?}");
    }
}
