//! Stories of commits: each change carries the event that explains it, and no event carries a secret.

use keyholt_core::actor::Actor;
use keyholt_core::audit::{Event, Noun, Outcome, Target};
use keyholt_core::commit::{Commit, Record, Replay, Revision};
use keyholt_core::issue::Life;
use keyholt_core::key::{Key, Maker, State};
use keyholt_core::owner::{MemberRight, Standing};
use keyholt_core::project::{Catalogue, Policy, TokenPolicy};
use keyholt_core::rotate::{Grace, Turn};
use keyholt_core::scope::Access;
use keyholt_core::text::RequestKey;
use keyholt_core::time::{Expiry, Lifetime, Span};
use serde_json::json;

use crate::support::{NEW_YEAR, Wishing, World, cause, turn, wish};

/// One commit of each verb on keys, the keys that they were made from, and every secret there was.
fn history() -> (Actor, Vec<(Commit, &'static str)>, Vec<String>) {
    let mut world = World::new();
    let admin = world.admin();
    let wished = wish(admin.owner).scopes(&["orders:*"]).life(Life::For(Span::days(9)));
    let first = world.held(&admin, wished.clone());
    let (_, issued) = world.issue(&admin, wished).unwrap();
    let reasoned = Turn {
        cause: Some(cause("yearly")),
        ..turn(Grace::Default)
    };
    let (second, rotated) = world.rotate(&admin, &first.key, reasoned).unwrap();
    let (suspended, stopped) = world.suspend(&admin, &second.key).unwrap().unwrap();
    let (resumed, lifted) = world.resume(&admin, &suspended).unwrap().unwrap();
    let (_, revoked) = world.revoke(&admin, &resumed, "leaked").unwrap();
    let commits = vec![
        (issued, "key.issue"),
        (rotated, "key.rotate"),
        (stopped, "key.suspend"),
        (lifted, "key.resume"),
        (revoked, "key.revoke"),
    ];
    (admin, commits, vec![first.secret, second.secret])
}

#[test]
fn an_event_names_actor_owner_and_thing_apart_and_says_when_and_from_where() {
    let (admin, commits, _) = history();
    for (commit, action) in commits {
        let event = commit.event();
        assert_eq!((event.action.as_str(), &event.outcome), (action, &Outcome::Done));
        let actor = event.actor.unwrap();
        assert_eq!(
            (actor.key, actor.owner, actor.home),
            (admin.key, admin.owner, admin.home)
        );
        assert_eq!(event.owner, Some(admin.owner));
        let changed = commit.changes().first().unwrap().record();
        assert_eq!(
            event.target,
            Target {
                noun: Noun::Key,
                id: Some(changed.id())
            }
        );
        assert_eq!(
            (event.at, event.project, &event.source),
            (NEW_YEAR, admin.home, &admin.source)
        );
        assert_eq!(event.after, Some(changed.view()));
        assert_eq!(event.before.is_none(), action == "key.issue");
    }
}

#[test]
fn the_revision_counts_every_change() {
    let (_, commits, _) = history();
    let revisions: Vec<u32> = commits
        .iter()
        .map(|(commit, _)| commit.changes()[0].record().revision().number())
        .collect();
    assert_eq!(revisions, [1, 2, 3, 4, 5]);
    assert_eq!(Revision::from_number(u32::MAX).next(), Revision::from_number(u32::MAX));
}

#[test]
fn no_event_holds_a_secret_or_a_digest() {
    let (_, commits, secrets) = history();
    let hex = |bytes: &[u8; 32]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    for (commit, action) in commits {
        let text = serde_json::to_string(commit.event()).unwrap();
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{action}");
            assert!(!text.contains(&secret[secret.len() - 12..]), "{action}: a part of it");
        }
        let Record::Key(key) = commit.changes()[0].record() else {
            panic!("{action}")
        };
        assert!(!text.contains(&hex(key.credentials.current().as_bytes())), "{action}");
        assert!(!text.contains("digest"), "{action}");
        let shown = format!("{commit:?}");
        assert!(
            secrets.iter().all(|secret| !shown.contains(secret.as_str())),
            "{action}"
        );
        assert!(shown.contains("Digest(…)"), "{action}");
    }
}

#[test]
fn the_trail_shows_until_when_an_old_secret_works() {
    let (_, commits, _) = history();
    let after = |at: usize| commits[at].0.event().after.clone().unwrap()["retiring_until"].clone();
    assert_eq!(after(0), serde_json::Value::Null);
    assert_eq!(after(1), "2030-01-02T00:00:00Z");
}

#[test]
fn an_event_is_read_back_as_it_was_written() {
    let (_, commits, _) = history();
    for (commit, action) in commits {
        let text = serde_json::to_string(commit.event()).unwrap();
        assert_eq!(
            &serde_json::from_str::<Event>(&text).unwrap(),
            commit.event(),
            "{action}"
        );
    }
}

#[test]
fn a_refused_attempt_is_told_without_a_change() {
    let mut world = World::new();
    let member = world.member();
    let target = Target {
        noun: Noun::Key,
        id: None,
    };
    let event = Event::refused(
        &member,
        world.project.id,
        "key.issue",
        target,
        Some(member.owner),
        "beyond_own_rights",
        world.now,
    );
    let commit = Commit::refusal(event.clone());
    assert!(commit.changes().is_empty());
    assert_eq!(commit.event(), &event);
    let refused = Outcome::Refused {
        code: "beyond_own_rights".into(),
    };
    assert_eq!((&event.outcome, event.actor.unwrap().key), (&refused, member.key));
    assert_eq!((event.action.as_str(), event.target), ("key.issue", target));
    assert_eq!((event.project, event.at), (world.project.id, world.now));
    assert_eq!((event.owner, &event.source), (Some(member.owner), &member.source));
    assert_eq!((&event.before, &event.after), (&None, &None));
    assert!(commit.guard().is_none() && commit.replay().is_none());
}

