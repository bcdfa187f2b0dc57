//! Who calls and what the path names, as arguments of handlers.

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use http::request::Parts;
use keyholt_api::code::Code;
use keyholt_core::actor::{Actor, Source};
use keyholt_core::audit::{Noun, Target};
use keyholt_core::id::{KeyId, ProjectId, RoleId, TeamId, UserId};
use keyholt_core::owner::{Owner, OwnerKind};
use uuid::Uuid;

use super::Door;
use super::cookie;
use super::credential;
use super::fail::Fail;
use super::operations::{Operation, done_to, operations};
use crate::keeper::Attempted;

/// From where the request came; for the few operations that need no credential.
#[derive(Clone, Debug)]
pub struct From(pub Source);

impl FromRequestParts<Door> for From {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &Door) -> Result<Self, Fail> {
        // Put there by the envelope, which is around every route.
        let source = parts.extensions.get::<Source>().cloned();
        source.map(Self).ok_or_else(|| Fail::new(Code::Internal))
    }
}

/// Who calls.
#[derive(Clone, Debug)]
pub struct Caller(pub Actor);

impl FromRequestParts<Door> for Caller {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let From(source) = From::from_request_parts(parts, door).await?;
        // A credential that the caller puts there itself counts before the one that its browser sends along.
        let in_cookie = match credential::presented(&parts.headers) {
            Err(fail) if fail.code() == Code::CredentialRequired => cookie::shown(&parts.headers)?.ok_or(fail)?,
            shown => return Ok(Self(door.keeper.authenticate(shown?, source)?)),
        };
        cookie::same_origin(parts, door.settings.origin.as_deref())?;
        Ok(Self(door.keeper.authenticate_cookie(in_cookie, source)?))
    }
}

/// The project that somebody wants to log in to. It need not exist.
#[derive(Clone, Debug)]
pub struct InLogIn {
    /// The project.
    pub project: ProjectId,
    /// From where the request came.
    pub source: Source,
}

impl FromRequestParts<Door> for InLogIn {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let From(source) = From::from_request_parts(parts, door).await?;
        let word = word(parts, "project").await?;
        // SECURITY: a stranger is not told which projects there are.
        let project = door
            .keeper
            .project_called(&word)
            .unwrap_or(ProjectId::from_uuid(NOBODY));
        Ok(Self { project, source })
    }
}

/// Who calls, and the project that the path names.
#[derive(Clone, Debug)]
pub struct InProject {
    /// Who calls.
    pub actor: Actor,
    /// The project.
    pub project: ProjectId,
}

impl FromRequestParts<Door> for InProject {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let Caller(actor) = Caller::from_request_parts(parts, door).await?;
        let word = word(parts, "project").await?;
        let params = params(parts).await?;
        let project = door.keeper.enter(&actor, &word, || attempted(parts, &params)).await?;
        Ok(Self { actor, project })
    }
}

/// What a request would change, as far as its path tells; nothing for one that only reads.
fn attempted(parts: &Parts, params: &RawPathParams) -> Option<Attempted> {
    let path = parts.extensions.get::<MatchedPath>()?;
    let is_it = |known: &&Operation| known.path == path.as_str() && known.method == parts.method.as_str();
    let action = operations().iter().find(is_it)?.audit?;
    let noun = done_to(action)?;
    let names = |name: &str| Noun::parse(name) == Some(noun) || (noun, name) == (Noun::Key, "session");
    // SECURITY: an id is told as it was written. A name is not looked up: nobody is told what goes by it elsewhere.
    let id = params
        .iter()
        .find(|(name, _)| names(name))
        .and_then(|(_, word)| word.parse::<KeyId>().ok());
    let target = Target {
        noun,
        id: id.map(KeyId::uuid),
    };
    Some(Attempted { action, target })
}

/// The project that the path names, as it is written there; for what needs no credential.
#[derive(Clone, Debug)]
pub struct ProjectWord(pub String);

impl<S: Send + Sync> FromRequestParts<S> for ProjectWord {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        word(parts, "project").await.map(Self)
    }
}

/// The signing key that the path names, by its thumbprint.
#[derive(Clone, Debug)]
pub struct Kid(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Kid {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fail> {
        word(parts, "kid").await.map(Self)
    }
}

/// Who calls, and the key that the path names.
#[derive(Clone, Debug)]
pub struct OnKey {
    /// Who calls.
    pub actor: Actor,
    /// The project.
    pub project: ProjectId,
    /// The key; it need not exist.
    pub key: KeyId,
}

impl FromRequestParts<Door> for OnKey {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let InProject { actor, project } = InProject::from_request_parts(parts, door).await?;
        let word = word(parts, "key").await?;
        let key = word.parse().unwrap_or(KeyId::from_uuid(NOBODY));
        Ok(Self { actor, project, key })
    }
}

