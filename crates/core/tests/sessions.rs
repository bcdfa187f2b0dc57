//! Sessions and passwords: how they start, what they are made of, and what becomes of them in a restore.

mod course;
mod lent;

use keyholt_core::actor::Source;
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Change, Commit, Record, Revision};
use keyholt_core::id::UserId;
use keyholt_core::key::{Key, Kind};
use keyholt_core::owner::{Owner, User};
use keyholt_core::password::{HashText, Made, Password, Typed, counted_as};
use keyholt_core::refresh_token::RefreshToken;
use keyholt_core::restore::{Ending, Present, carry_over};
use keyholt_core::scope::Access;
use keyholt_core::secret::{Credentials, Prefix, RESERVED_PREFIXES, Secret, Visibility, session_cookie};
use keyholt_core::session::{self, Mode, StartError, Started, Wish};
use keyholt_core::text::RequestKey;
use keyholt_core::time::{Expiry, Span};

use crate::support::{World, name, wish};

pub fn source() -> Source {
    Source {
        address: None,
        request: RequestKey::new("story").unwrap(),
    }
}

/// A world with a user who logs in.
pub struct Scene {
    pub world: World,
    pub user: User,
}

impl Scene {
    pub fn open() -> Self {
        let mut world = World::new();
        let Owner::User(id) = world.user(&["orders:*"]) else {
            unreachable!("a user")
        };
        let user = world.ada(id);
        Self { world, user }
    }

    pub fn start(&mut self, mode: Mode) -> Started {
        self.begin(Access::Everything, mode).unwrap().0
    }

    /// Logs Ada in.
    pub fn begin(&mut self, access: Access, mode: Mode) -> Result<(Started, Commit), StartError> {
        let wish = Wish {
            access,
            mode,
            name: name("laptop"),
        };
        let World {
            project,
            pepper,
            now,
            entropy,
            ..
        } = &mut self.world;
        session::start(&self.user, wish, project, pepper, &source(), *now, entropy)
    }

    pub fn started(&mut self) -> (Key, String) {
        let Started { session, secret } = self.start(Mode::Tokens);
        (session, secret.reveal().to_string())
    }
}

#[test]
fn a_session_is_a_key_of_its_own_kind_that_ends() {
    let mut scene = Scene::open();
    let (session, _) = scene.started();
    assert_eq!(
        (session.kind, session.owner),
        (Kind::Session, Owner::User(scene.user.id))
    );
    assert_eq!(session.expiry, Expiry::At(scene.world.now.plus(Span::days(7))));
    assert_eq!(
        session.id.minted_at(),
        scene.world.now,
        "its longest life is counted from its sealed id"
    );
    let Started { session, secret } = scene.start(Mode::Cookie);
    assert!(matches!(session.credentials, Credentials::One(_)));
    assert!(session_cookie(&secret.reveal()).is_ok());
}

#[test]
fn the_seal_tells_a_family_from_a_rotation() {
    let mut scene = Scene::open();
    let (mut session, _) = scene.started();
    let at_rest = session.at_rest();
    let seal = session.row(&at_rest).seal(&scene.world.sealer);
    assert!(session.row(&at_rest).is_sealed_by(&scene.world.sealer, &seal));
    let Credentials::Family { current, family } = session.credentials else {
        unreachable!("a family")
    };
    session.credentials = Credentials::Rotating {
        current,
        retiring: family,
        until: scene.world.now.plus(Span::days(1)),
    };
    assert!(!session.row(&at_rest).is_sealed_by(&scene.world.sealer, &seal));
    session.credentials = Credentials::One(current);
    assert!(!session.row(&at_rest).is_sealed_by(&scene.world.sealer, &seal));
}

#[test]
fn what_is_no_refresh_token_is_not_read_as_one() {
    let mut scene = Scene::open();
    let (_, token) = scene.started();
    let cookie = scene.start(Mode::Cookie).secret.reveal();
    assert!(RefreshToken::parse(&token).is_ok());
    for other in [
        cookie.as_str(),
        "",
        "khr_",
        &token[..53],
        &token.to_uppercase(),
        &format!(" {token}"),
    ] {
        assert!(RefreshToken::parse(other).is_err(), "{other}");
    }
    assert!(session_cookie(&token).is_err());
}

