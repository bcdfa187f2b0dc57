//! Bodies of the one question that matters: is this key good for that?

use std::collections::BTreeSet;
use std::net::IpAddr;

use keyholt_core::id::KeyId;
use keyholt_core::key::Kind;
use keyholt_core::scope::{Resource, Wanted};
use keyholt_core::time::Moment;
use keyholt_core::verify::{ASK_SCOPES_MAX, Ask, Needed};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::fault::{FaultCode, Faults, Reason};
use crate::reading::too_many;
use crate::reference::OwnerName;
use crate::secret::PresentedSecret;
use crate::words::{IncludeWord, KeyKind};

/// Most questions in one batch.
pub const BATCH_MAX: usize = 1000;
/// Most characters of an audience, environment or origin that is asked about.
pub const ASKED_CHARS_MAX: usize = 256;
/// The code of a verdict that is not a denial.
pub const VALID: &str = "valid";

/// A question about a key of the caller's project.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"credential": "acme_…", "scopes": ["orders:read"]})))]
pub struct Verify {
    /// The secret that somebody showed. Nothing is trimmed.
    #[schema(value_type = String, max_length = 65536)]
    pub credential: PresentedSecret,
    /// All of these scopes must be allowed. Not together with `any_scopes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 64)]
    pub scopes: Option<Vec<String>>,
    /// At least one of these scopes must be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub any_scopes: Option<Vec<String>>,
    /// What the request is about, such as `acme/reports/42`; added to every asked scope that names no resource.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 200)]
    pub resource: Option<String>,
    /// Whom the key is shown to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub audience: Option<String>,
    /// Where the key is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub environment: Option<String>,
    /// The address of the client that showed the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, examples("192.0.2.7"))]
    pub client_address: Option<String>,
    /// The web origin of the page that showed the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 256)]
    pub origin: Option<String>,
    /// What else to tell about the key: `name`, `tags`, `metadata`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Vec<IncludeWord>>, max_items = 3)]
    pub include: Option<Vec<String>>,
    /// `true` counts nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dry_run: Option<bool>,
}

/// What else to tell about a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Include {
    /// Its name.
    Name,
    /// Its tags.
    Tags,
    /// Its metadata.
    Metadata,
}

impl Include {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Name, Self::Tags, Self::Metadata];

    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::Tags => "tags",
            Self::Metadata => "metadata",
        }
    }

    /// What this word names.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|include| include.as_str() == word)
    }
}

/// Whether a use is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Counting {
    /// It is.
    #[default]
    Counted,
    /// It is not: somebody only tries.
    DryRun,
}

/// A question that was read. It owns its resource, which every asked scope may borrow.
#[derive(Clone, Debug)]
pub struct Question<'a> {
    /// The secret that somebody showed.
    pub credential: &'a str,
    /// What else to tell.
    pub include: BTreeSet<Include>,
    /// Whether the use is counted.
    pub counting: Counting,
    address: Option<IpAddr>,
    resource: Option<Resource>,
    body: &'a Verify,
}

impl Verify {
    /// A question about nothing but the key itself.
    pub fn about(credential: PresentedSecret) -> Self {
        Self {
            credential,
            scopes: None,
            any_scopes: None,
            resource: None,
            audience: None,
            environment: None,
            client_address: None,
            origin: None,
            include: None,
            dry_run: None,
        }
    }

    /// Reads the question, or tells all that is wrong with it.
    pub fn read(&self) -> Result<Question<'_>, Faults> {
        let mut faults = Faults::default();
        if self.scopes.is_some() && self.any_scopes.is_some() {
            let reason = "give either `scopes` or `any_scopes`";
            faults.add("any_scopes", Reason(FaultCode::Conflict, reason.into()));
        }
        for (field, scopes) in [("scopes", &self.scopes), ("any_scopes", &self.any_scopes)] {
            let scopes = scopes.as_deref().unwrap_or_default();
            if scopes.len() > ASK_SCOPES_MAX {
                faults.add(field, too_many(ASK_SCOPES_MAX));
            } else {
                faults.read_each(field, scopes, |scope| Wanted::parse(scope));
            }
        }
        if self.any_scopes.as_ref().is_some_and(Vec::is_empty) {
            // One of none can never be allowed; whoever asks that made a mistake.
            let reason = "must name at least one scope";
            faults.add("any_scopes", Reason(FaultCode::Required, reason.into()));
        }
        let resource = faults.read_optional("resource", self.resource.as_deref(), str::parse);
        let address = faults.read_optional("client_address", self.client_address.as_deref(), str::parse::<IpAddr>);
        for (field, text) in [
            ("audience", &self.audience),
            ("environment", &self.environment),
            ("origin", &self.origin),
        ] {
            if text.as_ref().is_some_and(|text| text.len() > ASKED_CHARS_MAX) {
                let reason = format!("may have at most {ASKED_CHARS_MAX} bytes");
                faults.add(field, Reason(FaultCode::Length, reason.into()));
            }
        }
        let include = self.include.as_deref().unwrap_or_default();
        let include = if include.len() > Include::ALL.len() {
            faults.add("include", too_many(Include::ALL.len()));
            None
        } else {
            let unknown = || Reason(FaultCode::UnknownWord, "must be `name`, `tags` or `metadata`".into());
            faults.read_each("include", include, |word| Include::parse(word).ok_or_else(unknown))
        };
        faults.finish(|| {
            Some(Question {
                credential: self.credential.expose(),
                include: include?.into_iter().collect(),
                counting: match self.dry_run {
                    Some(true) => Counting::DryRun,
                    Some(false) | None => Counting::Counted,
                },
                address: address?,
                resource: resource?,
                body: self,
            })
        })
    }
}

