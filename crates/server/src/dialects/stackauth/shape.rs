//! The JSON of keys, users, teams and the project as Stack Auth's clients read it.

use keyholt_core::key::{Key, Kind, State};
use keyholt_core::owner::{MemberRight, OwnerKind, Team, User};
use keyholt_core::secret::holds_secret;
use keyholt_core::text::Metadata;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::NAME;
use super::visitor::Level;
use crate::dialects::notes;
use crate::keeper::KeyView;

/// The permission that lets a member manage a team's keys.
pub const MANAGE_API_KEYS: &str = "$manage_api_keys";
/// What the external id of a user or team begins with that came from Stack Auth; the id that it had there follows.
pub const CAME_WITH_ID: &str = "stackauth:";
/// Longest word of a request that is repeated in an answer.
const EXCERPT_MAX: usize = 64;

/// The id by which the clients know an owner: Keyholt's own, or for who came from Stack Auth the one from there.
pub fn known_id(id: Uuid, handle: &str) -> Uuid {
    handle
        .strip_prefix(CAME_WITH_ID)
        .and_then(|brought| Uuid::try_parse(brought).ok())
        .unwrap_or(id)
}

/// A word of the request, where it may be repeated: short, plain, and no secret.
pub fn excerpt(word: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_$:.".contains(c);
    if word.len() <= EXCERPT_MAX && word.chars().all(plain) && !holds_secret(word) {
        word
    } else {
        "given"
    }
}

/// How much of a key's text is told.
#[derive(Clone, Copy, Debug)]
pub enum Text<'a> {
    /// All of it, once, when the key is made.
    Whole(&'a str),
    /// The end of it.
    End,
}

/// A key.
pub fn key(view: &KeyView, text: Text<'_>) -> Value {
    let key = &view.key;
    let owner = known_id(key.owner.uuid(), &view.owner_handle);
    let mut told = json!({
        "id": key.id,
        "type": key.owner.kind().as_str(),
        "description": description(key),
        "is_public": key.kind == Kind::Publishable,
        "created_at_millis": key.created_at.ms(),
        "value": match text {
            Text::Whole(text) => json!(text),
            Text::End => json!({ "last_four": last_four(key) }),
        },
    });
    put(&mut told, &format!("{}_id", key.owner.kind().as_str()), json!(owner));
    if let Some(at) = key.expiry.at() {
        put(&mut told, "expires_at_millis", json!(at.ms()));
    }
    if let Some(since) = stopped_at(key) {
        put(&mut told, "manually_revoked_at_millis", json!(since));
    }
    told
}

/// Since when a key is stopped. The clients know no suspension: while it lasts, the key looks revoked, as it works for nobody.
pub fn stopped_at(key: &Key) -> Option<i64> {
    match &key.state {
        State::Active => None,
        State::Suspended { since } => Some(since.ms()),
        State::Revoked { at, .. } => Some(at.ms()),
    }
}

/// What the clients call a description: ours, where it says more than the name.
pub fn description(key: &Key) -> &str {
    match key.about.description.as_str() {
        "" => key.about.name.as_str(),
        longer => longer,
    }
}

/// The end of a key's text.
pub fn last_four(key: &Key) -> String {
    let hint = key.about.hint.as_ref().map_or("", |hint| hint.as_str());
    let last: Vec<char> = hint.chars().rev().take(4).collect();
    last.into_iter().rev().collect()
}

/// What the dialect keeps of a user or team beside Keyholt's own words; each is a member of its notes.
pub const KEPT: [&str; 5] = [
    "client_metadata",
    "client_read_only_metadata",
    "server_metadata",
    "profile_image_url",
    "selected_team_id",
];

/// The member of the notes that says that a user was given no name.
pub const UNNAMED: &str = "unnamed";

fn note(metadata: &Metadata, member: &str) -> Value {
    notes::read(metadata, NAME)
        .and_then(|notes| notes.get(member))
        .cloned()
        .unwrap_or(Value::Null)
}

/// What users may do to sign in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Password {
    /// The user has one.
    Set,
    /// The user has none.
    Unset,
}

