//! The search by words, tags and scopes, and how it follows the key.

use std::collections::BTreeSet;

use keyholt_core::actor::{Permit, WriteKeys};
use keyholt_core::amend::{Amendment, amend};
use keyholt_core::issue::{Circumstances, Wish};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::{Description, Name, Tag};

use super::keys::{all_ids, ids, newest_first};
use super::world::World;
use crate::words::COMPLETIONS_MAX;
use crate::{KeyQuery, Limit, Store};

/// Words are found in names and descriptions whatever their case; all must be there, the last may be a beginning.
pub async fn text_is_searched_by_words(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let record = world.user(world.acme.id, "ada");
    let (_, ada) = world.enrolled(store, record).await;
    let wish = Wish {
        description: Description::new("Rolls out the Zürich cluster.\nAsk Bob-2 first").expect("a description"),
        ..world.wish(ada, "Nightly Deploy (CI)")
    };
    let key = world.key(store, wish).await;
    let other = world.key(store, world.wish(ada, "nightly backup")).await;
    for (text, expected) in [
        ("deploy", vec![key.id]),
        ("DEPLOY", vec![key.id]),
        ("depl", vec![key.id]),
        ("eploy", vec![]),
        ("zürich", vec![key.id]),
        ("ZÜR", vec![key.id]),
        ("nightly", vec![key.id, other.id]),
        ("night", vec![key.id, other.id]),
        ("nightly b", vec![key.id, other.id]),
        ("nightly ba", vec![other.id]),
        ("night backup", vec![]),
        ("backup nightly", vec![other.id]),
        ("deploy, (bob) 2!", vec![key.id]),
        ("bob 2 3", vec![]),
        ("deploy backup", vec![]),
        ("", vec![]),
        ("  --  ", vec![]),
        ("%", vec![]),
    ] {
        let query = KeyQuery {
            text: Some(text.to_owned()),
            ..KeyQuery::default()
        };
        assert_eq!(ids(store, &world, &query).await, newest_first(expected), "{text:?}");
    }
}

/// A short beginning stands for a bounded number of words, the first of the project's own.
pub async fn the_beginning_of_a_word_stands_for_the_first_words(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let globex = world.globex.clone();
    let (ada, eve) = (world.user(world.acme.id, "ada"), world.user(globex.id, "eve"));
    let (_, ada) = world.enrolled(store, ada).await;
    let (_, eve) = world.enrolled(store, eve).await;
    let (mut writes, mut expected) = (Vec::new(), Vec::new());
    for n in 0..COMPLETIONS_MAX + 8 {
        let (key, commit) = world.issued(world.wish(ada, &format!("word{n:03}")));
        writes.push(world.sealed(commit));
        if n < COMPLETIONS_MAX {
            expected.push(key.id);
        }
        let (_, commit) = world.issued_in(&globex, world.wish(eve, &format!("wood{n:03}")));
        writes.push(world.sealed(commit));
    }
    store.commit(writes).await.expect("new keys");
    let query = KeyQuery {
        text: Some("wo".to_owned()),
        limit: Limit::new(7).expect("a limit"),
        ..KeyQuery::default()
    };
    assert_eq!(all_ids(store, &world, query).await, newest_first(expected));
}

/// What a key is found by changes with the key, and goes with it.
pub async fn labels_follow_the_key(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let acme = world.acme.id;
    let record = world.user(acme, "ada");
    let (_, ada) = world.enrolled(store, record).await;
    let (tag, only) = (
        |text: &str| Tag::new(text).expect("a tag"),
        |scope: &str| Access::Only(ScopeSet::parse([scope, "shared:read"]).expect("scopes")),
    );
    let wish = Wish {
        tags: BTreeSet::from([tag("old"), tag("both")]),
        access: only("old:read"),
        ..world.wish(ada, "old both")
    };
    let key = world.key(store, wish).await;
    let amendment = Amendment {
        name: Some(Name::new("new both").expect("a name")),
        tags: Some(BTreeSet::from([tag("new"), tag("both")])),
        access: Some(only("new:read")),
        ..Amendment::default()
    };
    let (project, permissions, pepper) = world.circumstances();
    let circumstances = Circumstances {
        project: &project,
        permissions: &permissions,
        pepper: &pepper,
    };
    let leave: Permit<WriteKeys> = world.leave(acme);
    let amended = amend(&leave, &key, amendment, circumstances, world.now).expect("an amendment");
    let (amended, commit) = amended.expect("a change");
    world.commit(store, commit).await.expect("an amendment");

    let found = async |word: &str| {
        let scope = if word == "both" {
            "shared:read".to_owned()
        } else {
            format!("{word}:read")
        };
        let queries = [
            KeyQuery {
                text: Some(word.to_owned()),
                ..KeyQuery::default()
            },
            KeyQuery {
                tag: Some(tag(word)),
                ..KeyQuery::default()
            },
            KeyQuery {
                scope: Some(scope.parse().expect("a scope")),
                ..KeyQuery::default()
            },
        ];
        let mut counts = [0; 3];
        for (count, query) in counts.iter_mut().zip(&queries) {
            *count = store.keys(acme, query).await.expect("a read").entries.len();
        }
        counts
    };
    assert_eq!(found("old").await, [0, 0, 0]);
    assert_eq!(found("new").await, [1, 1, 1]);
    assert_eq!(found("both").await, [1, 1, 1]);
    let leave: Permit<WriteKeys> = world.leave(acme);
    world
        .commit(store, keyholt_core::remove::delete(&leave, &amended, None, world.now))
        .await
        .expect("a deletion");
    assert_eq!(found("new").await, [0, 0, 0]);
    assert_eq!(found("both").await, [0, 0, 0]);
}