#[test]
fn what_does_not_begin_as_a_cookie_or_is_mistyped_is_not_read_as_one() {
    let mut scene = Scene::open();
    let cookie = scene.start(Mode::Cookie).secret.reveal();
    let member = scene.world.member();
    let key = scene.world.held(&member, wish(member.owner)).secret;
    let prefix = Prefix::new("khsx").unwrap();
    let longer = Secret::mint(&prefix, Visibility::Secret, None, &mut scene.world.entropy).reveal();
    assert!(session_cookie(&cookie).is_ok());
    for other in [
        key.as_str(),
        longer.as_str(),
        &cookie[..40],
        &cookie["khs".len()..],
        "khs_of_somebody_elses_making",
    ] {
        assert!(session_cookie(other).is_err(), "{other}");
    }
}

#[test]
fn no_project_has_a_prefix_of_keyholts_own() {
    for reserved in RESERVED_PREFIXES {
        assert!(Prefix::of_project(reserved).is_err(), "{reserved}");
    }
    assert!(Prefix::of_project("khx").is_ok());
}

#[test]
fn a_password_is_taken_as_it_is_but_for_its_composition() {
    let read = |text: &str| Typed::read(text).map(|typed| typed.expose().to_owned());
    assert_eq!(read("  two spaces  ").unwrap(), "  two spaces  ");
    assert_eq!(read("e\u{301}").unwrap(), "\u{e9}");
    assert_eq!(read(&"ä".repeat(512)).unwrap().chars().count(), 512);
    for refused in ["", "a\0b", "a\nb", &"x".repeat(1025)] {
        assert!(read(refused).is_err(), "{refused:?}");
    }
    assert_eq!(format!("{:?}", Typed::read("hunter2hunter2").unwrap()), "Typed(…)");
}

#[test]
fn names_that_people_take_for_the_same_are_counted_as_the_same() {
    let admin = counted_as("admin");
    for same in [
        "Admin",
        "ADMIN",
        " admin ",
        "ad min",
        "ａｄｍｉｎ",
        "аdmin",
        "ad\u{200B}min",
        "\u{FEFF}admin",
        "ⓐⓓⓜⓘⓝ",
    ] {
        assert_eq!(counted_as(same), admin, "{same:?}");
    }
    for other in ["admin2", "adm", "root"] {
        assert_ne!(counted_as(other), admin, "{other:?}");
    }
    assert_eq!(counted_as("STRASSE"), counted_as("straße"));
}

#[test]
fn a_restore_brings_no_old_password_back() {
    let scene = Scene::open();
    let password = |hash: &str, revision| {
        Record::Password(Password {
            user: scene.user.id,
            project: scene.user.project,
            hash: HashText::new(hash),
            made: Made::Now,
            changed_at: scene.world.now,
            revision: Revision::from_number(revision),
        })
    };
    let (old, new) = (password("$old", 1), password("$new", 2));
    let carried = |present| carry_over(&old, present, &source(), scene.world.now);
    assert!(carried(Present::There(&old)).is_none());
    let changed = carried(Present::There(&new)).unwrap();
    assert_eq!(changed.endings, [Ending::Rotated].into());
    assert!(matches!(
        changed.commit.changes(),
        [Change::Replace { record: Record::Password(after), .. }] if after.hash.as_str() == "$new"
    ));
    for (present, ending) in [(Present::Gone, Ending::Gone), (Present::Tampered, Ending::Tampered)] {
        let gone = carried(present).unwrap();
        assert_eq!(gone.endings, [ending].into());
        assert!(matches!(gone.commit.changes(), [Change::Remove { .. }]));
    }
    assert_eq!(old.noun(), Noun::Password);
    assert_eq!(UserId::from_uuid(old.id()), scene.user.id);
}

#[test]
fn a_restore_takes_over_the_newest_token_of_a_session() {
    let mut scene = Scene::open();
    let (session, token) = scene.started();
    let policy = scene.world.project.policy.log_in;
    let (started, _) = session::refresh(
        &session,
        RefreshToken::parse(&token).unwrap(),
        &policy,
        &scene.world.pepper,
        &source(),
        scene.world.now,
        &mut scene.world.entropy,
    )
    .unwrap();
    let record = |key: &Key| Record::Key(Box::new(key.clone()));
    let (old, new) = (record(&session), record(&started.session));
    let carried = carry_over(&old, Present::There(&new), &source(), scene.world.now).unwrap();
    assert_eq!(carried.endings, [Ending::Rotated].into());
    assert!(carry_over(&new, Present::There(&new), &source(), scene.world.now).is_none());
}
