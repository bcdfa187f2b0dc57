//! The project: what everybody may know of it, and the switches that its administrators have.

use std::collections::BTreeSet;

use axum::response::Response;
use keyholt_core::owner::OwnerKind;
use keyholt_core::project::Project;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::complaint::{self, Answer};
use super::visitor::{Level, Visitor};
use crate::dialects::Desk;
use crate::dialects::reading::Body;
use crate::http::body;
use crate::keeper::ProjectChange;

/// The switch of users' keys, as the configuration names it.
const USER_SWITCH: &str = "apiKeys.enabled.user";
/// The switch of teams' keys.
const TEAM_SWITCH: &str = "apiKeys.enabled.team";

/// What an administrator changes of the project.
#[derive(Deserialize)]
pub struct Change {
    display_name: Option<String>,
    #[serde(default)]
    config: Map<String, Value>,
}

/// What an administrator changes of the configuration: JSON in a text.
#[derive(Deserialize)]
pub struct Override {
    config_override_string: String,
}

/// Switches that shall be on or off; what is `None` stays.
#[derive(Clone, Copy, Debug, Default)]
struct Switches {
    user: Option<bool>,
    team: Option<bool>,
}

impl Switches {
    fn apply(self, owners: &BTreeSet<OwnerKind>) -> BTreeSet<OwnerKind> {
        let mut owners = owners.clone();
        for (kind, wanted) in [(OwnerKind::User, self.user), (OwnerKind::Team, self.team)] {
            match wanted {
                Some(true) => drop(owners.insert(kind)),
                Some(false) => drop(owners.remove(&kind)),
                None => {}
            }
        }
        owners
    }
}

/// The project, as the pages of the application may know it.
pub async fn read(desk: Desk, visitor: Visitor) -> Answer<Response> {
    let front = desk.keeper.project_front(visitor.project)?;
    Ok(body::json(&json!({
        "id": visitor.project,
        "display_name": front.name.as_str(),
        "config": config(&front.owners),
    })))
}

/// The project, as its administrators know it.
pub async fn read_whole(desk: Desk, visitor: Visitor) -> Answer<Response> {
    visitor.at_least(Level::Admin)?;
    let project = desk.keeper.project(visitor.actor()?, visitor.project)?;
    Ok(body::json(&whole(&project)))
}

/// Renames the project or turns its switches.
pub async fn change(desk: Desk, visitor: Visitor, body: Body) -> Answer<Response> {
    visitor.at_least(Level::Admin)?;
    let sent: Change = body.json()?;
    let name = sent.display_name.as_deref().map(keyholt_core::text::Name::new);
    let name = name.transpose().map_err(super::people::refused("display_name"))?;
    let switches = Switches {
        user: switch(&sent.config, "allow_user_api_keys")?,
        team: switch(&sent.config, "allow_team_api_keys")?,
    };
    let project = turn(&desk, &visitor, name, switches).await?;
    Ok(body::json(&whole(&project)))
}

/// The configuration, as far as it is about keys.
pub async fn read_config(desk: Desk, visitor: Visitor) -> Answer<Response> {
    visitor.at_least(Level::Admin)?;
    let project = desk.keeper.project(visitor.actor()?, visitor.project)?;
    let has = |kind| project.policy.owners.contains(&kind);
    let config = json!({ "apiKeys": { "enabled": { "user": has(OwnerKind::User), "team": has(OwnerKind::Team) } } });
    Ok(body::json(&json!({ "config_string": config.to_string() })))
}

/// Turns the switches by their names in the configuration.
pub async fn change_config(desk: Desk, visitor: Visitor, level: String, body: Body) -> Answer<Response> {
    visitor.at_least(Level::Admin)?;
    if !["environment", "branch", "project"].contains(&level.as_str()) {
        return Err(complaint::schema("the level must be project, branch or environment"));
    }
    let sent: Override = body.json()?;
    let config: Map<String, Value> = serde_json::from_str(&sent.config_override_string)
        .map_err(|_| complaint::schema("config_override_string must be a JSON object"))?;
    if config
        .keys()
        .any(|name| ![USER_SWITCH, TEAM_SWITCH].contains(&name.as_str()))
    {
        return Err(complaint::schema(format!(
            "only `{USER_SWITCH}` and `{TEAM_SWITCH}` can be set here"
        )));
    }
    let switches = Switches {
        user: switch(&config, USER_SWITCH)?,
        team: switch(&config, TEAM_SWITCH)?,
    };
    turn(&desk, &visitor, None, switches).await?;
    Ok(body::json(&json!({ "success": true })))
}

async fn turn(
    desk: &Desk,
    visitor: &Visitor,
    name: Option<keyholt_core::text::Name>,
    switches: Switches,
) -> Answer<Project> {
    let change = |project: &Project| {
        let mut policy = project.policy.clone();
        policy.owners = switches.apply(&policy.owners);
        ProjectChange {
            slug: None,
            name: name.clone(),
            policy: Some(policy),
        }
    };
    let actor = visitor.actor()?;
    Ok(desk
        .keeper
        .change_project_with(actor, visitor.project, &change, None)
        .await?)
}

fn switch(config: &Map<String, Value>, name: &str) -> Answer<Option<bool>> {
    match config.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(on)) => Ok(Some(*on)),
        Some(_) => Err(complaint::schema(format!("{name} must be true or false"))),
    }
}

fn config(owners: &BTreeSet<OwnerKind>) -> Value {
    json!({
        "sign_up_enabled": false,
        "credential_enabled": true,
        "magic_link_enabled": false,
        "passkey_enabled": false,
        "client_team_creation_enabled": false,
        "client_user_deletion_enabled": false,
        "allow_user_api_keys": owners.contains(&OwnerKind::User),
        "allow_team_api_keys": owners.contains(&OwnerKind::Team),
        "allow_localhost": true,
        "enabled_oauth_providers": [],
        "domains": [],
    })
}

fn whole(project: &Project) -> Value {
    let mut config = config(&project.policy.owners);
    if let Some(members) = config.as_object_mut() {
        members.insert("oauth_providers".to_owned(), json!([]));
        members.insert("email_config".to_owned(), json!({ "type": "shared" }));
        members.insert("oauth_account_merge_strategy".to_owned(), json!("raise_error"));
    }
    json!({
        "id": project.id,
        "display_name": project.name.as_str(),
        "description": null,
        "created_at_millis": project.created_at.ms(),
        "is_production_mode": true,
        "user_count": 0,
        "config": config,
    })
}
