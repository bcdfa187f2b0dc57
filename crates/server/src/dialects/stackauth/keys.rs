//! Keys of users and of teams: create, list, read, change, revoke, check; and what a finder of a leaked key can do.

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use keyholt_core::actor::Actor;
use keyholt_core::amend::Amendment;
use keyholt_core::audit::Noun;
use keyholt_core::denial::DenialCode;
use keyholt_core::id::KeyId;
use keyholt_core::issue::{Issued, Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Kind};
use keyholt_core::owner::{Owner, OwnerKind};
use keyholt_core::scope::{Access, ScopeSet};
use keyholt_core::text::{Cause, Description, Metadata, Name};
use keyholt_core::time::{Expiry, LATEST, Moment};
use keyholt_core::verify::{Ask, Verification};
use keyholt_store::{KeyQuery, Limit, Owners};
use serde::{Deserialize, Deserializer};
use serde_json::json;
use uuid::Uuid;

use super::complaint::{self, Answer, Complaint};
use super::shape::{self, Text};
use super::visitor::{Level, Visitor};
use super::{people, teams};
use crate::dialects::Desk;
use crate::dialects::reading::{Body, Pairs};
use crate::http::body;
use crate::keeper::{Counting, KeyView, Question, Refusal};

/// Most keys in one list: the clients read no second page. The policy's default is a tenth of it.
pub const LISTED_MAX: usize = 10_000;
/// The name of a key whose description holds nothing that could be one.
const NAMELESS: &str = "API key";

/// Whose keys a route speaks of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Users'.
    User,
    /// Teams'.
    Team,
}

impl Side {
    fn kind(self) -> OwnerKind {
        match self {
            Self::User => OwnerKind::User,
            Self::Team => OwnerKind::Team,
        }
    }

    fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    fn parameter(self) -> &'static str {
        match self {
            Self::User => "user_id",
            Self::Team => "team_id",
        }
    }
}

/// What a key shall be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    user_id: Option<String>,
    team_id: Option<String>,
    description: String,
    #[serde(default)]
    expires_at_millis: Option<f64>,
    #[serde(default)]
    is_public: Option<bool>,
}

/// What shall become different in a key. Server apps write `expires_at_millis`, client apps `expiresAt`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    description: Option<String>,
    #[serde(default, deserialize_with = "given")]
    expires_at_millis: Option<Option<f64>>,
    #[serde(default, rename = "expiresAt", deserialize_with = "given")]
    expires_at: Option<Option<String>>,
    revoked: Option<bool>,
}

/// Tells a member that is `null` from one that is not there.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// A key that somebody showed.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    api_key: String,
}

/// Makes a key.
pub async fn create(side: Side, desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    switched_on(&desk, &visitor, side)?;
    let asked: Create = body.json()?;
    let (named, other) = match side {
        Side::User => (asked.user_id, asked.team_id),
        Side::Team => (asked.team_id, asked.user_id),
    };
    if other.is_some() {
        return Err(complaint::schema(format!(
            "a {} API key has a {} alone",
            side.as_str(),
            side.parameter()
        )));
    }
    let named = named.ok_or_else(|| complaint::schema(format!("{} is missing", side.parameter())))?;
    let actor = visitor.actor()?;
    let owner = owner(&desk, &visitor, side, &named)?;
    let (name, description) = label(&asked.description)?;
    let (kind, access) = if asked.is_public == Some(true) {
        // SECURITY: what everybody may see tells whose it is and opens nothing.
        (Kind::Publishable, Access::Only(ScopeSet::default()))
    } else {
        (
            Kind::Standard,
            desk.keeper.access_handed_on(actor, visitor.project, owner).await?,
        )
    };
    let wish = Wish {
        owner,
        kind,
        name,
        description,
        metadata: Metadata::default(),
        tags: Default::default(),
        access,
        bounds: Bounds::default(),
        life: match asked.expires_at_millis {
            None => Life::Never,
            Some(at) => Life::Until(moment(at)?),
        },
        origin: SecretOrigin::Minted,
    };
    let issued = desk.keeper.issue_key(actor, visitor.project, wish, None).await;
    let Issued { key, secret } = issued.map_err(|refusal| hidden(&visitor, side, &named, refusal))?;
    let secret = secret.ok_or_else(complaint::api_key_not_found)?.reveal();
    let view = KeyView {
        owner_handle: desk.keeper.owner_handle(key.owner).unwrap_or_default(),
        last_use: None,
        key,
    };
    Ok(body::json(&shape::key(&view, Text::Whole(&secret))))
}