impl Question<'_> {
    /// What the verifier wants to know.
    pub fn ask(&self) -> Ask<'_> {
        let scopes = match (&self.body.scopes, &self.body.any_scopes) {
            (None, None) => Needed::Nothing,
            (Some(scopes), _) => Needed::AllOf(self.wanted(scopes)),
            (None, Some(scopes)) => Needed::AnyOf(self.wanted(scopes)),
        };
        Ask {
            scopes,
            audience: self.body.audience.as_deref(),
            environment: self.body.environment.as_deref(),
            address: self.address,
            origin: self.body.origin.as_deref(),
        }
    }

    fn wanted<'a>(&'a self, scopes: &'a [String]) -> Vec<Wanted<'a>> {
        let parsed = scopes.iter().filter_map(|scope| Wanted::parse(scope).ok());
        match &self.resource {
            Some(resource) => parsed.map(|wanted| wanted.at(resource)).collect(),
            None => parsed.collect(),
        }
    }
}

/// The answer. It is 200 for every verdict: a denial is an answer, not an error.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Whether the key is good for what was asked.
    pub valid: bool,
    /// `valid`, or the code of the denial; new codes may be added.
    #[schema(examples("valid"))]
    pub code: String,
    /// The asked scopes that the key lacks, with `insufficient_scope`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub missing_scopes: Option<Vec<String>>,
    /// The key; not given for `malformed` and `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub key: Option<VerifiedKey>,
    /// Whom the key acts for; not given for `malformed` and `unknown`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub owner: Option<OwnerName>,
    /// What the key may do now; given when it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub scopes: Option<Vec<String>>,
    /// What the key's holder should be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    pub warnings: Vec<Warning>,
    /// The instant for which the answer is true.
    #[schema(value_type = String, format = DateTime)]
    pub as_of: Moment,
}

/// What a verifier is told about a key.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct VerifiedKey {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: KeyId,
    /// `standard`, `static` or `publishable`.
    #[schema(value_type = KeyKind)]
    pub kind: Kind,
    /// When it stops by itself; `null` is never.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// What people call it, where `include` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Its tags, where `include` asks for them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub tags: Option<Vec<String>>,
    /// Its metadata, where `include` asks for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>, nullable = false)]
    pub metadata: Option<Map<String, Value>>,
}

/// Something that the holder of a good key should be told.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub enum Warning {
    /// The key's end is near.
    ExpiresSoon {
        /// When it is dead.
        #[schema(value_type = String, format = DateTime)]
        at: Moment,
    },
    /// The key was rotated, and this is the old secret.
    SupersededSecret {
        /// When the old secret is dead.
        #[schema(value_type = String, format = DateTime)]
        until: Moment,
    },
}

impl From<keyholt_core::verify::Warning> for Warning {
    fn from(warning: keyholt_core::verify::Warning) -> Self {
        match warning {
            keyholt_core::verify::Warning::ExpiresSoon { at } => Self::ExpiresSoon { at },
            keyholt_core::verify::Warning::SupersededSecret { until } => Self::SupersededSecret { until },
        }
    }
}

/// Many questions at once.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyBatch {
    /// The questions, at most 1000.
    #[serde(deserialize_with = "crate::reading::objects")]
    #[schema(max_items = 1000)]
    pub items: Vec<Verify>,
}

/// The answers, in the order of the questions.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Verdicts {
    /// One answer for each question.
    pub results: Vec<Verdict>,
}

/// An answer with its reasons, for an operator.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Explanation {
    /// The answer that a verifier would get.
    pub verdict: Verdict,
    /// Each rule in the order in which it is looked at; none for a key that is not found.
    pub rules: Vec<RuleOutcome>,
}

/// What one rule says.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RuleOutcome {
    /// The rule.
    #[schema(examples("expired"))]
    pub name: String,
    /// `passed`, or the code of the denial.
    #[schema(examples("passed"))]
    pub outcome: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_whole_or_all_its_faults_are_told() {
        let mut body = Verify::about(PresentedSecret::new("x".to_owned()));
        body.scopes = Some(vec!["a:b".to_owned(), "a b".to_owned()]);
        body.any_scopes = Some(vec![]);
        body.client_address = Some("192.0.2.1:80".to_owned());
        let faults = body.read().unwrap_err();
        let fields: Vec<&str> = faults.entries().iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, ["any_scopes", "scopes[1]", "any_scopes", "client_address"]);
    }

    #[test]
    fn a_resource_is_added_to_every_scope_that_names_none() {
        let mut body = Verify::about(PresentedSecret::new("x".to_owned()));
        body.scopes = Some(vec!["a:b".to_owned(), "a:c@other".to_owned()]);
        body.resource = Some("acme/1".to_owned());
        let question = body.read().unwrap();
        let Needed::AllOf(wanted) = question.ask().scopes else {
            panic!("all of them were asked for");
        };
        let wanted: Vec<String> = wanted.iter().map(|wanted| wanted.to_scope().to_string()).collect();
        assert_eq!(wanted, ["a:b@acme/1", "a:c@other"]);
    }
}
