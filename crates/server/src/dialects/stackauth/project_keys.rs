//! A project's own keys: sets of a publishable client key, a secret server key and a super secret admin key.
//!
//! They are keys of the same service as the super secret admin key that asks. What belongs to one set says so in a note; a key
//! that was made elsewhere is a set by itself.

use axum::response::Response;
use keyholt_core::actor::{
    Action, Actor, ReadKeys, ReadOwners, ReadProject, Verify, WriteKeys, WriteOwners, WriteProject, WriteSessions,
};
use keyholt_core::amend::Amendment;
use keyholt_core::id::KeyId;
use keyholt_core::issue::{Issued, Life, SecretOrigin, Wish};
use keyholt_core::key::{Bounds, Key, Kind};
use keyholt_core::scope::{Access, ScopeSet, Wanted};
use keyholt_core::text::{Cause, Metadata};
use keyholt_core::time::LATEST;
use keyholt_store::{KeyQuery, Limit, Owners};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::complaint::{self, Answer};
use super::visitor::{Level, Visitor};
use super::{NAME, keys, people, shape};
use crate::dialects::reading::Body;
use crate::dialects::{Desk, notes};
use crate::http::body;

/// The note that says to which set a key belongs.
const SET: &str = "set";
/// What a secret server key may do with Keyholt, as far as whoever makes it may: all that the server's calls need, and
/// nothing about the project itself.
const SERVER_SCOPES: [&str; 7] = [
    Verify::SCOPE,
    ReadKeys::SCOPE,
    WriteKeys::SCOPE,
    ReadOwners::SCOPE,
    WriteOwners::SCOPE,
    WriteSessions::SCOPE,
    ReadProject::SCOPE,
];

/// What a key of a set is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Publishable,
    Server,
    Admin,
}

impl Part {
    const ALL: [Self; 3] = [Self::Publishable, Self::Server, Self::Admin];

    fn as_str(self) -> &'static str {
        match self {
            Self::Publishable => "publishable_client_key",
            Self::Server => "secret_server_key",
            Self::Admin => "super_secret_admin_key",
        }
    }

    /// What a key is for: one that may change the project opens the highest level.
    fn of(key: &Key) -> Self {
        let administers = match &key.access {
            Access::Everything => true,
            Access::Only(scopes) => Wanted::parse(WriteProject::SCOPE).is_ok_and(|scope| scopes.covers(scope)),
        };
        match key.kind {
            Kind::Publishable => Self::Publishable,
            _ if administers => Self::Admin,
            _ => Self::Server,
        }
    }
}

/// What a set shall be.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Create {
    description: String,
    #[serde(default)]
    expires_at_millis: Option<f64>,
    #[serde(default)]
    has_publishable_client_key: bool,
    #[serde(default)]
    has_secret_server_key: bool,
    #[serde(default)]
    has_super_secret_admin_key: bool,
}

impl Create {
    fn has(&self, part: Part) -> bool {
        match part {
            Part::Publishable => self.has_publishable_client_key,
            Part::Server => self.has_secret_server_key,
            Part::Admin => self.has_super_secret_admin_key,
        }
    }
}

/// What shall become different in a set.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    description: Option<String>,
    revoked: Option<bool>,
}

/// Makes a set; its keys are shown this once.
pub async fn create(desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    visitor.at_least(Level::Admin)?;
    let asked: Create = body.json()?;
    let actor = visitor.actor()?;
    let set = desk.keeper.mint(|now, entropy| KeyId::mint(now, entropy)).uuid();
    let (mut made, mut texts): (Vec<Key>, Vec<(Part, String)>) = Default::default();
    for part in Part::ALL.into_iter().filter(|part| asked.has(*part)) {
        let wish = wish(&desk, &visitor, &asked, part, set).await?;
        let issued = desk.keeper.issue_key(actor, visitor.project, wish, None).await;
        match issued {
            Ok(Issued { key, secret }) => {
                made.push(key);
                texts.extend(secret.map(|secret| (part, secret.reveal().to_string())));
            }
            Err(refusal) => {
                // Nobody keeps a part of a set.
                end(&desk, &visitor, &made, "the set was not made whole").await?;
                return Err(refusal.into());
            }
        }
    }
    if made.is_empty() {
        return Err(complaint::schema("a set has one of the three keys at least"));
    }
    let mut told = tell(set, &made);
    if let Some(members) = told.as_object_mut() {
        members.extend(
            texts
                .into_iter()
                .map(|(part, text)| (part.as_str().to_owned(), json!(text))),
        );
    }
    Ok(body::json(&told))
}

async fn wish(desk: &Desk, visitor: &Visitor, asked: &Create, part: Part, set: Uuid) -> Answer<Wish> {
    let actor = visitor.actor()?;
    let (name, description) = keys::label(&asked.description)?;
    let notes = Map::from_iter([(SET.to_owned(), json!(set))]);
    let metadata = notes::write(&Metadata::default(), NAME, notes).map_err(people::refused("metadata"))?;
    Ok(Wish {
        owner: actor.owner,
        kind: match part {
            Part::Publishable => Kind::Publishable,
            Part::Server | Part::Admin => Kind::Standard,
        },
        name,
        description,
        metadata,
        tags: Default::default(),
        access: match part {
            Part::Publishable => Access::Only(ScopeSet::default()),
            Part::Server => for_servers(desk, visitor, actor).await?,
            Part::Admin => (*actor.access).clone(),
        },
        bounds: Bounds::default(),
        life: match asked.expires_at_millis {
            None => Life::Never,
            Some(at) => Life::Until(keys::moment(at)?),
        },
        origin: SecretOrigin::Minted,
    })
}

