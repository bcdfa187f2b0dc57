//! Somebody who can write to the database but has no master key: what he changes is refused, and an alarm is raised.

mod broken;

use keyholt_core::audit::{Event, Noun, Outcome, Target};
use keyholt_core::commit::Revision;
use keyholt_core::id::ProjectId;
use keyholt_core::owner::{MemberRight, Owner, Standing};
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;
use keyholt_server::keeper::{FirstStart, MembershipChange, Unauthenticated};
use keyholt_store::{DumpLine, EventNumber, Hex32, KeyColumns, NumberedEvent, Touched};
use uuid::Uuid;

use crate::house::{Held, House, Wishes, charter, source, wish};
use crate::relay::Relay;

/// A house with something worth stealing.
struct Treasury {
    house: House,
    relay: Relay,
    /// A key that may do everything.
    wide: Held,
    /// The attacker's own key, which may do little.
    narrow: Held,
    /// The attacker's other key, which was revoked.
    revoked: Held,
}

impl Treasury {
    async fn open() -> Self {
        let relay = Relay::new();
        let house = House::open_on(relay.lone()).await;
        let boss = Owner::User(house.user("boss").await.id);
        let mallory = Owner::User(house.user("mallory").await.id);
        let wide = house.issue(wish(boss, "wide").everything()).await;
        let narrow = house.issue(wish(mallory, "narrow").scopes(&["orders:read"]).lasting(Span::days(1)));
        let narrow = narrow.await;
        let revoked = house.issue(wish(mallory, "revoked").everything()).await;
        house.revoke(revoked.id(), "leaked").await;
        Self {
            house,
            relay,
            wide,
            narrow,
            revoked,
        }
    }

    /// The house after somebody changed the database and it was started anew.
    async fn after(&self, forge: impl FnOnce(&mut Vec<DumpLine>)) -> House {
        self.relay.forge(forge).await;
        self.house.beside(self.relay.lone()).await
    }

    /// The house after somebody changed one key's row and it was started anew.
    async fn after_changing(&self, key: &Held, change: impl FnOnce(&mut KeyColumns)) -> House {
        let id = key.id();
        self.after(|lines| change(row_of(lines, |columns| columns.id == id)))
            .await
    }
}

fn row_of(lines: &mut [DumpLine], wanted: impl Fn(&KeyColumns) -> bool) -> &mut KeyColumns {
    let mut rows = lines.iter_mut().filter_map(|line| match line {
        DumpLine::Key(columns) if wanted(columns) => Some(&mut **columns),
        _ => None,
    });
    rows.next().expect("a row")
}

/// Changes the text of a record's body.
fn rewrite(lines: &mut [DumpLine], noun: Noun, whose: &str, from: &str, to: &str) {
    for line in lines {
        if let DumpLine::Record {
            noun: found,
            handle,
            body,
            ..
        } = line
            && (*found, handle.as_str()) == (noun, whose)
        {
            assert!(body.contains(from), "{body}");
            *body = body.replace(from, to);
            return;
        }
    }
    panic!("no such record");
}

const EVERYTHING: &str = "\"everything\"";

#[tokio::test]
async fn whatever_is_changed_in_a_keys_row_the_key_is_refused_and_an_alarm_raised() {
    type Change = fn(&mut KeyColumns);
    let changes: [(&str, Change); 12] = [
        ("wider access", |row| row.access = EVERYTHING.to_owned()),
        ("other scopes", |row| {
            row.access = row.access.replace("orders:read", "orders:*")
        }),
        ("other bounds", |row| {
            row.bounds = row.bounds.replace("null", "\"live\"")
        }),
        ("never ending", |row| row.expires_at = None),
        ("ending later", |row| row.expires_at = row.expires_at.map(|at| at + 1)),
        ("another kind", |row| row.kind = keyholt_core::key::Kind::Publishable),
        ("suspended by hand", |row| row.state = "suspended".to_owned()),
        ("another revision", |row| row.revision = Revision::from_number(9)),
        ("a planted old secret", |row| {
            row.retiring = Some(Hex32([7; 32]));
            row.retiring_until = Some(i64::MAX / 2);
        }),
        ("an empty seal", |row| row.seal = Hex32([0; 32])),
        ("a flipped bit in the seal", |row| row.seal.0[31] ^= 1),
        ("another owner", |row| {
            row.owner = Owner::new(row.owner.kind(), row.id.uuid())
        }),
    ];
    for (what, change) in changes {
        let treasury = Treasury::open().await;
        let house = treasury.after_changing(&treasury.narrow, change).await;
        let secret = &treasury.narrow.secret;
        assert_eq!(house.code(secret, &["orders:read"]), "tampered", "{what}");
        assert_eq!(house.keeper.alarms(), 1, "{what}");
        let shown = house.keeper.authenticate(secret, source()).map(drop);
        assert_eq!(shown, Err(Unauthenticated::Invalid), "{what}");
        assert_eq!(
            house.code(&treasury.wide.secret, &["orders:read"]),
            "valid",
            "{what}: others are not touched"
        );
    }
}

