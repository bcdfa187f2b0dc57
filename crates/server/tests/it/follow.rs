//! Several keepers on one store: what one does the others know, or they say that they cannot know.

use std::sync::Arc;
use std::time::Duration;

use keyholt_core::amend::Amendment;
use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::text::Name;
use keyholt_core::time::Span;
use keyholt_core::verify::Ask;
use keyholt_server::keeper::{Background, Counting, Inadmissible, Question, Refusal, Unauthenticated};
use keyholt_store::{Fault, Limit};

use crate::house::{Held, House, Wishes, refusal, source, wish};
use crate::relay::{Relay, Stage};

/// Two keepers on one store, each with its own line to it.
struct Pair {
    here: House,
    there: House,
    heres_line: Arc<Stage>,
    theres_line: Arc<Stage>,
    relay: Relay,
}

impl Pair {
    async fn open() -> Self {
        let relay = Relay::new();
        let (heres_line, theres_line) = (relay.shared(), relay.shared());
        let here = House::open_on(heres_line.clone()).await;
        let there = here.beside(theres_line.clone()).await;
        Self {
            here,
            there,
            heres_line,
            theres_line,
            relay,
        }
    }

    async fn key(&self) -> Held {
        let alice = self.here.user("alice").await;
        let key = wish(Owner::User(alice.id), "key").scopes(&["orders:read"]);
        self.here.issue(key).await
    }
}

#[tokio::test]
async fn what_one_does_the_other_knows_after_catching_up() {
    let pair = Pair::open().await;
    let (here, there) = (&pair.here, &pair.there);
    let (olga, project) = (here.olga(), here.project());
    let key = pair.key().await;
    let owner = key.key.owner;
    assert_eq!(there.code(&key.secret, &[]), "unknown", "it was not told yet");
    let told = async |expected: &str| {
        there.keeper.catch_up().await.unwrap();
        assert_eq!(there.code(&key.secret, &["orders:read"]), expected);
        assert_eq!(here.code(&key.secret, &["orders:read"]), expected);
    };
    told("valid").await;
    here.suspend(key.id()).await;
    told("suspended").await;
    here.resume(key.id()).await;
    here.keeper
        .suspend_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    told("owner_suspended").await;
    here.keeper
        .resume_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    here.keeper.suspend_project(&olga, project, None, None).await.unwrap();
    told("project_suspended").await;
    here.keeper.resume_project(&olga, project, None, None).await.unwrap();
    here.role_means("member", &["reports:read"]).await;
    told("insufficient_scope").await;
    here.role_means("member", &["*"]).await;
    told("valid").await;
    let new = here.rotate(key.id(), Grace::For(Span::hours(1))).await;
    there.keeper.catch_up().await.unwrap();
    assert_eq!(there.code(&new.secret, &["orders:read"]), "valid");
    assert_eq!(
        there.verdict(&key.secret, &[])["warnings"][0]["code"],
        "superseded_secret"
    );
    here.remove(owner).await;
    there.keeper.catch_up().await.unwrap();
    assert_eq!(there.code(&new.secret, &[]), "revoked");
    here.delete(key.id()).await;
    there.keeper.catch_up().await.unwrap();
    assert_eq!(there.code(&new.secret, &[]), "unknown");
}

#[tokio::test]
async fn a_view_that_is_too_old_gives_no_verdict_at_all() {
    let pair = Pair::open().await;
    let key = pair.key().await;
    let there = &pair.there;
    let verifier = pair.here.verifier().await;
    there.keeper.catch_up().await.unwrap();
    let (olga, project) = (there.olga(), there.project());
    let admitted = there.keeper.verifier(&verifier.secret, None).unwrap();

    there.advance(Span::secs(2));
    assert!(there.keeper.is_fresh());
    assert_eq!(there.code(&key.secret, &[]), "valid");
    there.advance(Span::millis(1));
    assert!(!there.keeper.is_fresh());
    let question = |credential| Question {
        credential,
        ask: Ask::default(),
        counting: Counting::Counted,
    };
    for secret in [&key.secret, "acme-nonsense-nonsense"] {
        let asked = there.keeper.verify(project, &question(secret), |_| panic!("a verdict"));
        assert!(matches!(refusal(asked), Refusal::CannotKnow));
        let explained = there
            .keeper
            .explain(&olga, project, &question(secret), |_, _| panic!("a verdict"));
        assert!(matches!(refusal(explained), Refusal::CannotKnow));
        let actor = there.keeper.authenticate(secret, source()).map(drop);
        assert_eq!(actor, Err(Unauthenticated::CannotKnow));
        let found = there.keeper.find_key(&olga, project, secret).await;
        assert!(matches!(refusal(found), Refusal::CannotKnow));
    }
    assert_eq!(there.keeper.admit(&admitted).unwrap_err(), Inadmissible::CannotKnow);
    let judged = there.keeper.validity(&olga, project, key.id()).await;
    assert!(matches!(refusal(judged), Refusal::CannotKnow));
    assert!(matches!(refusal(there.keeper.ready().await), Refusal::CannotKnow));

    there.keeper.catch_up().await.unwrap();
    assert_eq!(there.code(&key.secret, &[]), "valid");
    assert!(there.keeper.admit(&admitted).is_ok());
    there.keeper.ready().await.unwrap();
}

