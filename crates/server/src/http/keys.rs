//! Keys: make, list, read and change them.

use axum::extract::{OriginalUri, State};
use axum::response::Response;
use http::HeaderMap;
use keyholt_api::filter::{KeyChoice, KeyFilter, RevokeMatching, RevokedMatching};
use keyholt_api::key::{
    AmendKey, Because, CreateKey, DescendantsEnded, DescendantsWish, FindKey, FoundKey, IssuedKey, Key, KeyPage,
    RevokeKey, RevokedKey, RotateKey, Validity,
};
use keyholt_api::page::PageRequest;
use keyholt_api::reference::OwnerReference;
use keyholt_api::secret::RevealedSecret;
use keyholt_api::usage::{Usage, UsageHour, UsageRequest};
use keyholt_api::verify::VALID;
use keyholt_core::id::ProjectId;
use keyholt_core::issue::Issued;
use keyholt_core::owner::Owner;
use keyholt_core::rotate::Rotated;
use keyholt_core::secret::Secret;
use keyholt_core::time::Moment;
use keyholt_store::{KeyQuery, Owners};

use super::body::{Json, JsonWithBytes, MaybeJson, json};
use super::condition::{IfMatch, idempotency};
use super::cursor::List;
use super::fail::Answer;
use super::openapi::{CauseParameter, IdempotencyKeyHeader, IfMatchHeader};
use super::place::{InProject, OnKey, owner_or_nobody};
use super::query::{Paged, Query};
use super::{Door, show};
use crate::keeper::{self, Extent};

/// List keys
///
/// Newest first; with `expiring_within` or `expiring_before` soonest end first, with `unused_for` longest unused first. Whoever may only read
/// what is their own sees their own keys and those of the teams that they manage.
#[utoipa::path(get, path = "/v1/projects/{project}/keys", operation_id = "list_keys", tag = "Keys",
    params(KeyFilter, PageRequest),
    responses((status = 200, description = "A page of keys.", body = KeyPage)))]
pub async fn list(State(door): State<Door>, at: InProject, page: Paged<KeyFilter>) -> Answer<Response> {
    let list = List::new("list_keys", at.project, &page.filter);
    let query = KeyQuery {
        after: list.open(&door.keeper, page.cursor.as_deref())?,
        limit: page.limit,
        ..query(&door, at.project, page.filter.read()?)
    };
    let found = door.keeper.keys(&at.actor, at.project, query).await?;
    Ok(json(&KeyPage {
        keys: found.entries.iter().map(|view| show::key(&door.keeper, view)).collect(),
        next_cursor: found.next.map(|after| list.seal(&door.keeper, after)),
    }))
}

/// Create a key
///
/// The secret is in this answer and nowhere else. Nobody can make a key that may do more, or lives longer, than the key it
/// is made with. Repeated with the same `Idempotency-Key`, it makes one key and shows the secret once.
#[utoipa::path(post, path = "/v1/projects/{project}/keys", operation_id = "create_key", tag = "Keys",
    params(IdempotencyKeyHeader), request_body = CreateKey,
    responses((status = 201, description = "The key with its secret.", body = IssuedKey,
        headers(("Location" = String, description = "Where the key is.")))))]
pub async fn create(
    State(door): State<Door>,
    at: InProject,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    JsonWithBytes(body, bytes): JsonWithBytes<CreateKey>,
) -> Answer<Response> {
    let idempotency = idempotency(&headers, uri.path(), &bytes)?;
    let is_repeatable = idempotency.is_some();
    let client_made = body.secret_sha256.is_some();
    let wish = body.read()?;
    let owner = named_owner(&door, at.project, wish.owner.as_ref(), at.actor.owner);
    let Issued { key, secret } = door
        .keeper
        .issue_key(&at.actor, at.project, wish.of(owner), idempotency)
        .await?;
    let already_revealed = (is_repeatable && secret.is_none() && !client_made).then_some(true);
    let shown = Key::show(&key, None, &show::Called(&door.keeper), door.keeper.now());
    let location = format!("/v1/projects/{}/keys/{}", at.project, key.id);
    let issued = IssuedKey {
        key: shown,
        secret: secret.map(revealed),
        already_revealed,
    };
    Ok(show::made(&location, &issued, key.revision.number()))
}

