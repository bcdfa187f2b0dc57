//! How often and when a key was used.

use std::net::IpAddr;

use keyholt_core::time::{Moment, Span};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::fault::{FaultCode, Faults, Reason};
use crate::words::UseOutcome;

/// Most hours in one answer: a year.
pub const USAGE_HOURS_MAX: i64 = 8_784;
/// What a question that does not say is about.
pub const USAGE_DEFAULT: Span = Span::days(7);

/// Which hours are wanted.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct UsageRequest {
    /// From the hour of this instant on; left out, a week before `to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = DateTime, nullable = false)]
    pub from: Option<String>,
    /// Up to the hour of this instant, which is included; left out, now. At most a year of hours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[param(format = DateTime, nullable = false)]
    pub to: Option<String>,
}

impl UsageRequest {
    /// An instant in the first hour, and one in the last.
    pub fn read(&self, now: Moment) -> Result<(Moment, Moment), Faults> {
        let mut faults = Faults::default();
        let to = match &self.to {
            None => Some(now),
            Some(text) => faults.read("to", text.parse::<Moment>()),
        };
        let from = match &self.from {
            None => to.map(|to| to.minus(USAGE_DEFAULT)),
            Some(text) => faults.read("from", text.parse::<Moment>()),
        };
        if let (Some(from), Some(to)) = (from, to)
            && !(0..USAGE_HOURS_MAX).contains(&to.hour().saturating_sub(from.hour()))
        {
            let reason = format!("must be before `to`, and at most {USAGE_HOURS_MAX} hours");
            faults.add("from", Reason(FaultCode::Range, reason.into()));
        }
        faults.finish(|| Some((from?, to?)))
    }
}

/// A key's usage.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Usage {
    /// When it was first granted something.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub first_used_at: Option<Moment>,
    /// When it was last granted something.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Moment>,
    /// From which address it was last used, where that is known.
    #[schema(required, value_type = Option<String>)]
    pub last_used_from: Option<IpAddr>,
    /// Counts by hour and outcome; hours without use are left out.
    pub hours: Vec<UsageHour>,
}

/// How often a key was used in one hour with one outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct UsageHour {
    /// When the hour starts.
    #[schema(value_type = String, format = DateTime)]
    pub hour: Moment,
    /// `granted`, `granted_retiring`, `denied_standing`, `denied_bounds` or `denied_scope`.
    #[schema(value_type = UseOutcome)]
    pub outcome: String,
    /// How often.
    pub count: u64,
}
