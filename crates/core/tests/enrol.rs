//! Stories of enrolling, changing, suspending and removing what keys hang on.

use std::collections::BTreeSet;

use keyholt_core::actor::{Beyond, Operate, Permit, Relabel, Subject, WriteOwners, WriteProject};
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Change, Record, Revision};
use keyholt_core::enrol::{EnrolError, Label, change, enrol, relabel, remove, resume, roles, suspend};
use keyholt_core::id::{RoleId, SYSTEM, ServiceId, TeamId, UserId};
use keyholt_core::owner::{MEMBERS_MAX, Member, MemberRight, Owner, Service, Standing, Team, User};
use keyholt_core::role::Role;
use keyholt_core::scope::ScopeSet;
use keyholt_core::text::{Description, ExternalId, Metadata, Slug};
use keyholt_core::time::Span;

use crate::support::{NEW_YEAR, World, cause, name, scope, scopes, wish};

pub fn user(world: &mut World) -> User {
    User {
        id: UserId::mint(world.now, &mut world.entropy),
        project: world.project.id,
        external_id: ExternalId::new("ada").unwrap(),
        name: name("Ada"),
        email: None,
        roles: BTreeSet::from([RoleId::mint(world.now, &mut world.entropy)]),
        standing: Standing::Good,
        metadata: Metadata::default(),
        created_at: world.now,
        revision: Revision::FIRST,
    }
}

pub fn team(world: &mut World, members: usize) -> Team {
    let (now, entropy) = (world.now, &mut world.entropy);
    Team {
        id: TeamId::mint(now, entropy),
        project: world.project.id,
        external_id: ExternalId::new("crew").unwrap(),
        name: name("Crew"),
        roles: BTreeSet::new(),
        members: (0..members)
            .map(|_| Member {
                user: UserId::mint(now, entropy),
                right: MemberRight::Belong,
            })
            .collect(),
        standing: Standing::Good,
        metadata: Metadata::default(),
        created_at: now,
        revision: Revision::FIRST,
    }
}

pub fn service(world: &mut World) -> Service {
    Service {
        id: ServiceId::mint(world.now, &mut world.entropy),
        project: world.project.id,
        name: Slug::new("billing").unwrap(),
        description: Description::new("").unwrap(),
        roles: BTreeSet::new(),
        standing: Standing::Good,
        metadata: Metadata::default(),
        created_at: world.now,
        revision: Revision::FIRST,
    }
}

pub fn role(world: &mut World) -> Role {
    Role {
        id: RoleId::mint(world.now, &mut world.entropy),
        project: world.project.id,
        name: Slug::new("buyer").unwrap(),
        description: Description::new("").unwrap(),
        scopes: scopes(&["orders:*"]),
        created_at: world.now,
        revision: Revision::FIRST,
    }
}

/// Every record of Acme that can be enrolled.
fn records(world: &mut World) -> [Record; 4] {
    [
        Record::User(user(world)),
        Record::Team(team(world, 2)),
        Record::Service(service(world)),
        Record::Role(role(world)),
    ]
}

fn leave(world: &mut World, may: &[&str]) -> Permit<WriteOwners> {
    let machine = world.machine(&[&["keyholt:owners:write"], may].concat());
    machine.permit(world.project.id, Subject::Project).unwrap()
}

fn nothing() -> ScopeSet {
    ScopeSet::default()
}

#[test]
fn an_enrolment_is_an_insert_with_its_event() {
    let mut world = World::new();
    let leave = leave(&mut world, &[]);
    for record in records(&mut world) {
        let commit = enrol(&leave, record.clone(), &nothing(), world.now).unwrap();
        assert!(matches!(commit.changes(), [Change::Insert(made)] if made.id() == record.id()));
        let event = commit.event();
        assert_eq!(event.action, format!("{}.enrol", record.noun().as_str()));
        assert_eq!((event.target.noun, event.target.id), (record.noun(), Some(record.id())));
        assert_eq!((event.before.clone(), event.after.clone()), (None, Some(record.view())));
    }
}

#[test]
fn what_people_name_is_stored_by_its_name_and_a_key_by_its_id() {
    let mut world = World::new();
    let named = ["ada", "crew", "billing", "buyer"];
    for (record, name) in records(&mut world).iter().zip(named) {
        assert_eq!((record.handle(), &*record.stored_handle()), (Some(name), name));
    }
    let project = Record::Project(world.project.clone());
    assert_eq!((project.handle(), &*project.stored_handle()), (Some("acme"), "acme"));
    let admin = world.admin();
    let key = Record::Key(Box::new(world.held(&admin, wish(admin.owner)).key));
    assert_eq!(
        (key.handle(), key.stored_handle().into_owned()),
        (None, key.id().to_string())
    );
}

