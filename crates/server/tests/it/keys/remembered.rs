//! What verifiers ask to be told of a key: read once, told again from memory, and never older than the verdict.

use std::sync::Arc;

use keyholt_core::amend::Amendment;
use keyholt_core::audit::Noun;
use keyholt_core::id::KeyId;
use keyholt_core::owner::Owner;
use keyholt_core::text::{Metadata, Name};
use keyholt_server::keeper::Refusal;
use keyholt_store::{DumpLine, KeyColumns};
use serde_json::json;

use crate::house::{Held, House, Wishes, refusal, wish};
use crate::relay::{Relay, Stage};

async fn a_key(house: &House) -> Held {
    let alice = house.user("alice").await;
    house
        .issue(wish(Owner::User(alice.id), "ci").scopes(&["orders:read"]))
        .await
}

/// What a key is called, as a verifier is told.
async fn called(house: &House, id: KeyId) -> Option<String> {
    let told = house.keeper.about(house.project(), id).await.unwrap();
    told.map(|key| key.about.name.to_string())
}

fn renamed(name: &str) -> Amendment {
    Amendment {
        name: Some(Name::new(name).unwrap()),
        ..Amendment::default()
    }
}

fn noted(words: usize) -> Amendment {
    Amendment {
        metadata: Some(Metadata::new(json!({ "plan": "x".repeat(words) }).as_object().unwrap().clone()).unwrap()),
        ..Amendment::default()
    }
}

/// How often the store was asked while something was done.
async fn calls<T>(line: &Arc<Stage>, work: impl Future<Output = T>) -> (u64, T) {
    let before = line.calls();
    let done = work.await;
    (line.calls() - before, done)
}

#[tokio::test]
async fn a_key_is_read_once_and_told_again_without_asking_the_store() {
    for line in [Relay::new().lone(), Relay::new().shared()] {
        let house = House::open_on(line.clone()).await;
        let (olga, project, id) = (house.olga(), house.project(), a_key(&house).await.id());
        assert_eq!(calls(&line, called(&house, id)).await, (1, Some("ci".to_owned())));
        for _ in 0..3 {
            assert_eq!(calls(&line, called(&house, id)).await, (0, Some("ci".to_owned())));
            let (asked, key) = calls(&line, house.keeper.verified_key(&olga, project, id)).await;
            assert_eq!((asked, key.unwrap().about.name.as_str()), (0, "ci"));
        }
    }
}

#[tokio::test]
async fn a_change_is_told_at_once() {
    let line = Relay::new().lone();
    let house = House::open_on(line.clone()).await;
    let key = a_key(&house).await;
    let (id, project) = (key.id(), house.project());
    assert_eq!(called(&house, id).await.unwrap(), "ci");
    house.amend(id, renamed("deploy")).await.unwrap();
    assert_eq!(called(&house, id).await.unwrap(), "deploy");
    house.amend(id, noted(3)).await.unwrap();
    let told = house.keeper.about(project, id).await.unwrap().unwrap();
    assert_eq!(told.about.metadata.as_map()["plan"], "xxx");
    house.suspend(id).await;
    let told = house.keeper.about(project, id).await.unwrap().unwrap();
    assert_eq!(told.state.as_str(), "suspended");
    house.delete(id).await;
    assert_eq!(called(&house, id).await, None);
}

#[tokio::test]
async fn another_node_tells_what_it_judges_by() {
    let relay = Relay::new();
    let here = House::open_on(relay.shared()).await;
    let id = a_key(&here).await.id();
    let there = here.beside(relay.shared()).await;
    assert_eq!(called(&there, id).await.unwrap(), "ci");
    here.amend(id, renamed("deploy")).await.unwrap();
    assert_eq!(called(&there, id).await.unwrap(), "ci", "no older than its verdicts");
    there.keeper.catch_up().await.unwrap();
    assert_eq!(called(&there, id).await.unwrap(), "deploy");
}