/// The one place where a secret becomes text: the answer that shows it.
pub(super) fn revealed(secret: Secret) -> RevealedSecret {
    RevealedSecret::new(secret.reveal())
}

/// The owner that a body names, or the caller's own.
pub(super) fn named_owner(door: &Door, project: ProjectId, named: Option<&OwnerReference>, own: Owner) -> Owner {
    named.map_or(own, |named| {
        owner_or_nobody(door, project, named.kind, &named.reference.to_string())
    })
}

/// Find the key of a secret
///
/// For whoever finds a secret and wants to know whose it is. It goes in the body, never in a URL.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/find", operation_id = "find_key", tag = "Keys",
    request_body = FindKey, responses((status = 200, description = "The key that has the secret.", body = FoundKey)))]
pub async fn find(State(door): State<Door>, at: InProject, Json(body): Json<FindKey>) -> Answer<Response> {
    let view = door
        .keeper
        .find_key(&at.actor, at.project, body.secret.expose())
        .await?;
    let key = show::key(&door.keeper, &view);
    Ok(json(&FoundKey { key }))
}

/// Revoke every key that a filter finds
///
/// All or none, and only if the filter finds as many keys as the caller expects.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/revoke-matching", operation_id = "revoke_matching", tag = "Keys",
    request_body = RevokeMatching,
    responses((status = 200, description = "How many keys were revoked.", body = RevokedMatching)))]
pub async fn revoke_matching(
    State(door): State<Door>,
    at: InProject,
    Json(body): Json<RevokeMatching>,
) -> Answer<Response> {
    let (choice, cause) = body.read()?;
    let query = query(&door, at.project, choice);
    let revoked = door
        .keeper
        .revoke_matching(&at.actor, at.project, query, body.expect_count, cause)
        .await?;
    Ok(json(&RevokedMatching { revoked }))
}

/// Read a key
#[utoipa::path(get, path = "/v1/projects/{project}/keys/{key}", operation_id = "show_key", tag = "Keys",
    responses((status = 200, description = "The key.", body = Key)))]
pub async fn read(State(door): State<Door>, on: OnKey) -> Answer<Response> {
    let view = door.keeper.key(&on.actor, on.project, on.key).await?;
    Ok(shown(&door, &view))
}

/// Amend a key
///
/// Whoever may change a key may always narrow it; widening and prolonging need the rights themselves.
#[utoipa::path(patch, path = "/v1/projects/{project}/keys/{key}", operation_id = "amend_key", tag = "Keys",
    params(IfMatchHeader), request_body = AmendKey, responses((status = 200, description = "The key as it is now.", body = Key)))]
pub async fn amend(
    State(door): State<Door>,
    on: OnKey,
    IfMatch(based_on): IfMatch,
    Json(body): Json<AmendKey>,
) -> Answer<Response> {
    let change = body.read(door.keeper.now())?;
    let amendment = |key: &keyholt_core::key::Key| change.clone().amendment(&key.bounds);
    let view = door
        .keeper
        .amend_key_with(&on.actor, on.project, on.key, &amendment, based_on)
        .await?;
    Ok(shown(&door, &view))
}

/// Delete a key
///
/// The record goes and its holder is told `unknown`; the audit trail stays. To end a key, revoke it.
#[utoipa::path(delete, path = "/v1/projects/{project}/keys/{key}", operation_id = "delete_key", tag = "Keys",
    params(IfMatchHeader, CauseParameter), responses((status = 204, description = "The key is gone.")))]
