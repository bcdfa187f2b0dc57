//! A user as Directus shows one: `directus_users`.
//!
//! | Directus | here |
//! |---|---|
//! | `id` | the user's; the id that came along where the external id is `directus:` and that id |
//! | `email` | the user's |
//! | `first_name`, `last_name` | the user's name; how it falls into two is noted in the metadata |
//! | `external_identifier` | the user's external id, where that is not the e-mail address |
//! | `status` | the user's standing; which word stands for a suspension is noted |
//! | `role` | the first of the user's roles by name; the others are `policies` |
//! | `token` | ten asterisks where the user has a static key, else null |
//! | `title`, `location`, `language`, … | noted in the metadata |

use std::collections::BTreeSet;

use keyholt_core::id::{ProjectId, UserId};
use keyholt_core::owner::{Owner, OwnerKind, Standing, User};
use keyholt_core::role::Role;
use keyholt_core::text::{ExternalId, Metadata, TextError};
use serde_json::{Map, Value, json};

use super::NAME;
use super::filter::Known;
use crate::dialects::{Desk, notes};
use crate::keeper::Keeper;

/// The collection's name.
pub const COLLECTION: &str = "directus_users";
/// What stands in the place of a secret that is there.
pub const MASK: &str = "**********";
/// What is noted as it comes: nothing here judges by it.
pub const PROFILE: [&str; 15] = [
    "appearance",
    "avatar",
    "description",
    "email_notifications",
    "language",
    "last_page",
    "location",
    "tags",
    "text_direction",
    "theme_dark",
    "theme_dark_overrides",
    "theme_light",
    "theme_light_overrides",
    "title",
    "timezone",
];

/// What may be asked about users.
pub const KNOWN: Known = Known {
    fields: &[
        "id",
        "first_name",
        "last_name",
        "email",
        "status",
        "role",
        "policies",
        "provider",
        "external_identifier",
        "last_access",
        "appearance",
        "avatar",
        "description",
        "email_notifications",
        "language",
        "last_page",
        "location",
        "tags",
        "text_direction",
        "theme_dark",
        "theme_light",
        "title",
        "timezone",
    ],
    relations: &[("role", &["id", "name", "description"])],
    concealed: &["token"],
};

/// What Directus calls a user whose keys do not work.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Status {
    /// They do.
    Active,
    /// They do not, for this reason.
    Inactive(&'static str),
}

impl Status {
    /// The words for users whose keys do not work.
    const INACTIVE: [&'static str; 5] = ["suspended", "draft", "invited", "unverified", "archived"];

    /// The status that a word names.
    pub fn parse(word: &str) -> Option<Self> {
        if word == "active" {
            return Some(Self::Active);
        }
        Self::INACTIVE
            .into_iter()
            .find(|known| *known == word)
            .map(Self::Inactive)
    }

    fn of(user: &User) -> &'static str {
        if user.standing == Standing::Good {
            return "active";
        }
        let noted = notes::text(&user.metadata, NAME, "status").and_then(Self::parse);
        match noted {
            Some(Self::Inactive(word)) => word,
            _ => "suspended",
        }
    }
}

/// A user's two names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names {
    /// The first.
    pub first: Option<String>,
    /// The last.
    pub last: Option<String>,
}

impl Names {
    /// How the user's name falls into two. Where somebody renamed the user since, all of it is the first.
    pub fn of(user: &User) -> Self {
        let noted = |member| notes::text(&user.metadata, NAME, member).map(str::to_owned);
        if noted("name").as_deref() == Some(user.name.as_str()) {
            return Self {
                first: noted("first_name"),
                last: noted("last_name"),
            };
        }
        Self {
            first: Some(user.name.to_string()),
            last: None,
        }
    }

    /// Both in one.
    pub fn joined(&self) -> String {
        let both: Vec<&str> = [&self.first, &self.last]
            .into_iter()
            .filter_map(|name| name.as_deref())
            .collect();
        both.join(" ")
    }
}

/// What is noted about a user beside what Keyholt keeps.
#[derive(Clone, Debug, Default)]
pub struct Notes(Map<String, Value>);

impl Notes {
    /// What is noted now.
    pub fn of(user: &User) -> Self {
        Self(notes::read(&user.metadata, NAME).cloned().unwrap_or_default())
    }

    /// Notes a value; null takes the note away.
    pub fn set(&mut self, member: &str, value: Value) {
        if value.is_null() {
            self.0.remove(member);
        } else {
            self.0.insert(member.to_owned(), value);
        }
    }

