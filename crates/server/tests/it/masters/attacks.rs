//! Somebody who writes to the database while the master key is replaced, with neither key or with the old one.

use keyholt_core::audit::Noun;
use keyholt_core::bond::Sealing;
use keyholt_core::owner::Owner;
use keyholt_store::{DumpLine, Hex32, KeyColumns};

use super::{FIRST, SECOND};
use crate::house::{Held, House, Wishes, source, wish};
use crate::relay::Relay;
use crate::tokens::stage::{Stage, basic, encoded, posted};
use crate::wire::Wire;

struct Scene {
    relay: Relay,
    house: House,
    wide: Held,
    narrow: Held,
}

impl Scene {
    async fn open() -> Self {
        let relay = Relay::new();
        let house = House::open_on(relay.lone()).await;
        let owner = Owner::User(house.user("boss").await.id);
        let wide = house.issue(wish(owner, "wide").everything()).await;
        let narrow = house.issue(wish(owner, "narrow").scopes(&["orders:read"])).await;
        Self {
            relay,
            house,
            wide,
            narrow,
        }
    }

    async fn forge(&self, key: &Held, change: impl FnOnce(&mut KeyColumns)) {
        let id = key.id();
        self.relay
            .forge(|lines| {
                let mut rows = lines.iter_mut().filter_map(|line| match line {
                    DumpLine::Key(columns) if columns.id == id => Some(columns),
                    _ => None,
                });
                change(rows.next().unwrap());
            })
            .await;
    }

    async fn row(&self, key: &Held) -> KeyColumns {
        let mut lines = self.relay.dump().await.into_iter();
        lines
            .find_map(|line| match line {
                DumpLine::Key(columns) if columns.id == key.id() => Some(*columns),
                _ => None,
            })
            .unwrap()
    }
}

#[tokio::test]
async fn a_row_that_neither_key_sealed_is_refused_and_never_sealed_anew() {
    type Change = fn(&mut KeyColumns, &KeyColumns);
    let changes: [(&str, Change); 4] = [
        ("a moved digest", |row, other| row.current = other.current),
        ("wider access", |row, _| row.access = "\"everything\"".to_owned()),
        ("an old secret besides", |row, other| {
            row.retiring = Some(other.current);
            row.retiring_until = Some(i64::MAX / 2);
        }),
        ("a seal of nobody's", |row, _| row.seal = Hex32([7; 32])),
    ];
    for (what, change) in changes {
        let scene = Scene::open().await;
        // The row of the other key goes, so that its digest has a place.
        let wide = scene.row(&scene.wide).await;
        let id = scene.wide.id();
        scene
            .relay
            .forge(|lines| lines.retain(|line| !matches!(line, DumpLine::Key(row) if row.id == id)))
            .await;
        scene.forge(&scene.narrow, |row| change(row, &wide)).await;
        let both = scene.house.under(SECOND, Some(FIRST)).await;
        assert_eq!(both.keeper.alarms(), 1, "{what}");
        for secret in [&scene.narrow.secret, &scene.wide.secret] {
            assert_ne!(both.code(secret, &[]), "valid", "{what}");
        }
        let forged = scene.row(&scene.narrow).await;
        both.keeper.seal_anew().await.unwrap();
        both.keeper.renew_shown().await.unwrap();
        assert_eq!(both.hanging().await.sealing, Sealing::Done);
        assert_eq!(scene.row(&scene.narrow).await, forged, "{what}: it gets no right seal");
        let alone = scene.house.under(SECOND, None).await;
        for secret in [&scene.narrow.secret, &scene.wide.secret] {
            assert_ne!(alone.code(secret, &[]), "valid", "{what}");
        }
    }
}

#[tokio::test]
async fn once_all_is_sealed_anew_the_old_key_seals_nothing_any_more() {
    let scene = Scene::open().await;
    let old = scene.row(&scene.narrow).await;
    scene
        .house
        .under(SECOND, Some(FIRST))
        .await
        .keeper
        .seal_anew()
        .await
        .unwrap();
    // It leaked, which is why it was replaced; whoever has it makes right seals of its kind, such as this one.
    scene.forge(&scene.narrow, |row| *row = old).await;
    let both = scene.house.under(SECOND, Some(FIRST)).await;
    assert_eq!(both.code(&scene.narrow.secret, &[]), "tampered");
    assert_eq!(both.keeper.alarms(), 1);
}