#[test]
fn nobody_gives_more_than_they_have() {
    let mut world = World::new();
    let leave = leave(&mut world, &["orders:*"]);
    let before = Record::User(user(&mut world));
    for (gives, lacks) in [
        (&["orders:read"][..], None),
        (&["orders:*"], None),
        (&["orders:read", "users:read"], Some("users:read")),
        (&["*"], Some("*")),
        (&["keyholt:*"], Some("keyholt:*")),
    ] {
        let gives = scopes(gives);
        let expected = lacks.map(|lacks| EnrolError::Beyond(Beyond::Scope { scope: scope(lacks) }));
        assert_eq!(enrol(&leave, before.clone(), &gives, world.now).err(), expected);
        let changed = change(&leave, &before, before.clone(), &gives, None, world.now);
        assert_eq!(changed.err(), expected);
        let resumed = resume(&leave, &before, &gives, None, world.now);
        assert_eq!(resumed.err(), expected);
    }
}

#[test]
fn a_change_replaces_one_revision_by_the_next_whatever_the_caller_counted() {
    let mut world = World::new();
    let leave = leave(&mut world, &[]);
    for before in records(&mut world) {
        let mut after = before.clone();
        match &mut after {
            Record::User(user) => user.revision = Revision::from_number(99),
            Record::Team(team) => team.revision = Revision::from_number(99),
            Record::Service(service) => service.revision = Revision::from_number(99),
            Record::Role(role) => role.revision = Revision::from_number(99),
            _ => unreachable!("not among them"),
        }
        let why = Some(cause("it was time"));
        let (after, commit) = change(&leave, &before, after, &nothing(), why.clone(), world.now).unwrap();
        assert_eq!(after.revision(), Revision::from_number(2));
        assert!(
            matches!(commit.changes(), [Change::Replace { record, expected }] if record.revision() == after.revision() && *expected == Revision::FIRST)
        );
        let event = commit.event();
        assert_eq!(event.action, format!("{}.change", before.noun().as_str()));
        assert_eq!(
            (event.before.clone(), event.after.clone()),
            (Some(before.view()), Some(after.view()))
        );
        assert_eq!(event.cause, why);
    }
}

#[test]
fn a_team_has_each_member_once_and_not_too_many() {
    let mut world = World::new();
    let leave = leave(&mut world, &[]);
    let full = team(&mut world, MEMBERS_MAX);
    let crowded = team(&mut world, MEMBERS_MAX + 1);
    let mut twice = team(&mut world, 1);
    twice.members.push(Member {
        right: MemberRight::ManageKeys,
        ..twice.members[0]
    });
    let before = Record::Team(team(&mut world, 0));
    for (team, fits) in [(full, true), (crowded, false), (twice, false)] {
        let expected = (!fits).then_some(EnrolError::Members);
        let record = Record::Team(team);
        assert_eq!(enrol(&leave, record.clone(), &nothing(), world.now).err(), expected);
        assert_eq!(
            change(&leave, &before, record, &nothing(), None, world.now).err(),
            expected
        );
    }
}

#[test]
fn who_manages_a_team_is_said_for_each_member() {
    let mut world = World::new();
    let mut team = team(&mut world, 2);
    team.members[1].right = MemberRight::ManageKeys;
    let stranger = UserId::mint(world.now, &mut world.entropy);
    assert!(!team.is_managed_by(team.members[0].user));
    assert!(team.is_managed_by(team.members[1].user));
    assert!(!team.is_managed_by(stranger));
}

#[test]
fn a_suspension_says_since_when_and_is_lifted_without_a_trace() {
    let mut world = World::new();
    let leave = leave(&mut world, &[]);
    for before in records(&mut world).into_iter().take(3) {
        let (suspended, commit) = suspend(&leave, &before, None, NEW_YEAR).unwrap().unwrap();
        let noun = before.noun().as_str();
        assert_eq!(commit.event().action, format!("{noun}.suspend"));
        assert_eq!(
            suspended.view()["standing"]["suspended"]["since"],
            "2030-01-01T00:00:00Z"
        );
        let later = NEW_YEAR.plus(Span::hours(1));
        assert!(
            suspend(&leave, &suspended, None, later).unwrap().is_none(),
            "the first time is kept"
        );

        let (resumed, commit) = resume(&leave, &suspended, &nothing(), None, later).unwrap().unwrap();
        assert_eq!(commit.event().action, format!("{noun}.resume"));
        let mut expected = before.view();
        expected["revision"] = 3.into();
        assert_eq!(resumed.view(), expected);
        assert!(resume(&leave, &resumed, &nothing(), None, later).unwrap().is_none());
    }
}

#[test]
fn what_has_no_standing_is_not_suspended() {
    let mut world = World::new();
    let leave = leave(&mut world, &[]);
    let role = Record::Role(role(&mut world));
    assert!(suspend(&leave, &role, None, world.now).unwrap().is_none());
    assert!(resume(&leave, &role, &nothing(), None, world.now).unwrap().is_none());
}

#[test]
fn keyholts_own_project_cannot_be_stopped_and_any_other_can() {
    let mut world = World::new();
    let operator = world.operator();
    let operating: Permit<Operate> = operator.permit(SYSTEM, Subject::Project).unwrap();
    let acme = Record::Project(world.project.clone());
    let mut own = world.project.clone();
    own.id = SYSTEM;
    let own = Record::Project(own);
    assert_eq!(
        suspend(&operating, &own, None, world.now).unwrap_err(),
        EnrolError::SystemProject
    );
    let (suspended, _) = suspend(&operating, &acme, None, world.now).unwrap().unwrap();
    let lifted = resume(&operating, &suspended, &nothing(), None, world.now).unwrap();
    assert!(lifted.is_some());
}

