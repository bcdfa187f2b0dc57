//! Log-in: with a name and a password, or with the id and secret of a token. What comes of it is an access token.

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use keyholt_api::code::Code;
use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_core::actor::Source;
use keyholt_core::password::Typed;
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::session::{self, Mode};
use keyholt_core::text::{Audience, Name};
use keyholt_core::token::{Subject, TokenWish, Wished};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

use super::credential::{self, Shown};
use super::times;
use crate::dialects::Desk;
use crate::dialects::caller::From;
use crate::dialects::reading::{Body, Pairs};
use crate::http::fail::Answer;
use crate::http::{Fail, body};
use crate::keeper::Parent;

/// Logs in. The client fetches the next token by itself when less than a minute is left of this one.
pub async fn login(State(desk): State<Desk>, From(source): From, headers: HeaderMap, body: Body) -> Answer<Response> {
    let form = body.form();
    let scopes = match form.one("scope").filter(|scope| !scope.is_empty()) {
        Some(text) => {
            let named = ScopeSet::parse(text.split_whitespace());
            Wished::Only(named.map_err(|error| Faults::one("scope", error))?)
        }
        None => Wished::All,
    };
    let (parent, subject) = match (
        form.one("grant_type").unwrap_or_default(),
        form.one("username"),
        form.one("password"),
    ) {
        ("password" | "", Some(username), Some(password)) => {
            (with_password(&desk, username, password, source).await?, Subject::Owner)
        }
        ("client_credentials" | "", ..) => (with_token(&desk, &form, &headers, source).await?, Subject::Client),
        ("password", ..) => return Err(refused()),
        _ => {
            let reason = Reason(
                FaultCode::UnknownWord,
                "must be `password` or `client_credentials`".into(),
            );
            return Err(Faults::one("grant_type", reason).into());
        }
    };
    // For Keyholt itself, whomever the project's tokens are usually for: this is where the client comes back with it.
    let issuer = desk
        .keeper
        .issuer(desk.project()?)
        .ok_or_else(|| Fail::new(Code::NotFound))?;
    let wish = TokenWish {
        scopes,
        audience: Some(Audience::new(&issuer.name).map_err(|error| Faults::one("audience", error))?),
        // The original's tokens last twelve hours. As long as may be, so that a client logs in as rarely as may be.
        lifetime: Some(issuer.policy.longest_lifetime),
        subject,
        actors: Vec::new(),
    };
    let minted = desk.keeper.mint_token(&parent, wish).await?;
    Ok(body::json(&json!({
        "access_token": &*minted.text,
        "token_type": "bearer",
        "expires": times::naive(minted.token.expires_at),
    })))
}

/// What everybody is told who is not let in, whatever the reason.
fn refused() -> Fail {
    Fail::saying(Code::InvalidCredential, "Invalid credentials")
}

/// A 401 of any other wording becomes that one; everything else stays what it is.
fn alike(fail: Fail) -> Fail {
    if fail.code().entry().status == 401 {
        refused()
    } else {
        fail
    }
}

async fn with_password(desk: &Desk, username: &str, password: &str, source: Source) -> Answer<Parent> {
    // A text that cannot be a password is nobody's.
    let typed = Typed::read(password).map_err(|_| refused())?;
    let wish = session::Wish {
        access: Access::Everything,
        mode: Mode::Tokens,
        name: Name::new("Meerschaum").map_err(|error| Faults::one("name", error))?,
    };
    let logged_in = desk
        .keeper
        .log_in(desk.project()?, username, &typed, wish, source)
        .await;
    let session = logged_in.map_err(|refusal| alike(refusal.into()))?.session;
    desk.keeper.parent_of(session.id).ok_or_else(refused)
}

/// The token that the form shows, or else the header.
async fn with_token(desk: &Desk, form: &Pairs, headers: &HeaderMap, source: Source) -> Answer<Parent> {
    let shown = match (form.one("client_id"), form.one("client_secret")) {
        (Some(id), Some(secret)) => Shown {
            id: Some(Uuid::try_parse(id).map_err(|_| refused())?),
            secret: Zeroizing::new(secret.to_owned()),
        },
        _ => credential::presented(headers).map_err(alike)?,
    };
    // Judged as everywhere first: an id that is not the secret's, another project's token, one that was imported.
    credential::recognise(desk, &shown, source.clone())
        .await
        .map_err(alike)?;
    Ok(desk.keeper.subject(&shown.secret, &source)?)
}
