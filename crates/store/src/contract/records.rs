//! Lists of records other than keys.

use keyholt_core::audit::Noun;

use super::world::World;
use crate::{After, Limit, RecordQuery, Store};

/// Records come oldest first, each on one page, and by how their handles begin.
pub async fn records_are_listed_by_page_and_beginning(store: &dyn Store) {
    let mut world = World::founded(store).await;
    let (acme, globex) = (world.acme.id, world.globex.id);
    let handles = ["ada", "adam", "ad%", "Ada", "bob", "añ", "a\u{10FFFF}", "z"];
    let mut users = Vec::new();
    for handle in handles {
        world.later(1);
        let user = world.user(acme, handle);
        store.commit(vec![world.enrolment(&user)]).await.expect("a new user");
        users.push(user);
    }
    let stranger = world.user(globex, "ada");
    let team = world.team(acme, "ada");
    store
        .commit(vec![world.enrolment(&stranger), world.enrolment(&team)])
        .await
        .expect("others");

    let list = async |prefix: Option<&str>, after: Option<After>, limit: u64| {
        let query = RecordQuery {
            handle_prefix: prefix.map(str::to_owned),
            after,
            limit: Limit::new(limit).expect("a limit"),
        };
        store.records(acme, Noun::User, &query).await.expect("a read")
    };
    let all: Vec<_> = users.iter().map(keyholt_core::commit::Record::id).collect();
    let page = list(None, None, 100).await;
    assert_eq!(page.entries.iter().map(|record| record.id).collect::<Vec<_>>(), all);
    assert_eq!(page.next, None);

    let (mut seen, mut after, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = list(None, after, 3).await;
        seen.extend(page.entries.iter().map(|record| record.id));
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((seen, pages), (all, 3));
    let full = list(None, None, 8).await;
    assert_eq!(
        (full.entries.len(), full.next),
        (8, None),
        "a full last page is known to be the last"
    );

    for (prefix, expected) in [
        ("ad", vec!["ada", "adam", "ad%"]),
        ("ad%", vec!["ad%"]),
        ("A", vec!["Ada"]),
        ("a\u{10FFFF}", vec!["a\u{10FFFF}"]),
        ("a", vec!["ada", "adam", "ad%", "añ", "a\u{10FFFF}"]),
        ("", handles.to_vec()),
        ("\u{10FFFF}", vec![]),
        ("x", vec![]),
    ] {
        let found = list(Some(prefix), None, 100).await.entries;
        let found: Vec<_> = found.iter().map(|record| record.id).collect();
        let expected: Vec<_> = expected
            .iter()
            .filter_map(|handle| users.iter().find(|user| user.handle() == Some(*handle)))
            .collect();
        let expected: Vec<_> = expected.iter().map(|user| user.id()).collect();
        assert_eq!(found, expected, "beginning with {prefix:?}");
    }
    let first = list(Some("ad"), None, 2).await;
    let second = list(Some("ad"), first.next, 2).await;
    assert_eq!((first.entries.len(), second.entries.len(), second.next), (2, 1, None));
}
