//! A key or a token becomes a narrower token: never wider, never longer, and who acts is written down.

use keyholt_core::text::Cause;

use super::stage::{Stage, basic, claims, error, kept};
use crate::house::{Held, wish};
use crate::wire::Reply;

const GRANT: (&str, &str) = ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
const TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const KEY: &str = "urn:keyholt:token-type:key";

impl Stage {
    async fn exchange(&self, client: Option<&Held>, subject: &str, kind: &str, more: &[(&str, &str)]) -> Reply {
        let form: Vec<_> = [GRANT, ("subject_token", subject), ("subject_token_type", kind)]
            .into_iter()
            .chain(more.iter().copied())
            .collect();
        let basic = client.map(|client| basic(&client.id().to_string(), &client.secret));
        self.post("/oauth/token", basic.as_deref(), &form).await
    }
}

#[tokio::test]
async fn a_token_becomes_a_narrower_one_that_ends_no_later() {
    let stage = Stage::open().await;
    let wide = stage.token_with(&stage.client, &[("expires_in", "60")]).await;
    let more = [
        ("scope", "orders:read"),
        ("expires_in", "900"),
        ("audience", "https://orders.example"),
    ];
    let reply = stage.exchange(None, &wide, TOKEN, &more).await.ok();
    assert_eq!(reply.json()["issued_token_type"], TOKEN);
    assert_eq!(reply.json()["expires_in"], 60);
    let narrow = kept(reply);
    let (was, is) = (claims(&wide), claims(&narrow));
    assert_eq!(is["scope"], "orders:read");
    assert_eq!(is["aud"], "https://orders.example");
    assert_eq!(is["exp"], was["exp"]);
    assert_eq!(is["sub"], was["sub"]);
    assert!(is.get("act").is_none(), "nobody else acts");

    let back = stage.exchange(None, &narrow, TOKEN, &[("scope", "orders:write")]).await;
    assert_eq!(error(&back), (400, "invalid_scope".to_owned()));
    let elsewhere = stage
        .exchange(None, &narrow, TOKEN, &[("audience", "https://other.example")])
        .await;
    assert_eq!(
        error(&elsewhere),
        (400, "invalid_target".to_owned()),
        "a token for one is not for another"
    );
    let home = stage
        .exchange(None, &narrow, TOKEN, &[("audience", &stage.issuer())])
        .await;
    assert_eq!(error(&home), (400, "invalid_target".to_owned()));
}

#[tokio::test]
async fn a_key_s_secret_becomes_a_token_without_more_ado() {
    let stage = Stage::open().await;
    let token = kept(stage.exchange(None, &stage.client.secret, KEY, &[]).await.ok());
    assert_eq!(claims(&token)["client_id"], stage.client.id().to_string());
    assert_eq!(stage.code(&token).await, "valid");
}

#[tokio::test]
async fn who_acts_for_whom_is_written_down_and_those_before_stay() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let (first, second) = (&stage.verifier, stage.house.service("desk", "member").await);
    let second = stage
        .house
        .issue(wish(keyholt_core::owner::Owner::Service(second.id), "desk"))
        .await;
    let once = kept(stage.exchange(Some(first), &token, TOKEN, &[]).await.ok());
    let said = claims(&once);
    assert_eq!(said["sub"], stage.client.id().to_string());
    assert_eq!(said["act"]["sub"], first.id().to_string());
    let twice = kept(stage.exchange(Some(&second), &once, TOKEN, &[]).await.ok());
    let said = claims(&twice);
    assert_eq!(said["act"]["sub"], second.id().to_string());
    assert_eq!(said["act"]["act"]["sub"], first.id().to_string());
    let by_token = [("actor_token", second.secret.as_str()), ("actor_token_type", KEY)];
    let thrice = kept(stage.exchange(None, &token, TOKEN, &by_token).await.ok());
    assert_eq!(claims(&thrice)["act"]["sub"], second.id().to_string());
}

#[tokio::test]
async fn what_comes_of_an_exchange_dies_with_the_key_that_it_came_from() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    let narrow = kept(stage.exchange(Some(&stage.verifier), &token, TOKEN, &[]).await.ok());
    assert_eq!(stage.code(&narrow).await, "valid");
    let (house, cause) = (&stage.house, Cause::new("leaked").unwrap());
    let olga = house.olga();
    house
        .keeper
        .revoke_key(&olga, house.project(), stage.client.id(), cause, None)
        .await
        .unwrap();
    assert_eq!(stage.code(&narrow).await, "revoked");
    let again = stage.exchange(Some(&stage.verifier), &narrow, TOKEN, &[]).await;
    assert_eq!(error(&again), (400, "invalid_request".to_owned()));
}

#[tokio::test]
async fn an_exchange_that_is_not_as_it_must_be_is_refused() {
    let stage = Stage::open().await;
    let token = stage.token(&stage.client).await;
    for (subject, kind, more) in [
        (token.as_str(), "urn:ietf:params:oauth:token-type:saml2", &[][..]),
        ("nonsense", TOKEN, &[]),
        (
            token.as_str(),
            TOKEN,
            &[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
        ),
        (
            token.as_str(),
            TOKEN,
            &[("actor_token", "nonsense"), ("actor_token_type", TOKEN)],
        ),
        (token.as_str(), TOKEN, &[("actor_token", token.as_str())]),
        (token.as_str(), "", &[]),
    ] {
        let reply = stage.exchange(None, subject, kind, more).await;
        assert_eq!(error(&reply), (400, "invalid_request".to_owned()), "{kind} {more:?}");
    }
    let stranger = stage.exchange(Some(&stage.house.operator), &token, TOKEN, &[]).await;
    assert_eq!(
        error(&stranger),
        (401, "invalid_client".to_owned()),
        "of another project"
    );
}