/// The keys of one owner, newest first, revoked and expired ones too.
pub async fn list(side: Side, desk: Desk, visitor: Visitor, query: Pairs) -> Answer<Response> {
    switched_on(&desk, &visitor, side)?;
    let named = query
        .one(side.parameter())
        .ok_or_else(|| complaint::schema(format!("{} is missing in the query", side.parameter())))?;
    let actor = visitor.actor()?;
    let owner = owner(&desk, &visitor, side, named)?;
    let mut query = KeyQuery {
        owners: Owners::These(vec![owner]),
        limit: Limit::LARGEST,
        ..KeyQuery::default()
    };
    let mut views = Vec::new();
    loop {
        let page = desk.keeper.keys(actor, visitor.project, query.clone()).await?;
        views.extend(page.entries);
        match page.next {
            Some(next) if views.len() < LISTED_MAX => query.after = Some(next),
            _ => break,
        }
    }
    let told = views.iter().map(|view| shape::key(view, Text::End)).collect();
    Ok(body::json(&shape::list::<shape::Told<'_>>(told)))
}

/// One key.
pub async fn read(side: Side, desk: Desk, visitor: Visitor, id: String) -> Answer<Response> {
    switched_on(&desk, &visitor, side)?;
    let view = one(side, &desk, &visitor, &id).await?;
    Ok(body::json(&shape::key(&view, Text::End)))
}

/// Changes or revokes a key.
pub async fn change(
    side: Side,
    desk: Desk,
    visitor: Visitor,
    id: String,
    query: Pairs,
    body: Body,
) -> Answer<Response> {
    switched_on(&desk, &visitor, side)?;
    let asked: Change = body.json()?;
    if asked.revoked == Some(false) {
        return Err(complaint::schema("revoked must be true: a key is not un-revoked"));
    }
    let view = one(side, &desk, &visitor, &id).await?;
    if let Some(named) = query.one(side.parameter())
        && owner(&desk, &visitor, side, named)? != view.key.owner
    {
        return Err(complaint::api_key_not_found());
    }
    let (actor, project, id) = (visitor.actor()?, visitor.project, view.key.id);
    let mut amendment = Amendment::default();
    if let Some(text) = &asked.description {
        let (name, description) = label(text)?;
        amendment.name = Some(name);
        amendment.description = Some(description);
    }
    amendment.expiry = match (asked.expires_at_millis, asked.expires_at) {
        (Some(at), _) => Some(at.map_or(Ok(Expiry::Never), |at| moment(at).map(Expiry::At))?),
        (None, Some(Some(at))) => {
            let at: Moment = at
                .parse()
                .map_err(|_| complaint::schema("expiresAt must be an instant such as 2030-01-31T12:00:00.000Z"))?;
            Some(Expiry::At(at))
        }
        (None, Some(None)) => Some(Expiry::Never),
        (None, None) => None,
    };
    let mut view = view;
    if amendment.name.is_some() || amendment.expiry.is_some() {
        view = desk.keeper.amend_key(actor, project, id, amendment, None).await?;
    }
    if asked.revoked == Some(true) {
        let cause =
            Cause::new("revoked through Stack Auth's API").map_err(|error| complaint::schema(error.to_string()))?;
        view = desk.keeper.revoke_key(actor, project, id, cause, None).await?;
    }
    Ok(body::json(&shape::key(&view, Text::End)))
}

/// Whose key somebody showed, if it works. Not found, wrong type, revoked, expired: in this order.
pub async fn check(side: Side, desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    switched_on(&desk, &visitor, side)?;
    let shown: Shown = body.json()?;
    let actor = visitor.actor()?;
    desk.keeper.may_verify(actor, visitor.project)?;
    let (id, owner) = checked(&desk, &visitor, side, &shown.api_key)?;
    let key = desk.keeper.verified_key(actor, visitor.project, id).await?;
    Ok(body::json(&shape::key_of(&key, owner, Text::End)))
}

/// Judges a key that somebody showed; the key, and the id by which the clients know its owner.
fn checked(desk: &Desk, visitor: &Visitor, side: Side, credential: &str) -> Answer<(KeyId, Uuid)> {
    let question = Question {
        credential,
        ask: Ask::default(),
        counting: Counting::Counted,
    };
    desk.keeper.verify(visitor.project, &question, |answer| {
        let Some(key) = answer.key.as_ref().filter(|key| is_api_key(key.kind)) else {
            return Err(complaint::api_key_not_found());
        };
        let kind = key.owner.kind();
        if side.kind() != kind {
            return Err(complaint::wrong_api_key_type(side.as_str(), kind.as_str()));
        }
        match &answer.verification {
            Verification::Granted(_) => Ok((key.id, shape::known_id(key.owner.uuid(), key.owner_handle))),
            Verification::Denied(denial) => Err(match denial.code() {
                DenialCode::Expired => complaint::api_key_expired(),
                DenialCode::Revoked => complaint::api_key_stopped("API key has been revoked."),
                code => complaint::api_key_stopped(&format!("API key does not work now: {}.", code.as_str())),
            }),
        }
    })?
}

/// Whether keys of this kind are what the clients call API keys.
pub fn is_api_key(kind: Kind) -> bool {
    matches!(kind, Kind::Standard | Kind::Static | Kind::Publishable)
}

/// Refuses where the project lets owners of this kind have no keys.
fn switched_on(desk: &Desk, visitor: &Visitor, side: Side) -> Answer<()> {
    if desk.keeper.may_have_keys(visitor.project, side.kind())? {
        return Ok(());
    }
    let word = match side {
        Side::User => "User",
        Side::Team => "Team",
    };
    Err(complaint::plain(
        StatusCode::BAD_REQUEST,
        format!("{word} API keys are not enabled for this project."),
    ))
}

/// The owner that a request names; a browser may name whoever is signed in there, and teams.
fn owner(desk: &Desk, visitor: &Visitor, side: Side, named: &str) -> Answer<Owner> {
    match side {
        Side::User => {
            let user = people::named(desk, visitor, named)?;
            let own = visitor.person().is_some_and(|(_, own)| own == user);
            if visitor.level == Level::Client && !own {
                return Err(complaint::plain(
                    StatusCode::FORBIDDEN,
                    "Client can only manage their own api keys",
                ));
            }
            Ok(Owner::User(user))
        }
        Side::Team => {
            let team = teams::named(desk, visitor, named);
            let team = team.map_err(|complaint| match visitor.level {
                Level::Client => complaint::api_key_not_found(),
                Level::Server | Level::Admin => complaint,
            })?;
            // A team whose keys the caller may not manage has none, as far as the caller is told.
            desk.keeper
                .owner(visitor.actor()?, visitor.project, Owner::Team(team))
                .map_err(|refusal| hidden(visitor, side, named, refusal))?;
            Ok(Owner::Team(team))
        }
    }
}

/// What a refusal about an owner is to those on this level.
fn hidden(visitor: &Visitor, side: Side, named: &str, refusal: Refusal) -> Complaint {
    match (refusal, visitor.level, side) {
        (Refusal::NotFound(_), Level::Client, _) => complaint::api_key_not_found(),
        (Refusal::NotFound(Noun::Team), _, Side::Team) => complaint::team_not_found(named),
        (refusal, _, _) => refusal.into(),
    }
}

/// A key of this side that the caller may read.
async fn one(side: Side, desk: &Desk, visitor: &Visitor, id: &str) -> Answer<KeyView> {
    let actor: &Actor = visitor.actor()?;
    let id: KeyId = id.parse().map_err(|_| complaint::api_key_not_found())?;
    let view = desk.keeper.key(actor, visitor.project, id).await?;
    if view.key.owner.kind() == side.kind() && is_api_key(view.key.kind) {
        Ok(view)
    } else {
        Err(complaint::api_key_not_found())
    }
}

/// A name and a description that together hold what the clients call a description.
///
/// A short line is a name. What is longer than a name may be, or has several lines, is kept whole as the description.
pub fn label(text: &str) -> Answer<(Name, Description)> {
    let refused = |error: keyholt_core::text::TextError| complaint::schema(format!("description {error}"));
    if let Ok(name) = Name::new(text) {
        return Ok((name, Description::new("").map_err(refused)?));
    }
    let description = Description::new(text).map_err(refused)?;
    let line = text.lines().next().unwrap_or_default();
    let short: String = line.trim().chars().take(Name::MOST).collect();
    let name = Name::new(short.trim_end())
        .or_else(|_| Name::new(NAMELESS))
        .map_err(refused)?;
    Ok((name, description))
}

/// An instant as the clients write it.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_precision_loss,
    reason = "the range is checked, and every instant in it is exact in a float"
)]
pub fn moment(ms: f64) -> Answer<Moment> {
    if (0.0..=LATEST.ms() as f64).contains(&ms) {
        Ok(Moment::from_ms(ms as i64))
    } else {
        Err(complaint::schema(
            "expires_at_millis must be an instant in the years 1970 to 2999",
        ))
    }
}

