//! Arguments that several commands take, and how they become members of a request.

use clap::{ArgGroup, Args};
use keyholt_api::key::Because;
use keyholt_api::patch::Patch;
use keyholt_api::reference::OwnerChoice;
use serde_json::{Map, Value};

/// Whose a key is.
#[derive(Args, Default)]
#[command(group = ArgGroup::new("owner").args(["user", "team", "service"]).multiple(false))]
pub struct OwnerArguments {
    /// Of this user, by id or external id
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Of this team, by id or external id
    #[arg(long, value_name = "TEAM")]
    pub team: Option<String>,
    /// Of this service, by id or name
    #[arg(long, value_name = "SERVICE")]
    pub service: Option<String>,
}

impl OwnerArguments {
    /// As a member of a body.
    pub fn choice(self) -> Option<OwnerChoice> {
        let user = self.user.map(OwnerChoice::User);
        user.or(self.team.map(OwnerChoice::Team))
            .or(self.service.map(OwnerChoice::Service))
    }

    /// As a filter: `user:u_42`.
    pub fn filter(self) -> Option<String> {
        Some(match self.choice()? {
            OwnerChoice::User(user) => format!("user:{user}"),
            OwnerChoice::Team(team) => format!("team:{team}"),
            OwnerChoice::Service(service) => format!("service:{service}"),
        })
    }
}

/// Why something is done.
#[derive(Args, Default)]
pub struct CauseArgument {
    /// Why; kept in the audit trail
    #[arg(long, value_name = "TEXT")]
    pub cause: Option<String>,
}

impl From<CauseArgument> for Because {
    fn from(argument: CauseArgument) -> Self {
        Self { cause: argument.cause }
    }
}

/// At which revision the thing must still be.
#[derive(Args, Default)]
pub struct RevisionArgument {
    /// Only if the thing is still at this revision
    #[arg(long, value_name = "NUMBER")]
    pub if_revision: Option<u32>,
}

/// Why something is done to a record, and at which revision the record must still be.
#[derive(Args, Default)]
pub struct ActArguments {
    #[command(flatten)]
    pub cause: CauseArgument,
    #[command(flatten)]
    pub revision: RevisionArgument,
}

/// Free-form data.
#[derive(Args, Default)]
pub struct MetadataArgument {
    /// Free-form data: a JSON object
    #[arg(long, value_name = "JSON", value_parser = parse_object)]
    pub metadata: Option<Map<String, Value>>,
}

fn parse_object(text: &str) -> Result<Map<String, Value>, String> {
    match serde_json::from_str(text) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("write a JSON object such as `{\"cost_centre\": 42}`".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// A member that a flag clears, or a value sets, or neither touches. The command line allows no two of them.
pub fn set_or_clear<T>(value: Option<T>, clear: bool) -> Patch<T> {
    if clear { Patch::Clear } else { value.into() }
}

/// A list that a flag empties, or values replace, or neither touches.
pub fn replace_or_empty(values: Vec<String>, empty: bool) -> Patch<Vec<String>> {
    if empty {
        Patch::Set(Vec::new())
    } else {
        some_if_any(values).into()
    }
}

/// A list, unless nothing was said.
pub fn some_if_any(values: Vec<String>) -> Option<Vec<String>> {
    (!values.is_empty()).then_some(values)
}
