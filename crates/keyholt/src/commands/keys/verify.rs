//! `keyholt keys verify`, `explain` and `validity`: exit code 0 is valid, 1 not valid, 2 no verdict.

use clap::{Args, ValueEnum};
use keyholt_api::key::Validity;
use keyholt_api::secret::PresentedSecret;
use keyholt_api::verify::{Explanation, Verdict, Verify as Question};

use super::SecretArgument;
use crate::commands::arguments::some_if_any;
use crate::commands::records::KEY;
use crate::connection::request::{Path, Request};
use crate::context::{Context, OWN_PROJECT};
use crate::exit::Exit;
use crate::printer::{Form, Shown};
use crate::show::rules_table;
use crate::trouble::Trouble;

/// What is asked about a secret.
#[derive(Args)]
struct AskArguments {
    #[command(flatten)]
    secret: SecretArgument,
    /// All of these scopes must be allowed; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// One of these scopes must be allowed; may be repeated
    #[arg(long = "any-scope", value_name = "SCOPE", conflicts_with = "scopes")]
    any_scopes: Vec<String>,
    /// What the request is about, such as `acme/reports/42`
    #[arg(long)]
    resource: Option<String>,
    /// Whom the key is shown to
    #[arg(long, value_name = "NAME")]
    audience: Option<String>,
    /// Where the key is used
    #[arg(long, value_name = "WORD")]
    environment: Option<String>,
    /// The address of the client that showed the key
    #[arg(long, value_name = "ADDRESS")]
    client_address: Option<String>,
    /// The web origin of the page that showed the key
    #[arg(long)]
    origin: Option<String>,
    /// What else to tell about the key
    #[arg(long, value_enum, value_delimiter = ',')]
    include: Vec<IncludeWord>,
}

/// What else to tell about a key.
#[derive(Clone, Copy, ValueEnum)]
enum IncludeWord {
    Name,
    Tags,
    Metadata,
}

impl IncludeWord {
    fn word(self) -> String {
        match self {
            Self::Name => "name",
            Self::Tags => "tags",
            Self::Metadata => "metadata",
        }
        .to_owned()
    }
}

/// A secret to verify.
#[derive(Args)]
#[command(
    after_help = "Exit codes: 0 valid, 1 not valid, 2 no verdict. An outage is never a verdict.\n\
                  The secret is read from stdin, a file or a hidden prompt.\n\n\
                  Example:\n  keyholt keys verify --scope orders:read --client-address 192.0.2.7 < secret.txt"
)]
pub struct Verify {
    #[command(flatten)]
    ask: AskArguments,
    /// Do not count it as a use of the key
    #[arg(long)]
    dry_run: bool,
}

/// A secret to explain.
#[derive(Args)]
#[command(after_help = "Exit codes: 0 valid, 1 not valid, 2 no verdict.\n\n\
                  Example:\n  keyholt keys explain --scope orders:read --secret-file secret.txt")]
pub struct Explain {
    #[command(flatten)]
    ask: AskArguments,
}

/// A key whose validity is wanted.
#[derive(Args)]
#[command(after_help = "Exit codes: 0 valid, 1 not valid, 2 no verdict.\n\n\
                  Example:\n  keyholt keys validity 0199a3c4-7b1e-7c00-8000-6f9d2f3f1a20")]
pub struct ValidityOf {
    /// The key's id
    key: String,
}

/// Tells whether a secret is good for something.
pub async fn verify(context: &mut Context, words: Verify) -> Result<Exit, Trouble> {
    let mut question = words.ask.question(context)?;
    question.dry_run = words.dry_run.then_some(true);
    let path = match context.project() {
        OWN_PROJECT => Path::of(&["v1", "verify"]),
        _ => context.in_project(&["verify"])?,
    };
    let request = Request::ask(path, "verify the secret").body(&question)?;
    let answer = context.send::<Verdict>(&request).await.map_err(Trouble::no_verdict)?;
    context.printer.answer(&answer)?;
    Ok(exit_of(answer.value.valid))
}

/// Tells why a secret is judged as it is.
pub async fn explain(context: &mut Context, words: Explain) -> Result<Exit, Trouble> {
    let question = words.ask.question(context)?;
    let request = Request::ask(context.in_project(&["explain"])?, "explain the verdict").body(&question)?;
    let answer = context
        .send::<Explanation>(&request)
        .await
        .map_err(Trouble::no_verdict)?;
    match context.printer.form() {
        Form::Json => context.printer.document(&answer.json)?,
        Form::Text => {
            context.printer.card(&answer.value.verdict.card())?;
            if !answer.value.rules.is_empty() {
                context.printer.verbatim(b"\n")?;
            }
            context.printer.table(&rules_table(&answer.value.rules))?;
        }
    }
    Ok(exit_of(answer.value.verdict.valid))
}

/// Tells whether a key works now.
pub async fn validity(context: &mut Context, words: ValidityOf) -> Result<Exit, Trouble> {
    let path = KEY.at(context, &words.key)?.then("validity");
    let request = Request::read(path, KEY.purpose("judge", &words.key));
    let answer = context.send::<Validity>(&request).await.map_err(Trouble::no_verdict)?;
    context.printer.answer(&answer)?;
    Ok(exit_of(answer.value.valid))
}

fn exit_of(valid: bool) -> Exit {
    if valid { Exit::Yes } else { Exit::No }
}

impl AskArguments {
    fn question(self, context: &mut Context) -> Result<Question, Trouble> {
        let secret = context.read_secret(self.secret.secret_file.as_ref(), "the secret")?;
        let include = self.include.iter().map(|word| word.word()).collect();
        Ok(Question {
            scopes: some_if_any(self.scopes),
            any_scopes: some_if_any(self.any_scopes),
            resource: self.resource,
            audience: self.audience,
            environment: self.environment,
            client_address: self.client_address,
            origin: self.origin,
            include: some_if_any(include),
            ..Question::about(PresentedSecret::new(secret))
        })
    }
}
