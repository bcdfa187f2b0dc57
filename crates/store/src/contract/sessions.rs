//! Sessions beside keys, and passwords beside records: found where they are asked for, and nowhere else.

use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::id::KeyId;
use keyholt_core::key::Kind;
use keyholt_core::owner::{Owner, User};
use keyholt_core::secret::Credentials;
use keyholt_core::session;
use keyholt_core::time::{Moment, Span};

use super::world::{World, cause};
use crate::{CommitError, KeyQuery, Loaded, Owners, StateFilter, Store};

async fn somebody(store: &dyn Store, world: &mut World, name: &str) -> User {
    let record = world.user(world.acme.id, name);
    match world.enrolled(store, record).await.0 {
        Record::User(user) => user,
        other => panic!("not a user: {other:?}"),
    }
}

async fn found(store: &dyn Store, world: &World, query: KeyQuery) -> Vec<KeyId> {
    let page = store.keys(world.acme.id, &query).await.expect("a read");
    page.entries.iter().map(|(key, _)| key.id).collect()
}

/// No list of keys has a session in it, no limit counts one, no search finds one; asked for by kind, it is there.
pub async fn a_session_is_found_as_one_and_never_as_a_key(store: &dyn Store) {
    let mut world = World::founded(store).await;
    world.acme.policy.keys_per_owner = 1;
    let ada = somebody(store, &mut world, "ada").await;
    let bob = somebody(store, &mut world, "bob").await;
    let (first, _, commit) = world.session(&ada);
    world.commit(store, commit).await.expect("a session");
    world.later(1_000);
    let (second, _, commit) = world.session(&ada);
    world.commit(store, commit).await.expect("another session");
    let (bobs, _, commit) = world.session(&bob);
    world.commit(store, commit).await.expect("a session of somebody else");
    let owner = Owner::User(ada.id);
    let key = world.key(store, world.wish(owner, "laptop")).await;

    let all = KeyQuery::default;
    let of_ada = || KeyQuery {
        owners: Owners::These(vec![owner]),
        ..KeyQuery::default()
    };
    let now = world.now;
    for query in [
        all(),
        of_ada(),
        KeyQuery {
            text: Some("lap".to_owned()),
            ..all()
        },
        KeyQuery {
            state: Some(StateFilter::Active { now }),
            ..all()
        },
        KeyQuery {
            unused_since: Some(now.plus(Span::days(1))),
            ..all()
        },
        KeyQuery {
            kind: Some(Kind::Standard),
            ..all()
        },
    ] {
        assert_eq!(found(store, &world, query.clone()).await, [key.id], "{query:?}");
    }
    let later = KeyQuery {
        expiring_before: Some(now.plus(Span::days(400))),
        ..all()
    };
    assert_eq!(found(store, &world, later.clone()).await, []);

    let sessions = |query: KeyQuery| KeyQuery {
        kind: Some(Kind::Session),
        ..query
    };
    assert_eq!(
        found(store, &world, sessions(of_ada())).await,
        [second.id, first.id],
        "newest first"
    );
    let everybodys = found(store, &world, sessions(all())).await;
    assert_eq!(everybodys.len(), 3);
    assert!(everybodys.contains(&bobs.id));
    assert_eq!(found(store, &world, sessions(later)).await.len(), 3);
    let before = first.expiry.at().map_or(now, |at| Moment::from_ms(at.ms() + 1));
    let soon = KeyQuery {
        expiring_before: Some(before),
        ..sessions(all())
    };
    assert_eq!(found(store, &world, soon).await, [first.id]);
    let searched = KeyQuery {
        text: Some("laptop".to_owned()),
        ..sessions(all())
    };
    assert_eq!(found(store, &world, searched).await, []);

    let (over, commit) = session::end(&world.leave(world.acme.id), &first, cause("lost"), now).expect("a live session");
    world.commit(store, commit).await.expect("an end");
    let active = KeyQuery {
        state: Some(StateFilter::Active { now }),
        ..sessions(of_ada())
    };
    assert_eq!(found(store, &world, active).await, [second.id]);
    let revoked = KeyQuery {
        state: Some(StateFilter::Revoked),
        ..sessions(of_ada())
    };
    assert_eq!(found(store, &world, revoked).await, [over.id]);

    let (_, commit) = world.issued(world.wish(owner, "one too many"));
    assert!(matches!(
        world.commit(store, commit).await,
        Err(CommitError::TooManyKeys)
    ));
    let commit = session::forget(vec![over], &world.operator.source, now).expect("something to forget");
    world.commit(store, commit).await.expect("it goes");
    assert_eq!(found(store, &world, sessions(of_ada())).await, [second.id]);
}

/// The family stays and the generation changes; of two refreshes with the same token one is written.
pub async fn a_refresh_takes_the_place_of_the_token_before(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let ada = somebody(store, &mut world, "ada").await;
    let (session, token, commit) = world.session(&ada);
    world.commit(store, commit).await.expect("a session");
    let (refreshed, _, commit) = world.refreshed(&session, &token);
    let (_, _, rival) = world.refreshed(&session, &token);
    world.commit(store, commit).await.expect("a refresh");
    let late = world.commit(store, rival).await;
    assert!(matches!(late, Err(CommitError::Stale { noun: Noun::Key })), "{late:?}");

    let (read, seal) = store
        .key(world.acme.id, session.id)
        .await
        .expect("a read")
        .expect("the session");
    assert!(read.row(&read.at_rest()).is_sealed_by(&world.sealer, &seal));
    let digests = |credentials: &Credentials| match credentials {
        Credentials::Family { current, family } => (*current.as_bytes(), *family.as_bytes()),
        other => panic!("not a family: {other:?}"),
    };
    assert_eq!(digests(&read.credentials), digests(&refreshed.credentials));
    assert_eq!(
        digests(&read.credentials).1,
        digests(&session.credentials).1,
        "the family stays"
    );
    assert_ne!(digests(&read.credentials).0, digests(&session.credentials).0);

    let mut loaded = Vec::new();
    store
        .load(&mut |found| {
            if let Loaded::Key(row, _) = found {
                loaded.push((row.id, row.kind, row.retiring.is_some(), row.retiring_until));
            }
        })
        .await
        .expect("a load");
    assert_eq!(loaded, [(session.id, Kind::Session, true, None)]);
}

/// A password is read when somebody logs in, and is no burden at a start.
pub async fn passwords_are_kept_and_not_loaded(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let ada = somebody(store, &mut world, "ada").await;
    let bob = somebody(store, &mut world, "bob").await;
    for user in [&ada, &bob] {
        let record = world.password(user);
        store.commit(vec![world.enrolment(&record)]).await.expect("a password");
    }
    let read = |user: &User| store.record(world.acme.id, Noun::Password, user.id.uuid());
    let stored = read(&ada).await.expect("a read").expect("a password");
    assert_eq!(
        stored.open(&world.sealer).expect("an unbroken seal").id(),
        ada.id.uuid()
    );
    assert!(
        store
            .record(world.globex.id, Noun::Password, ada.id.uuid())
            .await
            .expect("a read")
            .is_none()
    );
    let mut nouns = Vec::new();
    store
        .load(&mut |found| {
            if let Loaded::Record(stored) = found {
                nouns.push(stored.noun);
            }
        })
        .await
        .expect("a load");
    assert!(!nouns.contains(&Noun::Password), "{nouns:?}");
    let again = world.password(&ada);
    let twice = store.commit(vec![world.enrolment(&again)]).await;
    assert!(
        matches!(twice, Err(CommitError::Stale { noun: Noun::Password })),
        "{twice:?}"
    );
}
