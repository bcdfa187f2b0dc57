//! Stories of issuing keys: who may make which, with which secret, and for how long.

use std::collections::{BTreeMap, BTreeSet};

use keyholt_core::actor::Beyond;
use keyholt_core::commit::{Change, Guard, Record, Revision};
use keyholt_core::issue::{IssueError, Life, SecretOrigin};
use keyholt_core::key::{Allowed, Bounds, Kind, Maker, State};
use keyholt_core::owner::OwnerKind;
use keyholt_core::project::{Catalogue, PolicyBreach};
use keyholt_core::scope::Access;
use keyholt_core::secret::{Credentials, Fingerprint};
use keyholt_core::text::{Description, Environment};
use keyholt_core::time::{Expiry, LATEST, Lifetime, Moment, Span};

use crate::support::{NEW_YEAR, Wishing, World, scope, scopes, wish};

#[test]
fn a_new_key_is_what_was_wished_for_and_says_who_made_it() {
    let mut world = World::new();
    let admin = world.admin();
    let ada = world.user(&["orders:read"]);
    let bounds = Bounds {
        networks: Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap(),
        environment: Some(Environment::new("live").unwrap()),
        ..Bounds::default()
    };
    let wished = wish(ada)
        .scopes(&["orders:read"])
        .bounds(bounds.clone())
        .life(Life::For(Span::days(90)));

    let (issued, commit) = world.issue(&admin, wished).unwrap();

    let key = issued.key;
    assert_eq!(
        (key.owner, key.project, key.kind),
        (ada, world.project.id, Kind::Standard)
    );
    assert_eq!(key.access, Access::Only(scopes(&["orders:read"])));
    assert_eq!(key.bounds, bounds);
    assert_eq!(key.expiry, Expiry::At(NEW_YEAR.plus(Span::days(90))));
    assert_eq!((key.state, key.revision), (State::Active, Revision::FIRST));
    assert_eq!((key.created_by, key.created_at), (Maker::Key(admin.key), NEW_YEAR));
    assert!(key.credentials.retiring().is_none());
    let hint = key.about.hint.unwrap();
    let secret = issued.secret.unwrap().reveal();
    assert!(
        secret.starts_with("acme_live_"),
        "the prefix says project and environment"
    );
    assert!(
        hint.as_str().starts_with("acme_live_…") && secret.ends_with(hint.as_str().trim_start_matches("acme_live_…"))
    );
    assert!(matches!(commit.changes(), [Change::Insert(Record::Key(made))] if made.id == key.id));
    assert_eq!(
        commit.guard(),
        Some(&Guard::KeysPerOwner {
            project: world.project.id,
            owner: ada,
            most: world.project.policy.keys_per_owner,
        }),
        "the limit is checked where it is true for sure: in the transaction"
    );
}

#[test]
fn the_secret_opens_the_key_and_no_other_does() {
    let mut world = World::new();
    let member = world.member();
    let own = world.held(&member, wish(member.owner));
    let other = world.held(&member, wish(member.owner));
    assert_eq!(world.verdict(&own), "granted");
    assert_eq!(world.verdict_on(&own.key, &other.secret), "unknown");
    assert_ne!(own.secret, other.secret);
    assert_ne!(own.key.id, other.key.id);
}

#[test]
fn a_key_cannot_hand_on_a_scope_that_it_does_not_carry() {
    let mut world = World::new();
    let machine = world.machine(&["keyholt:keys:write", "orders:read"]);
    let ada = world.user(&["*"]);
    for (wished, lacks) in [
        ("orders:write", Some("orders:write")),
        ("orders:*", Some("orders:*")),
        ("*", Some("*")),
        ("keyholt:keys:read", Some("keyholt:keys:read")),
        ("orders:read", None),
        ("orders:read@acme/*", None),
        ("keyholt:keys:write", None),
    ] {
        let made = world.issue(&machine, wish(ada).scopes(&[wished]));
        match lacks {
            None => assert!(made.is_ok(), "{wished}"),
            Some(lacks) => assert_eq!(
                made.unwrap_err(),
                IssueError::Beyond(Beyond::Scope { scope: scope(lacks) }),
                "{wished}"
            ),
        }
    }
}

#[test]
fn a_scope_is_not_handed_on_in_the_hope_that_its_owner_has_it_one_day() {
    let mut world = World::new();
    let member = world.member();
    // Mia has no scope of Keyholt's own but `keyholt:self:*`: a key that names more would wait for her promotion.
    let made = world.issue(&member, wish(member.owner).scopes(&["keyholt:keys:write"]));
    assert!(matches!(made.unwrap_err(), IssueError::Beyond(Beyond::Scope { .. })));
}

#[test]
fn only_a_key_that_carries_everything_hands_on_everything() {
    let mut world = World::new();
    let member = world.member();
    assert!(world.issue(&member, wish(member.owner).everything()).is_ok());

    let narrow = world.caller(
        member.owner,
        Access::Only(scopes(&["*", "keyholt:self:*"])),
        Expiry::Never,
    );
    assert_eq!(*narrow.effective, *member.effective, "today they can do the same");
    let made = world.issue(&narrow, wish(member.owner).everything());
    assert_eq!(made.unwrap_err(), IssueError::Beyond(Beyond::Everything));
}

