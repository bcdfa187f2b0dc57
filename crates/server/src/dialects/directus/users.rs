//! `/users`: the users of the project, one and many.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use keyholt_api::code::Code;
use keyholt_api::patch::Patch;
use keyholt_core::actor::Actor;
use keyholt_core::commit::{Record, Revision};
use keyholt_core::id::{ProjectId, UserId};
use keyholt_core::owner::{Owner, OwnerKind, Standing, User};
use keyholt_core::text::{Cause, Metadata, Name};
use keyholt_store::{Limit, RecordQuery};
use serde_json::{Map, Value};

use super::answer;
use super::body::{Changes, OneOrMany, changes, keys, object, objects};
use super::person::{self, KNOWN, Status, id_of};
use super::query::{Asked, Order, Query, invalid};
use super::token;
use super::wish::Wish;
use crate::dialects::Desk;
use crate::dialects::caller::Caller;
use crate::dialects::reading::{Body, Words};
use crate::http::Fail;
use crate::http::fail::Answer;
use crate::keeper::Refusal;

/// Most users that are looked at for one answer. Who has more asks by id, or page by page in the order of ids.
const LOOKED_AT_MAX: usize = 20_000;

/// Lists users.
pub async fn list(State(desk): State<Desk>, caller: Caller, asked: Asked) -> Answer<Response> {
    answer::list(found(&desk, &caller, &asked).await?)
}

/// Lists users by a question in the body, with the method SEARCH.
pub async fn search(State(desk): State<Desk>, caller: Caller, body: Body) -> Answer<Response> {
    answer::list(found(&desk, &caller, &Asked::in_body(&body)?).await?)
}

/// Enrols one user or several.
pub async fn create(State(desk): State<Desk>, caller: Caller, asked: Asked, body: Body) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    match objects(&body)? {
        OneOrMany::One(item) => {
            let user = enrol(&desk, &caller, Wish::read(item)?).await?;
            answer::one(shown(&desk, &caller, &query, &[user]).await?.pop())
        }
        OneOrMany::Many(items) => {
            let wishes = items.into_iter().map(Wish::read).collect::<Result<Vec<_>, _>>()?;
            let mut users = Vec::new();
            for wish in wishes {
                users.push(enrol(&desk, &caller, wish).await?);
            }
            answer::list(shown(&desk, &caller, &query, &users).await?)
        }
    }
}

/// Changes several users.
pub async fn update_many(State(desk): State<Desk>, caller: Caller, asked: Asked, body: Body) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    let wishes: Vec<(UserId, Wish)> = match changes(&body)? {
        Changes::Alike(ids, data) => {
            let wish = |id: &String| Ok((id_of(&desk, caller.project, id), Wish::read(data.clone())?));
            ids.iter().map(wish).collect::<Answer<_>>()?
        }
        Changes::Each(items) => {
            let wish =
                |(id, item): (String, Map<String, Value>)| Ok((id_of(&desk, caller.project, &id), Wish::read(item)?));
            items.into_iter().map(wish).collect::<Answer<_>>()?
        }
    };
    let mut users = Vec::new();
    for (id, wish) in wishes {
        users.push(change(&desk, &caller, id, wish).await?);
    }
    answer::list(shown(&desk, &caller, &query, &users).await?)
}

/// Removes several users.
pub async fn delete_many(State(desk): State<Desk>, caller: Caller, body: Body) -> Answer<Response> {
    for id in keys(&body)? {
        remove(&desk, &caller, id_of(&desk, caller.project, &id)).await?;
    }
    Ok(answer::nothing())
}

/// Shows one user.
pub async fn read(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>, asked: Asked) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    let owner = Owner::User(id_of(&desk, caller.project, &id));
    let record = desk.keeper.owner(&caller.actor, caller.project, owner)?;
    answer::one(Some(told(&desk, &caller, &query, &record).await?))
}

