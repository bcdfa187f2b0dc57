//! Projects: their names, their policies, and who knows of them.

use keyholt_core::enrol::EnrolError;
use keyholt_core::id::{ProjectId, RoleId, SYSTEM};
use keyholt_core::owner::Owner;
use keyholt_core::project::{GRACE_MAX, KEYS_PER_OWNER_MAX, Policy};
use keyholt_core::text::Slug;
use keyholt_core::time::Span;
use keyholt_server::keeper::{ProjectChange, Refusal};
use keyholt_store::{Limit, RecordQuery};

use crate::house::{House, Wishes, charter, refusal, wish};

#[tokio::test]
async fn a_new_project_starts_with_four_roles_and_members_by_default() {
    let house = House::open().await;
    let globex = house
        .keeper
        .found_project(&house.olga(), charter("globex"))
        .await
        .unwrap();
    for role in ["member", "admin", "verifier", "auditor"] {
        house.keeper.role_named(globex.id, role).unwrap();
    }
    let member = house.keeper.role_named(globex.id, "member").unwrap();
    assert_eq!(globex.policy.default_roles, [member.id].into());
    let again = house.keeper.found_project(&house.olga(), charter("globex")).await;
    assert!(matches!(refusal(again), Refusal::HandleTaken(_)));
}

#[tokio::test]
async fn no_project_is_called_self() {
    let house = House::open().await;
    let founded = house.keeper.found_project(&house.olga(), charter("self")).await;
    assert!(matches!(refusal(founded), Refusal::Text { field: "slug", .. }));
    let change = ProjectChange {
        slug: Some(Slug::new("self").unwrap()),
        ..ProjectChange::default()
    };
    let changed = house
        .keeper
        .change_project(&house.olga(), house.project(), change, None)
        .await;
    assert!(matches!(refusal(changed), Refusal::Text { field: "slug", .. }));
}

#[tokio::test]
async fn a_project_goes_by_its_slug_of_this_moment_and_by_its_id() {
    let house = House::open().await;
    let (keeper, olga, acme) = (&house.keeper, house.olga(), house.project());
    let renamed = async |slug: &str| {
        let change = ProjectChange {
            slug: Some(Slug::new(slug).unwrap()),
            ..ProjectChange::default()
        };
        keeper.change_project(&olga, acme, change, None).await.unwrap();
    };
    for _ in 0..2 {
        assert_eq!(keeper.project_called("acme"), Some(acme));
        assert_eq!(keeper.project_called(&acme.to_string()), Some(acme));
        assert_eq!(keeper.project_called("globex"), None);
    }
    renamed("initech").await;
    assert_eq!(keeper.project_called("acme"), None);
    assert_eq!(keeper.project_called("initech"), Some(acme));
    let other = keeper.found_project(&olga, charter("acme")).await.unwrap();
    assert_eq!(keeper.project_called("acme"), Some(other.id));
    assert_eq!(keeper.project_called(&acme.to_string()), Some(acme));
}

#[tokio::test]
async fn a_policy_stays_within_what_keyholt_can_keep() {
    let house = House::open().await;
    let good = house.acme.policy.clone();
    let with = |change: fn(&mut Policy)| {
        let mut policy = good.clone();
        change(&mut policy);
        policy
    };
    let grace = Span::millis(GRACE_MAX.ms() + 1);
    let mut too_long = good.clone();
    too_long.longest_grace = grace;
    for (bad, field) in [
        (with(|policy| policy.keys_per_owner = 0), "policy.keys_per_owner"),
        (
            with(|policy| policy.keys_per_owner = KEYS_PER_OWNER_MAX + 1),
            "policy.keys_per_owner",
        ),
        (too_long, "policy.longest_grace"),
    ] {
        match refusal(house.try_policy(bad).await) {
            Refusal::Text { field: told, .. } => assert_eq!(told, field),
            other => panic!("{other}"),
        }
    }
    let mut dangling = good.clone();
    dangling.default_roles = [RoleId::from_uuid(house.operator.id().uuid())].into();
    assert!(matches!(
        refusal(house.try_policy(dangling).await),
        Refusal::Dangling {
            field: "policy.default_roles",
            ..
        }
    ));
    let most = with(|policy| {
        policy.keys_per_owner = KEYS_PER_OWNER_MAX;
        policy.longest_grace = GRACE_MAX;
    });
    house.try_policy(most).await.unwrap();
}

#[tokio::test]
async fn a_suspended_projects_keys_stop_but_those_of_others_do_not() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let key = house.issue(wish(alice, "k").scopes(&[])).await;
    let olga = house.olga();
    let suspend = |id| house.keeper.suspend_project(&olga, id, None, None);
    suspend(house.project()).await.unwrap();
    assert_eq!(house.code(&key.secret, &[]), "project_suspended");
    assert!(house.keeper.authenticate(&key.secret, crate::house::source()).is_err());
    assert!(
        house
            .keeper
            .authenticate(&house.operator.secret, crate::house::source())
            .is_ok()
    );
    house
        .keeper
        .resume_project(&olga, house.project(), None, None)
        .await
        .unwrap();
    assert_eq!(house.code(&key.secret, &[]), "valid");
    assert!(matches!(
        refusal(suspend(SYSTEM).await),
        Refusal::Enrol(EnrolError::SystemProject)
    ));
}

#[tokio::test]
async fn to_anybody_but_operators_there_is_one_project() {
    let house = House::open().await;
    let globex = house
        .keeper
        .found_project(&house.olga(), charter("globex"))
        .await
        .unwrap();
    let admin = house.user_with("admin", &["admin"]).await;
    let admin = house.issue(wish(Owner::User(admin.id), "admin").everything()).await;
    let (admin, olga) = (house.actor(&admin.secret), house.olga());
    let acme = house.project();

    for word in ["self", "acme", &acme.to_string()] {
        assert_eq!(house.keeper.project_named(&admin, word).unwrap(), acme);
    }
    let unknown = ProjectId::from_uuid(house.operator.id().uuid()).to_string();
    let nowhere = refusal(house.keeper.project_named(&admin, &unknown)).to_string();
    for word in [
        "globex",
        "keyholt",
        "nowhere",
        &globex.id.to_string(),
        &SYSTEM.to_string(),
    ] {
        assert_eq!(refusal(house.keeper.project_named(&admin, word)).to_string(), nowhere);
    }
    assert_eq!(house.keeper.project_named(&olga, "globex").unwrap(), globex.id);
    assert_eq!(house.keeper.project_named(&olga, "self").unwrap(), SYSTEM);
    assert!(house.keeper.project_named(&olga, &unknown).is_err());

    let slugs = async |actor| {
        let query = RecordQuery {
            handle_prefix: None,
            after: None,
            limit: Limit::DEFAULT,
        };
        let page = house.keeper.projects(actor, query).await.unwrap();
        let slugs: Vec<String> = page
            .entries
            .iter()
            .filter_map(|record| record.handle().map(str::to_owned))
            .collect();
        slugs.join(" ")
    };
    assert_eq!(slugs(&admin).await, "acme");
    assert_eq!(slugs(&olga).await, "keyholt acme globex");
}
