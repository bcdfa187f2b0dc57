//! Roles: what their holders may do, at once and at any time.

use keyholt_core::commit::{Record, Revision};
use keyholt_core::owner::Owner;
use keyholt_core::role::ROLES_MAX;
use keyholt_core::scope::ScopeSet;
use keyholt_core::text::{Description, Slug};
use keyholt_server::keeper::{Refusal, RoleChange};

use crate::acts::meaning;
use crate::house::{House, Wishes, refusal, wish};

async fn make(house: &House, name: &str, scopes: &[&str]) -> Result<keyholt_core::role::Role, Refusal> {
    let role = house.keeper.new_role(
        house.project(),
        Slug::new(name).unwrap(),
        Description::new("").unwrap(),
        ScopeSet::parse(scopes.iter().copied()).unwrap(),
    );
    house.keeper.make_role(&house.olga(), role).await
}

async fn hold(house: &House, owner: Owner, roles: &[&str]) {
    let roles: Vec<_> = roles
        .iter()
        .map(|role| house.keeper.role_named(house.project(), role).unwrap().id)
        .collect();
    let change = |record: &mut Record| {
        let held = match record {
            Record::User(user) => &mut user.roles,
            Record::Team(team) => &mut team.roles,
            Record::Service(service) => &mut service.roles,
            _ => panic!("not an owner"),
        };
        *held = roles.iter().copied().collect();
        Ok(())
    };
    house
        .keeper
        .change_owner(&house.olga(), house.project(), owner, None, &change)
        .await
        .unwrap();
}

#[tokio::test]
async fn an_owner_may_do_what_its_roles_say_now() {
    let house = House::open().await;
    make(&house, "reader", &["orders:read"]).await.unwrap();
    make(&house, "writer", &["orders:write"]).await.unwrap();
    let owners = [
        Owner::User(house.user("alice").await.id),
        Owner::Team(house.team("platform", Vec::new()).await.id),
        Owner::Service(house.service("robot", "member").await.id),
    ];
    for owner in owners {
        let everything = house.issue(wish(owner, "all").everything()).await;
        let narrow = house.issue(wish(owner, "narrow").scopes(&["orders:write"])).await;
        for (roles, may) in [
            (&["reader"][..], ["valid", "insufficient_scope", "insufficient_scope"]),
            (&["writer"], ["insufficient_scope", "valid", "valid"]),
            (&[], ["insufficient_scope"; 3]),
            (&["reader", "writer"], ["valid"; 3]),
        ] {
            hold(&house, owner, roles).await;
            let codes = [
                house.code(&everything.secret, &["orders:read"]),
                house.code(&everything.secret, &["orders:write"]),
                house.code(&narrow.secret, &["orders:write"]),
            ];
            assert_eq!(codes, may, "{} with {roles:?}", owner.kind());
        }
    }
}

#[tokio::test]
async fn management_rights_go_with_the_role_too() {
    let house = House::open().await;
    let eve = house.user_with("eve", &["auditor"]).await;
    let key = house.issue(wish(Owner::User(eve.id), "eve").everything()).await;
    let read = async || {
        let actor = house.actor(&key.secret);
        house
            .keeper
            .events(&actor, house.project(), &crate::house::all_events())
            .await
    };
    assert!(read().await.is_ok());
    house.role_means("auditor", &["keyholt:keys:read"]).await;
    assert!(matches!(refusal(read().await), Refusal::Lacks { .. }));
}

#[tokio::test]
async fn a_role_that_somebody_holds_or_gets_by_default_is_not_removed() {
    let house = House::open().await;
    let (olga, project) = (house.olga(), house.project());
    let role = make(&house, "reader", &["orders:read"]).await.unwrap();
    let alice = Owner::User(house.user("alice").await.id);
    let remove = || house.keeper.remove_role(&olga, project, role.id, None);

    hold(&house, alice, &["reader"]).await;
    assert!(matches!(refusal(remove().await), Refusal::RoleInUse));
    hold(&house, alice, &[]).await;
    house.policy(|policy| policy.default_roles = [role.id].into()).await;
    assert!(matches!(refusal(remove().await), Refusal::RoleInUse));
    house.policy(|policy| policy.default_roles.clear()).await;
    remove().await.unwrap();
    assert!(matches!(
        refusal(house.keeper.role_named(project, "reader")),
        Refusal::NotFound(_)
    ));
    // Its name is free again, and means nothing to those who once held the other one.
    make(&house, "reader", &["*"]).await.unwrap();
    assert!(matches!(
        refusal(make(&house, "reader", &[]).await),
        Refusal::HandleTaken(_)
    ));
}

#[tokio::test]
async fn a_role_change_is_based_on_what_the_caller_saw() {
    let house = House::open().await;
    let role = make(&house, "reader", &["orders:read"]).await.unwrap();
    let change = |based_on| {
        let (keeper, olga, project) = (std::sync::Arc::clone(&house.keeper), house.olga(), house.project());
        async move {
            keeper
                .change_role(&olga, project, role.id, meaning(&["a"]), based_on)
                .await
        }
    };
    let changed = change(Some(Revision::FIRST)).await.unwrap();
    assert_eq!(changed.revision, Revision::FIRST.next());
    assert!(matches!(
        refusal(change(Some(Revision::FIRST)).await),
        Refusal::Stale(_)
    ));
    assert!(change(None).await.is_ok());
}

#[tokio::test]
async fn a_project_full_of_roles_can_still_change_them() {
    let house = House::open().await;
    for n in 4..ROLES_MAX {
        make(&house, &format!("r{n}"), &[]).await.unwrap();
    }
    assert!(matches!(
        refusal(make(&house, "one-too-many", &[]).await),
        Refusal::Text { field: "name", .. }
    ));
    let role = house.keeper.role_named(house.project(), "r4").unwrap();
    let change = RoleChange {
        description: Some(Description::new("The fourth.").unwrap()),
        ..RoleChange::default()
    };
    house
        .keeper
        .change_role(&house.olga(), house.project(), role.id, change, None)
        .await
        .unwrap();
}