/// Who calls, and the role that the path names.
#[derive(Clone, Debug)]
pub struct OnRole {
    /// Who calls.
    pub actor: Actor,
    /// The project.
    pub project: ProjectId,
    /// The role; it need not exist.
    pub role: RoleId,
}

impl FromRequestParts<Door> for OnRole {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let InProject { actor, project } = InProject::from_request_parts(parts, door).await?;
        let word = word(parts, "role").await?;
        let named = door.keeper.role_named(project, &word);
        let role = named.map_or(RoleId::from_uuid(NOBODY), |role| role.id);
        Ok(Self { actor, project, role })
    }
}

/// Who calls, and the user, team or service that the path names.
#[derive(Clone, Debug)]
pub struct OnOwner {
    /// Who calls.
    pub actor: Actor,
    /// The project.
    pub project: ProjectId,
    /// The owner; it need not exist.
    pub owner: Owner,
}

impl FromRequestParts<Door> for OnOwner {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let InProject { actor, project } = InProject::from_request_parts(parts, door).await?;
        let params = params(parts).await?;
        let named = params
            .iter()
            .find_map(|(name, word)| Some((OwnerKind::parse(name)?, word)));
        let (kind, word) = named.ok_or_else(|| Fail::new(Code::Internal))?;
        let owner = owner_or_nobody(door, project, kind, word);
        Ok(Self { actor, project, owner })
    }
}

/// Who calls, and the session of its own that the path names.
#[derive(Clone, Debug)]
pub struct OnOwnSession {
    /// Who calls.
    pub actor: Actor,
    /// The session; it need not exist.
    pub session: KeyId,
}

impl FromRequestParts<Door> for OnOwnSession {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let Caller(actor) = Caller::from_request_parts(parts, door).await?;
        let session = session(parts).await?;
        Ok(Self { actor, session })
    }
}

/// Who calls, and the user and the session that the path names.
#[derive(Clone, Debug)]
pub struct OnSession {
    /// Who calls, and whose session it is.
    pub on: OnOwner,
    /// The session; it need not exist.
    pub session: KeyId,
}

impl FromRequestParts<Door> for OnSession {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let on = OnOwner::from_request_parts(parts, door).await?;
        let session = session(parts).await?;
        Ok(Self { on, session })
    }
}

async fn session(parts: &mut Parts) -> Result<KeyId, Fail> {
    let word = word(parts, "session").await?;
    Ok(word.parse().unwrap_or(KeyId::from_uuid(NOBODY)))
}

/// Who calls, and the team and the user that the path names.
#[derive(Clone, Debug)]
pub struct OnMember {
    /// Who calls.
    pub actor: Actor,
    /// The project.
    pub project: ProjectId,
    /// The team; it need not exist.
    pub team: TeamId,
    /// The user; it need not exist.
    pub user: UserId,
}

impl FromRequestParts<Door> for OnMember {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut Parts, door: &Door) -> Result<Self, Fail> {
        let InProject { actor, project } = InProject::from_request_parts(parts, door).await?;
        let team = word(parts, "team").await?;
        let user = word(parts, "user").await?;
        let id = |kind, word: &str| owner_or_nobody(door, project, kind, word).uuid();
        Ok(Self {
            actor,
            project,
            team: TeamId::from_uuid(id(OwnerKind::Team, &team)),
            user: UserId::from_uuid(id(OwnerKind::User, &user)),
        })
    }
}

/// The id of nothing: what does not exist goes on to the keeper, which asks for leave before it says so.
///
/// SECURITY: refusing here would tell somebody without any rights which names exist.
pub(super) const NOBODY: Uuid = Uuid::nil();

pub(super) fn owner_or_nobody(door: &Door, project: ProjectId, kind: OwnerKind, word: &str) -> Owner {
    door.keeper
        .owner_named(project, kind, word)
        .unwrap_or(Owner::new(kind, NOBODY))
}

async fn params(parts: &mut Parts) -> Result<RawPathParams, Fail> {
    RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| Fail::saying(Code::MalformedRequest, "the path is not percent-encoded UTF-8"))
}

async fn word(parts: &mut Parts, name: &str) -> Result<String, Fail> {
    let params = params(parts).await?;
    let word = params.iter().find(|(known, _)| *known == name);
    word.map(|(_, word)| word.to_owned())
        .ok_or_else(|| Fail::new(Code::Internal))
}
