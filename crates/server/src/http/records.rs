//! Users, teams and services: what is the same for all three.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::Response;
use http::Method;
use keyholt_api::key::Because;
use keyholt_api::owner::{RolesWish, Service, Team, User};
use keyholt_api::reference::Reference;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::id::{ProjectId, RoleId};
use keyholt_core::owner::OwnerKind;
use keyholt_store::RecordQuery;
use serde::{Deserialize, Serialize};

use super::body::MaybeJson;
use super::condition::IfMatch;
use super::cursor::List;
use super::fail::{Answer, Fail};
use super::place::{InProject, NOBODY, OnOwner};
use super::query::{Paged, Query};
use super::{Door, show};
use crate::keeper::{OwnerChange, Refusal};

/// A list without filters.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoFilter {}

/// A page of one kind of owner, and the cursor of the next.
pub async fn page(
    door: &Door,
    at: &InProject,
    kind: OwnerKind,
    page: Paged<NoFilter>,
) -> Answer<(Vec<Arc<Record>>, Option<String>)> {
    let list = List::new(kind.as_str(), at.project, &page.filter);
    let query = RecordQuery {
        handle_prefix: None,
        after: list.open(&door.keeper, page.cursor.as_deref())?,
        limit: page.limit,
    };
    let found = door.keeper.owners(&at.actor, at.project, kind, query).await?;
    let next = found.next.map(|after| list.seal(&door.keeper, after));
    Ok((found.entries, next))
}

/// Enrols a record that was made from a request, and shows it.
pub async fn enrol(door: &Door, at: &InProject, record: Record) -> Answer<Response> {
    let record = door.keeper.enrol_owner(&at.actor, record).await?;
    let plural = format!("{}s", record.noun().as_str());
    let location = format!("/v1/projects/{}/{plural}/{}", at.project, record.id());
    shown(door, &record, |body, revision| show::made(&location, body, revision))
}

/// Shows the record that the path names.
pub fn read(door: &Door, on: &OnOwner) -> Answer<Response> {
    let record = door.keeper.owner(&on.actor, on.project, on.owner)?;
    as_it_is(door, &record)
}

/// Changes the record that the path names, and shows what it is now.
pub async fn change(
    door: &Door,
    on: &OnOwner,
    based_on: Option<Revision>,
    change: OwnerChange<'_>,
) -> Answer<Response> {
    let record = door
        .keeper
        .change_owner(&on.actor, on.project, on.owner, based_on, change)
        .await?;
    as_it_is(door, &record)
}

/// Something to be done to the owner that the path names, by somebody who may say why: at which revision the owner must
/// still be.
pub struct OnOwnerBecause {
    on: OnOwner,
    based_on: Option<Revision>,
}

impl FromRequest<Door> for OnOwnerBecause {
    type Rejection = Fail;

    async fn from_request(request: Request, door: &Door) -> Result<Self, Fail> {
        let (mut parts, body) = request.into_parts();
        let mut on = OnOwner::from_request_parts(&mut parts, door).await?;
        let IfMatch(based_on) = IfMatch::from_request_parts(&mut parts, door).await?;
        // A removal has no body and says why in its query.
        let because: Because = if parts.method == Method::DELETE {
            Query::from_request_parts(&mut parts, door).await?.0
        } else {
            MaybeJson::from_request(Request::from_parts(parts, body), door).await?.0
        };
        on.actor.cause = because.read()?;
        Ok(Self { on, based_on })
    }
}

/// Stops the owner's keys, and shows the owner.
pub async fn suspend(door: &Door, act: OnOwnerBecause) -> Answer<Response> {
    let OnOwnerBecause { on, based_on } = act;
    let suspended = door
        .keeper
        .suspend_owner(&on.actor, on.project, on.owner, None, based_on);
    as_it_is(door, &*suspended.await?)
}

/// Lets the owner's keys work as before, and shows the owner.
pub async fn resume(door: &Door, act: OnOwnerBecause) -> Answer<Response> {
    let OnOwnerBecause { on, based_on } = act;
    let resumed = door
        .keeper
        .resume_owner(&on.actor, on.project, on.owner, None, based_on);
    as_it_is(door, &*resumed.await?)
}

/// Removes the owner and revokes its keys.
pub async fn remove(door: &Door, act: OnOwnerBecause) -> Answer<Response> {
    let OnOwnerBecause { on, based_on } = act;
    door.keeper
        .remove_owner(&on.actor, on.project, on.owner, None, based_on)
        .await?;
    Ok(show::nothing())
}

/// Shows a record as it is.
pub fn as_it_is(door: &Door, record: &Record) -> Answer<Response> {
    shown(door, record, show::record)
}

fn shown(door: &Door, record: &Record, answer: impl FnOnce(&serde_json::Value, u32) -> Response) -> Answer<Response> {
    let names = show::Called(&door.keeper);
    let body = match record {
        Record::User(user) => serde_json::to_value(User::show(user, &names)),
        Record::Team(team) => serde_json::to_value(Team::show(team, &names)),
        Record::Service(service) => serde_json::to_value(Service::show(service, &names)),
        Record::Setup(_)
        | Record::Project(_)
        | Record::Role(_)
        | Record::Password(_)
        | Record::SigningKey(_)
        | Record::Token(_)
        | Record::Key(_) => {
            return Err(Refusal::NotFound(record.noun()).into());
        }
    };
    match body {
        Ok(body) => Ok(answer(&body, record.revision().number())),
        Err(_) => Err(Fail::new(keyholt_api::code::Code::Internal)),
    }
}

/// The roles that a new owner shall have.
pub fn roles_wished(door: &Door, project: ProjectId, wish: &RolesWish) -> BTreeSet<RoleId> {
    match wish {
        RolesWish::Default => door.keeper.default_roles(project),
        RolesWish::These(named) => roles(door, project, named),
    }
}

/// The roles that references name. One that does not exist stays one that does not exist: the keeper refuses it, after it
/// has asked for leave.
pub fn roles(door: &Door, project: ProjectId, named: &BTreeSet<Reference>) -> BTreeSet<RoleId> {
    let role = |named: &Reference| {
        let role = door.keeper.role_named(project, &named.to_string());
        role.map_or(RoleId::from_uuid(NOBODY), |role| role.id)
    };
    named.iter().map(role).collect()
}
