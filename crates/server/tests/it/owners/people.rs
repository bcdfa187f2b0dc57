//! Users, teams and services: enrolled, changed, suspended, resumed and removed.

use keyholt_core::commit::{Record, Revision};
use keyholt_core::enrol::EnrolError;
use keyholt_core::id::{RoleId, UserId};
use keyholt_core::key::State;
use keyholt_core::owner::{Member, MemberRight, Owner, OwnerKind, Standing, User};
use keyholt_core::text::{Email, Name};
use keyholt_core::time::{Moment, Span};
use keyholt_server::keeper::{MembershipChange, Refusal};
use keyholt_store::{KeyQuery, Limit, RecordQuery};

use crate::house::{Held, House, NEW_YEAR, Wishes, charter, held, refusal, wish};
use crate::relay::Relay;

/// A user, a team and a service, each with a key.
async fn one_of_each(house: &House) -> [Held; 3] {
    let alice = house.user("alice").await;
    let platform = house.team("platform", vec![(&alice, MemberRight::ManageKeys)]).await;
    let robot = house.service("robot", "member").await;
    let owners = [
        Owner::User(alice.id),
        Owner::Team(platform.id),
        Owner::Service(robot.id),
    ];
    let mut keys = Vec::new();
    for owner in owners {
        keys.push(house.issue(wish(owner, "key").scopes(&["orders:read"])).await);
    }
    keys.try_into().ok().unwrap()
}

async fn member(house: &House, key: &Held, user: &User, change: MembershipChange) -> Result<(), Refusal> {
    let Owner::Team(team) = key.key.owner else {
        panic!("not a team's key")
    };
    let changed = house
        .keeper
        .change_membership(&house.olga(), house.project(), team, user.id, change)
        .await;
    changed.map(|_| ())
}

#[tokio::test]
async fn an_owner_is_found_by_id_and_by_the_name_that_the_product_gave_it() {
    let house = House::open().await;
    one_of_each(&house).await;
    for (kind, handle) in [
        (OwnerKind::User, "alice"),
        (OwnerKind::Team, "platform"),
        (OwnerKind::Service, "robot"),
    ] {
        let by_handle = house.keeper.owner_named(house.project(), kind, handle).unwrap();
        let by_id = house
            .keeper
            .owner_named(house.project(), kind, &by_handle.uuid().to_string())
            .unwrap();
        assert_eq!(by_handle, by_id);
        let record = house.keeper.owner(&house.olga(), house.project(), by_id).unwrap();
        assert_eq!(record.handle(), Some(handle));
        let query = RecordQuery {
            handle_prefix: handle.get(..3).map(str::to_owned),
            after: None,
            limit: Limit::DEFAULT,
        };
        let page = house
            .keeper
            .owners(&house.olga(), house.project(), kind, query)
            .await
            .unwrap();
        assert_eq!(page.entries.len(), 1);
    }
}

#[tokio::test]
async fn a_name_belongs_to_one_user_of_a_project() {
    let house = House::open().await;
    house.user("alice").await;
    let again = house.new_user(house.project(), "alice", &["member"]);
    assert!(matches!(
        refusal(house.keeper.enrol_owner(&house.olga(), Record::User(again)).await),
        Refusal::HandleTaken(_)
    ));
    let globex = house
        .keeper
        .found_project(&house.olga(), charter("globex"))
        .await
        .unwrap();
    house
        .enrol(Record::User(house.new_user(globex.id, "alice", &["member"])))
        .await;
}

#[tokio::test]
async fn a_record_names_only_what_exists_in_its_project() {
    let house = House::open().await;
    let globex = house
        .keeper
        .found_project(&house.olga(), charter("globex"))
        .await
        .unwrap();
    let abroad = house.new_user(globex.id, "abroad", &["member"]);
    house.enrol(Record::User(abroad.clone())).await;
    let nobody = UserId::from_uuid(house.operator.id().uuid());

    let foreign_role = house.keeper.role_named(globex.id, "admin").unwrap().id;
    for role in [foreign_role, RoleId::from_uuid(nobody.uuid())] {
        let mut user = house.new_user(house.project(), "alice", &[]);
        user.roles.insert(role);
        assert!(matches!(
            refusal(house.keeper.enrol_owner(&house.olga(), Record::User(user)).await),
            Refusal::Dangling { field: "roles", .. }
        ));
    }
    let alice = house.user("alice").await;
    let mut team = house.team("platform", vec![(&alice, MemberRight::Belong)]).await;
    (team.id, _) = house.keeper.mint_team();
    team.external_id = keyholt_core::text::ExternalId::new("other").unwrap();
    for user in [abroad.id, nobody] {
        team.members = vec![Member {
            user,
            right: MemberRight::Belong,
        }];
        let refused = house
            .keeper
            .enrol_owner(&house.olga(), Record::Team(team.clone()))
            .await;
        assert!(matches!(refusal(refused), Refusal::Dangling { field: "members", .. }));
    }
    let place = |right| Member { user: alice.id, right };
    team.members = vec![place(MemberRight::Belong), place(MemberRight::ManageKeys)];
    let twice = house.keeper.enrol_owner(&house.olga(), Record::Team(team)).await;
    assert!(matches!(refusal(twice), Refusal::Enrol(EnrolError::Members)));
}

