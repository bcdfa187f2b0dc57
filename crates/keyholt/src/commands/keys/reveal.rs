//! How a new secret is made here or there, and shown this once.

use clap::Args;
use keyholt_api::key::{IssuedKey, Key};
use keyholt_api::project::Project;
use keyholt_api::secret::RevealedSecret;
use keyholt_core::key::Kind;
use keyholt_core::secret::{Prefix, Secret, Visibility};
use keyholt_core::text::Environment;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::connection::Answer;
use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::printer::{Form, Shown, Talk};
use crate::trouble::Trouble;

/// Who makes the secret, and how it is shown.
#[derive(Args, Default)]
pub struct SecretArguments {
    /// Make the secret here and send only its SHA-256: the server never sees it
    #[arg(long)]
    client_made: bool,
    /// The first word of a secret that is made here [default: the project's]
    #[arg(long, requires = "client_made")]
    prefix: Option<String>,
    /// Say nothing but the secret, and fail without one
    #[arg(long, conflicts_with = "json")]
    secret_only: bool,
}

/// A secret that was made here.
pub struct ClientMade {
    secret: Zeroizing<String>,
}

impl ClientMade {
    /// What the server may know of it.
    pub fn sha256(&self) -> String {
        sha256(&self.secret)
    }
}

/// What the server may know of a secret: its SHA-256, as 64 hexadecimal digits.
pub fn sha256(secret: &str) -> String {
    let digest = Sha256::digest(secret.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl SecretArguments {
    /// Whether the secret is made here.
    pub fn is_made_here(&self) -> bool {
        self.client_made
    }

    /// The new secret, if it shall be made here.
    pub async fn make(
        &self,
        context: &mut Context,
        kind: Kind,
        environment: Option<&str>,
    ) -> Result<Option<ClientMade>, Trouble> {
        if !self.client_made {
            return Ok(None);
        }
        let cannot = |error: &dyn std::error::Error| Trouble::new("cannot make the secret").because(error);
        let environment = environment
            .map(Environment::new)
            .transpose()
            .map_err(|error| cannot(&error))?;
        let prefix = match &self.prefix {
            Some(prefix) => prefix.clone(),
            None => prefix_of_project(context).await?,
        };
        let prefix = Prefix::new(&prefix).map_err(|error| cannot(&error))?;
        let visibility = match kind {
            Kind::Publishable => Visibility::Publishable,
            Kind::Standard | Kind::Static | Kind::Session => Visibility::Secret,
        };
        let secret = Secret::mint(&prefix, visibility, environment.as_ref(), &mut *context.entropy);
        Ok(Some(ClientMade {
            secret: secret.reveal(),
        }))
    }

    /// Shows a key with its new secret: the secret alone on stdout, all else as talk.
    pub fn show(
        &self,
        context: &mut Context,
        answer: Answer<IssuedKey>,
        made: Option<ClientMade>,
        says: &str,
    ) -> Result<Exit, Trouble> {
        if self.secret_only {
            context.printer.set_talk(Talk::Silent);
        }
        let Answer { mut value, json } = answer;
        let was_made_here = made.is_some();
        if let Some(made) = made {
            value.secret = Some(RevealedSecret::new(made.secret));
        }
        context.printer.say(says);
        context.printer.say_card(&value.key.card());
        let Some(secret) = &value.secret else {
            if context.printer.form() == Form::Json {
                context.printer.document(&json)?;
            }
            return Err(unrevealed(&value.key));
        };
        match context.printer.form() {
            Form::Json if was_made_here => {
                let json = serde_json::to_string(&value).map(Zeroizing::new);
                let json = json.map_err(|error| Trouble::new("cannot write the answer").because(&error))?;
                context.printer.document(&json)?;
            }
            Form::Json => context.printer.document(&json)?,
            Form::Text => {
                context.printer.say("This is its secret; it is shown this once:");
                context.printer.secret(secret.expose())?;
            }
        }
        Ok(Exit::Yes)
    }
}

/// The key is there, and its secret was in an answer that got lost.
fn unrevealed(key: &Key) -> Trouble {
    Trouble::new(format!("key `{}` has a secret that cannot be shown again", key.id))
        .caused_by("the server had given it away in an answer that did not arrive")
        .hint(format!("`keyholt keys rotate {} --grace 0s` makes a new one", key.id))
}

async fn prefix_of_project(context: &mut Context) -> Result<String, Trouble> {
    let path = Path::of(&["v1", "projects"]).and(context.project())?;
    let request = Request::read(path, "read the project's prefix");
    let project = context.send::<Project>(&request).await;
    let project = project.map_err(|trouble| trouble.hint("`--prefix` says it without asking the server"))?;
    Ok(project.value.policy.prefix)
}