#[tokio::test]
async fn a_keeper_cut_off_from_the_store_stops_answering_before_it_can_be_wrong() {
    let pair = Pair::open().await;
    let key = pair.key().await;
    pair.there.keeper.catch_up().await.unwrap();
    pair.theres_line.fail(Fault::FeedUnavailable);
    pair.here.revoke(key.id(), "leaked").await;
    // For two seconds it may not know; that is what a caller waits for who wants to be sure.
    for _ in 0..20 {
        assert!(pair.there.keeper.catch_up().await.is_err());
        pair.there.advance(Span::millis(100));
    }
    assert_eq!(pair.there.code(&key.secret, &[]), "valid");
    pair.there.advance(Span::millis(1));
    assert!(!pair.there.keeper.is_fresh());
    pair.theres_line.fail(Fault::None);
    pair.there.keeper.catch_up().await.unwrap();
    assert_eq!(pair.there.code(&key.secret, &[]), "revoked");
}

#[tokio::test]
async fn what_a_keeper_did_itself_is_not_read_back() {
    let pair = Pair::open().await;
    let key = pair.key().await;
    pair.here.rotate(key.id(), Grace::Default).await;
    let stranger = pair.here.actor(&key.secret);
    let refused = pair
        .here
        .keeper
        .found_project(&stranger, crate::house::charter("evil"))
        .await;
    assert!(refused.is_err(), "an attempt is a commit too");
    pair.here.suspend(key.id()).await;
    let reads = |line: &Stage| line.calls_of("key") + line.calls_of("record");
    let before = reads(&pair.heres_line);
    pair.here.keeper.catch_up().await.unwrap();
    assert_eq!(reads(&pair.heres_line), before);

    // The other one reads what it did not know, and that once.
    let before = reads(&pair.theres_line);
    pair.there.keeper.catch_up().await.unwrap();
    let read = reads(&pair.theres_line) - before;
    assert!(read > 0);
    pair.there.keeper.catch_up().await.unwrap();
    assert_eq!(reads(&pair.theres_line), before + read);
}

#[tokio::test]
async fn commits_of_both_are_known_to_both_in_whatever_order_they_came() {
    let pair = Pair::open().await;
    let key = pair.key().await;
    let mut keys = vec![key.clone()];
    for n in 0..10 {
        let house = if n % 2 == 0 { &pair.here } else { &pair.there };
        house.keeper.catch_up().await.unwrap();
        keys.push(house.issue(wish(key.key.owner, &format!("k{n}")).scopes(&[])).await);
    }
    for house in [&pair.here, &pair.there] {
        house.keeper.catch_up().await.unwrap();
        assert!(keys.iter().all(|key| house.code(&key.secret, &[]) == "valid"));
    }
}

#[tokio::test]
async fn more_commits_than_one_answer_holds_are_caught_up_with_at_once() {
    let pair = Pair::open().await;
    let key = pair.key().await;
    for n in 0..usize::from(Limit::MOST) {
        let rename = Amendment {
            name: Some(Name::new(&format!("n{n}")).unwrap()),
            ..Amendment::default()
        };
        pair.here.amend(key.id(), rename).await.unwrap();
    }
    pair.here.revoke(key.id(), "over").await;
    pair.there.keeper.catch_up().await.unwrap();
    assert_eq!(pair.there.code(&key.secret, &[]), "revoked");
}

#[tokio::test]
async fn a_change_that_another_keeper_got_in_front_of_is_tried_again() {
    let pair = Pair::open().await;
    let alice = pair.here.user("alice").await;
    pair.there.keeper.catch_up().await.unwrap();
    let owner = Owner::User(alice.id);
    let (olga, project) = (pair.here.olga(), pair.here.project());
    pair.here
        .keeper
        .suspend_owner(&olga, project, owner, None, None)
        .await
        .unwrap();
    // The other one still believes that she is at revision 1.
    let rename = |record: &mut keyholt_core::commit::Record| {
        if let keyholt_core::commit::Record::User(user) = record {
            user.name = Name::new("Alice Liddell").unwrap();
        }
        Ok(())
    };
    let renamed = pair
        .there
        .keeper
        .change_owner(&pair.there.olga(), project, owner, None, &rename)
        .await
        .unwrap();
    assert_eq!(renamed.revision().number(), 3);
    let keyholt_core::commit::Record::User(renamed) = renamed.as_ref() else {
        panic!("a user")
    };
    assert!(!renamed.standing.is_good(), "what the first one did is kept");
}

