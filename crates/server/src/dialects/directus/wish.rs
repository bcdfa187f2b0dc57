//! What a client wants to be different about a user, read from the object that it sends.

use keyholt_api::fault::{FaultCode, Faults, Reason};
use keyholt_api::patch::Patch;
use keyholt_core::commit::Record;
use keyholt_core::id::{ProjectId, RoleId};
use keyholt_core::owner::User;
use keyholt_core::password::Typed;
use keyholt_core::text::{Email, ExternalId, Name};
use serde_json::{Map, Value};

use super::person::{MASK, Names, Notes, PROFILE, Status, external_id_of, roles};
use super::token::Token;
use crate::keeper::{Keeper, Label, Refusal};

/// What shall become different about a user, or how a new one shall be.
#[derive(Debug, Default)]
pub struct Wish {
    /// The part that is in the user's record.
    pub record: RecordWish,
    /// Whether the user's keys work.
    pub status: Option<Status>,
    /// The token.
    pub token: Patch<Token>,
    /// The password.
    pub password: Patch<Typed>,
}

/// The part of a wish that is in the user's record.
#[derive(Clone, Debug, Default)]
pub struct RecordWish {
    first_name: Patch<String>,
    last_name: Patch<String>,
    email: Patch<Email>,
    external_identifier: Patch<ExternalId>,
    role: Patch<String>,
    policies: Option<Vec<String>>,
    profile: Map<String, Value>,
    status: Option<Status>,
}

/// What everybody has alike here; a client may send it back as it was read.
fn is_fixed(member: &str, value: &Value) -> bool {
    match member {
        "last_access" | "auth_data" | "tfa_secret" => value.is_null(),
        "provider" => value == "default",
        _ => false,
    }
}

impl Wish {
    /// Reads an object, or tells all that is wrong with it.
    pub fn read(body: Map<String, Value>) -> Result<Self, Faults> {
        let mut faults = Faults::default();
        let mut wish = Self::default();
        for (member, value) in body {
            wish.read_member(&member, value, &mut faults);
        }
        wish.record.status = wish.status;
        faults.finish(|| Some(wish))
    }

    fn read_member(&mut self, member: &str, value: Value, faults: &mut Faults) {
        let record = &mut self.record;
        match member {
            // Only a new user is asked about it: one who comes from Directus brings it along.
            "id" => match value.as_str().and_then(external_id_of) {
                Some(external) => record.external_identifier = Patch::Set(external),
                None => faults.add(member, wrong_type("must be a UUID in lower case")),
            },
            "first_name" => record.first_name = text(faults, member, value, trimmed),
            "last_name" => record.last_name = text(faults, member, value, trimmed),
            "email" => record.email = text(faults, member, value, Email::new),
            "external_identifier" => record.external_identifier = text(faults, member, value, ExternalId::new),
            "role" => record.role = text(faults, member, id_of(value), |text| Ok::<_, Reason>(text.to_owned())),
            "policies" => match value
                .as_array()
                .map(|all| all.iter().map(|one| one.as_str().map(str::to_owned)).collect())
            {
                Some(Some(policies)) => record.policies = Some(policies),
                _ => faults.add(member, wrong_type("must be a list of the ids of roles")),
            },
            "status" => match value.as_str().and_then(Status::parse) {
                Some(status) => self.status = Some(status),
                None => faults.add(
                    member,
                    Reason(FaultCode::UnknownWord, "is not a status of a user".into()),
                ),
            },
            "token" => {
                self.token = match text(faults, member, value, |text| match text {
                    "" => Ok(None),
                    text => Token::read(text).map(Some),
                }) {
                    Patch::Keep => Patch::Keep,
                    Patch::Clear | Patch::Set(None) => Patch::Clear,
                    Patch::Set(Some(token)) => Patch::Set(token),
                }
            }
            "password" => {
                self.password = text(faults, member, value, |text| match text {
                    MASK => Err(Reason(FaultCode::Form, "is the mask that stands for a password".into())),
                    text => Typed::read(text).map_err(|_| Reason(FaultCode::Form, "is not a password".into())),
                });
            }
            member if PROFILE.contains(&member) => {
                record.profile.insert(member.to_owned(), value);
            }
            member if is_fixed(member, &value) => {}
            member => faults.add(
                member,
                Reason(
                    FaultCode::UnknownMember,
                    "is not a field that can be written here".into(),
                ),
            ),
        }
    }
}

impl RecordWish {
    /// Whether anything in the record shall become different. A wish that cannot be granted is one: the keeper says why.
    pub fn is_for(&self, keeper: &Keeper, user: &User) -> bool {
        let mut after = user.clone();
        self.apply(keeper, &mut after).is_err() || after != *user
    }

    /// Whether that is no more than what users may change about themselves.
    pub fn is_label_of(&self, keeper: &Keeper, user: &User) -> bool {
        let mut after = user.clone();
        let applied = self.apply(keeper, &mut after);
        (after.name, after.metadata) = (user.name.clone(), user.metadata.clone());
        applied.is_ok() && after == *user
    }

