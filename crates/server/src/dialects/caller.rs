//! Who calls, as an argument of a dialect's handlers.

use axum::extract::FromRequestParts;
use http::request::Parts;
use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, Source};
use keyholt_core::id::ProjectId;

use super::Desk;
use crate::http::Fail;

/// From where the request came; for operations that need no credential, or that are one.
#[derive(Clone, Debug)]
pub struct From(pub Source);

impl FromRequestParts<Desk> for From {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &Desk) -> Result<Self, Fail> {
        // Put there by the envelope, which is around every route.
        let source = parts.extensions.get::<Source>().cloned();
        source.map(Self).ok_or_else(|| Fail::new(Code::Internal))
    }
}

/// Who calls; the project is the dialect's.
#[derive(Clone, Debug)]
pub struct Caller {
    /// Who calls.
    pub actor: Actor,
    /// The project that the dialect is bound to.
    pub project: ProjectId,
}

impl FromRequestParts<Desk> for Caller {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, desk: &Desk) -> Result<Self, Fail> {
        let From(source) = From::from_request_parts(parts, desk).await?;
        let actor = desk.dialect.recognise(desk, parts, source).await?;
        Ok(Self {
            project: actor.home,
            actor,
        })
    }
}
