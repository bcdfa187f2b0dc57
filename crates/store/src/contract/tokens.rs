//! Signing keys and the deny-list of tokens, as every store keeps them.

use std::collections::BTreeMap;

use keyholt_core::actor::Source;
use keyholt_core::audit::{ActorRef, Noun};
use keyholt_core::commit::{Record, Revision};
use keyholt_core::id::{KeyId, SigningKeyId, TokenId};
use keyholt_core::key::Bounds;
use keyholt_core::owner::Owner;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::signing::{Algorithm, FreshPair, PUBLISHED_AHEAD, SigningKey, follow_schedule};
use keyholt_core::text::Audience;
use keyholt_core::time::{Moment, Span};
use keyholt_core::token::{RevokedToken, Token, forget, recall};

use super::world::World;
use crate::{CommitError, Loaded, Store};

/// Of two nodes that make a signing key at once one has made it; the next one follows, and all are read at a start.
pub async fn of_two_signing_keys_made_at_once_one_is_kept(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let (one, other) = (pair(&mut world, "one"), pair(&mut world, "other"));
    let project = world.acme.id;
    let source = |world: &World| world.operator.source.clone();
    let turn = |world: &World, keys: &[SigningKey], fresh| {
        follow_schedule(project, keys, fresh, PUBLISHED_AHEAD, source(world), world.now)
    };
    let (first, commit) = turn(&world, &[], one);
    world.commit(store, commit).await.expect("the first key");
    let (_, late) = turn(&world, &[], other.clone());
    let late = world.commit(store, late).await;
    assert!(
        matches!(late, Err(CommitError::HandleTaken { noun: Noun::SigningKey })),
        "{late:?}"
    );

    let read = async |id: SigningKeyId| {
        let stored = store
            .record(project, Noun::SigningKey, id.uuid())
            .await
            .expect("a read");
        match stored
            .expect("a signing key")
            .open(&world.sealer)
            .expect("an unbroken seal")
        {
            Record::SigningKey(key) => *key,
            other => panic!("{other:?}"),
        }
    };
    assert!(read(first.id).await == first);
    let foreign = store.record(world.globex.id, Noun::SigningKey, first.id.uuid()).await;
    assert!(foreign.expect("a read").is_none(), "another project's");

    let (second, commit) = turn(&world, &[read(first.id).await], other);
    world.commit(store, commit).await.expect("the second key");
    let followed = read(first.id).await;
    assert_eq!(followed.revision, Revision::FIRST.next());
    assert!(followed.retires_at.is_some());
    assert_eq!(loaded(store, Noun::SigningKey).await.len(), 2);
    assert!(read(second.id).await == second);
}

/// A token is recalled once, known at every start until it is dead, and gone after that.
pub async fn a_recalled_token_is_kept_until_it_is_dead(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let token = token(&mut world);
    let actor = ActorRef::from(&world.operator);
    let source: Source = world.operator.source.clone();
    for outcome in ["kept", "kept already"] {
        let commit = recall(&token, actor, source.clone(), world.now).expect("a token that lives");
        let written = world.commit(store, commit).await;
        match outcome {
            "kept" => assert!(written.is_ok(), "{written:?}"),
            _ => assert!(
                matches!(
                    written,
                    Err(CommitError::Stale { .. } | CommitError::HandleTaken { .. })
                ),
                "{written:?}"
            ),
        }
    }
    let foreign = store.record(world.globex.id, Noun::Token, token.id.uuid()).await;
    assert!(foreign.expect("a read").is_none(), "another project's");
    assert_eq!(loaded(store, Noun::Token).await, [token.id.uuid()]);
    assert!(
        recall(&token, actor, source.clone(), token.expires_at).is_none(),
        "dead anyway"
    );

    let revoked = RevokedToken {
        id: token.id,
        project: token.project,
        owner: token.owner,
        parent: token.parent,
        revoked_at: world.now,
        expires_at: token.expires_at,
        revision: Revision::FIRST,
    };
    assert!(
        forget(token.project, vec![revoked.clone()], source.clone(), world.now).is_none(),
        "it lives"
    );
    let forgotten = forget(token.project, vec![revoked], source, token.expires_at).expect("it is dead");
    world.commit(store, forgotten).await.expect("a removal");
    assert!(loaded(store, Noun::Token).await.is_empty());
}

fn pair(world: &mut World, kid: &str) -> FreshPair {
    FreshPair {
        id: SigningKeyId::mint(world.now, &mut world.dice),
        kid: kid.to_owned(),
        algorithm: Algorithm::Es256,
        public: BTreeMap::from([("kty".to_owned(), "EC".to_owned())]),
        sealed: "sealed".to_owned(),
    }
}

fn token(world: &mut World) -> Token {
    let parent = KeyId::mint(world.now, &mut world.dice);
    Token {
        id: TokenId::mint(world.now, &mut world.dice),
        project: world.acme.id,
        parent,
        generation: None,
        subject: parent.to_string(),
        owner: Owner::new(world.operator.owner.kind(), world.operator.owner.uuid()),
        owner_handle: "olga".to_owned(),
        access: Access::Only(ScopeSet::default()),
        bounds: Bounds::default(),
        audience: Audience::new("https://orders.example.com").expect("an audience"),
        issued_at: world.now,
        expires_at: Moment::from_ms(world.now.ms()).plus(Span::secs(300)),
        actors: Vec::new(),
        hands_on: None,
    }
}

/// The ids of one kind that a start reads.
async fn loaded(store: &dyn Store, noun: Noun) -> Vec<uuid::Uuid> {
    let mut ids = Vec::new();
    let each = &mut |found: Loaded<'_>| match found {
        Loaded::Record(stored) if stored.noun == noun => ids.push(stored.id),
        _ => {}
    };
    store.load(each).await.expect("a load");
    ids
}
