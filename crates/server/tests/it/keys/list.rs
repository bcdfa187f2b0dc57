//! Finding keys: by every filter, by a pasted secret, and as far as the caller's reach goes.

use std::collections::BTreeSet;

use keyholt_core::id::ProjectId;
use keyholt_core::issue::Wish;
use keyholt_core::key::Kind;
use keyholt_core::owner::{MemberRight, Owner};
use keyholt_core::rotate::Grace;
use keyholt_core::text::{Description, Tag};
use keyholt_core::time::Span;
use keyholt_server::keeper::Refusal;
use keyholt_store::{KeyQuery, Limit, Owners};

use crate::acts::names;
use crate::house::{Held, House, Wishes, charter, held, refusal, wish};
use crate::wire::Wire;

fn tagged(wish: Wish, tag: &str, description: &str) -> Wish {
    Wish {
        tags: BTreeSet::from([Tag::new(tag).unwrap()]),
        description: Description::new(description).unwrap(),
        ..wish
    }
}

#[tokio::test]
async fn each_filter_finds_its_keys_and_they_are_joined_by_and() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let bob = house.user_with("bob", &["admin"]).await;
    let bob = Owner::User(bob.id);
    let moment = || house.advance(Span::secs(1));
    let deploy = tagged(wish(alice, "deploy").scopes(&["deploy:*"]), "ci", "Rolls out the shop");
    let deploy = house.issue(deploy.lasting(Span::days(10))).await;
    moment();
    let backup = tagged(wish(alice, "backup").everything(), "night", "Backs up the shop");
    let backup = house.issue(backup).await;
    moment();
    let brief = house
        .issue(wish(alice, "brief").scopes(&[]).lasting(Span::hours(1)))
        .await;
    moment();
    let bobs = house.issue(wish(bob, "bobs").everything()).await;
    moment();
    let web = wish(bob, "web").of_kind(Kind::Publishable).scopes(&["catalogue:read"]);
    let made_by_bob = house
        .keeper
        .issue_key(&house.actor(&bobs.secret), house.project(), web, None)
        .await
        .unwrap();
    held(made_by_bob);
    house.suspend(deploy.id()).await;
    house.advance(Span::hours(2));
    house.verdict(&backup.secret, &[]);
    // Usage is written down when somebody asks for it.
    let (olga, now) = (house.olga(), house.keeper.now());
    let written = house
        .keeper
        .key_usage(&olga, house.project(), backup.id(), now, now)
        .await;
    assert!(written.is_ok());
    house.revoke(brief.id(), "over").await;
    let expired = house
        .issue(wish(bob, "expired").scopes(&[]).lasting(Span::secs(1)))
        .await;
    house.advance(Span::secs(1));

    let all = KeyQuery::default;
    let state = |word| KeyQuery {
        state: house.keeper.state_filter(word),
        ..all()
    };
    let text = |text: &str| KeyQuery {
        text: Some(text.to_owned()),
        ..all()
    };
    let whose = |owners| KeyQuery {
        owners: Owners::These(owners),
        ..all()
    };
    let now = house.keeper.now();
    let cases: Vec<(&str, KeyQuery, &[&str])> = vec![
        (
            "everything",
            all(),
            &["expired", "web", "bobs", "brief", "backup", "deploy"],
        ),
        ("alice's", whose(vec![alice]), &["brief", "backup", "deploy"]),
        ("nobody's", whose(vec![]), &[]),
        (
            "publishable",
            KeyQuery {
                kind: Some(Kind::Publishable),
                ..all()
            },
            &["web"],
        ),
        ("active", state("active"), &["web", "bobs", "backup"]),
        ("suspended", state("suspended"), &["deploy"]),
        ("revoked", state("revoked"), &["brief"]),
        ("expired", state("expired"), &["expired"]),
        (
            "with the scope",
            KeyQuery {
                scope: Some("deploy:*".parse().unwrap()),
                ..all()
            },
            &["deploy"],
        ),
        (
            "with the tag",
            KeyQuery {
                tag: Some(Tag::new("night").unwrap()),
                ..all()
            },
            &["backup"],
        ),
        ("with the words", text("the SHOP"), &["backup", "deploy"]),
        ("with the start of a word", text("shop roll"), &["deploy"]),
        ("with no such word", text("shop window"), &[]),
        (
            "ending within the month, soonest first",
            KeyQuery {
                expiring_before: Some(now.plus(Span::days(30))),
                ..all()
            },
            &["brief", "expired", "deploy"],
        ),
        (
            "unused for an hour",
            KeyQuery {
                unused_since: Some(now.minus(Span::hours(1))),
                ..all()
            },
            &["deploy", "brief", "bobs", "web"],
        ),
        (
            "made by bob's key",
            KeyQuery {
                created_by: Some(bobs.id()),
                ..all()
            },
            &["web"],
        ),
        (
            "alice's, suspended, about the shop",
            KeyQuery {
                owners: Owners::These(vec![alice]),
                text: Some("shop".to_owned()),
                ..state("suspended")
            },
            &["deploy"],
        ),
    ];
    for (what, query, expected) in cases {
        assert_eq!(house.named(query).await, expected, "{what}");
    }
    assert_eq!(house.code(&expired.secret, &[]), "expired");
}

