//! How a token is judged: by its key, as the key is now, made smaller.

use keyholt_core::denial::Denial;
use keyholt_core::key::Allowed;
use keyholt_core::owner::Standing;
use keyholt_core::text::Environment;
use keyholt_core::token::{Narrowed, Recall};
use keyholt_core::verify::{Ask, Form, Grant, Needed, Stopped, Verification, Warning, judge};

use super::*;
use crate::support::{only, wanted};

/// What a verifier for whom the token is learns about it.
fn told(parent: &Dossier<'_>, token: &Token, bearer: Option<Bearer<'_>>, ask: &Ask<'_>) -> Result<Grant, Denial> {
    let narrowed = Narrowed::new(parent, token, bearer, Recall::Standing);
    match judge(Some(&narrowed.dossier()), token.project, ask, NEW_YEAR) {
        Verification::Granted(grant) => Ok(grant),
        Verification::Denied(denial) => Err(denial),
    }
}

fn ask(scope: &'static str) -> Ask<'static> {
    Ask {
        scopes: Needed::One(wanted(scope)),
        audience: Some(ISSUER),
        ..Ask::default()
    }
}

fn lacking(scope: &'static str) -> Result<Grant, Denial> {
    Err(Denial::InsufficientScope {
        missing: scopes(&[scope]),
    })
}

#[test]
fn a_token_may_do_what_it_names_as_far_as_its_key_may_now() {
    let mut backend = Backend::new();
    let token = Token {
        access: only(&["orders:read"]),
        ..backend.token()
    };
    let answer = |backend: &Backend, scope| told(&backend.dossier(), &token, None, &ask(scope));
    let grant = answer(&backend, "orders:read").unwrap();
    assert_eq!((grant.key(), grant.owner()), (backend.key.id, backend.key.owner));
    assert_eq!(answer(&backend, "orders:write"), lacking("orders:write"), "its key may");
    backend.key.access = only(&["users:read"]);
    assert_eq!(
        answer(&backend, "orders:read"),
        lacking("orders:read"),
        "its key may not any more"
    );
    backend.key.access = only(&["orders:*"]);
    backend.permissions = scopes(&["users:*"]);
    assert_eq!(
        answer(&backend, "orders:read"),
        lacking("orders:read"),
        "nor may its owner"
    );
}

#[test]
fn a_token_is_good_for_its_audience_and_for_nobody_else() {
    let mut backend = Backend::new();
    let token = backend.token();
    let other = "https://orders.example";
    let aimed = token.clone().aimed_at(audience(other));
    for (token, audience, good) in [
        (&token, Some(ISSUER), true),
        (&token, Some(other), false),
        (&token, None, false),
        (&aimed, Some(other), true),
        (&aimed, Some(ISSUER), false),
    ] {
        let ask = Ask {
            audience,
            ..Ask::default()
        };
        let answer = told(&backend.dossier(), token, None, &ask);
        assert_eq!(answer.is_ok(), good, "{audience:?}: {answer:?}");
        assert!(good || answer == Err(Denial::AudienceNotAllowed));
    }
}

#[test]
fn where_a_key_works_its_tokens_work_and_nowhere_else() {
    let mut backend = Backend::new();
    let token = backend.token();
    let home = Ask {
        audience: Some(ISSUER),
        address: Some("10.1.2.3".parse().unwrap()),
        environment: Some("live"),
        ..Ask::default()
    };
    backend.key.bounds.networks = Allowed::only(vec!["10.0.0.0/8".parse().unwrap()]).unwrap();
    backend.key.bounds.environment = Some(Environment::new("live").unwrap());
    let answer = |backend: &Backend, ask: &Ask<'_>| told(&backend.dossier(), &token, None, ask).err();
    assert_eq!(answer(&backend, &home), None);
    for (ask, denial) in [
        (
            Ask {
                address: Some("192.0.2.1".parse().unwrap()),
                ..home.clone()
            },
            Denial::AddressNotAllowed,
        ),
        (
            Ask {
                environment: Some("test"),
                ..home.clone()
            },
            Denial::EnvironmentNotAllowed,
        ),
        (
            Ask {
                audience: Some("https://orders.example"),
                ..home.clone()
            },
            Denial::AudienceNotAllowed,
        ),
    ] {
        assert_eq!(answer(&backend, &ask), Some(denial));
    }
}

#[test]
fn a_token_is_good_for_nobody_once_its_key_is_meant_for_others() {
    let mut backend = Backend::new();
    let token = backend.token();
    let other = "https://orders.example";
    backend.key.bounds.audience = Allowed::only(vec![audience(other)]).unwrap();
    for audience in [ISSUER, other] {
        let ask = Ask {
            audience: Some(audience),
            ..Ask::default()
        };
        let answer = told(&backend.dossier(), &token, None, &ask);
        assert_eq!(answer, Err(Denial::AudienceNotAllowed), "{audience}");
    }
}

#[test]
fn a_token_ends_with_itself_or_with_its_key_whichever_is_first() {
    let mut backend = Backend::new();
    let token = backend.token();
    let (sooner, later) = (NEW_YEAR.plus(Span::secs(1)), NEW_YEAR.plus(Span::days(1)));
    for (key, ends) in [
        (Expiry::Never, token.expires_at),
        (Expiry::At(later), token.expires_at),
        (Expiry::At(sooner), sooner),
    ] {
        backend.key.expiry = key;
        let grant = told(&backend.dossier(), &token, None, &ask("orders:read")).unwrap();
        assert_eq!(grant.expiry(), Expiry::At(ends), "{key:?}");
    }
}

#[test]
fn nobody_is_warned_that_a_token_ends_soon_for_that_is_what_it_is_for() {
    let mut backend = Backend::new();
    let token = backend.token();
    let until = NEW_YEAR.plus(Span::hours(1));
    let warnings = |backend: &Backend| {
        let grant = told(&backend.dossier(), &token, None, &ask("orders:read")).unwrap();
        grant.warnings().collect::<Vec<_>>()
    };
    assert_eq!(warnings(&backend), []);
    backend.shown = Shown::Retiring { until };
    assert_eq!(warnings(&backend), [Warning::SupersededSecret { until }]);
}

#[test]
fn a_token_is_stopped_with_its_key_or_by_itself_for_the_graver_reason() {
    let mut backend = Backend::new();
    let token = backend.token();
    for (key, recall, stopped) in [
        (Stopped::No, Recall::Standing, Stopped::No),
        (Stopped::No, Recall::Revoked, Stopped::Revoked),
        (Stopped::Suspended, Recall::Standing, Stopped::Suspended),
        (Stopped::Suspended, Recall::Revoked, Stopped::Revoked),
        (Stopped::Revoked, Recall::Standing, Stopped::Revoked),
        (Stopped::Tampered, Recall::Revoked, Stopped::Tampered),
    ] {
        let parent = Dossier {
            stopped: key,
            ..backend.dossier()
        };
        let narrowed = Narrowed::new(&parent, &token, None, recall);
        assert_eq!(narrowed.dossier().stopped, stopped, "{key:?} {recall:?}");
    }
    let parent = backend.dossier();
    assert_eq!(
        Narrowed::new(&parent, &token, None, Recall::Standing).dossier().form,
        Form::Token
    );
}

#[test]
fn a_component_session_acts_for_its_user_and_may_do_what_the_user_may() {
    let mut backend = Backend::with(&["orders:*", "keyholt:sessions:write"]);
    let ada = backend.world.user(&["orders:read", "users:read"]);
    let permissions = backend.world.permissions(ada).into_owned();
    let bearer = Bearer {
        permissions: &permissions,
        standing: Standing::Good,
    };
    let token = backend.lend(ada, bearer, component_wish()).unwrap();
    let answer = |backend: &Backend, bearer, scope| told(&backend.dossier(), &token, Some(bearer), &ask(scope));
    let grant = answer(&backend, bearer, "orders:read").unwrap();
    assert_eq!(
        (grant.key(), grant.owner()),
        (backend.key.id, ada),
        "the key is the back end's"
    );
    assert!(answer(&backend, bearer, "keyholt:self:write").is_ok());
    let demoted = Bearer {
        permissions: &scopes(&["users:read"]),
        ..bearer
    };
    assert_eq!(answer(&backend, demoted, "orders:read"), lacking("orders:read"));
    backend.key.access = only(&["orders:*"]);
    let denied = answer(&backend, bearer, "keyholt:self:read");
    assert_eq!(
        denied,
        lacking("keyholt:self:read"),
        "the key may hand out no sessions any more"
    );
}

#[test]
fn a_component_session_stops_with_its_user_and_with_the_owner_of_its_key() {
    let mut backend = Backend::with(&["orders:*", "keyholt:sessions:write"]);
    let ada = backend.world.user(&["orders:read"]);
    let permissions = backend.world.permissions(ada).into_owned();
    let bearer = |standing| Bearer {
        permissions: &permissions,
        standing,
    };
    let token = backend.lend(ada, bearer(Standing::Good), component_wish()).unwrap();
    let (good, suspended) = (Standing::Good, Standing::Suspended { since: NEW_YEAR });
    for (owner, user, works) in [
        (good, good, true),
        (good, suspended, false),
        (suspended, good, false),
        (suspended, suspended, false),
    ] {
        let parent = Dossier {
            owner_standing: owner,
            ..backend.dossier()
        };
        let answer = told(&parent, &token, Some(bearer(user)), &ask("orders:read"));
        assert_eq!(answer.is_ok(), works, "{owner:?} {user:?}");
        assert!(works || answer == Err(Denial::OwnerSuspended));
    }
}