#[tokio::test]
async fn a_change_keeps_what_it_does_not_name_and_counts_revisions() {
    let house = House::open().await;
    let alice = house.user("alice").await;
    let owner = Owner::User(alice.id);
    let rename = |record: &mut Record| {
        if let Record::User(user) = record {
            user.name = Name::new("Alice Liddell").unwrap();
            user.email = Some(Email::new("alice@example.org").unwrap());
        }
        Ok(())
    };
    let changed = house
        .keeper
        .change_owner(&house.olga(), house.project(), owner, Some(Revision::FIRST), &rename)
        .await
        .unwrap();
    let Record::User(changed) = changed.as_ref() else {
        panic!("a user")
    };
    let expected = User {
        name: Name::new("Alice Liddell").unwrap(),
        email: Some(Email::new("alice@example.org").unwrap()),
        revision: Revision::FIRST.next(),
        ..alice
    };
    assert_eq!(*changed, expected);
    let stale = house
        .keeper
        .change_owner(&house.olga(), house.project(), owner, Some(Revision::FIRST), &rename)
        .await;
    assert!(matches!(refusal(stale), Refusal::Stale(_)));
}

#[tokio::test]
async fn a_suspended_owners_keys_stop_and_come_back_as_they_were() {
    let house = House::open().await;
    let (olga, project) = (house.olga(), house.project());
    let keys = one_of_each(&house).await;
    for (at, key) in keys.iter().enumerate() {
        let owner = key.key.owner;
        let suspended = house
            .keeper
            .suspend_owner(&olga, project, owner, None, None)
            .await
            .unwrap();
        house.advance(Span::secs(60));
        for (other, key) in keys.iter().enumerate() {
            let expected = if other == at { "owner_suspended" } else { "valid" };
            assert_eq!(house.code(&key.secret, &["orders:read"]), expected);
        }
        let again = house
            .keeper
            .suspend_owner(&olga, project, owner, None, None)
            .await
            .unwrap();
        assert_eq!(again.revision(), suspended.revision(), "it is suspended already");
        house
            .keeper
            .resume_owner(&olga, project, owner, None, None)
            .await
            .unwrap();
        let record = house
            .keeper
            .resume_owner(&olga, project, owner, None, None)
            .await
            .unwrap();
        assert_eq!(record.revision(), suspended.revision().next());
        assert_eq!(house.code(&key.secret, &["orders:read"]), "valid");
        assert_eq!(
            house.key(key.id()).await.revision,
            Revision::FIRST,
            "no key was touched"
        );
    }
}

#[tokio::test]
async fn a_suspended_owner_does_not_manage_anything() {
    let house = House::open().await;
    let alice = house.user("alice").await;
    let key = house.issue(wish(Owner::User(alice.id), "all").everything()).await;
    house
        .keeper
        .suspend_owner(&house.olga(), house.project(), Owner::User(alice.id), None, None)
        .await
        .unwrap();
    assert!(house.keeper.authenticate(&key.secret, crate::house::source()).is_err());
}

#[tokio::test]
async fn a_manager_manages_the_teams_keys_until_the_membership_ends() {
    let house = House::open().await;
    let bob = house.user("bob").await;
    let bobs = house.issue(wish(Owner::User(bob.id), "bob").everything()).await;
    let [_, teams, _] = one_of_each(&house).await;
    let make = |name: &'static str| {
        let wish = wish(teams.key.owner, name).scopes(&["orders:read"]);
        let (keeper, actor) = (std::sync::Arc::clone(&house.keeper), house.actor(&bobs.secret));
        let project = house.project();
        async move { keeper.issue_key(&actor, project, wish, None).await }
    };
    assert!(matches!(refusal(make("no member").await), Refusal::NotFound(_)));
    member(&house, &teams, &bob, MembershipChange::Put(MemberRight::Belong))
        .await
        .unwrap();
    assert!(matches!(refusal(make("just a member").await), Refusal::NotFound(_)));
    member(&house, &teams, &bob, MembershipChange::Put(MemberRight::ManageKeys))
        .await
        .unwrap();
    let made = held(make("as a manager").await.unwrap());
    member(&house, &teams, &bob, MembershipChange::Remove).await.unwrap();
    assert!(matches!(refusal(make("no longer").await), Refusal::NotFound(_)));

    // The team's keys are the team's, whoever made them.
    assert_eq!(house.code(&made.secret, &["orders:read"]), "valid");
    assert_eq!(house.code(&teams.secret, &["orders:read"]), "valid");
    let actor = house.actor(&bobs.secret);
    let cause = crate::acts::cause("spite");
    let revoked = house
        .keeper
        .revoke_key(&actor, house.project(), made.id(), cause, None)
        .await;
    assert!(matches!(refusal(revoked), Refusal::NotFound(_)));
}