#[tokio::test]
async fn pages_follow_each_other_without_gaps_whatever_happens_between_them() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let mut keys = Vec::new();
    for n in 0..7 {
        keys.push(house.issue(wish(alice, &format!("k{n}")).scopes(&[])).await);
        house.advance(Span::secs(1));
    }
    let page = |after| KeyQuery {
        after,
        limit: Limit::new(3).unwrap(),
        ..KeyQuery::default()
    };
    let olga = house.olga();
    let first = house.keeper.keys(&olga, house.project(), page(None)).await.unwrap();
    assert_eq!(names(&first.entries), ["k6", "k5", "k4"]);
    house.issue(wish(alice, "newer").scopes(&[])).await;
    house.delete(keys[4].id()).await;
    let second = house
        .keeper
        .keys(&olga, house.project(), page(first.next))
        .await
        .unwrap();
    assert_eq!(names(&second.entries), ["k3", "k2", "k1"]);
    let last = house
        .keeper
        .keys(&olga, house.project(), page(second.next))
        .await
        .unwrap();
    assert_eq!((names(&last.entries), last.next), (vec!["k0".to_owned()], None));
}

#[tokio::test]
async fn ends_are_asked_for_by_an_instant_or_by_how_far_they_are_and_the_earlier_one_holds() {
    let house = House::open().await;
    let wire = Wire::to(&house.keeper);
    let alice = Owner::User(house.user("alice").await.id);
    for (name, days) in [("in ten days", 10), ("in two", 2), ("in thirty", 30)] {
        house
            .issue(wish(alice, name).scopes(&[]).lasting(Span::days(days)))
            .await;
    }
    // It is New Year's Day 2030.
    for (query, expected) in [
        ("expiring_before=2030-01-11T00:00:00Z", vec!["in two"]),
        (
            "expiring_before=2030-01-11T00:00:00.001Z",
            vec!["in two", "in ten days"],
        ),
        (
            "expiring_before=2031-01-01T00:00:00Z&expiring_within=20d",
            vec!["in two", "in ten days"],
        ),
        (
            "expiring_before=2030-01-04T00:00:00Z&expiring_within=20d",
            vec!["in two"],
        ),
        ("expiring_before=2029-12-31T00:00:00Z", vec![]),
    ] {
        let path = format!("/v1/projects/acme/keys?{query}");
        let page = wire.get(&house.operator.secret, &path).await.ok().json();
        let keys = page["keys"].as_array().unwrap();
        let found: Vec<&str> = keys.iter().map(|key| key["name"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{query}");
    }
    for wrong in ["10d", "2030-01-11", "2030-02-30T00:00:00Z", "1893456000"] {
        let path = format!("/v1/projects/acme/keys?expiring_before={wrong}");
        let reply = wire.get(&house.operator.secret, &path).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (422, "invalid_fields"),
            "{wrong}"
        );
    }
}

/// Two users, a team that one of them manages, another team, and a key of each; all of them by the operator.
struct Neighbours {
    alice: Held,
    others: Vec<(&'static str, Held)>,
}

async fn neighbours(house: &House) -> Neighbours {
    let alice = house.user("alice").await;
    let bob = house.user("bob").await;
    let hers = house
        .team(
            "hers",
            vec![(&alice, MemberRight::ManageKeys), (&bob, MemberRight::Belong)],
        )
        .await;
    let theirs = house.team("theirs", vec![(&alice, MemberRight::Belong)]).await;
    let mut others = Vec::new();
    for (name, owner) in [
        ("bob", Owner::User(bob.id)),
        ("hers", Owner::Team(hers.id)),
        ("theirs", Owner::Team(theirs.id)),
    ] {
        others.push((name, house.issue(wish(owner, name).scopes(&["orders:read"])).await));
    }
    let alice = house.issue(wish(Owner::User(alice.id), "alice").everything()).await;
    Neighbours { alice, others }
}

#[tokio::test]
async fn a_user_sees_own_keys_and_those_of_the_teams_that_it_manages() {
    let house = House::open().await;
    let Neighbours { alice, others } = neighbours(&house).await;
    let actor = house.actor(&alice.secret);
    let mut seen = names(
        &house
            .keeper
            .keys(&actor, house.project(), KeyQuery::default())
            .await
            .unwrap()
            .entries,
    );
    seen.sort();
    assert_eq!(seen, ["alice", "hers"]);
    for (name, key) in &others {
        let asked = KeyQuery {
            owners: Owners::These(vec![key.key.owner]),
            ..KeyQuery::default()
        };
        let listed = names(&house.keeper.keys(&actor, house.project(), asked).await.unwrap().entries);
        let read = house.keeper.key(&actor, house.project(), key.id()).await;
        let found = house.keeper.find_key(&actor, house.project(), &key.secret).await;
        let judged = house.keeper.validity(&actor, house.project(), key.id()).await;
        if *name == "hers" {
            assert_eq!(listed, ["hers"]);
            assert!(read.is_ok() && found.is_ok() && judged.is_ok());
        } else {
            assert!(listed.is_empty(), "{name}");
            assert!(matches!(refusal(read), Refusal::NotFound(_)), "{name}");
            assert!(matches!(refusal(found), Refusal::NotFound(_)), "{name}");
            assert!(matches!(refusal(judged), Refusal::NotFound(_)), "{name}");
        }
    }
}

#[tokio::test]
async fn a_pasted_secret_finds_its_key_in_its_own_project_alone() {
    let house = House::open().await;
    let alice = Owner::User(house.user("alice").await.id);
    let key = house.issue(wish(alice, "ci").scopes(&[])).await;
    let olga = house.olga();
    let find = |secret: String, project: ProjectId| {
        let (keeper, olga) = (std::sync::Arc::clone(&house.keeper), olga.clone());
        async move { keeper.find_key(&olga, project, &secret).await }
    };
    let found = find(key.secret.clone(), house.project()).await.unwrap();
    assert_eq!((found.key.id, found.owner_handle.as_str()), (key.id(), "alice"));

    let globex = house.keeper.found_project(&olga, charter("globex")).await.unwrap();
    for (secret, project) in [
        (key.secret.clone(), globex.id),
        (house.operator.secret.clone(), house.project()),
        ("not a secret".to_owned(), house.project()),
        (format!("{}x", key.secret), house.project()),
    ] {
        assert!(matches!(refusal(find(secret, project).await), Refusal::NotFound(_)));
    }

    // Both secrets of a rotation find it, the old one until the next rotation: it may have been the one that leaked.
    let new = house.rotate(key.id(), Grace::For(Span::hours(1))).await;
    assert_eq!(
        find(key.secret.clone(), house.project()).await.unwrap().key.id,
        key.id()
    );
    house
        .keeper
        .end_grace(&olga, house.project(), key.id(), None, None)
        .await
        .unwrap();
    for secret in [&key.secret, &new.secret] {
        let found = find(secret.clone(), house.project()).await.unwrap();
        assert_eq!(found.key.id, key.id());
    }
    let new = house.rotate(key.id(), Grace::For(Span::ZERO)).await;
    assert!(find(key.secret.clone(), house.project()).await.is_err());
    // A revoked key is found: that is what somebody who found a leaked secret wants to see.
    house.revoke(key.id(), "leaked").await;
    assert_eq!(
        find(new.secret, house.project()).await.unwrap().key.state.as_str(),
        "revoked"
    );
}

#[tokio::test]
async fn a_caller_who_may_read_nothing_cannot_tell_a_live_secret_from_nonsense() {
    let house = House::open().await;
    let verifier = house.verifier().await;
    let actor = house.actor(&verifier.secret);
    let told = |secret: String| {
        let (keeper, actor, project) = (std::sync::Arc::clone(&house.keeper), actor.clone(), house.project());
        async move { refusal(keeper.find_key(&actor, project, &secret).await).to_string() }
    };
    let live = told(house.operator.secret.clone()).await;
    assert_eq!(live, told("acme-nonsense-nonsense".to_owned()).await);
    assert_eq!(live, told(verifier.secret.clone()).await);
}