#[tokio::test]
async fn what_only_people_read_may_change_without_harm() {
    let treasury = Treasury::open().await;
    let house = treasury
        .after_changing(&treasury.narrow, |row| row.name = "renamed by hand".to_owned())
        .await;
    assert_eq!(house.code(&treasury.narrow.secret, &["orders:read"]), "valid");
    assert_eq!(house.keeper.alarms(), 0);
}

#[tokio::test]
async fn a_digest_moved_into_a_wider_row_opens_nothing_and_the_good_key_goes_on_working() {
    let treasury = Treasury::open().await;
    let (wide, narrow) = (treasury.wide.id(), treasury.narrow.id());
    // Both rows answer to the attacker's secret now; only his own is right.
    let house = treasury
        .after(|lines| {
            let his = row_of(lines, |row| row.id == narrow).current;
            row_of(lines, |row| row.id == wide).current = his;
        })
        .await;
    assert_eq!(house.keeper.alarms(), 1);
    let verdict = house.verdict(&treasury.narrow.secret, &["orders:read"]);
    assert_eq!(
        (&verdict["code"], &verdict["key"]["id"]),
        (&"valid".into(), &narrow.to_string().into())
    );
    assert_eq!(
        house.code(&treasury.narrow.secret, &["orders:write"]),
        "insufficient_scope"
    );
    assert_eq!(house.code(&treasury.wide.secret, &[]), "unknown", "its digest is gone");

    // Without his own row there is the changed one alone.
    let house = treasury
        .after(|lines| lines.retain(|line| !matches!(line, DumpLine::Key(row) if row.id == narrow)))
        .await;
    assert_eq!(house.code(&treasury.narrow.secret, &["orders:read"]), "tampered");
}

#[tokio::test]
async fn a_digest_cannot_be_made_without_the_master_key() {
    let treasury = Treasury::open().await;
    let known = "attackers-own-secret-0123456789";
    crate::house::canary(known);
    // The best that somebody without the pepper can write is the SHA-256 itself.
    let sha256 = Hex32(sha256(known));
    let house = treasury
        .after_changing(&treasury.wide, |row| row.current = sha256)
        .await;
    assert_eq!(house.code(known, &[]), "unknown");
    assert_eq!(house.keeper.alarms(), 1);
}

fn sha256(text: &str) -> [u8; 32] {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().try_into().unwrap()
}

#[tokio::test]
async fn a_revocation_cannot_be_cleared() {
    let treasury = Treasury::open().await;
    let house = treasury
        .after_changing(&treasury.revoked, |row| {
            row.state = "active".to_owned();
            row.state_at = 0;
            row.cause = String::new();
        })
        .await;
    assert_eq!(house.code(&treasury.revoked.secret, &[]), "tampered");
}

