//! The grant of people: a refresh token is used up, and becomes an access token and the next refresh token.

use axum::response::Response;
use keyholt_api::oauth::{RefreshedAnswer, TokenAnswer};
use keyholt_core::actor::Source;
use keyholt_core::scope::ScopeSet;
use keyholt_core::token::Wished;

use super::fail::OAuthFail;
use super::form::Form;
use crate::http::json;
use crate::keeper::{Keeper, Refusal, Unauthenticated};

/// Answers the grant. A person's session is no client with a secret of its own: the token is all that is shown.
///
/// `scopes` can make the access token smaller, and names nothing that is not there: a token that was used up must not be
/// lost for a scope that somebody was meanwhile denied.
pub async fn refresh(
    keeper: &Keeper,
    form: &Form,
    scopes: Option<ScopeSet>,
    source: Source,
) -> Result<Response, OAuthFail> {
    let token = form.need("refresh_token")?;
    let refreshed = keeper.refresh(token, source).await.map_err(refused)?;
    let wished = scopes.map_or(Wished::All, Wished::Only);
    let minted = keeper.session_token(refreshed.session.id, wished).await?;
    Ok(json(&RefreshedAnswer {
        token: TokenAnswer {
            expires_in: minted.expires_in(keeper.now()),
            scope: minted.token.scope_text(),
            access_token: minted.text.to_string(),
            token_type: "Bearer".to_owned(),
            issued_token_type: None,
        },
        refresh_token: refreshed.secret.reveal().to_string(),
    }))
}

fn refused(refusal: Refusal) -> OAuthFail {
    match refusal {
        Refusal::SessionOver => OAuthFail::bad("invalid_grant", "the session is over, or the token was used before"),
        Refusal::TooManyGuesses(wait) => Unauthenticated::TooMany(wait).into(),
        refusal => refusal.into(),
    }
}
