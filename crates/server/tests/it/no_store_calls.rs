//! Verifying asks nobody: no call to the store, however often.

use keyholt_core::owner::Owner;
use keyholt_core::rotate::Grace;
use keyholt_core::time::Span;
use keyholt_core::token::{Subject, TokenWish, Wished};
use keyholt_core::verify::{Ask, Verification};
use keyholt_server::keeper::{Counting, Question};

use crate::house::{Held, House, Wishes, canary, needed, source, wish};
use crate::relay::Relay;

const TIMES: usize = 10_000;

#[tokio::test]
async fn verifying_makes_no_store_call() {
    // On a shared store neither: that the view is fresh is known without asking.
    for line in [Relay::new().lone(), Relay::new().shared()] {
        let house = House::open_on(line.clone()).await;
        let alice = Owner::User(house.user("alice").await.id);
        let old = house.issue(wish(alice, "key").scopes(&["orders:read"])).await;
        let new = house.rotate(old.id(), Grace::For(Span::hours(1))).await;
        let revoked = house.issue(wish(alice, "revoked").scopes(&[])).await;
        house.revoke(revoked.id(), "x").await;
        let verifier = house.verifier().await;
        let mint = async |held: &Held| {
            let parent = house
                .keeper
                .client(&held.id().to_string(), &held.secret, &source())
                .unwrap();
            let wish = TokenWish {
                scopes: Wished::All,
                audience: None,
                lifetime: None,
                subject: Subject::Client,
                actors: Vec::new(),
            };
            let token = house.keeper.mint_token(&parent, wish).await.unwrap().text.to_string();
            canary(&token);
            token
        };
        let doomed = house.issue(wish(alice, "doomed").scopes(&["orders:read"])).await;
        let (token, dead_token) = (mint(&new).await, mint(&doomed).await);
        let powerless = mint(&verifier).await;
        house.revoke(doomed.id(), "x").await;
        let admitted = house.keeper.verifier(&verifier.secret, None).unwrap();
        let actor = house.actor(&verifier.secret);
        let secrets = [
            (new.secret.as_str(), "valid"),
            (&old.secret, "valid"),
            (&revoked.secret, "revoked"),
            (&verifier.secret, "insufficient_scope"),
            (&house.operator.secret, "unknown"),
            (&token, "valid"),
            (&dead_token, "revoked"),
            (&powerless, "insufficient_scope"),
            ("acme-nonsense-nonsense", "unknown"),
            ("nonsense", "malformed"),
        ];
        let caller = house
            .keeper
            .client(&verifier.id().to_string(), &verifier.secret, &source());
        let caller = caller.unwrap();
        let before = line.calls();
        for (credential, expected) in secrets.iter().cycle().take(TIMES) {
            let question = Question {
                credential,
                ask: Ask {
                    scopes: needed(&["orders:read"]),
                    ..Ask::default()
                },
                counting: Counting::Counted,
            };
            assert!(house.keeper.admit(&admitted).is_ok());
            house.keeper.may_verify(&actor, house.project()).unwrap();
            let told = house
                .keeper
                .verify(house.project(), &question, |answer| match &answer.verification {
                    Verification::Granted(_) => "valid",
                    Verification::Denied(denial) => denial.code().as_str(),
                });
            assert_eq!(told.unwrap(), *expected);
            let told = house.keeper.introspect(&caller, credential, |_| ()).await.unwrap();
            assert_eq!(
                told.is_some(),
                ["valid", "insufficient_scope"].contains(expected),
                "{expected}"
            );
            let recognised = house.keeper.authenticate(credential, source()).is_ok();
            assert_eq!(
                recognised,
                ["valid", "insufficient_scope"].contains(expected) || *credential == house.operator.secret
            );
        }
        assert_eq!(line.calls(), before);
        // The counter does count.
        house.key(new.id()).await;
        assert!(line.calls() > before);
    }
}
