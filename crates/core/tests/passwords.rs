//! Stories of passwords: who gives one to whom, and what becomes of its hash.

use keyholt_core::actor::{Actor, Beyond, Permit, Subject, WriteOwners};
use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::commit::{Change, Commit, Record, Revision};
use keyholt_core::id::UserId;
use keyholt_core::owner::{Owner, User};
use keyholt_core::password::{HashText, Made, Password, Typed, change, mailbox, rehash, set};
use keyholt_core::time::{Expiry, Span};

use crate::support::{NEW_YEAR, World, scopes, source};

fn ada(world: &mut World) -> User {
    let id = UserId::mint(world.now, &mut world.entropy);
    world.may(Owner::User(id), scopes(&["orders:read"]));
    world.ada(id)
}

/// Ada's password as it was kept by the master key before.
fn old(user: &User) -> Password {
    Password {
        user: user.id,
        project: user.project,
        hash: HashText::new("$old"),
        made: Made::Earlier,
        changed_at: NEW_YEAR,
        revision: Revision::from_number(4),
    }
}

fn leave(actor: &Actor, user: &User) -> Permit<WriteOwners> {
    actor.permit(user.project, Subject::Project).unwrap()
}

/// The record that replaces the old one.
fn replacing(commit: &Commit) -> &Password {
    let [
        Change::Replace {
            record: Record::Password(after),
            expected,
        },
    ] = commit.changes()
    else {
        panic!("{commit:?}")
    };
    assert_eq!((expected.number(), after.revision.number()), (4, 5));
    after
}

#[test]
fn a_password_that_is_hashed_anew_is_the_same_password() {
    let mut world = World::new();
    let user = ada(&mut world);
    let before = old(&user);
    let now = NEW_YEAR.plus(Span::days(1));
    let commit = rehash(&before, HashText::new("$new"), &source(), now);
    let after = replacing(&commit);
    assert_eq!((after.user, after.project), (user.id, user.project));
    assert_eq!((after.hash.as_str(), after.made), ("$new", Made::Now));
    assert_eq!(after.changed_at, NEW_YEAR, "the user has it since then");

    let event = commit.event();
    assert_eq!(
        (event.action.as_str(), &event.outcome),
        ("password.rehash", &Outcome::Done)
    );
    assert_eq!((event.project, event.at, event.actor), (user.project, now, None));
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::Password, Some(user.id.uuid()))
    );
    assert_eq!((event.owner, &event.source), (Some(Owner::User(user.id)), &source()));
    assert_eq!(event.before, Some(Record::Password(before.clone()).view()));
    assert_eq!(event.after, Some(Record::Password(after.clone()).view()));
    assert!(!serde_json::to_string(event).unwrap().contains('$'), "no hash is told");
}

#[test]
fn somebody_changes_their_own_password() {
    let mut world = World::new();
    let user = ada(&mut world);
    let actor = world.member();
    let itself = Actor {
        owner: Owner::User(user.id),
        ..actor
    };
    let leave = world.leave(&itself, Owner::User(user.id));
    let now = NEW_YEAR.plus(Span::days(1));
    let commit = change(&leave, &user, &old(&user), HashText::new("$new"), now);
    let after = replacing(&commit);
    assert_eq!(
        (after.hash.as_str(), after.made, after.changed_at),
        ("$new", Made::Now, now)
    );
    assert_eq!(commit.event().action, "password.change");
    assert_eq!(commit.event().actor, Some((&itself).into()));
}

#[test]
fn an_administrator_gives_somebody_a_first_password_or_another_one() {
    let mut world = World::new();
    let user = ada(&mut world);
    let admin = world.admin();
    let permissions = scopes(&["orders:read"]);
    let leave = leave(&admin, &user);
    let given = |before| set(&leave, &user, before, HashText::new("$new"), &permissions, NEW_YEAR).unwrap();
    let first = given(None);
    let [Change::Insert(Record::Password(made))] = first.changes() else {
        panic!("{first:?}")
    };
    assert_eq!((made.user, made.hash.as_str(), made.made), (user.id, "$new", Made::Now));
    assert_eq!((made.changed_at, made.revision), (NEW_YEAR, Revision::FIRST));
    assert_eq!(
        (first.event().action.as_str(), &first.event().before),
        ("password.set", &None)
    );
    assert_eq!(replacing(&given(Some(&old(&user)))).hash.as_str(), "$new");
}

#[test]
fn nobody_sets_the_password_of_somebody_who_may_do_more() {
    let mut world = World::new();
    let user = ada(&mut world);
    let clerk = world.machine(&["keyholt:owners:write", "orders:*"]);
    let admin = world.admin();
    let passing = Actor {
        expiry: Expiry::At(NEW_YEAR.plus(Span::days(1))),
        ..world.admin()
    };
    let tried = |actor: &Actor, may: &[&str]| {
        let leave = leave(actor, &user);
        set(&leave, &user, None, HashText::new("$new"), &scopes(may), NEW_YEAR).map(drop)
    };
    assert_eq!(
        tried(&clerk, &["orders:read"]),
        Err(Beyond::Everything),
        "a password opens all there will be"
    );
    assert_eq!(tried(&admin, &["orders:read"]), Ok(()));
    assert_eq!(
        tried(&passing, &["orders:read"]),
        Err(Beyond::Outlives),
        "a password does not end"
    );
}

#[test]
fn a_record_says_when_its_hash_is_of_an_earlier_master_key_and_else_nothing() {
    let mut world = World::new();
    let user = ada(&mut world);
    let earlier = old(&user);
    let now = Password {
        made: Made::Now,
        ..earlier.clone()
    };
    let told = |password: &Password| serde_json::to_value(password).unwrap().get("made").cloned();
    assert_eq!((told(&earlier), told(&now)), (Some("earlier".into()), None));
    for password in [earlier, now] {
        let text = serde_json::to_string(&password).unwrap();
        assert_eq!(serde_json::from_str::<Password>(&text).unwrap(), password);
        assert!(!format!("{password:?}").contains("$old"), "and no hash is printed");
    }
}

#[test]
fn a_password_is_as_long_as_the_characters_that_people_see() {
    let chars = |text: &str| Typed::read(text).unwrap().chars();
    assert_eq!((chars("geheim"), chars("gehe\u{308}im"), chars("日本")), (6, 6, 2));
}

#[test]
fn a_mailbox_is_found_however_it_is_capitalised() {
    assert_eq!(mailbox(" Ada@Example.ORG "), "ada@example.org");
    assert_eq!(mailbox("STRASSE@example.org"), mailbox("straße@example.org"));
    assert_ne!(mailbox("ada@example.org"), mailbox("ad.a@example.org"));
}
