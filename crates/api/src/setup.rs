//! Bodies of the set-up: the token from the first start becomes the first operator.

use keyholt_core::found::FirstOperator;
use keyholt_core::text::{Email, ExternalId, Name};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::Faults;
use crate::key::Key;
use crate::owner::User;
use crate::secret::{PresentedSecret, RevealedSecret};

/// The external id of an operator who names none.
pub const OPERATOR: &str = "operator";

/// Who shall be the first operator.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetUp {
    /// The one-time token that the server printed at its first start.
    #[schema(value_type = String, max_length = 512)]
    pub token: PresentedSecret,
    /// What people call the operator.
    #[schema(min_length = 1, max_length = 64, examples("Ada"))]
    pub name: String,
    /// How the operator is called in commands; left out, `operator`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 128)]
    pub external_id: Option<String>,
    /// Where to reach the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 3, max_length = 254, pattern = r"^[^@\s]+@[^@\s]+$")]
    pub email: Option<String>,
}

impl SetUp {
    /// Reads who shall be the first operator, or tells all that is wrong with it.
    pub fn read(&self) -> Result<FirstOperator, Faults> {
        let mut faults = Faults::default();
        let name = faults.read("name", Name::new(&self.name));
        let external_id = self.external_id.as_deref().unwrap_or(OPERATOR);
        let external_id = faults.read("external_id", ExternalId::new(external_id));
        let email = faults.read_optional("email", self.email.as_deref(), Email::new);
        faults.finish(|| {
            Some(FirstOperator {
                name: name?,
                external_id: external_id?,
                email: email?,
            })
        })
    }
}

/// The first operator, with a key that can do everything.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct FirstOperatorKey {
    /// The operator.
    pub operator: User,
    /// The operator's key.
    pub key: Key,
    /// Its secret, shown this once.
    #[schema(value_type = String)]
    pub secret: RevealedSecret,
}