/// Changes one user.
pub async fn update(
    State(desk): State<Desk>,
    caller: Caller,
    Words([id]): Words<1>,
    asked: Asked,
    body: Body,
) -> Answer<Response> {
    answer::one(Some(
        updated(&desk, &caller, id_of(&desk, caller.project, &id), &asked, &body).await?,
    ))
}

/// Removes one user; the user's keys are revoked in the same breath.
pub async fn delete(State(desk): State<Desk>, caller: Caller, Words([id]): Words<1>) -> Answer<Response> {
    remove(&desk, &caller, id_of(&desk, caller.project, &id)).await?;
    Ok(answer::nothing())
}

/// The caller, as far as the caller may see it: somebody without any rights learns the id that the token stands for.
pub async fn read_me(State(desk): State<Desk>, Me(caller): Me, asked: Asked) -> Answer<Response> {
    let query = asked.read(&KNOWN)?;
    answer::one(Some(me(&desk, &caller, &query).await?))
}

/// Changes the caller.
pub async fn update_me(State(desk): State<Desk>, Me(caller): Me, asked: Asked, body: Body) -> Answer<Response> {
    let id = UserId::from_uuid(caller.actor.owner.uuid());
    answer::one(Some(updated(&desk, &caller, id, &asked, &body).await?))
}

/// The caller, who is told `401` where there is none: `/users/me` is of nobody, not forbidden to somebody.
#[derive(Debug)]
pub struct Me(pub Caller);

impl axum::extract::FromRequestParts<Desk> for Me {
    type Rejection = Fail;

    async fn from_request_parts(parts: &mut http::request::Parts, desk: &Desk) -> Result<Self, Fail> {
        match Caller::from_request_parts(parts, desk).await {
            Ok(caller) if caller.actor.owner.kind() == OwnerKind::User => Ok(Self(caller)),
            // A team's or a service's key is nobody whom Directus knows.
            Ok(_) => Err(Fail::new(Code::NotFound)),
            Err(fail) if fail.code() == Code::CredentialRequired => Err(Fail::new(Code::InvalidCredential)),
            Err(fail) => Err(fail),
        }
    }
}

/// The caller, shown.
pub(super) async fn me(desk: &Desk, caller: &Caller, query: &Query) -> Answer<Value> {
    match desk.keeper.owner(&caller.actor, caller.project, caller.actor.owner) {
        Ok(record) => told(desk, caller, query, &record).await,
        Err(Refusal::Lacks { .. }) => {
            let id = person::shown_id(desk, caller.actor.owner);
            Ok(query.fields.of(&serde_json::json!({ "id": id })))
        }
        Err(refusal) => Err(refusal.into()),
    }
}

/// The users that a question finds.
pub(super) async fn found(desk: &Desk, caller: &Caller, asked: &Asked) -> Answer<Vec<Value>> {
    let query = asked.read(&KNOWN)?;
    let by_token = query.filter.names("token") || query.sort.iter().any(|sort| sort.path == ["token"]);
    let mut users = Vec::new();
    if let Some(id) = query.filter.must_be("id") {
        match known(desk, &caller.actor, caller.project, id_of(desk, caller.project, id)) {
            Ok(user) => users.push((user.id, person::show(desk, &user))),
            Err(fail) if fail.code() == Code::NotFound => {}
            Err(fail) => return Err(fail),
        }
        if by_token {
            tell_tokens(desk, caller, &mut users).await?;
        }
        users.retain(|(_, user)| query.wants(user));
    } else {
        gather(desk, caller, &query, by_token, &mut users).await?;
    }
    query.order(&mut users, |(_, user)| user);
    let mut page: Vec<(UserId, Value)> = users.into_iter().skip(query.offset).take(query.limit).collect();
    if query.fields.want("token") && !by_token {
        tell_tokens(desk, caller, &mut page).await?;
    }
    Ok(page.iter().map(|(_, user)| query.fields.of(user)).collect())
}

