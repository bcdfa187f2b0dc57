//! What becomes of what keys hang on: roles, users, teams, services and projects.

use keyholt_core::owner::{Member, MemberRight, Standing, Team};
use keyholt_core::project::Project;
use keyholt_core::role::Role;

use super::*;
use crate::enrol::{role, service, team, user};
use crate::support::scopes;

const SUSPENDED: Standing = Standing::Suspended { since: NEW_YEAR };

#[test]
fn a_role_gives_what_it_gave_both_then_and_now() {
    let mut world = World::new();
    let then = role(&mut world);
    let with = |texts: &[&str]| {
        Record::Role(Role {
            scopes: scopes(texts),
            ..then.clone()
        })
    };
    let backup = with(&["orders:*", "users:read"]);
    for (present, both, ending) in [
        (
            Present::There(&with(&["orders:read"])),
            &["orders:read"][..],
            Ending::Narrowed,
        ),
        (Present::Gone, &[], Ending::Gone),
        (Present::Tampered, &[], Ending::Tampered),
        (
            Present::There(&Record::Project(world.project.clone())),
            &[],
            Ending::Tampered,
        ),
    ] {
        let (after, endings, action) = carried(&backup, present).unwrap();
        assert!(
            matches!(after, Record::Role(role) if role.scopes == scopes(both)),
            "{ending:?}"
        );
        assert_eq!((endings, action.as_str()), (vec![ending], "role.change"));
    }
    for wider in [&["*"][..], &["orders:*", "users:*"]] {
        assert!(carried(&backup, Present::There(&with(wider))).is_none(), "{wider:?}");
    }
    assert!(carried(&with(&[]), Present::Gone).is_none(), "there is nothing to take");
}

/// Every owner and project of the story, in good standing.
fn holders(world: &mut World) -> [Record; 4] {
    [
        Record::User(user(world)),
        Record::Team(team(world, 2)),
        Record::Service(service(world)),
        Record::Project(world.project.clone()),
    ]
}

fn standing(record: &Record) -> Standing {
    match record {
        Record::User(user) => user.standing,
        Record::Team(team) => team.standing,
        Record::Service(service) => service.standing,
        Record::Project(project) => project.standing,
        other => panic!("{other:?}"),
    }
}

fn with_standing(record: &Record, standing: Standing) -> Record {
    let mut record = record.clone();
    match &mut record {
        Record::User(user) => user.standing = standing,
        Record::Team(team) => team.standing = standing,
        Record::Service(service) => service.standing = standing,
        Record::Project(project) => project.standing = standing,
        other => panic!("{other:?}"),
    }
    record
}

#[test]
fn a_holder_that_was_stopped_or_is_not_known_any_more_does_not_come_back_good() {
    let mut world = World::new();
    let role = Record::Role(role(&mut world));
    for backup in holders(&mut world) {
        let stopped = with_standing(&backup, SUSPENDED);
        let now = Standing::Suspended { since: NOW };
        for (present, since, ending) in [
            (Present::There(&stopped), SUSPENDED, Ending::Suspended),
            (Present::Gone, now, Ending::Gone),
            (Present::Tampered, now, Ending::Tampered),
            (Present::There(&role), now, Ending::Tampered),
        ] {
            let (after, endings, action) = carried(&backup, present).unwrap();
            assert_eq!((standing(&after), endings), (since, vec![ending]));
            assert_eq!(action, format!("{}.suspend", backup.noun().as_str()));
            assert!(carried(&stopped, present).is_none(), "it was stopped before");
        }
        assert!(carried(&backup, Present::There(&backup)).is_none());
        assert!(carried(&stopped, Present::There(&backup)).is_none(), "nor is it woken");
    }
}

#[test]
fn keyholts_own_project_always_comes_back() {
    let world = World::new();
    let system = Record::Project(Project {
        id: SYSTEM,
        ..world.project
    });
    for present in [Present::Gone, Present::Tampered] {
        assert!(carried(&system, present).is_none());
    }
}

#[test]
fn an_owner_has_the_roles_that_it_had_both_then_and_now() {
    let mut world = World::new();
    let (one, other) = (role(&mut world).id, role(&mut world).id);
    let [ada, crew, billing, _] = holders(&mut world);
    let with = |record: &Record, roles: &[_]| {
        let mut record = record.clone();
        let roles = roles.iter().copied().collect();
        match &mut record {
            Record::User(user) => user.roles = roles,
            Record::Team(team) => team.roles = roles,
            Record::Service(service) => service.roles = roles,
            other => panic!("{other:?}"),
        }
        record
    };
    for owner in [ada, crew, billing] {
        let backup = with(&owner, &[one, other]);
        let (after, endings, action) = carried(&backup, Present::There(&with(&owner, &[one]))).unwrap();
        assert_eq!(after.view()["roles"], serde_json::json!([one]));
        assert_eq!(endings, [Ending::Narrowed]);
        assert_eq!(action, format!("{}.change", owner.noun().as_str()));
        let wider = with(&owner, &[one, other]);
        assert!(carried(&with(&owner, &[one]), Present::There(&wider)).is_none());
    }
}

#[test]
fn a_team_has_the_members_that_it_had_both_then_and_now_with_the_lesser_right() {
    let mut world = World::new();
    let crew = team(&mut world, 2);
    let [mia, max] = [crew.members[0].user, crew.members[1].user];
    let with = |members: &[(_, MemberRight)]| {
        let members = members.iter().map(|(user, right)| Member {
            user: *user,
            right: *right,
        });
        Record::Team(Team {
            members: members.collect(),
            ..crew.clone()
        })
    };
    let (belong, manage) = (MemberRight::Belong, MemberRight::ManageKeys);
    let backup = with(&[(mia, manage), (max, manage)]);
    for (present, after) in [
        (with(&[(mia, manage)]), Some(with(&[(mia, manage)]))),
        (
            with(&[(mia, belong), (max, manage)]),
            Some(with(&[(mia, belong), (max, manage)])),
        ),
        (with(&[(max, belong)]), Some(with(&[(max, belong)]))),
        (backup.clone(), None),
    ] {
        let carried = carried(&backup, Present::There(&present)).map(|(record, endings, _)| {
            assert_eq!(endings, [Ending::Narrowed]);
            record.view()["members"].clone()
        });
        assert_eq!(carried, after.map(|record| record.view()["members"].clone()));
    }
    let appointed = with(&[(mia, manage)]);
    assert!(
        carried(&with(&[(mia, belong)]), Present::There(&appointed)).is_none(),
        "nobody is appointed"
    );
    let less = Record::Team(Team {
        roles: Default::default(),
        ..crew.clone()
    });
    let more = Record::Team(Team {
        roles: [role(&mut world).id].into(),
        members: crew.members[..1].to_vec(),
        ..crew.clone()
    });
    assert_eq!(
        endings(&less, Present::There(&more)),
        [Ending::Narrowed],
        "for the member who left"
    );
    let held = Record::Team(Team {
        roles: user(&mut world).roles,
        ..crew
    });
    assert_eq!(
        endings(&held, Present::There(&less)),
        [Ending::Narrowed],
        "for the role that was taken"
    );
}