/// All that the product lets the service do, and of Keyholt what a server needs; no more than the maker may hand on.
async fn for_servers(desk: &Desk, visitor: &Visitor, actor: &Actor) -> Answer<Access> {
    let product = desk
        .keeper
        .access_handed_on(actor, visitor.project, actor.owner)
        .await?;
    let own = ScopeSet::parse(SERVER_SCOPES).map_err(|_| complaint::schema("no such scopes"))?;
    Ok(match product {
        Access::Only(scopes) => Access::Only(scopes.union(&own.meet(&actor.effective))),
        everything @ Access::Everything => everything,
    })
}

/// All sets, newest first.
pub async fn list(desk: Desk, visitor: Visitor) -> Answer<Response> {
    let sets = sets(&desk, &visitor).await?;
    let told = sets.iter().map(|(set, keys)| tell(*set, keys)).collect();
    Ok(body::json(&shape::list(told)))
}

/// One set.
pub async fn read(desk: Desk, visitor: Visitor, id: String) -> Answer<Response> {
    let (set, keys) = one(&desk, &visitor, &id).await?;
    Ok(body::json(&tell(set, &keys)))
}

/// Renames or revokes a set.
pub async fn change(desk: Desk, visitor: Visitor, id: String, body: Body) -> Answer<Response> {
    let asked: Change = body.json()?;
    if asked.revoked == Some(false) {
        return Err(complaint::schema("revoked must be true: a key is not un-revoked"));
    }
    let (_, keys) = one(&desk, &visitor, &id).await?;
    if let Some(text) = &asked.description {
        let (name, description) = keys::label(text)?;
        for key in &keys {
            let amendment = Amendment {
                name: Some(name.clone()),
                description: Some(description.clone()),
                ..Amendment::default()
            };
            desk.keeper
                .amend_key(visitor.actor()?, visitor.project, key.id, amendment, None)
                .await?;
        }
    }
    if asked.revoked == Some(true) {
        end(&desk, &visitor, &keys, "revoked through Stack Auth's API").await?;
    }
    let (set, keys) = one(&desk, &visitor, &id).await?;
    Ok(body::json(&tell(set, &keys)))
}

async fn end(desk: &Desk, visitor: &Visitor, keys: &[Key], why: &str) -> Answer<()> {
    let actor = visitor.actor()?;
    // The key that asks goes last, or it could not end the others.
    let (own, others): (Vec<&Key>, Vec<&Key>) = keys.iter().partition(|key| key.id == actor.key);
    for key in others.into_iter().chain(own) {
        let cause = Cause::new(why).map_err(people::refused("cause"))?;
        desk.keeper
            .revoke_key(actor, visitor.project, key.id, cause, None)
            .await?;
    }
    Ok(())
}

/// The keys of whoever asks, by sets; newest first.
async fn sets(desk: &Desk, visitor: &Visitor) -> Answer<Vec<(Uuid, Vec<Key>)>> {
    visitor.at_least(Level::Admin)?;
    let actor = visitor.actor()?;
    let mut query = KeyQuery {
        owners: Owners::These(vec![actor.owner]),
        limit: Limit::LARGEST,
        ..KeyQuery::default()
    };
    let (mut sets, mut seen): (Vec<(Uuid, Vec<Key>)>, usize) = Default::default();
    loop {
        let page = desk.keeper.keys(actor, visitor.project, query.clone()).await?;
        seen += page.entries.len();
        for view in page.entries.into_iter().filter(|view| keys::is_api_key(view.key.kind)) {
            let key = view.key;
            let noted = notes::text(&key.about.metadata, NAME, SET).and_then(|text| Uuid::try_parse(text).ok());
            let set = noted.unwrap_or_else(|| key.id.uuid());
            match sets.iter_mut().find(|(known, _)| *known == set) {
                Some((_, keys)) => keys.push(key),
                None => sets.push((set, vec![key])),
            }
        }
        match page.next {
            Some(next) if seen < keys::LISTED_MAX => query.after = Some(next),
            _ => return Ok(sets),
        }
    }
}

async fn one(desk: &Desk, visitor: &Visitor, id: &str) -> Answer<(Uuid, Vec<Key>)> {
    let wanted = Uuid::try_parse(id).map_err(|_| complaint::api_key_not_found())?;
    let sets = sets(desk, visitor).await?;
    let found = sets.into_iter().find(|(set, _)| *set == wanted);
    found.ok_or_else(complaint::api_key_not_found)
}

fn tell(set: Uuid, keys: &[Key]) -> Value {
    let first = keys.first();
    let mut told = json!({
        "id": set,
        "description": first.map_or("", shape::description),
        "created_at_millis": keys.iter().map(|key| key.created_at.ms()).min(),
        // The clients make a date of it, whatever it is.
        "expires_at_millis": keys.iter().map(|key| key.expiry.at().unwrap_or(LATEST).ms()).min(),
    });
    let stopped: Option<Vec<i64>> = keys.iter().map(shape::stopped_at).collect();
    if let Some(members) = told.as_object_mut() {
        if let Some(at) = stopped.into_iter().flatten().max() {
            members.insert("manually_revoked_at_millis".to_owned(), json!(at));
        }
        for key in keys {
            members.insert(
                Part::of(key).as_str().to_owned(),
                json!({ "last_four": shape::last_four(key) }),
            );
        }
    }
    told
}
