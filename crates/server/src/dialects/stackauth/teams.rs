//! Teams: enrol, list, change, remove; who belongs to them and who may manage their keys.

use axum::response::Response;
use http::StatusCode;
use keyholt_core::audit::Noun;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::id::{TeamId, UserId};
use keyholt_core::owner::{Member, MemberRight, Owner, OwnerKind, Standing, Team};
use keyholt_core::text::{ExternalId, Metadata, Name};
use keyholt_store::{Limit, RecordQuery};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::complaint::{self, Answer};
use super::people;
use super::shape::{self, MANAGE_API_KEYS};
use super::visitor::{Level, Visitor};
use crate::dialects::Desk;
use crate::dialects::reading::{Body, Pairs};
use crate::http::body;
use crate::keeper::{MembershipChange, Refusal};

/// Most teams in one list: the clients look for a team in the first page and read no second one.
const LISTED_MAX: usize = 100_000;

/// A team as it arrives.
#[derive(Deserialize)]
pub struct Sent {
    creator_user_id: Option<String>,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// A handle in Keyholt for what is named by its id alone.
pub fn handle(word: &str, id: Uuid) -> Result<ExternalId, Refusal> {
    let id = id.simple().to_string();
    let tail = id.get(20..).unwrap_or_default();
    ExternalId::new(&format!("{word}-{tail}")).map_err(people::refused("external_id"))
}

/// The id of the team that a request names.
pub fn named(desk: &Desk, visitor: &Visitor, word: &str) -> Answer<TeamId> {
    match people::of_id(desk, visitor, OwnerKind::Team, word) {
        Some(Owner::Team(team)) => Ok(team),
        _ => Err(complaint::team_not_found(word)),
    }
}

/// The team that a request names, as far as the visitor may know of it: a browser knows the teams of who is signed in there.
pub fn found(desk: &Desk, visitor: &Visitor, word: &str) -> Answer<Team> {
    let id = named(desk, visitor, word)?;
    match (visitor.level, visitor.person()) {
        (Level::Client, None) => Err(complaint::user_required()),
        (Level::Client, Some((_, user))) => {
            let team = of(desk, visitor, user)?.into_iter().find(|team| team.id == id);
            team.ok_or_else(|| complaint::team_not_found(word))
        }
        (Level::Server | Level::Admin, _) => team_of(desk, visitor, id, word),
    }
}

fn team_of(desk: &Desk, visitor: &Visitor, id: TeamId, word: &str) -> Answer<Team> {
    let record = desk.keeper.owner(visitor.actor()?, visitor.project, Owner::Team(id));
    match record.map_err(|refusal| hidden(word, refusal))?.as_ref() {
        Record::Team(team) => Ok(team.clone()),
        _ => Err(complaint::team_not_found(word)),
    }
}

/// The teams that a user belongs to, oldest first.
pub fn of(desk: &Desk, visitor: &Visitor, user: UserId) -> Answer<Vec<Team>> {
    let actor = match visitor.person() {
        Some((actor, own)) if own == user && visitor.level == Level::Client => actor,
        _ => visitor.actor()?,
    };
    Ok(desk.keeper.teams_of(actor, visitor.project, user)?)
}

/// Enrols a team; its creator may manage its keys.
pub async fn create(desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    let sent: Sent = body.json()?;
    let creator = sent.creator_user_id.as_deref();
    let creator = creator.map(|word| people::named(&desk, &visitor, word)).transpose()?;
    let member = |user| Member {
        user,
        right: MemberRight::ManageKeys,
    };
    let (id, now) = desk.keeper.mint_team();
    let name = match sent.rest.get("display_name") {
        Some(Value::String(text)) => text.as_str(),
        _ => return Err(complaint::schema("display_name is missing")),
    };
    let name = Name::new(name).map_err(people::refused("display_name"))?;
    let label = people::changed(&name, &Metadata::default(), &sent.rest)?;
    let team = Team {
        id,
        project: visitor.project,
        external_id: handle("team", id.uuid())?,
        name: label.name,
        roles: desk.keeper.default_roles(visitor.project),
        members: creator.map(member).into_iter().collect(),
        standing: Standing::Good,
        metadata: label.metadata,
        created_at: now,
        revision: Revision::FIRST,
    };
    let told = shape::team(&team, visitor.level);
    desk.keeper.enrol_owner(visitor.actor()?, Record::Team(team)).await?;
    let mut response = body::json(&told);
    *response.status_mut() = StatusCode::CREATED;
    Ok(response)
}

/// Teams: all of them for a server, a user's where one is named. Always the whole list.
pub async fn list(desk: Desk, visitor: Visitor, query: Pairs) -> Answer<Response> {
    if let Some(word) = query.one("user_id") {
        let user = people::named(&desk, &visitor, word)?;
        let own = visitor.person().is_some_and(|(_, own)| own == user);
        if !own {
            visitor.at_least(Level::Server)?;
        }
        let teams = of(&desk, &visitor, user)?;
        let told = teams.iter().map(|team| shape::team(team, visitor.level)).collect();
        return Ok(body::json(&shape::list(told)));
    }
    visitor.at_least(Level::Server)?;
    let mut query = RecordQuery {
        handle_prefix: None,
        after: None,
        limit: Limit::LARGEST,
    };
    let mut told = Vec::new();
    loop {
        let page = desk
            .keeper
            .owners(visitor.actor()?, visitor.project, OwnerKind::Team, query.clone())
            .await?;
        told.extend(page.entries.iter().filter_map(|record| match record.as_ref() {
            Record::Team(team) => Some(shape::team(team, visitor.level)),
            _ => None,
        }));
        match page.next {
            Some(next) if told.len() < LISTED_MAX => query.after = Some(next),
            _ => return Ok(body::json(&shape::list(told))),
        }
    }
}

/// One team.
pub async fn read(desk: Desk, visitor: Visitor, word: String) -> Answer<Response> {
    let team = found(&desk, &visitor, &word)?;
    Ok(body::json(&shape::team(&team, visitor.level)))
}

/// Changes a team's name and what is kept with it.
pub async fn change(desk: Desk, visitor: Visitor, word: String, body: Body) -> Answer<Response> {
    let mut sent: Sent = body.json()?;
    if visitor.level == Level::Client {
        let own = ["display_name", "client_metadata", "profile_image_url"];
        sent.rest.retain(|member, _| own.contains(&member.as_str()));
    }
    if matches!(sent.rest.get("display_name"), Some(Value::Null)) {
        return Err(complaint::schema("display_name must be a text"));
    }
    let id = named(&desk, &visitor, &word)?;
    let relabel = |record: &Record| match record {
        Record::Team(team) => people::changed(&team.name, &team.metadata, &sent.rest),
        _ => Err(Refusal::NotFound(Noun::Team)),
    };
    let changed = desk
        .keeper
        .relabel_owner(visitor.actor()?, visitor.project, Owner::Team(id), &relabel)
        .await
        .map_err(|refusal| hidden(&word, refusal))?;
    match changed.as_ref() {
        Record::Team(team) => Ok(body::json(&shape::team(team, visitor.level))),
        _ => Err(complaint::team_not_found(&word)),
    }
}

/// Removes a team; its keys end in the same breath.
pub async fn remove(desk: Desk, visitor: Visitor, word: String) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    let id = named(&desk, &visitor, &word)?;
    let removed = desk
        .keeper
        .remove_owner(visitor.actor()?, visitor.project, Owner::Team(id), None, None)
        .await;
    removed.map_err(|refusal| hidden(&word, refusal))?;
    Ok(body::json(&json!({ "success": true })))
}

