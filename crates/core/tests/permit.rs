//! Stories of who may do what here: the one place where leave is given.

use keyholt_core::actor::{
    Action, Actor, Beyond, Explain, FRESH, Forbidden, Operate, Proof, ReadAudit, ReadKeys, ReadOwners, ReadProject,
    Subject, Verify, WriteKeys, WriteOwners, WriteProject, is_management_scope,
};
use keyholt_core::id::{ProjectId, SYSTEM};
use keyholt_core::key::Kind;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::role::STARTING_ROLES;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::time::{Expiry, Span};

use crate::support::{Wishing, World, scope, wish};

/// What comes of asking for every action there is.
fn asked(actor: &Actor, project: ProjectId, subject: Subject) -> [(&'static str, Result<(), Forbidden>); 10] {
    fn one<A: Action>(actor: &Actor, project: ProjectId, subject: Subject) -> (&'static str, Result<(), Forbidden>) {
        let leave = actor.permit::<A>(project, subject).map(|_| ());
        assert_eq!(actor.may::<A>(project, subject), leave, "reads ask for the same leave");
        (A::SCOPE, leave)
    }
    [
        one::<Verify>(actor, project, subject),
        one::<Explain>(actor, project, subject),
        one::<ReadKeys>(actor, project, subject),
        one::<WriteKeys>(actor, project, subject),
        one::<ReadOwners>(actor, project, subject),
        one::<WriteOwners>(actor, project, subject),
        one::<ReadProject>(actor, project, subject),
        one::<WriteProject>(actor, project, subject),
        one::<Operate>(actor, project, subject),
        one::<ReadAudit>(actor, project, subject),
    ]
}

#[test]
fn each_action_needs_its_own_scope_and_no_other() {
    let mut world = World::new();
    let scopes: Vec<&str> = asked(&world.admin(), SYSTEM, Subject::Project)
        .map(|(scope, _)| scope)
        .to_vec();
    for mine in &scopes {
        let machine = Actor {
            home: SYSTEM,
            ..world.machine(&[mine])
        };
        for (needed, given) in asked(&machine, world.project.id, Subject::Project) {
            let expected = if needed == *mine {
                Ok(())
            } else {
                Err(Forbidden::Lacks { scope: needed })
            };
            assert_eq!(given, expected, "{needed} with {mine}");
        }
    }
}

#[test]
fn another_project_does_not_exist_whatever_one_is_at_home() {
    let mut world = World::new();
    let stranger = world.stranger();
    let own = Subject::Owner(stranger.owner);
    for subject in [Subject::Project, own] {
        for (scope, given) in asked(&stranger, world.project.id, subject) {
            assert_eq!(given, Err(Forbidden::Hidden), "{scope}");
        }
    }
    for (scope, given) in asked(&stranger, SYSTEM, Subject::Project) {
        assert_eq!(given, Err(Forbidden::Hidden), "{scope}");
    }
}

#[test]
fn an_operator_reaches_every_project_as_far_as_the_key_goes() {
    let mut world = World::new();
    let operator = world.operator();
    for project in [world.project.id, SYSTEM] {
        for (scope, given) in asked(&operator, project, Subject::Project) {
            assert_eq!(given, Ok(()), "{scope}");
        }
    }
    let reader = Actor {
        home: SYSTEM,
        ..world.machine(&["keyholt:keys:read"])
    };
    assert!(reader.permit::<ReadKeys>(world.project.id, Subject::Project).is_ok());
    assert!(reader.permit::<WriteKeys>(world.project.id, Subject::Project).is_err());
}

#[test]
fn an_administrator_operates_nothing_though_the_scope_reads_that_way() {
    let mut world = World::new();
    let admin = world.admin();
    assert!(admin.effective.covers(scope("keyholt:operate").wanted()));
    for (needed, given) in asked(&admin, world.project.id, Subject::Project) {
        let expected = if needed == Operate::SCOPE {
            Err(Forbidden::Lacks { scope: needed })
        } else {
            Ok(())
        };
        assert_eq!(given, expected, "{needed}");
    }
}

#[test]
fn a_member_reaches_what_is_own_and_nothing_else_exists() {
    let mut world = World::new();
    let member = world.member();
    let other = world.user(&["*"]);
    let project = world.project.id;
    let own = Subject::Owner(member.owner);
    assert!(member.permit::<ReadKeys>(project, own).is_ok());
    assert!(member.permit::<WriteKeys>(project, own).is_ok());
    assert!(member.permit::<ReadOwners>(project, own).is_ok());
    let hidden = Some(Forbidden::Hidden);
    let others = Subject::Owner(other);
    assert_eq!(member.permit::<ReadKeys>(project, others).err(), hidden);
    assert_eq!(member.permit::<WriteKeys>(project, others).err(), hidden);
    assert_eq!(member.permit::<ReadOwners>(project, others).err(), hidden);
    let lacks = |scope| Some(Forbidden::Lacks { scope });
    assert_eq!(
        member.permit::<ReadKeys>(project, Subject::Project).err(),
        lacks("keyholt:keys:read")
    );
    assert_eq!(
        member.permit::<WriteKeys>(project, Subject::Project).err(),
        lacks("keyholt:keys:write")
    );
    assert_eq!(
        member.permit::<WriteOwners>(project, own).err(),
        lacks("keyholt:owners:write")
    );
}

#[test]
fn reading_what_is_own_is_not_writing_it() {
    let mut world = World::new();
    let reader = world.machine(&["keyholt:self:read"]);
    let own = Subject::Owner(reader.owner);
    assert!(reader.permit::<ReadKeys>(world.project.id, own).is_ok());
    let lacks = Forbidden::Lacks {
        scope: "keyholt:keys:write",
    };
    assert_eq!(reader.permit::<WriteKeys>(world.project.id, own).err(), Some(lacks));
}

#[test]
fn a_teams_manager_writes_the_teams_keys_and_a_mere_member_does_not() {
    let mut world = World::new();
    let mine = world.owner(OwnerKind::Team, &["orders:*"]);
    let theirs = world.owner(OwnerKind::Team, &["orders:*"]);
    let member = world.member();
    let Owner::Team(team) = mine else {
        unreachable!("made as a team")
    };
    assert!(world.permit::<WriteKeys>(&member, mine).is_err());
    let manager = Actor {
        manages: vec![team],
        ..member
    };
    assert!(world.permit::<WriteKeys>(&manager, mine).is_ok());
    assert!(world.permit::<WriteKeys>(&manager, theirs).is_err());
    assert!(world.issue(&manager, wish(mine).scopes(&["orders:read"])).is_ok());
}

#[test]
fn a_scope_that_is_bound_to_a_resource_manages_nothing() {
    let mut world = World::new();
    let bound = world.machine(&["keyholt:keys:write@acme", "keyholt:*@acme/*", "*"]);
    for (scope, given) in asked(&bound, world.project.id, Subject::Owner(bound.owner)) {
        assert!(matches!(given, Err(Forbidden::Lacks { .. })), "{scope}");
    }
}

#[test]
fn everything_of_an_owner_without_roles_is_nothing() {
    let mut world = World::new();
    let nobody = world.user(&[]);
    let caller = world.caller(nobody, Access::Everything, Expiry::Never);
    for (scope, given) in asked(&caller, world.project.id, Subject::Owner(nobody)) {
        assert!(matches!(given, Err(Forbidden::Lacks { .. })), "{scope}");
    }
}

#[test]
fn leave_names_who_has_it_and_where() {
    let mut world = World::new();
    let operator = world.operator();
    let leave = operator
        .permit::<WriteKeys>(world.project.id, Subject::Project)
        .unwrap();
    assert_eq!((leave.actor().key, leave.project()), (operator.key, world.project.id));
}

#[test]
fn every_management_scope_exists_and_nothing_else_does() {
    let mut world = World::new();
    for (known, _) in asked(&world.admin(), SYSTEM, Subject::Project) {
        assert!(is_management_scope(&scope(known)), "{known}");
    }
    for pattern in ["keyholt:*", "keyholt:keys:*", "keyholt:self:read", "keyholt:self:*"] {
        assert!(is_management_scope(&scope(pattern)), "{pattern}");
    }
    for none in [
        "keyholt:key:*",
        "keyholt:verify:all",
        "keyholt:keys",
        "keyholt:verify@acme",
    ] {
        assert!(!is_management_scope(&scope(none)), "{none}");
    }
}

#[test]
fn the_starting_roles_can_be_read_and_their_own_scopes_exist() {
    for (name, _, texts) in STARTING_ROLES {
        let scopes = ScopeSet::parse(texts.iter().copied()).unwrap();
        assert_eq!(scopes.len(), texts.len(), "{name}");
        for own in scopes.iter().filter(|scope| scope.is_reserved()) {
            assert!(is_management_scope(own), "{name}: {own}");
        }
    }
}

#[test]
#[should_panic(expected = "leave was given for something else")]
fn leave_for_ones_own_is_not_used_on_anothers_key() {
    let mut world = World::new();
    let (admin, member) = (world.admin(), world.member());
    let foreign = world.held(&admin, wish(admin.owner)).key;
    let leave = world.leave(&member, member.owner);
    let _ = keyholt_core::pause::suspend(&leave, &foreign, None, world.now);
}

#[test]
#[should_panic(expected = "leave was given for something else")]
fn leave_in_one_project_is_not_used_in_another() {
    let mut world = World::new();
    let (admin, operator) = (world.admin(), world.operator());
    let key = world.held(&admin, wish(admin.owner)).key;
    let elsewhere = operator.permit::<WriteKeys>(SYSTEM, Subject::Project).unwrap();
    let _ = keyholt_core::pause::suspend(&elsewhere, &key, None, world.now);
}

#[test]
fn a_log_in_hands_on_what_manages_others_only_while_it_is_fresh() {
    let mut world = World::new();
    let admin = world.admin();
    let by = |proof| Actor { proof, ..admin.clone() };
    let (key, fresh, old) = (by(Proof::Key), by(Proof::FreshLogIn), by(Proof::OldLogIn));
    let all = ScopeSet::parse(["*", "keyholt:*"]).unwrap();
    let plain = ScopeSet::parse(["*", "keyholt:self:*", "keyholt:keys:read", "keyholt:verify"]).unwrap();
    for (access, permissions, manages) in [
        (Access::Everything, &all, true),
        (Access::Everything, &plain, false),
        (Access::Only(all.clone()), &plain, true),
        (Access::Only(plain.clone()), &all, false),
        (Access::Only(ScopeSet::parse(["keyholt:keys:*"]).unwrap()), &all, true),
        (Access::Only(ScopeSet::parse(["keyholt:operate"]).unwrap()), &all, true),
        (Access::Only(ScopeSet::default()), &all, false),
    ] {
        for actor in [&key, &fresh] {
            assert_eq!(
                actor.may_hand_on(&access, permissions, Expiry::Never),
                Ok(()),
                "{access:?}"
            );
        }
        let told = old.may_hand_on(&access, permissions, Expiry::Never);
        assert_eq!(
            matches!(told, Err(Beyond::OldLogIn { .. })),
            manages,
            "{access:?}: {told:?}"
        );
        assert_eq!(told.is_ok(), !manages);
    }
}

#[test]
fn a_log_in_is_as_old_as_the_id_of_its_session_says() {
    let mut world = World::new();
    let session = world.admin().key;
    let at = session.minted_at();
    for (kind, since, proof) in [
        (Kind::Session, Span::ZERO, Proof::FreshLogIn),
        (Kind::Session, Span::secs(4 * 60), Proof::FreshLogIn),
        (Kind::Session, FRESH, Proof::FreshLogIn),
        (Kind::Session, Span::millis(FRESH.ms() + 1), Proof::OldLogIn),
        (Kind::Session, Span::secs(6 * 60), Proof::OldLogIn),
        (Kind::Standard, Span::days(365), Proof::Key),
        (Kind::Static, Span::days(365), Proof::Key),
    ] {
        assert_eq!(
            Proof::of(kind, session, at.plus(since)),
            proof,
            "{kind:?} after {since:?}"
        );
    }
}