#[tokio::test]
async fn a_deleted_key_does_not_come_back_with_an_answer_that_was_late() {
    let relay = Relay::new();
    let house = Arc::new(House::open_on(relay.lone()).await);
    let alice = house.user("alice").await;
    let key = house.issue(wish(Owner::User(alice.id), "key").scopes(&[])).await;

    let late = relay.answer_the_next_commit_late();
    let amending = {
        let (house, id) = (Arc::clone(&house), key.id());
        tokio::spawn(async move {
            let rename = Amendment {
                name: Some(Name::new("late").unwrap()),
                ..Amendment::default()
            };
            house.amend(id, rename).await.is_ok()
        })
    };
    late.ready.await.unwrap();
    house.delete(key.id()).await;
    assert_eq!(house.code(&key.secret, &[]), "unknown");
    late.answer.send(()).unwrap();
    assert!(amending.await.unwrap());
    assert_eq!(house.code(&key.secret, &[]), "unknown");
    assert!(
        house
            .keeper
            .key(&house.olga(), house.project(), key.id())
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_deleted_key_does_not_come_back_with_a_read_that_was_late() {
    let pair = Pair::open().await;
    let key = pair.key().await;
    pair.there.keeper.catch_up().await.unwrap();
    pair.here.rotate(key.id(), Grace::Default).await;

    let late = pair.relay.answer_the_next_key_late();
    let following = {
        let keeper = Arc::clone(&pair.there.keeper);
        tokio::spawn(async move { keeper.catch_up().await.is_ok() })
    };
    late.ready.await.unwrap();
    pair.there.delete(key.id()).await;
    late.answer.send(()).unwrap();
    assert!(following.await.unwrap());
    assert_eq!(pair.there.code(&key.secret, &[]), "unknown");
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_leave_a_change_half_done() {
    let relay = Relay::new();
    let house = Arc::new(House::open_on(relay.lone()).await);
    let alice = house.user("alice").await;
    let key = house.issue(wish(Owner::User(alice.id), "key").scopes(&[])).await;
    let late = relay.answer_the_next_commit_late();
    let revoking = {
        let (house, id) = (Arc::clone(&house), key.id());
        tokio::spawn(async move { house.revoke(id, "leaked").await })
    };
    late.ready.await.unwrap();
    revoking.abort();
    assert!(revoking.await.unwrap_err().is_cancelled());
    late.answer.send(()).unwrap();
    // The task that finishes the change needs a turn, and no more than that.
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
    assert_eq!(house.code(&key.secret, &[]), "revoked");
    assert!(house.keeper.is_fresh());
}

#[tokio::test(start_paused = true)]
async fn in_the_background_a_keeper_follows_the_others_within_a_tick() {
    let pair = Pair::open().await;
    let background = Background {
        flush_every: Duration::from_secs(10),
    };
    let following = tokio::spawn(background.run(Arc::clone(&pair.there.keeper)));
    let key = pair.key().await;
    tokio::time::sleep(Duration::from_millis(51)).await;
    assert_eq!(pair.there.code(&key.secret, &[]), "valid");
    pair.here.revoke(key.id(), "leaked").await;
    tokio::time::sleep(Duration::from_millis(51)).await;
    assert_eq!(pair.there.code(&key.secret, &[]), "revoked");
    following.abort();
}

#[tokio::test(start_paused = true)]
async fn a_keeper_alone_asks_nobody() {
    let relay = Relay::new();
    let line = relay.lone();
    let house = House::open_on(line.clone()).await;
    let background = Background {
        flush_every: Duration::from_secs(10),
    };
    let working = tokio::spawn(background.run(Arc::clone(&house.keeper)));
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(line.calls_of("feed"), 0);
    house.advance(Span::days(1));
    assert!(house.keeper.is_fresh());
    working.abort();
}

#[tokio::test]
async fn a_keeper_that_starts_later_knows_everything_at_once() {
    let pair = Pair::open().await;
    let key = pair.key().await;
    pair.here.revoke(key.id(), "leaked").await;
    let line = pair.relay.shared();
    let late = pair.here.beside(line.clone()).await;
    assert_eq!(late.code(&key.secret, &[]), "revoked");
    let before = line.calls();
    late.keeper.catch_up().await.unwrap();
    assert_eq!(line.calls() - before, 1, "the feed has nothing new");
}
