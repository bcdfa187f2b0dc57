//! The audit trail on the wire.

use std::net::IpAddr;

use keyholt_core::audit::{Noun, Outcome};
use keyholt_core::id::{KeyId, ProjectId};
use keyholt_core::time::Moment;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::fault::{FaultCode, Faults, Reason};
use crate::reference::{Names, OwnerName, OwnerReference};
use crate::words::{EventNoun, EventOutcome};

/// Most characters of an action in a filter.
pub const ACTION_CHARS_MAX: usize = 64;

/// One entry of the audit trail.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its number; numbers grow in the order in which things were done.
    pub number: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: Moment,
    /// What was done or tried.
    #[schema(examples("key.revoke"))]
    pub action: String,
    /// `done` or `refused`.
    #[schema(value_type = EventOutcome)]
    pub outcome: String,
    /// The error code of a refusal.
    #[schema(required)]
    pub refusal: Option<String>,
    /// Who did it; `null` is Keyholt itself.
    #[schema(required)]
    pub actor: Option<EventActor>,
    /// What it was done to.
    pub target: EventTarget,
    /// Whom the thing belongs to, where it belongs to somebody.
    #[schema(required)]
    pub owner: Option<OwnerName>,
    /// Why, in the words of whoever did it.
    #[schema(required)]
    pub cause: Option<String>,
    /// From where.
    pub source: EventSource,
    /// What the thing was before.
    #[schema(required, value_type = Option<Object>)]
    pub before: Option<Value>,
    /// What it is now.
    #[schema(required, value_type = Option<Object>)]
    pub after: Option<Value>,
}

/// Who did it: the key that was used, and whom it acts for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventActor {
    /// The key.
    #[schema(value_type = Uuid)]
    pub key: KeyId,
    /// Whom that key acts for.
    pub owner: OwnerName,
    /// The project that the key belongs to.
    #[schema(value_type = Uuid)]
    pub project: ProjectId,
}

/// What it was done to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventTarget {
    /// What kind of thing.
    #[schema(value_type = EventNoun)]
    pub kind: Noun,
    /// Which; `null` where it does not exist, or where many were meant.
    #[schema(required)]
    pub id: Option<Uuid>,
}

/// From where a request came.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventSource {
    /// The client's address.
    #[schema(required, value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// The request's id, as in its `X-Request-Id`.
    pub request_id: String,
}

impl Event {
    /// An event as it is shown.
    pub fn show(number: u64, event: &keyholt_core::audit::Event, names: &(impl Names + ?Sized)) -> Self {
        let (outcome, refusal) = match &event.outcome {
            Outcome::Done => ("done", None),
            Outcome::Refused { code } => ("refused", Some(code.clone())),
        };
        Self {
            number,
            at: event.at,
            action: event.action.clone(),
            outcome: outcome.to_owned(),
            refusal,
            actor: event.actor.map(|actor| EventActor {
                key: actor.key,
                owner: names.owner_name(actor.owner),
                project: actor.home,
            }),
            target: EventTarget {
                kind: event.target.noun,
                id: event.target.id,
            },
            owner: event.owner.map(|owner| names.owner_name(owner)),
            cause: event.cause.as_ref().map(ToString::to_string),
            source: EventSource {
                address: event.source.address,
                request_id: event.source.request.to_string(),
            },
            before: event.before.clone(),
            after: event.after.clone(),
        }
    }
}

/// A page of the audit trail, newest first.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct EventPage {
    /// The events.
    pub events: Vec<Event>,
    /// Asks for the next page; `null` on the last one.
    #[schema(required)]
    pub next_cursor: Option<String>,
}