/// Who belongs to a team.
pub async fn profiles(desk: Desk, visitor: Visitor, query: Pairs) -> Answer<Response> {
    let word = query
        .one("team_id")
        .ok_or_else(|| complaint::schema("team_id is missing in the query"))?;
    let team = found(&desk, &visitor, word)?;
    let known = known(&team);
    let mut told = Vec::new();
    for member in &team.members {
        told.push(profile_of(&desk, &visitor, known, member.user).await?);
    }
    Ok(body::json(&shape::list(told)))
}

/// Who one member of a team is there.
pub async fn profile(desk: Desk, visitor: Visitor, [team, user]: [String; 2]) -> Answer<Response> {
    let found = found(&desk, &visitor, &team)?;
    let id = people::named(&desk, &visitor, &user)?;
    if !found.members.iter().any(|member| member.user == id) {
        return Err(complaint::membership_not_found(&team, &user));
    }
    Ok(body::json(&profile_of(&desk, &visitor, known(&found), id).await?))
}

async fn profile_of(desk: &Desk, visitor: &Visitor, team: Uuid, member: UserId) -> Answer<Value> {
    // A browser is told who is signed in there, and of the others no more than that they are there.
    let user = match people::tell(desk, visitor, member).await {
        Ok(user) => user,
        Err(_) if visitor.level == Level::Client => Value::Null,
        Err(complaint) => return Err(complaint),
    };
    Ok(json!({
        "team_id": team,
        "user_id": people::known(desk, member),
        "display_name": user.get("display_name"),
        "profile_image_url": user.get("profile_image_url"),
        "user": user,
    }))
}