#[test]
fn why_somebody_asks_is_told_with_all_that_they_do_unless_they_say_why_they_do_it() {
    let mut world = World::new();
    let asking = Actor {
        cause: Some(cause("ticket 7")),
        ..world.admin()
    };
    let key = world.held(&asking, wish(asking.owner)).key;
    let (_, suspended) = world.suspend(&asking, &key).unwrap().unwrap();
    assert_eq!(suspended.event().cause, Some(cause("ticket 7")));
    let (_, revoked) = world.revoke(&asking, &key, "leaked").unwrap();
    assert_eq!(revoked.event().cause, Some(cause("leaked")));
    let target = Target {
        noun: Noun::Key,
        id: None,
    };
    let refused = Event::refused(&asking, key.project, "key.issue", target, None, "no", world.now);
    assert_eq!(refused.cause, Some(cause("ticket 7")));
}

#[test]
fn a_commit_says_with_which_key_it_is_done_where_that_key_must_be_there_still() {
    let mut world = World::new();
    let member = world.member();
    let (_, commit) = world.issue(&member, wish(member.owner)).unwrap();
    assert_eq!(commit.maker(), None);
    assert_eq!(commit.made_with(member.key).maker(), Some(member.key));
}

#[test]
fn a_commit_remembers_the_callers_request_key() {
    let mut world = World::new();
    let member = world.member();
    let (issued, commit) = world.issue(&member, wish(member.owner)).unwrap();
    let replay = Replay {
        actor: member.key,
        request: RequestKey::new("once").unwrap(),
        question: [1; 32],
        made: issued.key.id.uuid(),
        at: world.now,
    };
    assert_eq!(commit.remembered(replay.clone()).replay(), Some(&replay));
}

#[test]
fn a_key_at_rest_says_its_state_and_since_when() {
    let mut world = World::new();
    let member = world.member();
    let key = world.held(&member, wish(member.owner)).key;
    let at = |state: State| {
        let rest = Key { state, ..key.clone() }.at_rest();
        (rest.state, rest.state_at, rest.cause)
    };
    assert_eq!(at(State::Active), ("active", 0, String::new()));
    let since = State::Suspended { since: NEW_YEAR };
    assert_eq!(at(since), ("suspended", NEW_YEAR.ms(), String::new()));
    let ended = State::Revoked {
        at: NEW_YEAR,
        cause: cause("leaked"),
    };
    assert_eq!(at(ended.clone()), ("revoked", NEW_YEAR.ms(), "leaked".into()));
    for state in [State::Active, State::Suspended { since: NEW_YEAR }, ended] {
        assert_eq!(
            state.as_str(),
            Key {
                state: state.clone(),
                ..key.clone()
            }
            .at_rest()
            .state
        );
    }
}

#[test]
fn each_noun_has_one_word_and_each_word_one_noun() {
    for noun in Noun::ALL {
        assert_eq!(Noun::parse(noun.as_str()), Some(noun));
    }
    assert_eq!(Noun::parse("Key"), None);
}

#[test]
fn the_trail_shows_all_that_a_key_may_do_where_until_when_and_who_made_it() {
    let mut world = World::new();
    let admin = world.admin();
    let key = world
        .held(
            &admin,
            wish(admin.owner).scopes(&["orders:*"]).life(Life::For(Span::days(9))),
        )
        .key;
    let shown = json!({
        "id": key.id,
        "owner": { "kind": "user", "id": admin.owner.uuid() },
        "kind": "standard",
        "access": { "only": ["orders:*"] },
        "bounds": { "networks": "any", "origins": "any", "audience": "any", "environment": null },
        "expiry": { "at": "2030-01-10T00:00:00Z" },
        "state": "active",
        "retiring_until": null,
        "about": {
            "name": "a key",
            "description": "",
            "metadata": {},
            "tags": [],
            "hint": key.about.hint,
        },
        "created_at": "2030-01-01T00:00:00Z",
        "created_by": { "key": admin.key },
        "revision": 1,
    });
    assert_eq!(Record::Key(Box::new(key)).view(), shown);
}

#[test]
fn what_is_stored_is_written_in_the_same_words_for_ever() {
    let at = NEW_YEAR;
    for (written, words) in [
        (json!(Access::Everything), json!("everything")),
        (json!(Expiry::Never), json!("never")),
        (json!(Maker::Setup), json!("setup")),
        (json!(Lifetime::Unlimited), json!("unlimited")),
        (json!(Lifetime::For(Span::days(90))), json!({ "for": "90d" })),
        (json!(Catalogue::Open), json!("open")),
        (json!(Standing::Good), json!("good")),
        (
            json!(Standing::Suspended { since: at }),
            json!({ "suspended": { "since": "2030-01-01T00:00:00Z" } }),
        ),
        (json!(MemberRight::ManageKeys), json!("manage_keys")),
        (json!(MemberRight::Belong), json!("belong")),
        (
            json!(State::Revoked {
                at,
                cause: cause("leaked"),
            }),
            json!({ "revoked": { "at": "2030-01-01T00:00:00Z", "cause": "leaked" } }),
        ),
        (
            json!(Outcome::Refused { code: "no".to_owned() }),
            json!({ "outcome": "refused", "code": "no" }),
        ),
    ] {
        assert_eq!(written, words);
    }
    let mut policy = json!(World::new().project.policy);
    policy.as_object_mut().unwrap().remove("tokens");
    let older: Policy = serde_json::from_value(policy).unwrap();
    assert_eq!(
        older.tokens,
        TokenPolicy::default(),
        "a policy from before there were tokens"
    );
}