/// Which events are wanted. Filters are joined by *and*; one that is left out does not filter.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct EventFilter {
    /// With this action, such as `key.revoke`, or of this kind: `key.*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 64, pattern = r"^[a-z_.]+(\.\*)?$", nullable = false)]
    pub action: Option<String>,
    /// About this thing, such as `key:0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(schema_with = target_schema)]
    pub target: Option<String>,
    /// Done with the key of this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = Uuid, nullable = false)]
    pub actor: Option<String>,
    /// About something of this owner, such as `user:u_42`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(max_length = 140, pattern = "^(user|team|service):.+$", nullable = false)]
    pub owner: Option<String>,
    /// `done` or `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<EventOutcome>)]
    #[param(value_type = Option<EventOutcome>, inline, nullable = false)]
    pub outcome: Option<String>,
    /// From this instant on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = DateTime, nullable = false)]
    pub since: Option<String>,
    /// Before this instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = DateTime, nullable = false)]
    pub until: Option<String>,
}

/// A kind of thing and an id. The kinds are those that [`Noun`] has: what is accepted and what is declared are one list.
fn target_schema() -> Schema {
    let nouns = Noun::ALL.map(Noun::as_str).join("|");
    let pattern = format!("^({nouns}):[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$");
    ObjectBuilder::new()
        .schema_type(Type::String)
        .pattern(Some(pattern))
        .into()
}

/// Filters that were read; an owner is still to be looked up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EventChoice {
    /// With this action, or of this kind when it ends in `.*`.
    pub action: Option<String>,
    /// About this thing.
    pub target: Option<(Noun, Uuid)>,
    /// Done with this key.
    pub actor: Option<KeyId>,
    /// About something of this owner.
    pub owner: Option<OwnerReference>,
    /// Done things or refused attempts only.
    pub outcome: Option<OutcomeWord>,
    /// From this instant on.
    pub since: Option<Moment>,
    /// Before this instant.
    pub until: Option<Moment>,
}

/// Whether a thing was done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OutcomeWord {
    /// It was.
    Done,
    /// It was refused.
    Refused,
}

impl EventFilter {
    /// Reads the filters, or tells all that is wrong with them.
    pub fn read(&self) -> Result<EventChoice, Faults> {
        let mut faults = Faults::default();
        let action = faults.read_optional("action", self.action.as_deref(), read_action);
        let target = faults.read_optional("target", self.target.as_deref(), read_target);
        let actor = faults.read_optional("actor", self.actor.as_deref(), str::parse);
        let owner = faults.read_optional("owner", self.owner.as_deref(), str::parse);
        let outcome = faults.read_optional("outcome", self.outcome.as_deref(), |word| match word {
            "done" => Ok(OutcomeWord::Done),
            "refused" => Ok(OutcomeWord::Refused),
            _ => Err(Reason(FaultCode::UnknownWord, "must be `done` or `refused`".into())),
        });
        let since = faults.read_optional("since", self.since.as_deref(), str::parse);
        let until = faults.read_optional("until", self.until.as_deref(), str::parse);
        faults.finish(|| {
            Some(EventChoice {
                action: action?,
                target: target?,
                actor: actor?,
                owner: owner?,
                outcome: outcome?,
                since: since?,
                until: until?,
            })
        })
    }
}

fn read_action(text: &str) -> Result<String, Reason> {
    let stem = text.strip_suffix(".*").unwrap_or(text);
    let named = |c: char| c.is_ascii_lowercase() || c == '_' || c == '.';
    if stem.is_empty() || text.len() > ACTION_CHARS_MAX || !stem.chars().all(named) {
        return Err(Reason(
            FaultCode::Form,
            "must be an action such as `key.revoke`, or a kind of action such as `key.*`".into(),
        ));
    }
    Ok(text.to_owned())
}

fn read_target(text: &str) -> Result<(Noun, Uuid), Reason> {
    text.split_once(':')
        .and_then(|(noun, id)| Some((Noun::parse(noun)?, id.parse::<KeyId>().ok()?.uuid())))
        .ok_or(Reason(
            FaultCode::Form,
            "must be a kind of thing and an id, such as `key:0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20`".into(),
        ))
}
