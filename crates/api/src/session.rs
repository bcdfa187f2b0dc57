//! Bodies about people who log in: log-in, refresh, sessions, passwords.

use keyholt_core::id::KeyId;
use keyholt_core::key::Key;
use keyholt_core::password::{LOGIN_CHARS_MAX, Typed};
use keyholt_core::scope::Access;
use keyholt_core::secret::{Credentials, SECRET_BYTES_MAX};
use keyholt_core::session::{Mode, Wish};
use keyholt_core::text::{Cause, Name};
use keyholt_core::time::Moment;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::fault::{FaultCode, Faults, Reason};
use crate::key::read_access;
use crate::reading::read_cause;
use crate::reference::{Names, OwnerName};
use crate::scopes::Scopes;
use crate::secret::{PresentedSecret, RevealedSecret};
use crate::words::SessionMode;

/// What a session is called that nobody named.
const UNNAMED: &str = "log-in";

/// A log-in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(examples(json!({"login": "ada@example.org", "password": "a phrase that nobody else has"})))]
pub struct LogIn {
    /// The user's external id, or the e-mail address where only one user has it.
    #[schema(min_length = 1, max_length = 254)]
    pub login: String,
    /// The password, to the letter; at most 1024 bytes.
    #[schema(value_type = String, min_length = 1, max_length = 1024)]
    pub password: PresentedSecret,
    /// What this log-in may do, within what the user may do; left out, everything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Scopes>,
    /// `tokens` (when left out) or `cookie`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<SessionMode>)]
    pub mode: Option<String>,
    /// What the user recognises the session by, such as the name of a device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 64, examples("Ada's laptop"))]
    pub name: Option<String>,
}

/// A log-in that was read.
#[derive(Debug)]
pub struct Attempt<'a> {
    /// The name that was typed.
    pub login: &'a str,
    /// The password that was typed.
    pub password: Typed,
    /// What is wished for.
    pub wish: Wish,
}

impl LogIn {
    /// Reads the log-in, or tells all that is wrong with it.
    pub fn read(&self) -> Result<Attempt<'_>, Faults> {
        let mut faults = Faults::default();
        if self.login.is_empty() || self.login.chars().count() > LOGIN_CHARS_MAX {
            let reason = format!("must have 1 to {LOGIN_CHARS_MAX} characters");
            faults.add("login", Reason(FaultCode::Length, reason.into()));
        }
        let password = faults.read("password", Typed::read(self.password.expose()));
        let access = match &self.scopes {
            None => Some(Access::Everything),
            Some(scopes) => read_access(&mut faults, "scopes", scopes),
        };
        let mode = match self.mode.as_deref() {
            None | Some("tokens") => Some(Mode::Tokens),
            Some("cookie") => Some(Mode::Cookie),
            Some(_) => {
                let reason = "must be `tokens` or `cookie`";
                faults.add("mode", Reason(FaultCode::UnknownWord, reason.into()));
                None
            }
        };
        let name = faults.read("name", Name::new(self.name.as_deref().unwrap_or(UNNAMED)));
        faults.finish(|| {
            Some(Attempt {
                login: &self.login,
                password: password?,
                wish: Wish {
                    access: access?,
                    mode: mode?,
                    name: name?,
                },
            })
        })
    }
}

/// Somebody who logged in.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct LoggedIn {
    /// The session.
    pub session: Session,
    /// Good once, for the next tokens; shown this once. Left out in cookie mode, where the cookie is all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub refresh_token: Option<RevealedSecret>,
    /// What opens doors for some minutes, as `Authorization: Bearer …`. Left out in cookie mode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, nullable = false)]
    pub access_token: Option<RevealedSecret>,
    /// `Bearer`, where there is an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub token_type: Option<String>,
    /// How many seconds the access token works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub expires_in: Option<u64>,
}

impl LoggedIn {
    /// A session that is shown by nothing in the answer itself.
    pub fn bare(session: Session) -> Self {
        Self {
            session,
            refresh_token: None,
            access_token: None,
            token_type: None,
            expires_in: None,
        }
    }
}