/// Ends a leaked key: whoever shows a secret may stop it, and learns nothing.
pub async fn revoke_leaked(
    State(desk): State<Desk>,
    caller: crate::dialects::caller::From,
    body: Body,
) -> Answer<Response> {
    let shown: Shown = body.json()?;
    let project = desk.project()?;
    let question = Question {
        credential: &shown.api_key,
        ask: Ask::default(),
        counting: Counting::DryRun,
    };
    let found = desk.keeper.verify(project, &question, |answer| {
        let key = answer.key.as_ref().filter(|key| is_api_key(key.kind));
        let Some(key) = key.filter(|key| shape::is_spoken_of(key.owner.kind())) else {
            return Err(complaint::api_key_not_found());
        };
        if key.kind == Kind::Publishable {
            return Err(complaint::public_api_key());
        }
        match &answer.verification {
            Verification::Denied(denial) if denial.code() == DenialCode::Expired => Err(complaint::api_key_expired()),
            Verification::Denied(denial) if denial.code() == DenialCode::Revoked => Ok(None),
            _ => Ok(Some(key.id)),
        }
    })??;
    if found.is_some() {
        let actor = desk.authenticate(&shown.api_key, caller.0)?;
        let cause = Cause::new("found by a secret scanner").map_err(|error| complaint::schema(error.to_string()))?;
        desk.keeper.revoke_own_key(&actor, cause).await?;
    }
    Ok(body::json(&json!({ "success": true })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_comes_back_as_it_was_given() {
        for text in [
            "My client application",
            "x".repeat(65).as_str(),
            "two\nlines",
            "  spaces at the ends  ",
        ] {
            let (name, description) = label(text).unwrap();
            let shown = if description.as_str().is_empty() {
                name.as_str()
            } else {
                description.as_str()
            };
            assert_eq!(shown, text);
        }
        assert!(label("a\0b").is_err());
        assert!(label(&"x".repeat(1025)).is_err());
    }
}