#[test]
fn an_administrator_changes_the_project_itself() {
    let mut world = World::new();
    let admin = world.admin();
    let writing: Permit<WriteProject> = admin.permit(world.project.id, Subject::Project).unwrap();
    let before = Record::Project(world.project.clone());
    let (after, commit) = change(&writing, &before, before.clone(), &nothing(), None, world.now).unwrap();
    assert_eq!(
        (after.noun(), after.revision()),
        (Noun::Project, Revision::from_number(2))
    );
    assert_eq!(
        commit.event().project,
        world.project.id,
        "it is part of that project's story"
    );
}

#[test]
fn a_removal_keeps_what_was_in_the_trail() {
    let mut world = World::new();
    let leave = leave(&mut world, &[]);
    for record in records(&mut world) {
        let commit = remove(&leave, record.clone(), Some(cause("left")), world.now);
        assert!(matches!(commit.changes(), [Change::Remove { record: gone }] if gone.id() == record.id()));
        let event = commit.event();
        assert_eq!(event.action, format!("{}.remove", record.noun().as_str()));
        assert_eq!((event.before.clone(), event.after.clone()), (Some(record.view()), None));
        assert_eq!(event.owner, record.owner());
        assert_eq!(event.cause, Some(cause("left")));
    }
}

#[test]
fn only_owners_hold_roles() {
    let mut world = World::new();
    let ada = user(&mut world);
    assert_eq!(roles(&Record::User(ada.clone())), Some(&ada.roles));
    assert_eq!(roles(&Record::Team(team(&mut world, 0))), Some(&BTreeSet::new()));
    assert_eq!(roles(&Record::Service(service(&mut world))), Some(&BTreeSet::new()));
    assert_eq!(roles(&Record::Role(role(&mut world))), None);
    assert_eq!(roles(&Record::Project(world.project.clone())), None);
}

#[test]
fn the_last_operator_is_refused_in_words() {
    // The core names this refusal; whether somebody is the last one is known to whoever keeps all of them.
    assert!(EnrolError::LastOperator.to_string().contains("last operator"));
}

#[test]
fn people_give_themselves_another_label_and_nothing_that_they_may_do_hangs_on_it() {
    let mut world = World::new();
    let actor = world.member();
    let Owner::User(id) = actor.owner else {
        unreachable!("a member is a user")
    };
    let before = User { id, ..user(&mut world) };
    let leave = world.permit::<Relabel>(&actor, actor.owner).unwrap();
    let kept = Metadata::new(serde_json::json!({"theme": "dark"}).as_object().cloned().unwrap()).unwrap();
    let label = Label {
        name: name("Ada K."),
        metadata: kept.clone(),
    };
    let (after, commit) = relabel(&leave, &Record::User(before.clone()), label.clone(), world.now).unwrap();
    assert_eq!(commit.event().action, "user.change");
    let expected = User {
        name: name("Ada K."),
        metadata: kept,
        revision: before.revision.next(),
        ..before
    };
    let Record::User(after) = after else {
        unreachable!("a user stays one")
    };
    assert_eq!(after, expected);
    assert!(
        relabel(&leave, &Record::User(after), label, world.now).is_none(),
        "no change, no commit"
    );
}

#[test]
fn users_and_teams_have_a_label_of_which_each_part_changes_by_itself_and_nothing_else_has_one() {
    let mut world = World::new();
    let admin = world.admin();
    let leave: Permit<Relabel> = admin.permit(world.project.id, Subject::Project).unwrap();
    let kept = Metadata::new(serde_json::json!({"theme": "dark"}).as_object().cloned().unwrap()).unwrap();
    let [ada, crew, billing, buyer] = records(&mut world);
    for (record, called) in [(&ada, "Ada"), (&crew, "Crew")] {
        let same = Label {
            name: name(called),
            metadata: Metadata::default(),
        };
        let renamed = Label {
            name: name("another"),
            ..same.clone()
        };
        let annotated = Label {
            metadata: kept.clone(),
            ..same.clone()
        };
        let told = |label| relabel(&leave, record, label, world.now).map(|(after, _)| after.view());
        assert!(told(same).is_none());
        assert_eq!(told(renamed).unwrap()["name"], "another");
        assert_eq!(told(annotated).unwrap()["metadata"]["theme"], "dark");
    }
    for record in [billing, buyer] {
        let label = Label {
            name: name("another"),
            metadata: kept.clone(),
        };
        assert!(relabel(&leave, &record, label, world.now).is_none());
    }
}

#[test]
fn nobody_gives_others_a_label_without_leave_over_them() {
    let mut world = World::new();
    let (actor, other) = (world.member(), world.user(&["*"]));
    assert!(world.permit::<Relabel>(&actor, other).is_err());
    let admin = world.admin();
    assert!(world.permit::<Relabel>(&admin, other).is_ok());
}