/// A user, as those on this level may see it.
pub fn user(user: &User, team: Option<&Team>, password: Password, level: Level) -> Value {
    let metadata = &user.metadata;
    let email = user.email.as_ref().map(|email| email.as_str());
    let has_password = password == Password::Set;
    let mut told = json!({
        "id": known_id(user.id.uuid(), user.external_id.as_str()),
        "primary_email": email,
        // Keyholt writes to nobody: an address is what the project says it is.
        "primary_email_verified": email.is_some(),
        "primary_email_auth_enabled": email.is_some(),
        "display_name": display_name(user),
        "selected_team": team.map(|team| self::team(team, level)),
        "selected_team_id": team.map(|team| known_id(team.id.uuid(), team.external_id.as_str())),
        "profile_image_url": note(metadata, "profile_image_url"),
        "signed_up_at_millis": user.created_at.ms(),
        "has_password": has_password,
        "auth_with_email": has_password,
        "otp_auth_enabled": false,
        "passkey_auth_enabled": false,
        "requires_totp_mfa": false,
        "oauth_providers": [],
        "client_metadata": note(metadata, "client_metadata"),
        "client_read_only_metadata": note(metadata, "client_read_only_metadata"),
        "is_anonymous": false,
        "is_restricted": false,
        "restricted_reason": null,
        "restricted_by_admin": false,
        "restricted_by_admin_reason": null,
    });
    if level > Level::Client {
        put(&mut told, "server_metadata", note(metadata, "server_metadata"));
        put(&mut told, "last_active_at_millis", json!(user.created_at.ms()));
        put(&mut told, "restricted_by_admin_private_details", Value::Null);
        put(&mut told, "country_code", Value::Null);
        put(&mut told, "risk_scores", json!({ "sign_up": {} }));
    }
    told
}

/// What people call a user, if they call the user anything.
pub fn display_name(user: &User) -> Option<&str> {
    (note(&user.metadata, UNNAMED) != json!(true)).then(|| user.name.as_str())
}

/// The team that a user has selected.
pub fn selected_team(user: &User) -> Option<Uuid> {
    note(&user.metadata, "selected_team_id")
        .as_str()
        .and_then(|id| Uuid::try_parse(id).ok())
}

/// A team, as those on this level may see it.
pub fn team(team: &Team, level: Level) -> Value {
    let metadata = &team.metadata;
    let mut told = json!({
        "id": known_id(team.id.uuid(), team.external_id.as_str()),
        "display_name": team.name.as_str(),
        "profile_image_url": note(metadata, "profile_image_url"),
        "client_metadata": note(metadata, "client_metadata"),
        "client_read_only_metadata": note(metadata, "client_read_only_metadata"),
    });
    if level > Level::Client {
        put(&mut told, "created_at_millis", json!(team.created_at.ms()));
        put(&mut told, "server_metadata", note(metadata, "server_metadata"));
    }
    told
}

/// What a member may do in a team.
pub fn permissions(right: MemberRight) -> &'static [&'static str] {
    match right {
        MemberRight::Belong => &["team_member"],
        MemberRight::ManageKeys => &[MANAGE_API_KEYS, "team_member"],
    }
}

/// A list that is told whole.
pub fn list(items: Vec<Value>) -> Value {
    json!({ "items": items, "is_paginated": false })
}

/// A page of a longer list, and where the next one starts.
pub fn page(items: Vec<Value>, next: Option<Uuid>) -> Value {
    json!({ "items": items, "is_paginated": true, "pagination": { "next_cursor": next } })
}

/// The words for the two kinds of owner whose keys this dialect speaks of.
pub fn is_spoken_of(kind: OwnerKind) -> bool {
    matches!(kind, OwnerKind::User | OwnerKind::Team)
}

fn put(told: &mut Value, member: &str, value: Value) {
    if let Some(members) = told.as_object_mut() {
        members.insert(member.to_owned(), value);
    }
}

/// Notes with what a request changes of them; `null` takes a member out.
pub fn changed_notes(metadata: &Metadata, changes: Map<String, Value>) -> Map<String, Value> {
    let mut kept = notes::read(metadata, NAME).cloned().unwrap_or_default();
    for (member, value) in changes {
        if value.is_null() {
            kept.remove(&member);
        } else {
            kept.insert(member, value);
        }
    }
    kept
}