pub async fn delete(
    State(door): State<Door>,
    on: OnKey,
    IfMatch(based_on): IfMatch,
    Query(because): Query<Because>,
) -> Answer<Response> {
    let cause = because.read()?;
    door.keeper
        .delete_key(&on.actor, on.project, on.key, cause, based_on)
        .await?;
    Ok(show::nothing())
}

/// Rotate a key
///
/// A new secret now; the old one works on until its grace ends. A rotation during a grace ends that grace: there are never
/// three live secrets.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/{key}/rotate", operation_id = "rotate_key", tag = "Keys",
    params(IfMatchHeader), request_body = Option<RotateKey>,
    responses((status = 200, description = "The key with its new secret.", body = IssuedKey)))]
pub async fn rotate(
    State(door): State<Door>,
    on: OnKey,
    IfMatch(based_on): IfMatch,
    MaybeJson(body): MaybeJson<RotateKey>,
) -> Answer<Response> {
    let Rotated { key, secret } = door
        .keeper
        .rotate_key(&on.actor, on.project, on.key, body.read()?, based_on)
        .await?;
    let issued = IssuedKey {
        key: Key::show(&key, None, &show::Called(&door.keeper), door.keeper.now()),
        secret: secret.map(revealed),
        already_revealed: None,
    };
    Ok(show::record(&issued, key.revision.number()))
}

/// End the grace of a key's old secret
#[utoipa::path(post, path = "/v1/projects/{project}/keys/{key}/end-grace", operation_id = "end_grace", tag = "Keys",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The key, with one live secret.", body = Key)))]
pub async fn end_grace(
    State(door): State<Door>,
    on: OnKey,
    IfMatch(based_on): IfMatch,
    MaybeJson(body): MaybeJson<Because>,
) -> Answer<Response> {
    let cause = body.read()?;
    let view = door
        .keeper
        .end_grace(&on.actor, on.project, on.key, cause, based_on)
        .await?;
    Ok(shown(&door, &view))
}

/// Suspend a key
#[utoipa::path(post, path = "/v1/projects/{project}/keys/{key}/suspend", operation_id = "suspend_key", tag = "Keys",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The key, suspended.", body = Key)))]
pub async fn suspend(
    State(door): State<Door>,
    on: OnKey,
    IfMatch(based_on): IfMatch,
    MaybeJson(body): MaybeJson<Because>,
) -> Answer<Response> {
    let cause = body.read()?;
    let view = door
        .keeper
        .suspend_key(&on.actor, on.project, on.key, cause, based_on)
        .await?;
    Ok(shown(&door, &view))
}

/// Resume a key
///
/// It works again exactly as before.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/{key}/resume", operation_id = "resume_key", tag = "Keys",
    params(IfMatchHeader), request_body = Option<Because>,
    responses((status = 200, description = "The key, active.", body = Key)))]
pub async fn resume(
    State(door): State<Door>,
    on: OnKey,
    IfMatch(based_on): IfMatch,
    MaybeJson(body): MaybeJson<Because>,
) -> Answer<Response> {
    let cause = body.read()?;
    let view = door
        .keeper
        .resume_key(&on.actor, on.project, on.key, cause, based_on)
        .await?;
    Ok(shown(&door, &view))
}

/// Revoke a key
///
/// Final, and at once. Again and again comes to the same: the first time and cause are kept. With `descendants` set to
/// `revoke`, all that was made with the key ends too, and the answer tells how many that were.
#[utoipa::path(post, path = "/v1/projects/{project}/keys/{key}/revoke", operation_id = "revoke_key", tag = "Keys",
    params(IfMatchHeader), request_body = RevokeKey,
    responses((status = 200, description = "The key, revoked.", body = RevokedKey)))]
