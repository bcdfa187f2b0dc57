//! Whether a token is made, and what it claims.

use std::collections::BTreeMap;

use keyholt_core::actor::{Subject as About, WriteSessions};
use keyholt_core::audit::Noun;
use keyholt_core::key::{Allowed, Bounds};
use keyholt_core::owner::Standing;
use keyholt_core::scope::SCOPES_MAX;
use keyholt_core::text::Metadata;
use keyholt_core::token::{
    ACTORS_MAX, COMPONENT_STARTED, EXTRA_BYTES_MAX, RESERVED_CLAIMS, TOKEN_BYTES_MAX, component_started,
    default_audience, extra_claims,
};

use super::*;
use crate::support::{only, scope};

#[test]
fn a_token_says_which_key_it_hangs_on_whom_it_acts_for_and_what_for() {
    let mut backend = Backend::new();
    let token = backend.token();
    assert_eq!((token.project, token.parent), (backend.key.project, backend.key.id));
    assert_eq!(
        (token.owner, token.owner_handle.as_str()),
        (backend.key.owner, "billing")
    );
    assert_eq!(token.generation.map(Generation::number), Some(7));
    assert_eq!(token.access, only(&["orders:*", "users:read"]));
    assert_eq!(token.scope_text(), "orders:* users:read");
    assert_eq!(token.audience, audience(ISSUER));
    assert_eq!((token.issued_at, token.actors.len()), (NEW_YEAR, 0));
    assert_eq!(token.hands_on, None, "its key alone decides what is made with it");
    assert_eq!(token.id.minted_at(), NEW_YEAR);
    assert_ne!(backend.token().id, token.id);
}

#[test]
fn a_token_is_about_its_client_its_owner_or_whom_another_token_was_about() {
    let mut backend = Backend::new();
    for (subject, said) in [
        (Subject::Client, backend.key.id.to_string()),
        (Subject::Owner, backend.key.owner.uuid().to_string()),
        (Subject::As("ada".to_owned()), "ada".to_owned()),
    ] {
        let token = backend.mint(TokenWish { subject, ..wish() }).unwrap();
        assert_eq!(token.subject, said);
    }
}

#[test]
fn what_a_token_claims_is_read_back() {
    let mut backend = Backend::new();
    let actors = vec!["agent".to_owned(), "gateway".to_owned()];
    let token = Token {
        hands_on: Some(Span::hours(1)),
        ..backend
            .mint(TokenWish {
                actors: actors.clone(),
                ..wish()
            })
            .unwrap()
    };
    assert_eq!(token.actors, actors);
    let written = token.claims(ISSUER, &BTreeMap::new());
    let claims: BTreeMap<String, serde_json::Value> = serde_json::from_str(&written).unwrap();
    let foreign = claims.keys().find(|name| !RESERVED_CLAIMS.contains(&name.as_str()));
    assert_eq!(
        (claims.len(), foreign),
        (13, None),
        "metadata must not take the place of any"
    );
    assert_eq!(Token::read(written.as_bytes(), backend.key.project, ISSUER), Ok(token));
}

#[test]
fn no_token_has_more_scopes_than_its_key() {
    let mut backend = Backend::new();
    let mut asked = |texts: &[&str]| {
        let wished = TokenWish {
            scopes: Wished::Only(scopes(texts)),
            ..wish()
        };
        backend.mint(wished).map(|token| token.access)
    };
    assert_eq!(asked(&["orders:read"]), Ok(only(&["orders:read"])));
    assert_eq!(asked(&[]), Ok(only(&[])));
    let beyond = MintError::Scope {
        scope: scope("users:write"),
    };
    assert_eq!(asked(&["orders:read", "users:write"]), Err(beyond));
}

