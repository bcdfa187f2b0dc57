//! Stories of the publishable key: not secret, meant for browsers.

use keyholt_core::amend::AmendError;
use keyholt_core::issue::IssueError;
use keyholt_core::key::{Bounds, Kind};
use keyholt_core::rotate::Grace;
use keyholt_core::scope::Access;
use keyholt_core::text::Environment;

use crate::support::{Wishing, World, amendment, only, turn, wish};

/// What everybody may see must not open everything, nor Keyholt itself.
const UNFIT: [&[&str]; 5] = [
    &["*"],
    &["maps:read", "*"],
    &["*@acme/*"],
    &["keyholt:verify"],
    &["maps:read", "keyholt:*"],
];

#[test]
fn its_text_says_that_everybody_may_see_it_and_stays_so_when_it_is_rotated() {
    let mut world = World::new();
    let admin = world.admin();
    let live = Bounds {
        environment: Some(Environment::new("live").unwrap()),
        ..Bounds::default()
    };
    let wished = wish(admin.owner).scopes(&["maps:read"]).kind(Kind::Publishable);
    let plain = world.held(&admin, wished.clone());
    let bound = world.held(&admin, wished.bounds(live));
    for (held, prefix) in [(plain, "acme_pub_"), (bound, "acme_pub_live_")] {
        let (rotated, _) = world.rotate(&admin, &held.key, turn(Grace::Default)).unwrap();
        for secret in [held.secret, rotated.secret] {
            assert_eq!(secret.rfind('_'), Some(prefix.len() - 1), "{prefix}");
            assert!(secret.starts_with(prefix));
        }
        assert!(rotated.key.about.hint.unwrap().as_str().starts_with(prefix));
    }
}

#[test]
fn a_secret_key_never_looks_publishable() {
    assert!(
        Environment::new("pub").is_err(),
        "`acme_pub_…` would be a secret key of the environment `pub`"
    );
    assert!(Environment::new("public").is_ok());
}

#[test]
fn it_names_what_it_opens() {
    let mut world = World::new();
    let admin = world.admin();
    let of = |access: Access| wish(admin.owner).access(access).kind(Kind::Publishable);
    let everything = world.issue(&admin, of(Access::Everything));
    assert_eq!(everything.unwrap_err(), IssueError::NotPublishable);
    for unfit in UNFIT {
        let made = world.issue(&admin, of(only(unfit)));
        assert_eq!(made.unwrap_err(), IssueError::NotPublishable, "{unfit:?}");
    }
    for fit in [&["maps:*"][..], &["maps:read@berlin/*"], &[]] {
        assert!(world.issue(&admin, of(only(fit))).is_ok(), "{fit:?}");
    }
}

#[test]
fn it_cannot_be_amended_into_what_it_could_not_be_made_as() {
    let mut world = World::new();
    let admin = world.admin();
    let wished = wish(admin.owner).scopes(&["maps:read"]).kind(Kind::Publishable);
    let key = world.held(&admin, wished).key;
    let unfit = UNFIT.map(only).into_iter().chain([Access::Everything]);
    for access in unfit {
        let amended = world.amend(&admin, &key, amendment(access.clone()));
        assert_eq!(amended.unwrap_err(), AmendError::Kind(Kind::Publishable), "{access:?}");
    }
    let (amended, _) = world
        .amend(&admin, &key, amendment(only(&["maps:*"])))
        .unwrap()
        .unwrap();
    assert_eq!(amended.access, only(&["maps:*"]));
}
