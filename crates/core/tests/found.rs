//! Stories of the first start: an empty store, a set-up token, the first operator, the first project.

use keyholt_core::actor::{Operate, Subject};
use keyholt_core::commit::{Change, Commit, Record, Revision};
use keyholt_core::found::{
    Charter, FirstOperator, FoundError, SETUP_PREFIX, found, found_keyholt, renew_setup, set_up, setup_token,
};
use keyholt_core::id::SYSTEM;
use keyholt_core::issue::Issued;
use keyholt_core::key::Maker;
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::project::{Catalogue, GRACE_MAX, KEYS_PER_OWNER_MAX, Policy, Project, TokenPolicy};
use keyholt_core::role::STARTING_ROLES;
use keyholt_core::scope::Access;
use keyholt_core::secret::{Fingerprint, Prefix};
use keyholt_core::setup::{SETUP_LIFETIME, Setup};
use keyholt_core::text::{ExternalId, Slug};
use keyholt_core::time::{Expiry, Lifetime, Moment, Span};

use crate::support::{NEW_YEAR, Seeded, World, name, scopes, source};

/// An installation that was started for the first time.
struct Start {
    world: World,
    system: Project,
    setup: Setup,
    token: Fingerprint,
}

impl Start {
    fn new() -> Self {
        let mut world = World::new();
        let token = setup_token(&mut world.entropy).unwrap().fingerprint();
        let commit = found_keyholt(&token, &world.pepper, source(), world.now, &mut world.entropy).unwrap();
        let [
            Change::Insert(Record::Project(system)),
            Change::Insert(Record::Role(role)),
            Change::Insert(Record::Setup(setup)),
        ] = commit.changes()
        else {
            panic!("{commit:?}")
        };
        assert_eq!((system.id, role.project), (SYSTEM, SYSTEM));
        assert_eq!(role.scopes, scopes(&["*", "keyholt:*"]));
        assert!(
            system.policy.default_roles.contains(&role.id),
            "who is enrolled there is an operator"
        );
        assert_eq!(
            (commit.event().action.as_str(), &commit.event().actor),
            ("setup.open", &None)
        );
        Self {
            system: system.clone(),
            setup: setup.clone(),
            token,
            world,
        }
    }

    fn try_at(&mut self, setup: &Setup, token: &Fingerprint, now: Moment) -> Result<(Issued, Commit), FoundError> {
        let olga = FirstOperator {
            name: name("Olga"),
            external_id: ExternalId::new("olga").unwrap(),
            email: None,
        };
        set_up(
            setup,
            token,
            olga,
            &self.system,
            &self.world.pepper,
            source(),
            now,
            &mut self.world.entropy,
        )
    }
}

#[test]
fn an_operator_is_logged_out_after_an_hour_and_anybody_else_after_a_week() {
    let (operators, people) = (Start::new().system.policy, World::new().project.policy);
    let limits = |policy: &Policy| (policy.log_in.idle, policy.log_in.longest);
    assert_eq!(limits(&operators), (Span::hours(1), Span::hours(24)));
    assert_eq!(limits(&people), (Span::days(7), Span::days(30)));
    for policy in [operators, people] {
        assert_eq!(
            policy.log_in.password_chars_min, 15,
            "both prove themselves by it alone"
        );
    }
}

#[test]
fn a_set_up_token_looks_like_nothing_else() {
    let token = setup_token(&mut Seeded::new(1)).unwrap();
    assert_eq!(token.hint().as_str().split('_').next(), Some(SETUP_PREFIX));
}

#[test]
fn the_token_makes_the_first_operator_and_closes_the_door_behind_it() {
    let mut start = Start::new();
    let (setup, token) = (start.setup.clone(), start.token);
    assert!(setup.is_open());
    let (issued, commit) = start.try_at(&setup, &token, NEW_YEAR).unwrap();

    let [
        Change::Replace {
            record: Record::Setup(closed),
            expected,
        },
        Change::Insert(Record::User(olga)),
        Change::Insert(Record::Key(key)),
    ] = commit.changes()
    else {
        panic!("{commit:?}")
    };
    assert_eq!(
        (*expected, closed.revision),
        (Revision::FIRST, Revision::from_number(2)),
        "of many attempts one wins"
    );
    assert_eq!(olga.roles, start.system.policy.default_roles);
    assert_eq!((key.owner, key.project), (Owner::User(olga.id), SYSTEM));
    assert_eq!(
        (&key.access, key.expiry, key.created_by),
        (&Access::Everything, Expiry::Never, Maker::Setup)
    );
    let secret = issued.secret.unwrap().reveal();
    assert!(secret.starts_with("kh_"));
    assert!(
        key.credentials
            .current()
            .matches(&start.world.pepper.digest(&Fingerprint::of(secret.as_bytes())))
    );
    assert_eq!(
        (commit.event().action.as_str(), commit.event().owner),
        ("setup.complete", Some(key.owner))
    );

    assert!(!closed.is_open());
    assert!(!closed.admits(&token, &start.world.pepper, NEW_YEAR));
    assert_eq!(start.try_at(closed, &token, NEW_YEAR).unwrap_err(), FoundError::Token);
    let fresh = Fingerprint::of(b"another");
    assert!(
        renew_setup(closed, &fresh, &start.world.pepper, source(), NEW_YEAR).is_none(),
        "a second start does not reopen it"
    );
}