#[test]
fn a_narrow_key_cannot_wait_for_somebody_elses_promotion() {
    let mut world = World::new();
    let provisioner = world.machine(&["keyholt:keys:write"]);
    let newcomer = world.user(&[]);
    // Nothing is less than what the provisioner has. With `everything` the key would grow with the newcomer's roles.
    let made = world.issue(&provisioner, wish(newcomer).everything());
    assert_eq!(made.unwrap_err(), IssueError::Beyond(Beyond::Everything));
    let made = world.issue(&provisioner, wish(newcomer).everything().kind(Kind::Static));
    assert_eq!(made.unwrap_err(), IssueError::Beyond(Beyond::Everything));

    let all = world.machine(&["*", "keyholt:*"]);
    assert!(
        world.issue(&all, wish(newcomer).everything()).is_ok(),
        "nothing can outgrow it"
    );
}

#[test]
fn everything_of_somebody_who_may_do_more_is_not_handed_on() {
    let mut world = World::new();
    let clerk_of = world.user(&["orders:*", "keyholt:keys:write"]);
    let clerk = world.caller(clerk_of, Access::Everything, Expiry::Never);
    let boss = world.user(&["*"]);
    let made = world.issue(&clerk, wish(boss).everything());
    assert_eq!(made.unwrap_err(), IssueError::Beyond(Beyond::Everything));
}

#[test]
fn no_key_outlives_its_maker() {
    let mut world = World::new();
    let admin = world.admin();
    let end = NEW_YEAR.plus(Span::days(30));
    let passing = world.caller(admin.owner, Access::Everything, Expiry::At(end));
    for (life, outlives) in [
        (Life::Default, true),
        (Life::Never, true),
        (Life::Until(end.plus(Span::millis(1))), true),
        (Life::Until(end), false),
        (Life::For(Span::days(31)), true),
        (Life::For(Span::days(30)), false),
    ] {
        let made = world.issue(&passing, wish(admin.owner).life(life));
        if outlives {
            assert_eq!(made.unwrap_err(), IssueError::Beyond(Beyond::Outlives), "{life:?}");
        } else {
            assert!(made.is_ok(), "{life:?}");
        }
    }
}

#[test]
fn an_expiry_lies_in_the_future() {
    let mut world = World::new();
    let member = world.member();
    for life in [
        Life::Until(NEW_YEAR),
        Life::Until(Moment::from_ms(0)),
        Life::Until(NEW_YEAR.minus(Span::millis(1))),
        Life::For(Span::ZERO),
    ] {
        let made = world.issue(&member, wish(member.owner).life(life));
        assert_eq!(made.unwrap_err(), IssueError::AlreadyExpired, "{life:?}");
    }
    let brief = Life::Until(NEW_YEAR.plus(Span::millis(1)));
    assert!(world.issue(&member, wish(member.owner).life(brief)).is_ok());
}

#[test]
fn the_longest_life_of_all_ends_at_an_instant_that_can_be_written() {
    let mut world = World::new();
    let member = world.member();
    for span in [
        keyholt_core::time::LONGEST,
        Span::millis(u64::MAX),
        Span::days(u64::MAX),
    ] {
        let key = world.held(&member, wish(member.owner).life(Life::For(span))).key;
        assert_eq!(key.expiry, Expiry::At(LATEST), "{span:?}");
        let written = serde_json::to_string(&key.expiry).unwrap();
        assert_eq!(serde_json::from_str::<Expiry>(&written).unwrap(), key.expiry);
    }
}

#[test]
fn the_policy_limits_how_long_keys_live() {
    let mut world = World::new();
    let member = world.member();
    let longest = Lifetime::For(Span::days(90));
    world.project.policy.longest_lifetime = longest;
    let breach = IssueError::Policy(PolicyBreach::LifetimeTooLong { longest });
    for life in [Life::Never, Life::For(Span::days(90).plus_one_ms())] {
        let made = world.issue(&member, wish(member.owner).life(life));
        assert_eq!(made.unwrap_err(), breach, "{life:?}");
    }
    let longest_life = Life::For(Span::days(90));
    assert!(world.issue(&member, wish(member.owner).life(longest_life)).is_ok());
}

#[test]
fn a_key_that_does_not_say_lives_as_long_as_the_policy_says_but_not_beyond_its_limit() {
    let mut world = World::new();
    let member = world.member();
    assert_eq!(world.held(&member, wish(member.owner)).key.expiry, Expiry::Never);

    world.project.policy.default_lifetime = Lifetime::For(Span::days(30));
    let key = world.held(&member, wish(member.owner)).key;
    assert_eq!(key.expiry, Expiry::At(NEW_YEAR.plus(Span::days(30))));

    world.project.policy.longest_lifetime = Lifetime::For(Span::days(7));
    let key = world.held(&member, wish(member.owner)).key;
    assert_eq!(key.expiry, Expiry::At(NEW_YEAR.plus(Span::days(7))));
}