#[tokio::test]
async fn a_row_is_worth_nothing_under_another_name() {
    let treasury = Treasury::open().await;
    let globex = treasury
        .house
        .keeper
        .found_project(&treasury.house.olga(), charter("globex"))
        .await
        .unwrap();
    let (wide, narrow) = (treasury.wide.clone(), treasury.narrow.clone());
    // A copy under another id, seal and all; in another project; and given to another owner.
    type Change<'a> = &'a dyn Fn(&mut KeyColumns);
    let changes: [(&str, Change<'_>); 3] = [
        ("another id", &|row| row.id = narrow.id()),
        ("another project", &|row| row.project = globex.id),
        ("another owner", &|row| row.owner = narrow.key.owner),
    ];
    for (what, change) in changes {
        let treasury = Treasury::open().await;
        let house = treasury
            .after(|lines| {
                lines.retain(|line| !matches!(line, DumpLine::Key(row) if row.id == narrow.id()));
                change(row_of(lines, |row| row.id == wide.id()));
            })
            .await;
        assert_ne!(house.code(&wide.secret, &[]), "valid", "{what}");
        assert_eq!(house.keeper.alarms(), 1, "{what}");
    }
}

#[tokio::test]
async fn the_grace_of_an_old_secret_cannot_be_prolonged() {
    let treasury = Treasury::open().await;
    let new = treasury
        .house
        .rotate(treasury.wide.id(), Grace::For(Span::hours(1)))
        .await;
    treasury.house.advance(Span::hours(2));
    let house = treasury
        .after_changing(&treasury.wide, |row| {
            row.retiring_until = row.retiring_until.map(|until| until + 1_000_000_000);
        })
        .await;
    for secret in [&treasury.wide.secret, &new.secret] {
        assert_eq!(house.code(secret, &[]), "tampered");
    }
}

#[tokio::test]
async fn a_widened_role_gives_nothing_more() {
    let treasury = Treasury::open().await;
    let eve = Owner::User(treasury.house.user_with("eve", &["auditor"]).await.id);
    let full = treasury.house.issue(wish(eve, "full").everything()).await;
    let house = treasury
        .after(|lines| rewrite(lines, Noun::Role, "auditor", "keyholt:audit:read", "keyholt:keys:write"))
        .await;
    assert_eq!(house.keeper.alarms(), 1);
    for scope in [
        "keyholt:keys:write",
        "keyholt:keys:read",
        "keyholt:audit:read",
        "orders:read",
    ] {
        assert_eq!(house.code(&full.secret, &[scope]), "insufficient_scope");
    }
    assert_eq!(
        house.code(&treasury.wide.secret, &["orders:read"]),
        "valid",
        "other roles are not touched"
    );
}

#[tokio::test]
async fn a_changed_owner_or_project_stops_everything_that_hangs_on_it() {
    let changes = [
        (Noun::User, "boss", "\"name\":\"boss\"", "\"name\":\"Boss\""),
        (
            Noun::Project,
            "acme",
            "\"keys_per_owner\":1000",
            "\"keys_per_owner\":9999",
        ),
    ];
    for (noun, whose, from, to) in changes {
        let treasury = Treasury::open().await;
        let house = treasury.after(|lines| rewrite(lines, noun, whose, from, to)).await;
        assert_eq!(
            house.code(&treasury.wide.secret, &["orders:read"]),
            "tampered",
            "{whose}"
        );
        assert_eq!(house.keeper.alarms(), 1, "{whose}");
        assert!(
            house.keeper.authenticate(&treasury.wide.secret, source()).is_err(),
            "{whose}"
        );
    }
}

#[tokio::test]
async fn a_lifted_suspension_does_not_count() {
    let treasury = Treasury::open().await;
    let (olga, project, owner) = (treasury.house.olga(), treasury.house.project(), treasury.wide.key.owner);
    treasury
        .house
        .keeper
        .suspend_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    let since = Standing::Suspended {
        since: treasury.house.keeper.now(),
    };
    let since = serde_json::to_string(&since).unwrap();
    let house = treasury
        .after(|lines| rewrite(lines, Noun::User, "boss", &since, "\"good\""))
        .await;
    assert_eq!(house.code(&treasury.wide.secret, &[]), "tampered");
}

#[tokio::test]
async fn nobody_writes_himself_into_a_team() {
    let treasury = Treasury::open().await;
    let mallory = treasury.house.user("eve").await;
    let team = treasury
        .house
        .team("vault", vec![(&mallory, MemberRight::Belong)])
        .await;
    let eves = treasury
        .house
        .issue(wish(Owner::User(mallory.id), "eve").everything())
        .await;
    let teams = treasury
        .house
        .issue(wish(Owner::Team(team.id), "vault").scopes(&["orders:read"]))
        .await;
    let house = treasury
        .after(|lines| rewrite(lines, Noun::Team, "vault", "\"belong\"", "\"manage_keys\""))
        .await;
    let eve = house.actor(&eves.secret);
    assert!(eve.manages.is_empty());
    assert_eq!(house.code(&teams.secret, &[]), "tampered");
    let put = MembershipChange::Put(MemberRight::ManageKeys);
    let changed = house
        .keeper
        .change_membership(&house.olga(), house.project(), team.id, mallory.id, put)
        .await;
    assert!(changed.is_err(), "what is not believed is not built upon");
}

/// Adds an entry to the feed, as somebody would who wants running keepers to read what he changed.
fn announce(lines: &mut Vec<DumpLine>, project: ProjectId, noun: Noun, id: Uuid) {
    let events = lines
        .iter()
        .filter(|line| matches!(line, DumpLine::Event { .. }))
        .count() as u64;
    let event = Event {
        project,
        at: keyholt_core::time::Moment::from_ms(0),
        action: "key.amend".to_owned(),
        outcome: Outcome::Done,
        actor: None,
        target: Target { noun, id: Some(id) },
        owner: None,
        cause: None,
        source: source(),
        before: None,
        after: None,
    };
    lines.push(DumpLine::Event {
        numbered: NumberedEvent {
            number: EventNumber(events + 1),
            event,
        },
        touched: vec![Touched { project, noun, id }],
    });
}

#[tokio::test]
async fn running_keepers_refuse_what_is_changed_under_their_eyes() {
    let treasury = Treasury::open().await;
    let (project, id) = (treasury.house.project(), treasury.narrow.id());
    let house = treasury.house.beside(treasury.relay.shared()).await;
    assert_eq!(house.code(&treasury.narrow.secret, &["orders:read"]), "valid");
    treasury
        .relay
        .forge(|lines| {
            let row = row_of(lines, |row| row.id == id);
            row.access = EVERYTHING.to_owned();
            row.revision = row.revision.next();
            announce(lines, project, Noun::Key, id.uuid());
        })
        .await;
    house.keeper.catch_up().await.unwrap();
    assert_eq!(house.code(&treasury.narrow.secret, &["orders:read"]), "tampered");
    assert_eq!(house.keeper.alarms(), 1);

    let boss = treasury.wide.key.owner.uuid();
    treasury
        .relay
        .forge(|lines| {
            rewrite(lines, Noun::User, "boss", "\"name\":\"boss\"", "\"name\":\"Boss\"");
            announce(lines, project, Noun::User, boss);
        })
        .await;
    house.keeper.catch_up().await.unwrap();
    assert_eq!(house.code(&treasury.wide.secret, &["orders:read"]), "tampered");
    assert_eq!(house.keeper.alarms(), 2);
}

#[tokio::test]
async fn a_running_keeper_does_not_go_back_to_an_older_row() {
    let treasury = Treasury::open().await;
    let (project, id) = (treasury.house.project(), treasury.wide.id());
    let house = treasury.house.beside(treasury.relay.shared()).await;
    let old = row_of(&mut treasury.relay.dump().await, |row| row.id == id).clone();
    house.revoke(id, "leaked").await;
    // The old row is whole, seal and all; but it is older than what is known.
    treasury
        .relay
        .forge(|lines| {
            *row_of(lines, |row| row.id == id) = old;
            announce(lines, project, Noun::Key, id.uuid());
        })
        .await;
    house.keeper.catch_up().await.unwrap();
    assert_eq!(house.code(&treasury.wide.secret, &[]), "revoked");
}

#[tokio::test]
async fn a_set_up_that_somebody_changed_stays_closed_and_keeps_nobody_from_starting() {
    let treasury = Treasury::open().await;
    let house = treasury
        .after(|lines| {
            for line in lines {
                if let DumpLine::Record {
                    noun: Noun::Setup,
                    seal,
                    ..
                } = line
                {
                    seal.0[0] ^= 1;
                }
            }
        })
        .await;
    let start = tokio::time::timeout(std::time::Duration::from_secs(20), house.keeper.start(source()));
    assert!(matches!(
        start.await.expect("a start that ends"),
        Ok(FirstStart::Complete)
    ));
    assert!(!house.keeper.is_setup_open());
    assert!(house.keeper.alarms() > 0);
    assert_eq!(house.code(&treasury.wide.secret, &["orders:read"]), "valid");
}
