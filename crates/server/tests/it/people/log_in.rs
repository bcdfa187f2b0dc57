//! Log-in: who comes in, what the session may do, and how alike all refusals are.

use std::collections::BTreeSet;
use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use keyholt_core::actor::{Subject, WriteOwners};
use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::key::Kind;
use keyholt_core::owner::Owner;
use keyholt_core::password::{self, HashText};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::Email;
use keyholt_core::time::Span;
use keyholt_server::keeper::Refusal;
use keyholt_store::{KeyQuery, Write};
use rustix::time::{ClockId, clock_gettime};
use serde_json::json;

use super::{KETTLE, STAPLE, in_cookie, only, tokens, typed};
use crate::house::{House, master, source};
use crate::wire::Wire;

#[tokio::test]
async fn somebody_logs_in_by_name_or_by_e_mail() {
    let house = House::open().await;
    let mut ada = house.new_user(house.project(), "ada", &["member"]);
    ada.email = Some(Email::new("Ada@Example.org").unwrap());
    house.enrol(Record::User(ada.clone())).await;
    house.give_password(&ada, STAPLE).await;
    for login in ["ada", " ada ", "Ada@Example.org", "ada@example.ORG"] {
        let session = house.log_in(login, STAPLE, tokens()).await.unwrap().session;
        assert_eq!(
            (session.owner, session.kind),
            (Owner::User(ada.id), Kind::Session),
            "{login}"
        );
    }
    let trail = house.trail().await;
    assert_eq!(trail[0], "session.start");
    let events = house.events(house.project()).await;
    assert_eq!(
        events[0].actor.unwrap().owner,
        Owner::User(ada.id),
        "who logs in acts for herself"
    );
}

#[tokio::test]
async fn an_e_mail_address_of_two_is_nobodys() {
    let house = House::open().await;
    for name in ["ada", "eve"] {
        let mut user = house.new_user(house.project(), name, &["member"]);
        user.email = Some(Email::new("shared@example.org").unwrap());
        house.enrol(Record::User(user.clone())).await;
        house.give_password(&user, STAPLE).await;
    }
    let refused = house.log_in("shared@example.org", STAPLE, tokens()).await;
    assert!(matches!(refused, Err(Refusal::LogIn)));
    assert!(house.log_in("ada", STAPLE, tokens()).await.is_ok());
}

#[tokio::test]
async fn operators_log_in_to_keyholts_own_project() {
    let house = House::open().await;
    let olga = house.olga();
    let Record::User(user) = house
        .keeper
        .owner(&olga, olga.home, olga.owner)
        .unwrap()
        .as_ref()
        .clone()
    else {
        panic!("an operator is a user");
    };
    house.give_password(&user, STAPLE).await;
    let logged_in = house
        .keeper
        .log_in(olga.home, "olga", &typed(STAPLE), in_cookie(), source())
        .await
        .unwrap();
    let cookie = logged_in.secret.reveal();
    crate::house::canary(&cookie);
    let actor = house.keeper.authenticate_cookie(&cookie, source()).unwrap();
    assert!(actor.is_operator());
    // Neither that session nor her password is the way in that lasts: her key stays the last one.
    let own = house.keeper.revoke_own_key(&olga, crate::acts::cause("lost")).await;
    assert!(own.is_err(), "the last operator's key cannot end");
}

#[tokio::test]
async fn unknown_wrong_and_suspended_are_one_answer() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    house.user("bob").await;
    let nobodys = keyholt_core::id::ProjectId::from_uuid(uuid::Uuid::nil());
    let told =
        async |login: &str, password: &str| house.log_in(login, password, tokens()).await.err().unwrap().to_string();
    let unknown = told("nobody", STAPLE).await;
    assert_eq!(told("ada", KETTLE).await, unknown, "a wrong password");
    assert_eq!(told("bob", STAPLE).await, unknown, "a user without a password");
    house
        .keeper
        .suspend_owner(&house.olga(), house.project(), Owner::User(ada.id), None, None)
        .await
        .unwrap();
    assert_eq!(told("ada", STAPLE).await, unknown, "suspended, and the right password");
    let elsewhere = house
        .keeper
        .log_in(nobodys, "ada", &typed(STAPLE), tokens(), source())
        .await;
    assert_eq!(
        elsewhere.err().unwrap().to_string(),
        unknown,
        "a project that does not exist"
    );
    // What the caller is not told stands in the audit trail.
    let refused = |code: &str| format!("session.start refused: {code}");
    let trail = house.trail().await;
    for code in ["unknown_login", "wrong_password", "no_password", "suspended"] {
        assert!(trail.contains(&refused(code)), "{code} in {trail:?}");
    }
    house
        .keeper
        .resume_owner(&house.olga(), house.project(), Owner::User(ada.id), None, None)
        .await
        .unwrap();
    assert!(house.log_in("ada", STAPLE, tokens()).await.is_ok());
}

/// Time that the processor has spent on the two threads on which everything of a test is done that has no more.
async fn spent() -> Duration {
    let here = || {
        let spent = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(
            spent.tv_sec.unsigned_abs(),
            spent.tv_nsec.unsigned_abs().try_into().unwrap(),
        )
    };
    here() + tokio::task::spawn_blocking(here).await.unwrap()
}