#[test]
fn the_policy_says_who_may_have_keys() {
    for kind in OwnerKind::ALL {
        let mut world = World::new();
        let admin = world.admin();
        let owner = world.owner(kind, &["orders:read"]);
        assert!(world.issue(&admin, wish(owner)).is_ok(), "{kind}");
        world.project.policy.owners.remove(&kind);
        let made = world.issue(&admin, wish(owner));
        assert_eq!(made.unwrap_err(), IssueError::Policy(PolicyBreach::OwnerKind { kind }));
    }
}

#[test]
fn a_declared_catalogue_knows_its_scopes_and_patterns_of_them_only() {
    let mut world = World::new();
    let admin = world.admin();
    let meaning = Description::new("").unwrap();
    world.project.policy.scopes = Catalogue::Declared(BTreeMap::from([
        (scope("orders:read"), meaning.clone()),
        (scope("reports:*"), meaning),
    ]));
    for known in [
        "orders:read",
        "orders:*",
        "orders:read@acme/*",
        "orders:*@acme/*",
        "reports:write",
        "reports:daily:*",
        "*",
        "*@acme",
        "keyholt:verify",
        "keyholt:keys:*",
        "keyholt:*",
    ] {
        assert!(
            world.issue(&admin, wish(admin.owner).scopes(&[known])).is_ok(),
            "{known}"
        );
    }
    for unknown in [
        "orders:write",
        "orders",
        "users:*",
        "keyholt:nothing",
        "keyholt:keys:read:more",
        "keyholt:keys:write@acme",
        "keyholt:*@acme",
    ] {
        let made = world.issue(&admin, wish(admin.owner).scopes(&[unknown]));
        let breach = PolicyBreach::UnknownScope { scope: scope(unknown) };
        assert_eq!(made.unwrap_err(), IssueError::Policy(breach), "{unknown}");
    }
}

#[test]
fn an_open_catalogue_knows_every_scope_but_invents_none_of_keyholts_own() {
    let mut world = World::new();
    let admin = world.admin();
    assert!(
        world
            .issue(&admin, wish(admin.owner).scopes(&["anything:at:all"]))
            .is_ok()
    );
    let made = world.issue(&admin, wish(admin.owner).scopes(&["keyholt:nothing"]));
    assert!(matches!(
        made.unwrap_err(),
        IssueError::Policy(PolicyBreach::UnknownScope { .. })
    ));
}

#[test]
fn a_client_that_makes_its_own_secret_keeps_it_to_itself() {
    let mut world = World::new();
    let member = world.member();
    let donor = world.held(&member, wish(member.owner));
    let fingerprint = Fingerprint::of(donor.secret.as_bytes());

    let wished = wish(member.owner).origin(SecretOrigin::ClientMade(fingerprint));
    let (issued, _) = world.issue(&member, wished).unwrap();

    assert!(issued.secret.is_none(), "there is nothing to show");
    assert!(issued.key.about.hint.is_none(), "and nothing of it is known");
    assert_eq!(world.verdict_on(&issued.key, &donor.secret), "granted");
}

#[test]
fn an_imported_key_works_with_the_secret_that_its_holder_has_already() {
    let mut world = World::new();
    let admin = world.admin();
    let hint = world.held(&admin, wish(admin.owner)).key.about.hint;
    let foreign = "sk_old_0123456789abcdefghij";
    let origin = SecretOrigin::Imported {
        fingerprint: Fingerprint::of(foreign.as_bytes()),
        hint: hint.clone(),
    };
    let (issued, _) = world.issue(&admin, wish(admin.owner).origin(origin)).unwrap();
    assert!(issued.secret.is_none());
    assert_eq!(issued.key.about.hint, hint);
    assert_eq!(world.verdict_on(&issued.key, foreign), "granted");
    assert!(matches!(issued.key.credentials, Credentials::One(_)));
}

#[test]
fn an_empty_list_of_scopes_grants_nothing() {
    let mut world = World::new();
    let admin = world.admin();
    let key = world.held(&admin, wish(admin.owner)).key;
    assert_eq!(key.access, Access::Only(scopes(&[])));
    assert!(crate::support::effective(&world, &key).is_empty());
}

#[test]
fn tags_and_texts_are_kept_as_they_were_given() {
    let mut world = World::new();
    let member = world.member();
    let mut wished = wish(member.owner);
    wished.tags = BTreeSet::from([keyholt_core::text::Tag::new("team:billing").unwrap()]);
    wished.description = Description::new("nightly\nexport").unwrap();
    let key = world.held(&member, wished.clone()).key;
    assert_eq!(
        (key.about.tags, key.about.description),
        (wished.tags, wished.description)
    );
}

trait PlusOne {
    fn plus_one_ms(self) -> Self;
}

impl PlusOne for Span {
    fn plus_one_ms(self) -> Self {
        Self::millis(self.ms() + 1)
    }
}