    /// The metadata with these notes in it.
    pub fn write(self, metadata: &Metadata) -> Result<Metadata, TextError> {
        if self.0.is_empty() && notes::read(metadata, NAME).is_none() {
            return Ok(metadata.clone());
        }
        notes::write(metadata, NAME, self.0)
    }
}

/// A user's roles, in the order of their names: the first is the one that Directus calls the role.
pub fn roles(keeper: &Keeper, user: &User) -> Vec<Role> {
    let named = user
        .roles
        .iter()
        .filter_map(|role| keeper.role_named(user.project, &role.to_string()).ok());
    let mut roles: Vec<Role> = named.collect();
    roles.sort_unstable_by(|one, other| one.name.cmp(&other.name));
    roles
}

/// What stands before an id of Directus in the external id of a user who came from there.
const FROM_DIRECTUS: &str = "directus:";

/// The external id of a user who came with this id, if it is one.
pub fn external_id_of(id: &str) -> Option<ExternalId> {
    id.parse::<UserId>().ok()?;
    ExternalId::new(&format!("{FROM_DIRECTUS}{id}")).ok()
}

/// The user whom an id names. What is no id is nobody's: the keeper asks for leave before it says so.
pub fn id_of(desk: &Desk, project: ProjectId, word: &str) -> UserId {
    let came = external_id_of(word)
        .and_then(|external| {
            desk.keeper
                .owner_named(project, OwnerKind::User, external.as_str())
                .ok()
        })
        .map(|owner| UserId::from_uuid(owner.uuid()));
    came.or_else(|| word.parse().ok())
        .unwrap_or(UserId::from_uuid(uuid::Uuid::nil()))
}

/// The id under which Directus' clients know an owner.
pub fn shown_id(desk: &Desk, owner: Owner) -> String {
    let handle = desk.keeper.owner_handle(owner).unwrap_or_default();
    match handle.strip_prefix(FROM_DIRECTUS) {
        Some(id) => id.to_owned(),
        None => owner.uuid().to_string(),
    }
}

/// Everything about a user but the token, which another look-up tells.
pub fn show(desk: &Desk, user: &User) -> Value {
    show_wanted(desk, user, |_| true)
}

/// The fields of a user that are wanted, and nothing looked up for the others.
pub fn show_wanted(desk: &Desk, user: &User, wanted: impl Fn(&str) -> bool) -> Value {
    let email = user.email.as_ref().map(|email| email.as_str());
    let external = user.external_id.as_str();
    let came = external.strip_prefix(FROM_DIRECTUS);
    let mut shown = Map::new();
    let mut put = |field: &str, value: &dyn Fn() -> Value| {
        if wanted(field) {
            shown.insert(field.to_owned(), value());
        }
    };
    put("id", &|| came.map_or_else(|| json!(user.id), Value::from));
    put("first_name", &|| json!(Names::of(user).first));
    put("last_name", &|| json!(Names::of(user).last));
    put("email", &|| json!(email));
    put("status", &|| json!(Status::of(user)));
    put("role", &|| {
        json!(roles(&desk.keeper, user).first().map(super::roles::show))
    });
    put("policies", &|| {
        let roles = roles(&desk.keeper, user);
        roles.iter().skip(1).map(|role| json!(role.id)).collect()
    });
    put("provider", &|| json!("default"));
    put("external_identifier", &|| {
        json!(Some(external).filter(|external| came.is_none() && Some(*external) != email))
    });
    for nothing in ["last_access", "auth_data", "tfa_secret"] {
        put(nothing, &|| Value::Null);
    }
    let noted = notes::read(&user.metadata, NAME);
    for field in PROFILE {
        put(field, &|| {
            let value = noted.and_then(|noted| noted.get(field)).cloned();
            value.unwrap_or(if field == "email_notifications" {
                Value::Bool(true)
            } else {
                Value::Null
            })
        });
    }
    Value::Object(shown)
}

/// Says of each user who is shown whether there is a token. Who may not know is not told that there is none.
pub fn show_tokens(users: &mut [(UserId, Value)], holders: Option<&BTreeSet<UserId>>) {
    let Some(holders) = holders else { return };
    for (id, user) in users {
        user["token"] = if holders.contains(id) {
            Value::from(MASK)
        } else {
            Value::Null
        };
    }
}