/// A session as it is shown. It never holds a secret.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// Its id.
    #[schema(value_type = Uuid)]
    pub id: KeyId,
    /// Who logged in.
    pub owner: OwnerName,
    /// What the user recognises it by.
    pub name: String,
    /// `tokens` or `cookie`.
    #[schema(value_type = SessionMode, examples("tokens"))]
    pub mode: String,
    /// What it may do, within what its user may do.
    pub scopes: Scopes,
    /// Whether it is the one that asks.
    pub current: bool,
    /// When the user logged in.
    #[schema(value_type = String, format = DateTime)]
    pub created_at: Moment,
    /// When it ends unless it is refreshed before.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub expires_at: Option<Moment>,
    /// When it was last used, as far as is known yet.
    #[schema(required, value_type = Option<String>, format = DateTime)]
    pub last_used_at: Option<Moment>,
}

impl Session {
    /// A session as it is shown to whoever asks with `asking`.
    pub fn show(session: &Key, last_used_at: Option<Moment>, asking: KeyId, names: &(impl Names + ?Sized)) -> Self {
        let mode = match session.credentials {
            Credentials::Family { .. } => "tokens",
            Credentials::One(_) | Credentials::Rotating { .. } | Credentials::Renewed { .. } => "cookie",
        };
        Self {
            id: session.id,
            owner: names.owner_name(session.owner),
            name: session.about.name.to_string(),
            mode: mode.to_owned(),
            scopes: Scopes::from(&session.access),
            current: session.id == asking,
            created_at: session.created_at,
            expires_at: session.expiry.at(),
            last_used_at,
        }
    }
}

/// Somebody's sessions. There are at most 100 of them, so they are on one page.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, ToSchema)]
pub struct Sessions {
    /// The sessions that work, newest first.
    pub sessions: Vec<Session>,
}

/// How many sessions were ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
pub struct SessionsEnded {
    /// So many.
    pub ended: u64,
}

/// A refresh or a log-out. A session in a cookie needs no body.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ShowSession {
    /// The newest refresh token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>, max_length = 512)]
    pub refresh_token: Option<PresentedSecret>,
}

impl ShowSession {
    /// The refresh token, where one is shown; what is too long for any is not looked at.
    pub fn token(&self) -> Result<Option<&str>, Faults> {
        match self.refresh_token.as_ref().map(PresentedSecret::expose) {
            Some(token) if token.len() > SECRET_BYTES_MAX => Err(Faults::one(
                "refresh_token",
                Reason(FaultCode::Length, "is longer than any refresh token".into()),
            )),
            token => Ok(token),
        }
    }
}

/// A password for somebody else.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetPassword {
    /// The new password: as many characters as the project's policy asks for (15 unless it says otherwise), at most
    /// 1024 bytes, and none that is guessed first.
    #[schema(value_type = String, min_length = 1, max_length = 1024)]
    pub password: PresentedSecret,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

impl SetPassword {
    /// Reads the password and why it is set, or tells all that is wrong with them.
    pub fn read(&self) -> Result<(Typed, Option<Cause>), Faults> {
        let mut faults = Faults::default();
        let password = faults.read("password", Typed::read(self.password.expose()));
        let cause = read_cause(&mut faults, self.cause.as_deref());
        faults.finish(|| Some((password?, cause?)))
    }
}

/// Another password for oneself.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangePassword {
    /// The present password.
    #[schema(value_type = String, min_length = 1, max_length = 1024)]
    pub present: PresentedSecret,
    /// The new password; for it the same holds as where an administrator sets one.
    #[schema(value_type = String, min_length = 1, max_length = 1024)]
    pub new: PresentedSecret,
    /// Why, for the audit trail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 256)]
    pub cause: Option<String>,
}

impl ChangePassword {
    /// Reads the present and the new password and why it is changed, or tells all that is wrong with them.
    pub fn read(&self) -> Result<(Typed, Typed, Option<Cause>), Faults> {
        let mut faults = Faults::default();
        let present = faults.read("present", Typed::read(self.present.expose()));
        let new = faults.read("new", Typed::read(self.new.expose()));
        let cause = read_cause(&mut faults, self.cause.as_deref());
        faults.finish(|| Some((present?, new?, cause?)))
    }
}