/// What happens to a user's place in a team.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// The user joins.
    Join,
    /// The user leaves.
    Leave,
    /// The user may manage the team's keys.
    Grant,
    /// The user may not.
    Withdraw,
}

/// Changes a user's place in a team.
pub async fn put(place: Place, desk: Desk, visitor: Visitor, team: String, user: String) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    let id = people::named(&desk, &visitor, &user)?;
    let before = found(&desk, &visitor, &team)?;
    let has = before
        .members
        .iter()
        .find(|member| member.user == id)
        .map(|member| member.right);
    let change = match (place, has) {
        // Joining again takes no right away.
        (Place::Join, has) => MembershipChange::Put(has.unwrap_or(MemberRight::Belong)),
        (_, None) => return Err(complaint::membership_not_found(&team, &user)),
        (Place::Leave, Some(_)) => MembershipChange::Remove,
        (Place::Grant, Some(_)) => MembershipChange::Put(MemberRight::ManageKeys),
        (Place::Withdraw, Some(_)) => MembershipChange::Put(MemberRight::Belong),
    };
    desk.keeper
        .change_membership(visitor.actor()?, visitor.project, before.id, id, change)
        .await
        .map_err(|refusal| hidden(&team, refusal))?;
    Ok(body::json(&match place {
        Place::Join => json!({ "team_id": team, "user_id": user }),
        Place::Grant => json!({ "id": MANAGE_API_KEYS, "team_id": team, "user_id": user }),
        Place::Leave | Place::Withdraw => json!({ "success": true }),
    }))
}

/// Grants or withdraws a permission; there is one.
pub async fn permit(
    place: Place,
    desk: Desk,
    visitor: Visitor,
    [team, user, permission]: [String; 3],
) -> Answer<Response> {
    visitor.at_least(Level::Server)?;
    if permission != MANAGE_API_KEYS {
        return Err(complaint::permission_not_found(&permission));
    }
    put(place, desk, visitor, team, user).await
}

/// The permissions of a user in one team or in all; of all members where no user is named.
pub async fn permissions(desk: Desk, visitor: Visitor, query: Pairs) -> Answer<Response> {
    let user = query.one("user_id");
    let user = user.map(|word| people::named(&desk, &visitor, word)).transpose()?;
    let own = visitor.person().map(|(_, own)| own);
    if user.is_none() || user != own {
        visitor.at_least(Level::Server)?;
    }
    let teams = match (query.one("team_id"), user) {
        (Some(word), _) => vec![found(&desk, &visitor, word)?],
        (None, Some(user)) => of(&desk, &visitor, user)?,
        (None, None) => return Err(complaint::schema("team_id or user_id is missing in the query")),
    };
    let wanted = query.one("permission_id");
    let mut told = Vec::new();
    for team in &teams {
        let members = team
            .members
            .iter()
            .filter(|member| user.is_none_or(|user| user == member.user));
        for member in members {
            let ids = shape::permissions(member.right).iter();
            for id in ids.filter(|id| wanted.is_none_or(|wanted| wanted == **id)) {
                told.push(json!({ "id": id, "team_id": known(team), "user_id": people::known(&desk, member.user) }));
            }
        }
    }
    Ok(body::json(&shape::list(told)))
}

fn known(team: &Team) -> Uuid {
    shape::known_id(team.id.uuid(), team.external_id.as_str())
}

fn hidden(word: &str, refusal: Refusal) -> complaint::Complaint {
    match refusal {
        Refusal::NotFound(Noun::Team) => complaint::team_not_found(word),
        refusal => refusal.into(),
    }
}