/// Looks at the users page by page, and no further than the answer needs.
async fn gather(
    desk: &Desk,
    caller: &Caller,
    query: &Query,
    by_token: bool,
    users: &mut Vec<(UserId, Value)>,
) -> Answer<()> {
    let enough = if query.is_in_order(&[("id", Order::Ascending)]) {
        query.offset.saturating_add(query.limit)
    } else {
        usize::MAX
    };
    let (mut after, mut seen) = (None, 0);
    loop {
        let asked = RecordQuery {
            handle_prefix: None,
            after,
            limit: Limit::LARGEST,
        };
        let page = desk
            .keeper
            .owners(&caller.actor, caller.project, OwnerKind::User, asked)
            .await?;
        seen += page.entries.len();
        let mut some: Vec<(UserId, Value)> = page
            .entries
            .iter()
            .filter_map(as_user)
            .map(|user| (user.id, person::show(desk, user)))
            .collect();
        if by_token {
            tell_tokens(desk, caller, &mut some).await?;
        }
        users.extend(some.into_iter().filter(|(_, user)| query.wants(user)));
        after = page.next;
        if after.is_none() || users.len() >= enough {
            return Ok(());
        }
        if seen >= LOOKED_AT_MAX {
            return Err(invalid(
                "too many users would have to be looked at; ask by `id`, or without `sort`",
            ));
        }
    }
}

async fn tell_tokens(desk: &Desk, caller: &Caller, users: &mut [(UserId, Value)]) -> Answer<()> {
    let ids: Vec<UserId> = users.iter().map(|(id, _)| *id).collect();
    let holders = token::holders(desk, &caller.actor, caller.project, &ids).await?;
    person::show_tokens(users, holders.as_ref());
    Ok(())
}

/// One user whom the caller may see, shown.
async fn told(desk: &Desk, caller: &Caller, query: &Query, record: &Arc<Record>) -> Answer<Value> {
    let user = as_user(record).ok_or_else(|| Fail::new(Code::NotFound))?;
    let mut shown = shown(desk, caller, query, std::slice::from_ref(user)).await?;
    Ok(shown.pop().unwrap_or_default())
}

async fn shown(desk: &Desk, caller: &Caller, query: &Query, users: &[User]) -> Answer<Vec<Value>> {
    let show = |user: &User| {
        (
            user.id,
            person::show_wanted(desk, user, |field| query.fields.want(field)),
        )
    };
    let mut shown: Vec<(UserId, Value)> = users.iter().map(show).collect();
    if query.fields.want("token") {
        tell_tokens(desk, caller, &mut shown).await?;
    }
    Ok(shown.iter().map(|(_, user)| query.fields.of(user)).collect())
}

async fn updated(desk: &Desk, caller: &Caller, id: UserId, asked: &Asked, body: &Body) -> Answer<Value> {
    let query = asked.read(&KNOWN)?;
    let mut item = object(body)?;
    // A client that saves what it read sends the id along.
    if item
        .remove("id")
        .is_some_and(|same| same.as_str() != Some(&person::shown_id(desk, Owner::User(id))))
    {
        return Err(super::body::payload("id", "the id cannot be changed"));
    }
    let user = change(desk, caller, id, Wish::read(item)?).await?;
    Ok(shown(desk, caller, &query, &[user]).await?.pop().unwrap_or_default())
}