#[test]
fn no_token_has_more_scopes_than_a_request_can_carry() {
    let asked = |count: usize, bytes: usize| {
        let mut backend = Backend::with(&["*"]);
        let texts: Vec<String> = (0..count).map(|at| format!("{at:a>bytes$}")).collect();
        let scopes = ScopeSet::parse(texts.iter().map(String::as_str)).unwrap();
        let wished = TokenWish {
            scopes: Wished::Only(scopes),
            ..wish()
        };
        backend.mint(wished).map(|token| token.scopes().len())
    };
    assert_eq!(asked(SCOPES_MAX, 15), Ok(SCOPES_MAX), "4096 bytes with the spaces");
    assert_eq!(asked(SCOPES_MAX, 16), Err(MintError::TooManyScopes));

    // Of a key and an owner that each name many, more meet than are named anywhere.
    let many: Vec<String> = (0..20).map(|at| format!("a:{at}")).collect();
    let mut backend = Backend::with(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let places: Vec<String> = (0..20).map(|at| format!("*@{at}")).collect();
    backend.permissions = ScopeSet::parse(places.iter().map(String::as_str)).unwrap();
    assert_eq!(backend.mint(wish()), Err(MintError::TooManyScopes));
}

#[test]
fn the_largest_token_that_is_made_is_not_too_long_to_be_looked_at() {
    let mut backend = Backend::with(&["*"]);
    let texts: Vec<String> = (0..SCOPES_MAX).map(|at| format!("{at:a>15}")).collect();
    let wished = TokenWish {
        scopes: Wished::Only(ScopeSet::parse(texts.iter().map(String::as_str)).unwrap()),
        audience: Some(audience(&"x".repeat(Audience::MOST))),
        actors: vec![backend.key.id.to_string(); ACTORS_MAX],
        ..wish()
    };
    let token = backend.mint(wished).unwrap();
    let extra = BTreeMap::from([("plan".to_owned(), "x".repeat(EXTRA_BYTES_MAX).into())]);
    // Header, claims and the longest signature, RSA's, in base64.
    let bytes = [64, token.claims(ISSUER, &extra).len(), 256].map(|part| part.div_ceil(3) * 4 + 1);
    assert!(bytes.iter().sum::<usize>() <= TOKEN_BYTES_MAX, "{bytes:?}");
}

#[test]
fn a_token_lives_as_long_as_asked_within_what_is_allowed() {
    let mut backend = Backend::new();
    backend.world.project.policy.tokens.default_lifetime = Span::secs(300);
    let mut life = |lifetime, longest: u64| {
        backend.longest = Span::secs(longest);
        let minted = backend.mint(TokenWish { lifetime, ..wish() });
        minted.map(|token| token.expires_at.since(NEW_YEAR))
    };
    assert_eq!(life(None, 900), Ok(Span::secs(300)));
    assert_eq!(life(None, 60), Ok(Span::secs(60)), "a default beyond the limit is cut");
    assert_eq!(life(Some(Span::secs(900)), 900), Ok(Span::secs(900)));
    let longest = Span::secs(900);
    let over = Some(Span::millis(900_001));
    assert_eq!(life(over, 900), Err(MintError::TooLong { longest }));
    assert_eq!(life(Some(Span::millis(1_000)), 900), Ok(Span::secs(1)));
    assert_eq!(life(Some(Span::millis(999)), 900), Err(MintError::TooShort));
}

#[test]
fn a_token_outlives_neither_its_key_nor_the_secret_that_was_shown_for_it() {
    let mut backend = Backend::new();
    let after = |secs| Expiry::At(NEW_YEAR.plus(Span::secs(secs)));
    for (key, shown, ends) in [
        (after(100), Expiry::Never, 100),
        (Expiry::Never, after(50), 50),
        (after(100), after(50), 50),
        (after(50), after(100), 50),
        (Expiry::Never, Expiry::Never, 300),
        (after(1_000), after(1_000), 300),
    ] {
        backend.key.expiry = key;
        backend.ends = shown;
        assert_eq!(
            backend.token().expires_at,
            NEW_YEAR.plus(Span::secs(ends)),
            "{key:?} {shown:?}"
        );
    }
}

#[test]
fn a_token_counts_in_whole_seconds_and_the_earlier_one_where_it_falls_between_two() {
    let mut backend = Backend::new();
    backend.world.later(Span::millis(1_999));
    let token = backend.token();
    assert_eq!(token.issued_at, NEW_YEAR.plus(Span::secs(1)));
    assert_eq!(token.expires_at, NEW_YEAR.plus(Span::secs(301)));
}

#[test]
fn only_so_many_act_for_one_another() {
    let mut backend = Backend::new();
    let mut acting = |count| {
        let actors = vec!["agent".to_owned(); count];
        backend
            .mint(TokenWish { actors, ..wish() })
            .map(|token| token.actors.len())
    };
    assert_eq!(acting(ACTORS_MAX), Ok(ACTORS_MAX));
    assert_eq!(acting(ACTORS_MAX + 1), Err(MintError::TooManyActors));
}

#[test]
fn a_token_is_for_whom_is_asked_for_as_far_as_the_key_is_meant_for_them() {
    let (orders, users) = (audience("https://orders.example"), audience("https://users.example"));
    let mut backend = Backend::new();
    let mut meant = |bound: &[&Audience], asked: Option<&Audience>| {
        backend.key.bounds.audience = match bound {
            [] => Allowed::Any,
            some => Allowed::only(some.iter().copied().cloned().collect()).unwrap(),
        };
        let wished = TokenWish {
            audience: asked.cloned(),
            ..wish()
        };
        backend.mint(wished).map(|token| token.audience)
    };
    assert_eq!(meant(&[], Some(&orders)), Ok(orders.clone()));
    assert_eq!(meant(&[], None), Ok(audience(ISSUER)));
    assert_eq!(meant(&[&orders], None), Ok(orders.clone()), "it is meant for one alone");
    assert_eq!(meant(&[&orders, &users], Some(&users)), Ok(users.clone()));
    assert_eq!(meant(&[&orders, &users], None), Err(MintError::Audience));
    assert_eq!(meant(&[&orders], Some(&users)), Err(MintError::Audience));
}

#[test]
fn whom_a_token_is_for_that_names_nobody_is_what_the_project_says_or_the_issuer() {
    let mut policy = World::new().project.policy.tokens;
    assert_eq!(default_audience(&policy, ISSUER), Some(audience(ISSUER)));
    policy.audience = Some(audience("https://api.example"));
    assert_eq!(default_audience(&policy, ISSUER), Some(audience("https://api.example")));
}

#[test]
fn a_token_carries_what_the_project_allows_of_its_keys_metadata() {
    let mut policy = World::new().project.policy.tokens;
    let metadata = |members: &[(&str, &str)]| {
        let members = members.iter().map(|(name, value)| (name.to_string(), (*value).into()));
        Metadata::new(members.collect()).unwrap()
    };
    let carried = |policy: &_, metadata: &_| extra_claims(policy, metadata).into_keys().collect::<Vec<_>>();
    let about = metadata(&[("plan", "gold"), ("region", "eu"), ("scope", "*")]);
    assert!(
        carried(&policy, &about).is_empty(),
        "nothing unless the project says so"
    );
    policy.claims = ["plan", "scope"].map(str::to_owned).into();
    assert_eq!(carried(&policy, &about), ["plan"], "and never a claim of our own");
    assert!(RESERVED_CLAIMS.contains(&"scope"));
    assert_eq!(extra_claims(&policy, &about)["plan"], "gold");

    // A name of four letters, a value in its quotes.
    for (length, there) in [(1018, true), (1019, false)] {
        let about = metadata(&[("plan", &"x".repeat(length))]);
        assert_eq!(carried(&policy, &about).len() == 1, there, "{length} characters");
    }
    policy.claims = ["a", "b"].map(str::to_owned).into();
    let two = metadata(&[("a", &"x".repeat(600)), ("b", &"x".repeat(600))]);
    assert_eq!(carried(&policy, &two), ["a"], "there is room for one of them");
}

#[test]
fn a_component_session_acts_for_its_user_in_the_name_of_the_back_end() {
    let mut backend = Backend::with(&["orders:*", "keyholt:sessions:write"]);
    let ada = backend.world.user(&["orders:read", "users:read"]);
    let permissions = backend.world.permissions(ada).into_owned();
    let bearer = Bearer {
        permissions: &permissions,
        standing: Standing::Good,
    };
    let wished = ComponentWish {
        keys_last_at_most: Some(Span::millis(90_999)),
        ..component_wish()
    };
    let token = backend.lend(ada, bearer, wished).unwrap();
    assert_eq!((token.parent, token.owner), (backend.key.id, ada));
    assert_eq!(token.subject, ada.uuid().to_string());
    assert_eq!(token.actors, [backend.key.id.to_string()]);
    let common = ["keyholt:self:read", "keyholt:self:write", "orders:read"];
    assert_eq!(
        token.access,
        only(&common),
        "what both may do, and what everybody may with their own"
    );
    assert_eq!(
        token.hands_on,
        Some(Span::secs(90)),
        "whole seconds, as the claim has them"
    );

    let named = ComponentWish {
        scopes: Wished::Only(scopes(&["orders:write"])),
        audience: Some(audience("https://shop.example")),
        lifetime: Some(Span::secs(60)),
        keys_last_at_most: None,
    };
    let beyond = MintError::Scope {
        scope: scope("orders:write"),
    };
    assert_eq!(backend.lend(ada, bearer, named.clone()), Err(beyond), "Ada may not");
    let named = ComponentWish {
        scopes: Wished::Only(scopes(&["orders:read"])),
        ..named
    };
    let token = backend.lend(ada, bearer, named).unwrap();
    assert_eq!(token.access, only(&["orders:read"]));
    assert_eq!(token.audience, audience("https://shop.example"));
    assert_eq!(token.expires_at, NEW_YEAR.plus(Span::secs(60)));
    assert_eq!(token.hands_on, None);
}

#[test]
fn a_back_end_that_may_hand_out_no_sessions_lends_nothing() {
    let mut backend = Backend::with(&["orders:*", "keyholt:keys:*"]);
    let ada = backend.world.user(&["orders:read"]);
    let permissions = backend.world.permissions(ada).into_owned();
    let bearer = Bearer {
        permissions: &permissions,
        standing: Standing::Good,
    };
    let token = backend.lend(ada, bearer, component_wish()).unwrap();
    assert_eq!(token.access, only(&[]));
}

#[test]
fn the_start_of_a_component_session_is_told_with_what_it_may_do_and_until_when() {
    let mut backend = Backend::with(&["orders:*", "keyholt:sessions:write"]);
    let machine = backend.world.machine(&["keyholt:sessions:write"]);
    let token = Token {
        hands_on: Some(Span::hours(1)),
        ..backend.token()
    };
    let leave = machine
        .permit::<WriteSessions>(backend.key.project, About::Project)
        .unwrap();
    let commit = component_started(&leave, &token, NEW_YEAR);
    assert!(commit.changes().is_empty(), "the token itself is kept nowhere");
    let event = commit.event();
    assert_eq!((event.action.as_str(), event.at), (COMPONENT_STARTED, NEW_YEAR));
    assert_eq!(
        (event.target.noun, event.target.id),
        (Noun::Token, Some(token.id.uuid()))
    );
    assert_eq!((event.project, event.owner), (token.project, Some(token.owner)));
    assert_eq!(event.actor.map(|actor| actor.key), Some(machine.key));
    let told = serde_json::json!({
        "access": {"only": ["keyholt:sessions:write", "orders:*"]},
        "audience": ISSUER,
        "expires_at": "2030-01-01T00:05:00Z",
        "keys_last_at_most": "1h",
    });
    assert_eq!(event.after, Some(told));
}

#[test]
fn a_token_is_bound_to_its_audience_and_to_nothing_else() {
    let token = Backend::new().token();
    let bound = |to: &str| Bounds {
        audience: Allowed::only(vec![audience(to)]).unwrap(),
        ..Bounds::default()
    };
    assert_eq!(token.bounds, bound(ISSUER));
    let aimed = token.clone().aimed_at(audience("https://orders.example"));
    assert_eq!(aimed.audience, audience("https://orders.example"));
    assert_eq!(aimed.bounds, bound("https://orders.example"));
    assert_eq!(
        Token {
            audience: token.audience.clone(),
            bounds: token.bounds.clone(),
            ..aimed
        },
        token,
        "the same token otherwise"
    );
}