pub async fn revoke(
    State(door): State<Door>,
    on: OnKey,
    IfMatch(based_on): IfMatch,
    Json(body): Json<RevokeKey>,
) -> Answer<Response> {
    let (keeper, actor) = (&door.keeper, &on.actor);
    let (view, descendants) = match body.read()? {
        (cause, DescendantsWish::Keep) => {
            let revoked = keeper.revoke_key(actor, on.project, on.key, cause, based_on);
            (revoked.await?, None)
        }
        (cause, DescendantsWish::Revoke) => {
            let revoked = keeper.revoke_with_descendants(actor, on.project, on.key, cause, based_on);
            let (view, descendants) = revoked.await?;
            (view, Some(descendants))
        }
    };
    let revoked = RevokedKey {
        key: show::key(keeper, &view),
        descendants: descendants.map(|found| DescendantsEnded {
            revoked: found.revoked,
            left: found.left,
            complete: found.extent == Extent::All,
        }),
    };
    Ok(show::record(&revoked, view.key.revision.number()))
}

/// Ask whether a key works now
///
/// And if not why, in the words of verify; without its secret, and without counting a use. Tells too whether the secret was
/// seen where others can read it.
#[utoipa::path(get, path = "/v1/projects/{project}/keys/{key}/validity", operation_id = "key_validity", tag = "Keys",
    responses((status = 200, description = "Whether it works.", body = Validity)))]
pub async fn validity(State(door): State<Door>, on: OnKey) -> Answer<Response> {
    let keeper::Validity { denial, exposed_at } = door.keeper.validity(&on.actor, on.project, on.key).await?;
    Ok(json(&Validity {
        valid: denial.is_none(),
        code: denial.map_or(VALID, |denial| denial.as_str()).to_owned(),
        exposed_at,
    }))
}

/// Read a key's usage
///
/// Counts by hour and outcome. They are written in batches, so the last second may be missing after a crash.
#[utoipa::path(get, path = "/v1/projects/{project}/keys/{key}/usage", operation_id = "key_usage", tag = "Keys",
    params(UsageRequest), responses((status = 200, description = "How often and when it was used.", body = Usage)))]
pub async fn usage(State(door): State<Door>, on: OnKey, Query(hours): Query<UsageRequest>) -> Answer<Response> {
    let (from, to) = hours.read(door.keeper.now())?;
    let usage = door.keeper.key_usage(&on.actor, on.project, on.key, from, to).await?;
    let hour = |(hour, outcome, count): &(i64, keyholt_store::UseOutcome, u64)| UsageHour {
        hour: Moment::from_ms(hour.saturating_mul(3_600_000)),
        outcome: outcome.as_str().to_owned(),
        count: *count,
    };
    Ok(json(&Usage {
        first_used_at: usage.last.map(|last| last.first_at),
        last_used_at: usage.last.map(|last| last.last_at),
        last_used_from: usage.last.and_then(|last| last.address),
        hours: usage.hours.iter().map(hour).collect(),
    }))
}

fn shown(door: &Door, view: &keeper::KeyView) -> Response {
    show::record(&show::key(&door.keeper, view), view.key.revision.number())
}

/// Filters as a question to the store.
fn query(door: &Door, project: ProjectId, choice: KeyChoice) -> KeyQuery {
    let now = door.keeper.now();
    KeyQuery {
        owners: choice.owner.map_or(Owners::Anybody, |owner| {
            Owners::These(vec![named_owner(
                door,
                project,
                Some(&owner),
                Owner::new(owner.kind, super::place::NOBODY),
            )])
        }),
        kind: choice.kind,
        state: choice.state.and_then(|state| door.keeper.state_filter(state.as_str())),
        scope: choice.scope,
        tag: choice.tag,
        text: choice.text,
        unused_since: choice.unused_for.map(|span| now.minus(span)),
        // Filters are joined by *and*: of two ends the earlier one holds.
        expiring_before: choice
            .expiring_within
            .map(|span| now.plus(span))
            .into_iter()
            .chain(choice.expiring_before)
            .min(),
        created_by: choice.created_by,
        ..KeyQuery::default()
    }
}