/// Makes a user what is wished for. Each part is a change of its own, and whatever is likely to be refused is tried first.
pub(super) async fn change(desk: &Desk, caller: &Caller, id: UserId, wish: Wish) -> Answer<User> {
    let Caller { actor, project } = caller;
    let owner = Owner::User(id);
    let user = known(desk, actor, *project, id)?;
    if let Patch::Set(token) = &wish.token {
        token::check_free(desk, actor, *project, Some(id), token).await?;
    }
    if wish.record.is_for(&desk.keeper, &user) {
        let apply = |record: &mut Record| match record {
            Record::User(user) => wish.record.apply(&desk.keeper, user),
            _ => Ok(()),
        };
        if wish.record.is_label_of(&desk.keeper, &user) {
            let label = |record: &Record| wish.record.label(&desk.keeper, record);
            desk.keeper.relabel_owner(actor, *project, owner, &label).await?;
        } else {
            desk.keeper.change_owner(actor, *project, owner, None, &apply).await?;
        }
    }
    set_password(desk, caller, id, &wish).await?;
    match &wish.token {
        Patch::Keep => {}
        Patch::Clear => token::clear(desk, actor, *project, id).await?,
        Patch::Set(token) => token::give(desk, actor, *project, id, token).await?,
    }
    // Last, because whoever suspends themselves can do no more.
    match (wish.status, user.standing) {
        (Some(Status::Active), Standing::Suspended { .. }) => {
            desk.keeper
                .resume_owner(actor, *project, owner, because(), None)
                .await?;
        }
        (Some(Status::Inactive(_)), Standing::Good) => {
            desk.keeper
                .suspend_owner(actor, *project, owner, because(), None)
                .await?;
        }
        _ => {}
    }
    known(desk, actor, *project, id)
}

/// Enrols a user. One whose token or password is refused is not left behind half made.
async fn enrol(desk: &Desk, caller: &Caller, wish: Wish) -> Answer<User> {
    let Caller { actor, project } = caller;
    let (id, created_at) = desk.keeper.mint_user();
    if let Patch::Set(token) = &wish.token {
        token::check_free(desk, actor, *project, None, token).await?;
    }
    let external_id = wish.record.new_external_id(&id.to_string())?;
    let start: String = external_id.as_str().chars().take(Name::MOST).collect();
    let name = Name::new(start.trim_end()).map_err(|error| Refusal::Text { field: "email", error })?;
    let mut user = User {
        id,
        project: *project,
        external_id,
        name,
        email: None,
        roles: std::collections::BTreeSet::new(),
        standing: match wish.status {
            None | Some(Status::Active) => Standing::Good,
            Some(Status::Inactive(_)) => Standing::Suspended { since: created_at },
        },
        metadata: Metadata::default(),
        created_at,
        revision: Revision::FIRST,
    };
    wish.record.apply(&desk.keeper, &mut user)?;
    desk.keeper.enrol_owner(actor, Record::User(user.clone())).await?;
    let rest = async {
        set_password(desk, caller, id, &wish).await?;
        match &wish.token {
            Patch::Set(token) => token::give(desk, actor, *project, id, token).await,
            Patch::Keep | Patch::Clear => Ok(()),
        }
    };
    if let Err(fail) = rest.await {
        desk.keeper
            .remove_owner(actor, *project, Owner::User(id), because(), None)
            .await?;
        return Err(fail);
    }
    Ok(user)
}

/// Gives a user a password. Taking it away is not known here: somebody without one is suspended, or has a token only.
async fn set_password(desk: &Desk, caller: &Caller, id: UserId, wish: &Wish) -> Answer<()> {
    match &wish.password {
        Patch::Keep => Ok(()),
        Patch::Clear => Err(super::body::payload(
            "password",
            "cannot be taken away; suspend the user",
        )),
        Patch::Set(password) => Ok(desk
            .keeper
            .set_password(&caller.actor, caller.project, id, password)
            .await?),
    }
}

async fn remove(desk: &Desk, caller: &Caller, id: UserId) -> Answer<()> {
    let owner = Owner::User(id);
    Ok(desk
        .keeper
        .remove_owner(&caller.actor, caller.project, owner, because(), None)
        .await?)
}

/// One user, as far as the caller may see it.
pub(super) fn known(desk: &Desk, actor: &Actor, project: ProjectId, id: UserId) -> Answer<User> {
    let record = desk.keeper.owner(actor, project, Owner::User(id))?;
    as_user(&record).cloned().ok_or_else(|| Fail::new(Code::NotFound))
}

fn as_user(record: &Arc<Record>) -> Option<&User> {
    match record.as_ref() {
        Record::User(user) => Some(user),
        _ => None,
    }
}

fn because() -> Option<Cause> {
    Cause::new("through Directus").ok()
}
