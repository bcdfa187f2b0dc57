//! `keyholt projects`: the tenants, and the policy that every key of a tenant obeys.

use std::collections::BTreeMap;

use clap::{Args, Subcommand, ValueEnum};
use keyholt_api::key::Because;
use keyholt_api::patch::Patch;
use keyholt_api::project::{AmendPolicy, AmendProject, CreateProject, Project, ProjectPage};
use serde_json::Value;

use super::arguments::{CauseArgument, RevisionArgument, replace_or_empty, set_or_clear, some_if_any};
use super::list::{ListArguments, list};
use super::records;
use crate::connection::request::{Path, Request};
use crate::context::Context;
use crate::exit::Exit;
use crate::trouble::Trouble;

/// What can be done with projects.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt projects create acme --name Acme")]
pub enum Projects {
    /// List the projects (operators)
    #[command(after_help = "Example:\n  keyholt projects list")]
    List(ListArguments),
    /// Found a project (operators)
    #[command(after_help = "Example:\n  keyholt projects create acme --name Acme --prefix acme")]
    Create(Create),
    /// Show a project and its policy
    #[command(after_help = "Example:\n  keyholt projects show acme")]
    Show(Show),
    /// Change a project or its policy
    #[command(after_help = "Example:\n  keyholt projects change acme --longest-lifetime 365d --keys-for user,service")]
    Change(Box<Change>),
    /// Stop all keys of a project until it is resumed (operators)
    #[command(after_help = "Example:\n  keyholt projects suspend acme --cause \"contract ended\"")]
    Suspend(Pause),
    /// Let a project's keys work again (operators)
    #[command(after_help = "Example:\n  keyholt projects resume acme")]
    Resume(Pause),
}

/// A project to found.
#[derive(Args)]
pub struct Create {
    /// Its handle: lower-case letters, digits and hyphens
    slug: String,
    /// What people call it [default: the slug]
    #[arg(long)]
    name: Option<String>,
    /// The first word of its secrets [default: the slug without hyphens]
    #[arg(long)]
    prefix: Option<String>,
    #[command(flatten)]
    cause: CauseArgument,
}

/// Which project.
#[derive(Args)]
pub struct Show {
    /// The project, by slug or id [default: that of --project]
    #[arg(value_name = "SLUG")]
    which: Option<String>,
}