/// The same work, so the same time: that of the processor, for what a busy machine keeps waiting does not work meanwhile. It still
/// works at another pace from one moment to the next, so there are as many runs as it takes, up to a limit; what really takes
/// longer does so in every one.
#[test]
fn an_unknown_name_takes_as_long_as_a_wrong_password() {
    const RUNS_LEAST: usize = 15;
    const RUNS_MOST: usize = 80;
    let two_threads = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(1)
        .thread_keep_alive(Duration::from_secs(600))
        .build()
        .unwrap();
    two_threads.block_on(async {
        let house = House::open().await;
        house.person("ada").await;
        house.user("bob").await;
        let eve = house.person("eve").await;
        house
            .keeper
            .suspend_owner(&house.olga(), house.project(), Owner::User(eve.id), None, None)
            .await
            .unwrap();
        let mut cases = [
            ("a wrong password", "ada", KETTLE),
            ("no password", "bob", KETTLE),
            ("suspended", "eve", STAPLE),
            ("an unknown name", "nobody", KETTLE),
        ]
        .map(|(what, login, password)| (what, login, password, Vec::new()));
        for run in 1..=RUNS_MOST {
            // Of a name, ten are looked at in a quarter of an hour.
            house.advance(Span::secs(15 * 60));
            for (_, login, password, times) in &mut cases {
                let before = spent().await;
                let refused = house.log_in(login, password, tokens()).await;
                times.push(spent().await - before);
                assert!(matches!(refused, Err(Refusal::LogIn)), "{login}");
                times.sort_unstable();
            }
            let medians = cases.each_ref().map(|(.., times)| times[run / 2]);
            let (most, least) = (medians.iter().max().unwrap(), medians.iter().min().unwrap());
            if run >= RUNS_LEAST && most.as_micros() * 100 <= least.as_micros() * 105 {
                return;
            }
        }
        let medians = cases.map(|(what, .., times)| (what, times[RUNS_MOST / 2]));
        panic!("{medians:?}");
    });
}

#[tokio::test]
async fn a_log_in_may_be_for_reading_only() {
    let house = House::open().await;
    house
        .role_means("member", &["orders:*", "keyholt:self:read", "keyholt:self:write"])
        .await;
    house.person("ada").await;
    let wish = keyholt_core::session::Wish {
        access: only(&["orders:read", "keyholt:self:read", "users:read"]).access,
        ..in_cookie()
    };
    let session = house.log_in("ada", STAPLE, wish).await.unwrap();
    let actor = house.keeper.authenticate_cookie(&session.secret, source()).unwrap();
    let may: Vec<String> = actor.effective.iter().map(ToString::to_string).collect();
    assert_eq!(
        may,
        ["keyholt:self:read", "orders:read"],
        "what was asked for, within what the user may"
    );
    let made = house
        .keeper
        .issue_key(
            &actor,
            house.project(),
            crate::house::wish(actor.owner, "from a reading log-in"),
            None,
        )
        .await;
    assert!(matches!(made, Err(Refusal::Lacks { .. })), "{made:?}");
}

#[tokio::test]
async fn what_a_person_makes_outlives_the_log_in() {
    let house = House::open().await;
    house.role_means("member", &["orders:*", "keyholt:self:write"]).await;
    house.person("ada").await;
    let session = house.log_in("ada", STAPLE, in_cookie()).await.unwrap();
    let actor = house.keeper.authenticate_cookie(&session.secret, source()).unwrap();
    let wish = keyholt_core::issue::Wish {
        access: Access::Everything,
        ..crate::house::wish(actor.owner, "laptop")
    };
    let key = crate::house::held(
        house
            .keeper
            .issue_key(&actor, house.project(), wish, None)
            .await
            .unwrap(),
    );
    assert_eq!(key.key.created_by, keyholt_core::key::Maker::Key(session.session.id));
    house.advance(keyholt_core::time::Span::days(60));
    assert_eq!(house.code(&key.secret, &["orders:read"]), "valid");
    assert!(house.keeper.authenticate_cookie(&session.secret, source()).is_err());
}

#[tokio::test]
async fn a_session_is_no_key() {
    let house = House::open().await;
    let ada = house.person("ada").await;
    let by_token = house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let by_cookie = house.log_in("ada", STAPLE, in_cookie()).await.unwrap();
    let (olga, project) = (house.olga(), house.project());
    assert_eq!(house.named(KeyQuery::default()).await, Vec::<String>::new());
    for session in [&by_token, &by_cookie] {
        let (id, secret) = (session.session.id, session.secret.as_str());
        assert!(house.keeper.authenticate(secret, source()).is_err(), "not as Bearer");
        assert_eq!(house.code(secret, &[]), "unknown", "not to be verified");
        assert!(matches!(
            house.keeper.find_key(&olga, project, secret).await,
            Err(Refusal::NotFound(_))
        ));
        assert!(matches!(
            house.keeper.key(&olga, project, id).await,
            Err(Refusal::NotFound(_))
        ));
        assert!(
            house
                .try_rotate(id, keyholt_core::rotate::Grace::Default)
                .await
                .is_err()
        );
        let revoked = house
            .keeper
            .revoke_key(&olga, project, id, crate::acts::cause("x"), None)
            .await;
        assert!(matches!(revoked, Err(Refusal::NotFound(_))));
    }
    assert!(
        house.keeper.authenticate_cookie(&by_token.secret, source()).is_err(),
        "a token is no cookie"
    );
    assert!(house.refresh(&by_cookie.secret).await.is_err(), "a cookie is no token");
    assert_eq!(house.sessions_of(&ada).await.len(), 2);
}

