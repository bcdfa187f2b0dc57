//! The JSON of keys, users, teams and the project as Stack Auth's clients read it.

use keyholt_core::id::KeyId;
use keyholt_core::key::{Key, Kind, State};
use keyholt_core::owner::{MemberRight, OwnerKind, Team, User};
use keyholt_core::secret::holds_secret;
use keyholt_core::text::Metadata;
use keyholt_core::time::Moment;
use serde::Serialize;
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

/// A key as it is told. Written as it stands: a check of a key is asked for all the time, and a tree of its members would cost
/// more than the look-up.
#[derive(Serialize)]
pub struct Told<'a> {
    created_at_millis: i64,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at_millis: Option<i64>,
    id: KeyId,
    is_public: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    manually_revoked_at_millis: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service_id: Option<Uuid>,
    #[serde(skip_serializing_if = "Option::is_none")]
    team_id: Option<Uuid>,
    r#type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<Uuid>,
    value: TextTold<'a>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum TextTold<'a> {
    Whole(&'a str),
    End { last_four: &'a str },
}

/// A key.
pub fn key<'a>(view: &'a KeyView, text: Text<'a>) -> Told<'a> {
    key_of(&view.key, known_id(view.key.owner.uuid(), &view.owner_handle), text)
}

/// A key of the owner whom the clients know by this id.
pub fn key_of<'a>(key: &'a Key, owner: Uuid, text: Text<'a>) -> Told<'a> {
    let kind = key.owner.kind();
    let id_of = |wanted| (kind == wanted).then_some(owner);
    Told {
        created_at_millis: key.created_at.ms(),
        description: description(key),
        expires_at_millis: key.expiry.at().map(Moment::ms),
        id: key.id,
        is_public: key.kind == Kind::Publishable,
        manually_revoked_at_millis: stopped_at(key),
        service_id: id_of(OwnerKind::Service),
        team_id: id_of(OwnerKind::Team),
        r#type: kind.as_str(),
        user_id: id_of(OwnerKind::User),
        value: match text {
            Text::Whole(text) => TextTold::Whole(text),
            Text::End => TextTold::End {
                last_four: last_four(key),
            },
        },
    }
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
pub fn last_four(key: &Key) -> &str {
    let hint = key.about.hint.as_ref().map_or("", |hint| hint.as_str());
    let from = hint.char_indices().rev().take(4).last().map_or(0, |(at, _)| at);
    hint.get(from..).unwrap_or_default()
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
pub fn list<T: Serialize>(items: Vec<T>) -> impl Serialize {
    #[derive(Serialize)]
    struct Whole<T> {
        is_paginated: bool,
        items: Vec<T>,
    }
    Whole {
        is_paginated: false,
        items,
    }
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

#[cfg(test)]
mod tests {
    use keyholt_core::id::KeyId;

    use super::*;

    #[test]
    fn a_key_is_written_as_everything_else_is_with_its_members_in_the_order_of_their_names() {
        for value in [TextTold::Whole("x"), TextTold::End { last_four: "abcd" }] {
            let some = Some(Uuid::nil());
            let told = Told {
                created_at_millis: 1,
                description: "d",
                expires_at_millis: Some(2),
                id: KeyId::from_uuid(Uuid::nil()),
                is_public: false,
                manually_revoked_at_millis: Some(3),
                service_id: some,
                team_id: some,
                r#type: "user",
                user_id: some,
                value,
            };
            let written = serde_json::to_string(&list(vec![&told])).unwrap();
            let sorted: Value = serde_json::from_str(&written).unwrap();
            assert_eq!(written, sorted.to_string());
        }
    }
}