#[tokio::test]
async fn whose_digest_is_of_which_key_cannot_be_rewritten() {
    let scene = Scene::open().await;
    let both = scene.house.under(SECOND, Some(FIRST)).await;
    both.keeper.seal_anew().await.unwrap();
    assert_eq!(both.code(&scene.narrow.secret, &[]), "valid");
    both.keeper.renew_shown().await.unwrap();
    // The digest before is there for tokens alone; it does not become a secret in its grace, nor the newest one.
    scene
        .forge(&scene.narrow, |row| {
            let former = row.retiring.unwrap();
            row.retiring = Some(row.current);
            row.current = former;
        })
        .await;
    let again = scene.house.under(SECOND, Some(FIRST)).await;
    assert_eq!(again.code(&scene.narrow.secret, &[]), "tampered");
}

/// Changes the encrypted private halves of signing keys in the database.
async fn with_changed_halves(change: impl FnOnce(&mut Vec<(String, &mut String)>)) -> (House, String) {
    let relay = Relay::new();
    let stage = Stage::in_house(House::open_on(relay.lone()).await).await;
    let token = stage.token(&stage.client).await;
    let globex = stage
        .house
        .keeper
        .found_project(&stage.house.olga(), crate::house::charter("globex"))
        .await
        .unwrap();
    stage.house.keeper.make_due_key(globex.id).await.unwrap();
    relay
        .forge(|lines| {
            let mut halves: Vec<(String, &mut String)> = lines
                .iter_mut()
                .filter_map(|line| match line {
                    DumpLine::Record {
                        noun: Noun::SigningKey,
                        body,
                        ..
                    } => {
                        let read: serde_json::Value = serde_json::from_str(body).unwrap();
                        Some((read["sealed"].as_str().unwrap().to_owned(), body))
                    }
                    _ => None,
                })
                .collect();
            assert_eq!(halves.len(), 2);
            change(&mut halves);
        })
        .await;
    let house = stage.house.beside(relay.lone()).await;
    let wire = Wire::to(&house.keeper);
    let client = basic(&stage.client.id().to_string(), &stage.client.secret);
    let form = encoded(&[("grant_type", "client_credentials")]);
    let reply = wire.send(posted("/oauth/token", Some(&client), &form)).await;
    assert!(
        reply.status.is_client_error() || reply.status.is_server_error(),
        "nothing is signed with it: {}",
        reply.status
    );
    (house, token)
}

#[tokio::test]
async fn a_private_half_that_somebody_changed_is_refused_with_an_alarm() {
    let flipped = with_changed_halves(|halves| {
        let (sealed, body) = &mut halves[0];
        let other = if sealed.as_bytes()[30] == b'A' { "B" } else { "A" };
        let mut bad = sealed.clone();
        bad.replace_range(30..31, other);
        **body = body.replace(sealed.as_str(), &bad);
        let (sealed, body) = &mut halves[1];
        let mut bad = sealed.clone();
        bad.replace_range(30..31, if sealed.as_bytes()[30] == b'A' { "B" } else { "A" });
        **body = body.replace(sealed.as_str(), &bad);
    });
    let swapped = with_changed_halves(|halves| {
        let (one, other) = (halves[0].0.clone(), halves[1].0.clone());
        *halves[0].1 = halves[0].1.replace(&one, &other);
        *halves[1].1 = halves[1].1.replace(&other, &one);
    });
    let cut_off = with_changed_halves(|halves| {
        for (sealed, body) in halves {
            **body = body.replace(sealed.as_str(), &sealed[..20]);
        }
    });
    for (house, token) in [flipped.await, swapped.await, cut_off.await] {
        assert!(house.keeper.alarms() >= 2);
        assert_eq!(
            house.code(&token, &[]),
            "unknown",
            "nor is anything believed that it signed"
        );
        assert!(
            house.keeper.authenticate(&house.operator.secret, source()).is_ok(),
            "the rest works"
        );
    }
}