#[tokio::test]
async fn a_large_record_is_read_each_time() {
    let line = Relay::new().lone();
    let house = House::open_on(line.clone()).await;
    let id = a_key(&house).await.id();
    let nested = Metadata::new(
        json!({ "a": [{"b": 1}, {"b": 2}, {"b": 3}, {"b": 4}, {"b": 5}] })
            .as_object()
            .unwrap()
            .clone(),
    );
    let nested = Amendment {
        metadata: Some(nested.unwrap()),
        ..Amendment::default()
    };
    for large in [noted(4_000), nested] {
        house.amend(id, large).await.unwrap();
        for _ in 0..2 {
            assert_eq!(calls(&line, called(&house, id)).await.0, 1);
        }
    }
    house.amend(id, noted(20)).await.unwrap();
    assert_eq!(calls(&line, called(&house, id)).await.0, 1);
    assert_eq!(calls(&line, called(&house, id)).await.0, 0);
}

#[tokio::test]
async fn nobody_is_told_of_another_project_s_key_however_well_it_is_remembered() {
    let house = House::open().await;
    let id = a_key(&house).await.id();
    let globex = house
        .keeper
        .found_project(&house.olga(), crate::house::charter("globex"))
        .await
        .unwrap();
    assert_eq!(called(&house, id).await.unwrap(), "ci");
    assert!(house.keeper.about(globex.id, id).await.unwrap().is_none());
    let hank = house.new_user(globex.id, "hank", &["admin"]);
    house.enrol(keyholt_core::commit::Record::User(hank.clone())).await;
    let hanks = house
        .issue_in(globex.id, wish(Owner::User(hank.id), "hank").everything())
        .await;
    let hank = house.actor(&hanks.secret);
    for project in [globex.id, house.project()] {
        let read = house.keeper.verified_key(&hank, project, id).await;
        assert!(matches!(refusal(read), Refusal::NotFound(_)));
    }
    // Nor of a neighbour's, for those who may see what is theirs alone.
    let bob = house.user("bob").await;
    let bobs = house.issue(wish(Owner::User(bob.id), "bob").everything()).await;
    let bob = house.actor(&bobs.secret);
    let read = house.keeper.verified_key(&bob, house.project(), id).await;
    assert!(matches!(refusal(read), Refusal::NotFound(_)));
}

#[tokio::test]
async fn a_changed_row_is_not_told_from_memory_and_not_remembered() {
    let relay = Relay::new();
    let house = House::open_on(relay.lone()).await;
    let id = a_key(&house).await.id();
    let access = async |from: &str, to: &str| {
        relay
            .forge(|lines| {
                let row = row_of(lines, id);
                assert!(row.access.contains(from), "{}", row.access);
                row.access = row.access.replace(from, to);
            })
            .await;
    };
    access("orders:read", "orders:*").await;
    let line = relay.lone();
    let house = house.beside(line.clone()).await;
    let (olga, project) = (house.olga(), house.project());
    let read = house.keeper.verified_key(&olga, project, id).await;
    assert!(matches!(refusal(read), Refusal::Tampered(Noun::Key)));
    for _ in 0..2 {
        assert_eq!(calls(&line, called(&house, id)).await.0, 1, "each time as it is");
    }
    // Put back, the row is good again; this node still knows it as a broken one, and remembers nothing about it.
    access("orders:*", "orders:read").await;
    for _ in 0..2 {
        let (asked, key) = calls(&line, house.keeper.verified_key(&olga, project, id)).await;
        assert_eq!((asked, key.is_ok()), (1, true));
    }
}

fn row_of(lines: &mut [DumpLine], id: KeyId) -> &mut KeyColumns {
    let mut rows = lines.iter_mut().filter_map(|line| match line {
        DumpLine::Key(columns) if columns.id == id => Some(&mut **columns),
        _ => None,
    });
    rows.next().expect("a row")
}