    /// What a record shall be called, and what is noted about it.
    pub fn label(&self, keeper: &Keeper, record: &Record) -> Result<Label, Refusal> {
        let Record::User(user) = record else {
            return Err(Refusal::NotFound(record.noun()));
        };
        let mut after = user.clone();
        self.apply(keeper, &mut after)?;
        Ok(Label {
            name: after.name,
            metadata: after.metadata,
        })
    }

    /// Makes the record what it shall be.
    pub fn apply(&self, keeper: &Keeper, user: &mut User) -> Result<(), Refusal> {
        self.apply_texts(user)?;
        let before = roles(keeper, user);
        let mut ids = before.iter().map(|role| role.id);
        let role = match &self.role {
            Patch::Keep => ids.next(),
            Patch::Clear => {
                ids.next();
                None
            }
            Patch::Set(word) => {
                ids.next();
                Some(named(keeper, user.project, word))
            }
        };
        let policies: Vec<RoleId> = match &self.policies {
            Some(words) => words.iter().map(|word| named(keeper, user.project, word)).collect(),
            None => ids.collect(),
        };
        user.roles = role.into_iter().chain(policies).collect();
        Ok(())
    }

    fn apply_texts(&self, user: &mut User) -> Result<(), Refusal> {
        let refuse = |field| move |error| Refusal::Text { field, error };
        let mut notes = Notes::of(user);
        let followed = user
            .email
            .as_ref()
            .is_some_and(|email| email.as_str() == user.external_id.as_str());
        match &self.email {
            Patch::Keep => {}
            Patch::Clear => user.email = None,
            Patch::Set(email) => user.email = Some(email.clone()),
        }
        match (&self.external_identifier, &user.email) {
            (Patch::Set(external), _) => user.external_id = external.clone(),
            // What is unique is the external id: an address that stands for it stays unique when it changes.
            (_, Some(email)) if followed => user.external_id = external_id(email)?,
            _ => {}
        }
        let mut names = Names::of(user);
        change(&mut names.first, &self.first_name);
        change(&mut names.last, &self.last_name);
        if !self.first_name.is_keep() || !self.last_name.is_keep() {
            user.name = name(&names, user)?;
            notes.set("name", Value::from(user.name.as_str()));
            notes.set("first_name", Value::from(names.first));
            notes.set("last_name", Value::from(names.last));
        }
        for (member, value) in &self.profile {
            notes.set(member, value.clone());
        }
        match self.status {
            Some(Status::Inactive(word)) if word != "suspended" => notes.set("status", Value::from(word)),
            Some(_) => notes.set("status", Value::Null),
            None => {}
        }
        user.metadata = notes.write(&user.metadata).map_err(refuse("description"))?;
        Ok(())
    }

    /// The external id of a new user: the one that is wished for, else the address, else one that says where it is from.
    pub fn new_external_id(&self, fresh: &str) -> Result<ExternalId, Refusal> {
        match (&self.external_identifier, &self.email) {
            (Patch::Set(external), _) => Ok(external.clone()),
            (_, Patch::Set(email)) => external_id(email),
            _ => ExternalId::new(&format!("directus-{fresh}")).map_err(|error| Refusal::Text {
                field: "external_identifier",
                error,
            }),
        }
    }
}

fn external_id(email: &Email) -> Result<ExternalId, Refusal> {
    ExternalId::new(email.as_str()).map_err(|error| Refusal::Text { field: "email", error })
}

/// Keyholt's users all have a name: where Directus' has none, it is the external id.
fn name(names: &Names, user: &User) -> Result<Name, Refusal> {
    let joined = names.joined();
    if joined.is_empty() {
        let start: String = user.external_id.as_str().chars().take(Name::MOST).collect();
        Name::new(start.trim_end())
    } else {
        Name::new(&joined)
    }
    .map_err(|error| Refusal::Text {
        field: "first_name",
        error,
    })
}

fn change(name: &mut Option<String>, patch: &Patch<String>) {
    match patch {
        Patch::Keep => {}
        Patch::Clear => *name = None,
        Patch::Set(text) => *name = Some(text.clone()).filter(|text| !text.is_empty()),
    }
}

/// The role that a word names. One that does not exist stays so: the keeper refuses it, after it has asked for leave.
fn named(keeper: &Keeper, project: ProjectId, word: &str) -> RoleId {
    let role = keeper.role_named(project, word);
    role.map_or(RoleId::from_uuid(uuid::Uuid::nil()), |role| role.id)
}

/// What a client that asked for `role.*` sends back is the whole role.
fn id_of(value: Value) -> Value {
    match value {
        Value::Object(mut role) => role.remove("id").unwrap_or_default(),
        other => other,
    }
}

fn text<T, E: keyholt_api::fault::Blame>(
    faults: &mut Faults,
    member: &str,
    value: Value,
    read: impl FnOnce(&str) -> Result<T, E>,
) -> Patch<T> {
    match value {
        Value::Null => Patch::Clear,
        Value::String(text) => faults.read(member, read(&text)).into(),
        _ => {
            faults.add(member, wrong_type("must be text"));
            Patch::Keep
        }
    }
}

fn trimmed(text: &str) -> Result<String, Reason> {
    Ok(text.trim().to_owned())
}

fn wrong_type(told: &'static str) -> Reason {
    Reason(FaultCode::WrongType, told.into())
}