/// Changes to a project.
#[derive(Args)]
pub struct Change {
    /// The project, by slug or id
    #[arg(value_name = "SLUG")]
    which: String,
    /// A new handle
    #[arg(long, value_name = "SLUG")]
    slug: Option<String>,
    /// A new name
    #[arg(long)]
    name: Option<String>,
    /// The first word of secrets that are made from now on
    #[arg(long)]
    prefix: Option<String>,
    /// Life of a key that is made without saying: `unlimited` or a time such as `90d`
    #[arg(long, value_name = "TIME")]
    default_lifetime: Option<String>,
    /// Longest life of a key: `unlimited` or a time such as `365d`
    #[arg(long, value_name = "TIME")]
    longest_lifetime: Option<String>,
    /// How long an old secret works after a rotation that does not say, such as `24h`
    #[arg(long, value_name = "TIME")]
    default_grace: Option<String>,
    /// The longest that an old secret may work after a rotation, such as `30d`
    #[arg(long, value_name = "TIME")]
    longest_grace: Option<String>,
    /// How access tokens are signed: ES256, EdDSA or RS256
    #[arg(long, value_name = "ALGORITHM")]
    token_algorithm: Option<String>,
    /// How long a key signs access tokens before the next one does
    #[arg(long, value_name = "TIME")]
    signing_key_rotation: Option<String>,
    /// The life of an access token that is asked for without saying
    #[arg(long, value_name = "TIME")]
    token_default_lifetime: Option<String>,
    /// The longest life of an access token
    #[arg(long, value_name = "TIME")]
    token_longest_lifetime: Option<String>,
    /// Whom an access token is for that is asked for without saying
    #[arg(long, value_name = "AUDIENCE")]
    token_audience: Option<String>,
    /// It is for the issuer again
    #[arg(long, conflicts_with = "token_audience")]
    no_token_audience: bool,
    /// A member of a key's metadata that its access tokens carry; may be repeated, in place of all before
    #[arg(long = "token-claim", value_name = "NAME")]
    token_claims: Vec<String>,
    /// How long a session lasts that is not refreshed, such as `14d`
    #[arg(long, value_name = "TIME")]
    session_idle: Option<String>,
    /// How long a session lasts at most, such as `90d`
    #[arg(long, value_name = "TIME")]
    session_longest: Option<String>,
    /// Fewest characters of a password, 8 to 64
    #[arg(long, value_name = "NUMBER")]
    password_chars_min: Option<u16>,
    /// Who may have keys, in place of all who may now
    #[arg(long, value_enum, value_delimiter = ',')]
    keys_for: Vec<OwnerWord>,
    /// Most keys of one owner
    #[arg(long, value_name = "NUMBER")]
    keys_per_owner: Option<u32>,
    /// A scope that exists and what it means, in place of all declared now; may be repeated
    #[arg(long = "scope", value_name = "SCOPE=MEANING", value_parser = parse_scope)]
    scopes: Vec<(String, String)>,
    /// Any well-formed scope may be given
    #[arg(long, conflicts_with = "scopes")]
    any_scope: bool,
    /// A role of an owner that is enrolled without naming any; may be repeated
    #[arg(long = "default-role", value_name = "ROLE")]
    default_roles: Vec<String>,
    /// No default role any more
    #[arg(long, conflicts_with = "default_roles")]
    no_default_roles: bool,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

/// A kind of owner.
#[derive(Clone, Copy, ValueEnum)]
enum OwnerWord {
    User,
    Team,
    Service,
}

impl OwnerWord {
    fn word(self) -> String {
        match self {
            Self::User => "user",
            Self::Team => "team",
            Self::Service => "service",
        }
        .to_owned()
    }
}

fn parse_scope(text: &str) -> Result<(String, String), String> {
    let (scope, meaning) = text.split_once('=').unwrap_or((text, ""));
    if scope.is_empty() {
        return Err("write `orders:read=\"Read orders\"`".to_owned());
    }
    Ok((scope.to_owned(), meaning.to_owned()))
}

/// A project to suspend or resume.
#[derive(Args)]
pub struct Pause {
    /// The project, by slug or id
    #[arg(value_name = "SLUG")]
    which: String,
    #[command(flatten)]
    cause: CauseArgument,
    #[command(flatten)]
    revision: RevisionArgument,
}

impl Projects {
    /// Runs the verb.
    pub async fn run(self, context: &mut Context) -> Result<Exit, Trouble> {
        match self {
            Self::List(words) => {
                let request = Request::read(all(), "list the projects");
                list::<ProjectPage>(context, request, &words).await
            }
            Self::Create(words) => create(context, words).await,
            Self::Show(words) => show(context, words).await,
            Self::Change(words) => change(context, *words).await,
            Self::Suspend(words) => suspend(context, words).await,
            Self::Resume(words) => resume(context, words).await,
        }
    }
}

fn all() -> Path {
    Path::of(&["v1", "projects"])
}

async fn create(context: &mut Context, words: Create) -> Result<Exit, Trouble> {
    let body = CreateProject {
        name: words.name.unwrap_or_else(|| words.slug.clone()),
        slug: words.slug,
        prefix: words.prefix,
        cause: words.cause.cause,
    };
    let purpose = format!("create project `{}`", body.slug);
    let request = Request::act(all(), purpose).body(&body)?;
    let answer = context.send::<Project>(&request).await?;
    context.printer.say(&format!("Created project `{}`.", body.slug));
    context.printer.answer(&answer)?;
    Ok(Exit::Yes)
}

async fn show(context: &mut Context, words: Show) -> Result<Exit, Trouble> {
    let which = words.which.unwrap_or_else(|| context.project().to_owned());
    let request = Request::read(all().and(&which)?, format!("show project `{which}`"));
    let answer = context.send::<Project>(&request).await?;
    context.printer.answer(&answer)?;
    Ok(Exit::Yes)
}

async fn change(context: &mut Context, words: Change) -> Result<Exit, Trouble> {
    let kinds: Vec<String> = words.keys_for.iter().map(|kind| kind.word()).collect();
    let policy = AmendPolicy {
        prefix: words.prefix.into(),
        default_lifetime: words.default_lifetime.into(),
        longest_lifetime: words.longest_lifetime.into(),
        owners: some_if_any(kinds).into(),
        keys_per_owner: words.keys_per_owner.into(),
        scopes: match (words.any_scope, words.scopes) {
            (true, _) => Patch::Clear,
            (false, scopes) if scopes.is_empty() => Patch::Keep,
            (false, scopes) => Patch::Set(BTreeMap::from_iter(scopes)),
        },
        default_grace: words.default_grace.into(),
        longest_grace: words.longest_grace.into(),
        session_idle: words.session_idle.into(),
        session_longest: words.session_longest.into(),
        password_chars_min: words.password_chars_min.into(),
        default_roles: replace_or_empty(words.default_roles, words.no_default_roles),
        token_algorithm: words.token_algorithm.into(),
        signing_key_rotation: words.signing_key_rotation.into(),
        token_default_lifetime: words.token_default_lifetime.into(),
        token_longest_lifetime: words.token_longest_lifetime.into(),
        token_audience: set_or_clear(words.token_audience, words.no_token_audience),
        token_claims: some_if_any(words.token_claims).into(),
    };
    let body = AmendProject {
        slug: words.slug.into(),
        name: words.name.into(),
        policy: (policy != AmendPolicy::default()).then_some(policy),
        cause: words.cause.cause,
    };
    let which = &words.which;
    if body.slug.is_keep() && body.name.is_keep() && body.policy.is_none() {
        return Err(Trouble::new(format!("nothing of project `{which}` is to be changed"))
            .hint("name what shall change; `--help` lists the options"));
    }
    let request = Request::change(all().and(which)?, format!("change project `{which}`"))
        .body(&body)?
        .at_revision(words.revision.if_revision);
    let answer = context.send::<Project>(&request).await?;
    context.printer.say(&format!("Changed project `{which}`."));
    context.printer.answer(&answer)?;
    Ok(Exit::Yes)
}

async fn suspend(context: &mut Context, words: Pause) -> Result<Exit, Trouble> {
    let which = &words.which;
    let request = Request::act(all().and(which)?.then("suspend"), format!("suspend project `{which}`"))
        .body(&Because::from(words.cause))?
        .at_revision(words.revision.if_revision);
    context.confirm(&format!("Suspend project `{which}`, so that none of its keys works?"))?;
    let answer = context.send_act::<Value>(&request).await?;
    let says = format!("Suspended project `{which}`; none of its keys works until it is resumed.");
    records::done(context, answer.as_ref(), &says)
}

async fn resume(context: &mut Context, words: Pause) -> Result<Exit, Trouble> {
    let which = &words.which;
    let request = Request::act(all().and(which)?.then("resume"), format!("resume project `{which}`"))
        .body(&Because::from(words.cause))?
        .at_revision(words.revision.if_revision);
    let answer = context.send_act::<Value>(&request).await?;
    let says = format!("Resumed project `{which}`; its keys are again what they were.");
    records::done(context, answer.as_ref(), &says)
}