#[test]
fn a_wrong_token_and_a_late_one_are_refused_alike() {
    let mut start = Start::new();
    let (setup, token) = (start.setup.clone(), start.token);
    let dead = NEW_YEAR.plus(SETUP_LIFETIME);
    let wrong = Fingerprint::of(b"khsetup_guess");
    assert_eq!(start.try_at(&setup, &wrong, NEW_YEAR).unwrap_err(), FoundError::Token);
    assert_eq!(start.try_at(&setup, &token, dead).unwrap_err(), FoundError::Token);
    assert!(start.try_at(&setup, &token, dead.minus(Span::millis(1))).is_ok());
}

#[test]
fn an_unused_token_is_put_out_of_force_by_a_fresh_one() {
    let mut start = Start::new();
    let (setup, old) = (start.setup.clone(), start.token);
    let late = NEW_YEAR.plus(Span::days(3));
    let fresh = setup_token(&mut start.world.entropy).unwrap().fingerprint();
    let commit = renew_setup(&setup, &fresh, &start.world.pepper, source(), late).unwrap();
    assert_eq!(commit.event().action, "setup.renew");
    let [
        Change::Replace {
            record: Record::Setup(renewed),
            expected,
        },
    ] = commit.changes()
    else {
        panic!("{commit:?}")
    };
    assert_eq!((*expected, renewed.revision), (setup.revision, setup.revision.next()));
    assert!(renewed.admits(&fresh, &start.world.pepper, late));
    assert!(!renewed.admits(&old, &start.world.pepper, late));
    assert!(start.try_at(renewed, &fresh, late).is_ok());
}

#[test]
fn the_set_up_is_read_back_as_it_was_written_and_its_token_is_not_in_the_trail() {
    let start = Start::new();
    let written = serde_json::to_string(&start.setup).unwrap();
    let read: Setup = serde_json::from_str(&written).unwrap();
    assert_eq!(read, start.setup);
    assert!(read.admits(&start.token, &start.world.pepper, NEW_YEAR));
    let digest = serde_json::to_value(&read).unwrap()["digest"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!format!("{read:?}").contains(&digest), "nor in a log");
    assert_eq!(Record::Setup(read).view(), serde_json::json!({ "open": true }));
}

#[test]
fn a_project_is_founded_with_its_roles_and_members_by_default() {
    let mut world = World::new();
    let operator = world.operator();
    let leave = operator.permit::<Operate>(SYSTEM, Subject::Project).unwrap();
    let charter = Charter {
        slug: Slug::new("globex").unwrap(),
        name: name("Globex"),
        prefix: Prefix::new("gx").unwrap(),
    };
    let (project, roles, commit) = found(&leave, charter, world.now, &mut world.entropy).unwrap();
    assert_eq!(
        (project.slug.as_str(), project.policy.prefix.as_str()),
        ("globex", "gx")
    );
    assert!(!project.is_system());
    assert_eq!(roles.len(), STARTING_ROLES.len());
    for (role, (name, _, texts)) in roles.iter().zip(STARTING_ROLES) {
        assert_eq!((role.name.as_str(), role.project), (name, project.id));
        assert_eq!(role.scopes, scopes(texts));
    }
    let [default] = project.policy.default_roles.iter().collect::<Vec<_>>()[..] else {
        panic!("one role")
    };
    assert_eq!(
        roles.iter().find(|role| role.id == *default).unwrap().name.as_str(),
        "member"
    );
    assert_eq!(commit.changes().len(), 1 + roles.len(), "all of it or nothing");
    assert_eq!((project.created_at, project.revision), (world.now, Revision::FIRST));
    assert_eq!(commit.event().action, "project.found");
    assert_eq!(commit.event().target.id, Some(project.id.uuid()));
}

#[test]
fn a_new_project_lets_everybody_have_keys_without_end_and_an_old_secret_work_for_a_day() {
    let policy = World::new().project.policy;
    let unlimited = Lifetime::Unlimited;
    assert_eq!(
        (policy.default_lifetime, policy.longest_lifetime),
        (unlimited, unlimited)
    );
    assert!(OwnerKind::ALL.into_iter().all(|kind| policy.owners.contains(&kind)));
    assert_eq!((policy.keys_per_owner, &policy.scopes), (1000, &Catalogue::Open));
    assert_eq!(
        (policy.default_grace, policy.longest_grace),
        (Span::hours(24), Span::days(30))
    );
    assert!(policy.longest_grace <= GRACE_MAX && policy.keys_per_owner <= KEYS_PER_OWNER_MAX);
    assert_eq!(policy.tokens, TokenPolicy::default());
    assert!(policy.tokens.claims.is_empty(), "no metadata is told to anybody");
}