#[tokio::test]
async fn every_node_knows_whose_keys_somebody_manages_until_the_team_is_gone() {
    let relay = Relay::new();
    let here = House::open_on(relay.shared()).await;
    let bob = here.user("bob").await;
    let bobs = here.issue(wish(Owner::User(bob.id), "bob").everything()).await;
    let there = here.beside(relay.shared()).await;
    let [_, first, _] = one_of_each(&here).await;
    let second = here.team("second", vec![(&bob, MemberRight::ManageKeys)]).await;
    let second_owner = Owner::Team(second.id);
    let told = async |expected: &[Owner]| {
        there.keeper.catch_up().await.unwrap();
        let fresh = here.beside(relay.shared()).await;
        for house in [&here, &there, &fresh] {
            let manages = house.actor(&bobs.secret).manages;
            let manages: Vec<Owner> = manages.into_iter().map(Owner::Team).collect();
            assert_eq!(manages, expected);
        }
    };
    told(&[second_owner]).await;
    for (change, expected) in [
        (MembershipChange::Put(MemberRight::Belong), &[second_owner][..]),
        (
            MembershipChange::Put(MemberRight::ManageKeys),
            &[first.key.owner, second_owner],
        ),
        (MembershipChange::Put(MemberRight::Belong), &[second_owner]),
        (
            MembershipChange::Put(MemberRight::ManageKeys),
            &[first.key.owner, second_owner],
        ),
        (MembershipChange::Remove, &[second_owner]),
    ] {
        member(&here, &first, &bob, change).await.unwrap();
        told(expected).await;
    }
    here.remove(second_owner).await;
    told(&[]).await;
}

#[tokio::test]
async fn a_membership_of_somebody_unknown_is_not_made() {
    let house = House::open().await;
    let [_, teams, _] = one_of_each(&house).await;
    let nobody = house.new_user(house.project(), "nobody", &[]);
    for change in [MembershipChange::Put(MemberRight::Belong), MembershipChange::Remove] {
        assert!(matches!(
            refusal(member(&house, &teams, &nobody, change).await),
            Refusal::NotFound(keyholt_core::audit::Noun::User)
        ));
    }
}

#[tokio::test]
async fn removing_an_owner_revokes_its_keys_in_the_same_breath() {
    let house = House::open().await;
    let keys = one_of_each(&house).await;
    for key in &keys {
        house.remove(key.key.owner).await;
        assert_eq!(house.code(&key.secret, &[]), "revoked");
        let state = house.key(key.id()).await.state;
        let State::Revoked { at, cause } = state else {
            panic!("{state:?}")
        };
        assert_eq!((at, cause.as_str()), (Moment::from_ms(NEW_YEAR), "owner removed"));
        let gone = house.keeper.owner(&house.olga(), house.project(), key.key.owner);
        assert!(matches!(refusal(gone), Refusal::NotFound(_)));
        // Nobody is left to own it, but somebody may tidy up.
        house.delete(key.id()).await;
        assert_eq!(house.code(&key.secret, &[]), "unknown");
    }
}

#[tokio::test]
async fn a_removed_user_leaves_the_teams_and_the_teams_keep_their_keys() {
    let house = House::open().await;
    let [alices, teams, _] = one_of_each(&house).await;
    house.remove(alices.key.owner).await;
    let record = house
        .keeper
        .owner(&house.olga(), house.project(), teams.key.owner)
        .unwrap();
    let Record::Team(team) = record.as_ref() else {
        panic!("a team")
    };
    assert!(team.members.is_empty());
    assert_eq!(house.code(&teams.secret, &["orders:read"]), "valid");
}

#[tokio::test]
async fn somebody_enrolled_under_a_removed_name_gets_nothing_of_it() {
    let house = House::open().await;
    let [alices, teams, _] = one_of_each(&house).await;
    house.remove(alices.key.owner).await;
    let again = house.user("alice").await;
    assert_ne!(Owner::User(again.id), alices.key.owner);
    assert_eq!(again.standing, Standing::Good);
    assert_eq!(house.code(&alices.secret, &[]), "revoked");
    let new = house.issue(wish(Owner::User(again.id), "new").everything()).await;
    let actor = house.actor(&new.secret);
    assert!(actor.manages.is_empty());
    for old in [alices.id(), teams.id()] {
        let read = house.keeper.key(&actor, house.project(), old).await;
        assert!(matches!(refusal(read), Refusal::NotFound(_)));
    }
    let mine = house
        .keeper
        .keys(&actor, house.project(), KeyQuery::default())
        .await
        .unwrap();
    assert_eq!(crate::acts::names(&mine.entries), ["new"]);
}
