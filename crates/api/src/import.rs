//! Importing keys that another system issued, by the SHA-256 of their secrets.

use keyholt_core::issue::SecretOrigin;
use keyholt_core::secret::{Fingerprint, Hint};
use keyholt_core::text::Name;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::fault::{FaultCode, Faults, Reason};
use crate::key::{CreateKey, KeyWish};
use crate::reference::OwnerChoice;
use crate::scopes::Scopes;
use crate::words::KeyKind;

/// Most keys in one import.
pub const IMPORT_MAX: usize = 10_000;

/// Keys to import, all of them or none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportKeys {
    /// Whether only to tell what would happen.
    pub dry_run: bool,
    /// The keys.
    #[serde(deserialize_with = "crate::reading::objects")]
    #[schema(min_items = 1, max_items = 10000)]
    pub keys: Vec<ImportedKey>,
}

/// A key that another system issued.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportedKey {
    /// SHA-256 of its secret, as 64 lower-case hexadecimal digits.
    #[schema(pattern = "^[0-9a-f]{64}$")]
    pub secret_sha256: String,
    /// How people recognise it in a list, such as `old_…9xQz`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64)]
    pub hint: Option<String>,
    /// Whom the key acts for; left out, the caller's own owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<OwnerChoice>,
    /// `standard` (when left out), `static` or `publishable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KeyKind>)]
    pub kind: Option<String>,
    /// What people call it.
    #[schema(min_length = 1, max_length = 64)]
    pub name: String,
    /// What it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 1024)]
    pub description: Option<String>,
    /// Free-form data: at most 4096 bytes and 8 levels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    pub metadata: Option<Map<String, Value>>,
    /// Words to find it by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_items = 32)]
    pub tags: Option<Vec<String>>,
    /// What it may do; left out, nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// The instant at which it is dead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    /// How long it works, such as `90d`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64)]
    pub expires_in: Option<String>,
    /// `true` for a key without end, where the project's policy allows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub never_expires: Option<bool>,
    /// Where it is meant to be used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 12)]
    pub environment: Option<String>,
    /// Client networks that it works from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub networks: Option<Vec<String>>,
    /// Web origins that it works from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub origins: Option<Vec<String>>,
    /// Whom it may be shown to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_items = 1, max_items = 64)]
    pub audience: Option<Vec<String>>,
}

impl ImportedKey {
    /// Reads the wish, or tells all that is wrong with it.
    pub fn read(self) -> Result<KeyWish, Faults> {
        let mut faults = Faults::default();
        let fingerprint = faults.read("secret_sha256", Fingerprint::parse(&self.secret_sha256));
        let hint = faults.read_optional("hint", self.hint.as_deref(), read_hint);
        let origin = fingerprint
            .zip(hint)
            .map(|(fingerprint, hint)| SecretOrigin::Imported { fingerprint, hint });
        let create = CreateKey {
            owner: self.owner,
            kind: self.kind,
            name: self.name,
            description: self.description,
            metadata: self.metadata,
            tags: self.tags,
            scopes: self.scopes,
            expires_at: self.expires_at,
            expires_in: self.expires_in,
            never_expires: self.never_expires,
            environment: self.environment,
            networks: self.networks,
            origins: self.origins,
            audience: self.audience,
            secret_sha256: None,
        };
        create.read_with(origin, faults)
    }
}

/// A hint is shown for ever, so it obeys the rules of a name: one printable line that holds no secret.
fn read_hint(text: &str) -> Result<Hint, Reason> {
    let form = |_| {
        Reason(
            FaultCode::Form,
            "must be 1 to 64 printable characters that are not a whole secret".into(),
        )
    };
    let text = Name::new(text).map_err(form)?;
    serde_json::from_value(Value::String(text.to_string()))
        .map_err(|_| Reason(FaultCode::Form, "cannot be kept as a hint".into()))
}

/// What came of an import.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Imported {
    /// How many keys were taken; with `dry_run`, how many could be. If any is refused, none is taken.
    pub accepted: usize,
    /// Which keys are refused, and why.
    pub refused: Vec<RefusedKey>,
}

/// A key that is not imported.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusedKey {
    /// Its place in the request, counted from 0.
    pub index: usize,
    /// Why, as a stable word.
    #[schema(examples("secret_taken"))]
    pub code: String,
    /// Why, for people.
    pub detail: String,
}