#[tokio::test]
async fn over_the_wire_too_unknown_wrong_and_suspended_are_the_same_to_the_byte() {
    let house = House::open().await;
    house.person("ada").await;
    let eve = house.person("eve").await;
    house.user("bob").await;
    house
        .keeper
        .suspend_owner(&house.olga(), house.project(), Owner::User(eve.id), None, None)
        .await
        .unwrap();
    let wire = Wire::to(&house.keeper);
    let mut answers = BTreeSet::new();
    for (login, password) in [
        ("nobody", STAPLE),
        ("ada", KETTLE),
        ("bob", STAPLE),
        ("eve", STAPLE),
        ("eve", KETTLE),
    ] {
        let body = json!({"login": login, "password": password});
        let reply = wire.post("", "/v1/projects/acme/sessions", body).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "log_in_refused"),
            "{login}"
        );
        let request = reply.header("x-request-id").to_owned();
        let mut headers = reply.headers.clone();
        headers.remove("x-request-id");
        let text = String::from_utf8(reply.bytes).unwrap().replace(&request, "");
        answers.insert((format!("{headers:?}"), text));
    }
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[tokio::test]
async fn a_password_of_a_megabyte_is_refused_before_it_costs_anything() {
    let house = House::open().await;
    house.person("ada").await;
    let wire = Wire::to(&house.keeper);
    let before = house.commits().await;
    for (length, code) in [(1 << 20, "body_too_large"), (1_025, "invalid_fields")] {
        let body = json!({"login": "ada", "password": "x".repeat(length)});
        let reply = wire.post("", "/v1/projects/acme/sessions", body).await;
        assert_eq!(reply.code(), code, "{length} bytes");
    }
    assert_eq!(house.commits().await, before, "no password was looked at");
}

/// A hash at less than today's cost, as an older Keyholt would have kept it.
fn cheap_hash(password: &str) -> HashText {
    let params = Params::new(64, 1, 1, Some(32)).unwrap();
    let secret = master().password_secret();
    let argon2 = Argon2::new_with_secret(secret.as_ref(), Algorithm::Argon2id, Version::V0x13, params).unwrap();
    let (salt, mut hash) = ([5; 16], [0; 32]);
    argon2
        .hash_password_into(password.as_bytes(), &salt, &mut hash)
        .unwrap();
    let encode = |bytes: &[u8]| STANDARD_NO_PAD.encode(bytes);
    HashText::new(&format!(
        "$argon2id$v=19$m=64,t=1,p=1${}${}",
        encode(&salt),
        encode(&hash)
    ))
}

#[tokio::test]
async fn a_hash_of_less_than_today_s_cost_is_made_anew_when_its_user_logs_in() {
    let house = House::open().await;
    let ada = house.user("ada").await;
    let (olga, owner) = (house.olga(), Owner::User(ada.id));
    let permit = olga
        .permit::<WriteOwners>(house.project(), Subject::Owner(owner))
        .unwrap();
    let permissions = ScopeSet::default();
    let set = password::set(
        &permit,
        &ada,
        None,
        cheap_hash(STAPLE),
        &permissions,
        house.keeper.now(),
    )
    .unwrap();
    let write = Write::sealed(set, &master().sealer());
    house.store.commit(vec![write]).await.unwrap();
    let kept = async || {
        let stored = house
            .store
            .record(house.project(), Noun::Password, ada.id.uuid())
            .await
            .unwrap()
            .unwrap();
        let Record::Password(password) = stored.open(&master().sealer()).unwrap() else {
            panic!("a password");
        };
        password.hash.as_str().to_owned()
    };
    assert!(house.log_in("ada", KETTLE, tokens()).await.is_err());
    assert!(
        kept().await.contains("m=64,t=1,p=1"),
        "a wrong password makes nothing anew"
    );
    house.log_in("ada", STAPLE, tokens()).await.unwrap();
    let renewed = kept().await;
    assert!(renewed.contains("m=19456,t=2,p=1"), "{renewed}");
    house.log_in("ada", STAPLE, tokens()).await.unwrap();
    assert_eq!(kept().await, renewed, "once is enough");
    let events = house
        .store
        .events(house.project(), &crate::house::all_events())
        .await
        .unwrap();
    let rehashed = events
        .entries
        .iter()
        .filter(|entry| entry.event.action == "password.rehash");
    assert_eq!(rehashed.count(), 1);
}
