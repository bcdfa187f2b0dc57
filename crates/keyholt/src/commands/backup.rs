//! `keyholt backup`: makes, checks and restores backups, on the machine that reaches the data.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use keyholt_server::backup::{
    self, BackupError, BrokenSeals, Comparison, Consent, Ended, Gap, Operators, Passphrase, Place, Plan, Progress,
    Request, Restored, Seals, Step, Summary,
};
use keyholt_server::config::{Config, Database};
use serde_json::{Value, json};

use super::server::FOREIGN;
use crate::context::Context;
use crate::exit::Exit;
use crate::intake::SecretInput;
use crate::printer::Form;
use crate::printer::table::{Card, Cell, Head, Table, Tone};
use crate::trouble::Trouble;

/// Most ended things that are shown before a restore; the others are counted.
const ENDED_SHOWN_MAX: usize = 50;
/// What a person types who accepts that ended keys may come back to life.
const ACCEPTING: &str = "revive";

/// What can be done with backups.
#[derive(Subcommand)]
#[command(after_help = "Example:\n  keyholt backup create --data /var/lib/keyholt --to /backup/keyholt-monday")]
pub enum BackupCommand {
    /// Write everything into a new file, whether the server runs or not
    #[command(
        after_help = "The file holds no secrets and not the master key: keep a copy of that apart from it. It holds names,\n\
                      rights and the audit trail: `--passphrase-file` encrypts it, in a form that `age` reads too.\n\n\
                      Examples:\n  keyholt backup create --data /var/lib/keyholt --to /backup/keyholt-monday\n  \
                      keyholt backup create --to /backup/keyholt-monday.age --passphrase-file /safe/passphrase"
    )]
    Create(Create),
    /// Say whether a backup is good, and what is in it
    #[command(after_help = "Exit codes: 0 it is good; 1 it is not; 2 it cannot be read.\n\n\
                      Example:\n  keyholt backup verify /backup/keyholt-monday --master-key-file /var/lib/keyholt/master.key")]
    Verify(Verify),
    /// Put a backup in the place of the data; the server must be stopped
    #[command(
        after_help = "What was revoked, deleted, suspended, rotated or narrowed after the backup stays so, as far as the\n\
                      present data tell. Where they do not, one of `--suspend-all-keys` and `--accept-gap` is needed.\n\n\
                      Example:\n  keyholt backup restore /backup/keyholt-monday --data /var/lib/keyholt"
    )]
    Restore(Restore),
}

/// Where the data are; the environment and the file of the server's settings say it too.
#[derive(Args)]
#[command(next_help_heading = "The server's settings")]
pub struct DataArguments {
    /// The file of the server's settings [env: KEYHOLT_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<String>,
    /// The data folder [env: KEYHOLT_DATA]
    #[arg(long, value_name = "FOLDER")]
    data: Option<String>,
    /// The database, as for `keyholt serve` [env: KEYHOLT_DATABASE]
    #[arg(long, value_name = "DATABASE")]
    database: Option<String>,
    /// The master key [env: KEYHOLT_MASTER_KEY_FILE] [default: master.key in the data folder]
    #[arg(long, value_name = "FILE")]
    master_key_file: Option<String>,
    /// The master key before it, where it was replaced [env: KEYHOLT_MASTER_KEY_PREVIOUS_FILE]
    #[arg(long, value_name = "FILE")]
    master_key_previous_file: Option<String>,
}

/// What to write, and where.
#[derive(Args)]
pub struct Create {
    /// The new file; none is ever overwritten
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// Encrypt it with the passphrase in this file, or `-` for stdin
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<SecretInput>,
    #[command(flatten)]
    data: DataArguments,
}

/// What to check.
#[derive(Args)]
pub struct Verify {
    /// The backup
    file: PathBuf,
    /// Where the passphrase of an encrypted backup is: a file, or `-` for stdin
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<SecretInput>,
    #[command(flatten)]
    data: DataArguments,
}

/// What to restore, and what to do where the present data do not tell what ended.
#[derive(Args)]
pub struct Restore {
    /// The backup
    file: PathBuf,
    /// Where the passphrase of an encrypted backup is: a file, or `-` for stdin
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<SecretInput>,
    /// Bring every key back suspended, to be resumed once it was looked at
    #[arg(long, conflicts_with = "accept_gap")]
    suspend_all_keys: bool,
    /// Let keys come back to life of which nobody knows whether they ended after the backup
    #[arg(long)]
    accept_gap: bool,
    /// The data in use until now, where they lie elsewhere: `sqlite:FILE` or `postgres://…`
    #[arg(long, value_name = "DATABASE", value_parser = parse_place)]
    compare_with: Option<Place>,
    /// Restore rows with broken seals too; the server goes on refusing them
    #[arg(long)]
    keep_broken_seals: bool,
    #[command(flatten)]
    data: DataArguments,
}

impl BackupCommand {
    /// Runs the command. `environment` is where the server's settings may be.
    pub async fn run(self, context: &mut Context, environment: Vec<(OsString, OsString)>) -> Result<Exit, Trouble> {
        match self {
            Self::Create(words) => words.run(context, environment).await,
            Self::Verify(words) => words.run(context, environment),
            Self::Restore(words) => words.run(context, environment).await,
        }
    }
}

impl DataArguments {
    fn load(&self, environment: Vec<(OsString, OsString)>) -> Result<Config, Trouble> {
        let given = [
            ("config", &self.config),
            ("data", &self.data),
            ("database", &self.database),
            ("master-key-file", &self.master_key_file),
            ("master-key-previous-file", &self.master_key_previous_file),
        ];
        let flags = given
            .into_iter()
            .filter_map(|(flag, value)| Some((flag.to_owned(), value.clone()?)));
        Config::load(environment, flags, &FOREIGN)
            .map(|loaded| loaded.config)
            .map_err(|error| {
                let trouble = Trouble::new("the settings of the server cannot be used");
                error.problems.into_iter().fold(trouble, Trouble::caused_by)
            })
    }
}

impl Create {
    async fn run(self, context: &mut Context, environment: Vec<(OsString, OsString)>) -> Result<Exit, Trouble> {
        let purpose = "make the backup";
        let config = self.data.load(environment)?;
        let passphrase = read_passphrase(context, self.passphrase_file.as_ref())?;
        let place = Place::of(&config).map_err(|error| told(purpose, error))?;
        // Before the data are read: what the backup says of itself must not be more than it knows.
        let now = context.now();
        let bar = context.printer.spinner("reading");
        let made = async {
            let data = place.open(&mut *context.entropy).await?;
            backup::create(&data, &self.to, passphrase.as_ref(), now, &mut watch(&bar)).await
        }
        .await;
        bar.finish_and_clear();
        let made = made.map_err(|error| told(purpose, error))?;
        show(context, &made, &self.to)?;
        context.printer.say(match passphrase {
            None => "Keep it apart from the master key: together they are everything.",
            Some(_) => {
                "It is encrypted. Keep it apart from its passphrase and from the master key; without both it is nothing."
            }
        });
        Ok(Exit::Yes)
    }
}

impl Verify {
    fn run(self, context: &mut Context, environment: Vec<(OsString, OsString)>) -> Result<Exit, Trouble> {
        let purpose = "verify the backup";
        let demanded = self.data.master_key_file.is_some();
        let masters = match backup::read_master_keys(&self.data.load(environment)?) {
            Ok(masters) => Some(masters),
            Err(BackupError::NoMasterKey(_)) if !demanded => None,
            Err(error) => return Err(told(purpose, error)),
        };
        let passphrase = read_passphrase(context, self.passphrase_file.as_ref())?;
        let bar = context.printer.progress("checking", 0);
        let checked = backup::verify(&self.file, passphrase.as_ref(), masters.as_ref(), &mut watch(&bar));
        bar.finish_and_clear();
        let summary = checked.map_err(|error| told(purpose, error))?;
        show(context, &summary, &self.file)?;
        match summary.seals {
            Seals::Unchecked => {
                context.printer.say(
                    "The form, the numbers and the checksum are right. Without the master key no seal was checked: \
                     `--master-key-file` names it.",
                );
                Ok(Exit::Yes)
            }
            Seals::Checked { count: 0, .. } => {
                context
                    .printer
                    .say("It belongs to the master key, and every seal is right.");
                Ok(Exit::Yes)
            }
            Seals::Checked { broken, count } => {
                let mut table = Table::new([Head::whole("LINE"), Head::whole("KIND"), Head::whole("ID")]);
                for row in &broken {
                    table.row([
                        row.line.to_string().into(),
                        row.noun.as_str().into(),
                        row.id.to_string().into(),
                    ]);
                }
                context.printer.say_table(&table);
                Err(told(purpose, BackupError::BrokenSeals(count)))
            }
        }
    }
}

impl Restore {
    async fn run(self, context: &mut Context, environment: Vec<(OsString, OsString)>) -> Result<Exit, Trouble> {
        let purpose = "restore the backup";
        let config = self.data.load(environment)?;
        let into = Place::of(&config).map_err(|error| told(purpose, error))?;
        let masters = backup::read_master_keys(&config).map_err(|error| told(purpose, error))?;
        let passphrase = read_passphrase(context, self.passphrase_file.as_ref())?;
        let request = Request {
            backup: &self.file,
            passphrase: passphrase.as_ref(),
            into: &into,
            present: self.compare_with.as_ref(),
            masters: &masters,
            broken: if self.keep_broken_seals {
                BrokenSeals::Keep
            } else {
                BrokenSeals::Refuse
            },
            now: context.now(),
        };
        let bar = context.printer.progress("checking", 0);
        let plan = backup::plan(request, &mut *context.entropy, &mut watch(&bar)).await;
        bar.finish_and_clear();
        let plan = plan.map_err(|error| told(purpose, error))?;
        let consent = self.ask(context, &plan)?;
        let ended = match plan.comparison() {
            Comparison::Known { ended, .. } => ended.iter().map(as_json).collect(),
            Comparison::Unknown(_) => Vec::new(),
        };
        let made_at = plan.summary().made_at;

        let bar = context.printer.progress("restoring", 0);
        let done = plan.carry_out(consent, &mut *context.entropy, &mut watch(&bar)).await;
        bar.finish_and_clear();
        let restored = done.map_err(|error| told(purpose, error))?;
        match context.printer.form() {
            Form::Json => {
                let document = json!({
                    "restored": true,
                    "made_at": made_at,
                    "ended": ended,
                    "suspended": restored.suspended,
                    "aside": restored.aside,
                    "set_up_again": restored.operators == Operators::SetUpAgain,
                });
                context.printer.document(&document.to_string())?;
            }
            Form::Text => context.printer.card(&card_of(&restored))?,
        }
        if restored.operators == Operators::SetUpAgain {
            context.printer.warn(
                "no operator's key works in the restored data: the next start of `keyholt serve` prints a set-up token",
            );
        }
        Ok(Exit::Yes)
    }

    /// Says what the restore will do, and asks.
    fn ask(&self, context: &mut Context, plan: &Plan) -> Result<Consent, Trouble> {
        let made_at = plan.summary().made_at;
        match plan.comparison() {
            Comparison::Known { ended, newer_keys } => {
                tell_ended(context, ended);
                if *newer_keys > 0 {
                    context.printer.say(&format!(
                        "{newer_keys} keys were made after the backup; the restored data will not have them."
                    ));
                }
                context.confirm(&format!(
                    "Put the backup of {made_at} in the place of the present data?"
                ))?;
                Ok(if self.suspend_all_keys {
                    Consent::SuspendAllKeys
                } else {
                    Consent::EndWhatEnded
                })
            }
            Comparison::Unknown(gap) => {
                let why = why(gap);
                context.printer.warn(&format!(
                    "the backup knows what happened up to {made_at}, and nothing later: {why}"
                ));
                if self.suspend_all_keys {
                    context.confirm("Restore it, with every key suspended, the operators' keys too?")?;
                    Ok(Consent::SuspendAllKeys)
                } else if self.accept_gap {
                    let question = format!(
                        "Every key that was revoked, deleted, suspended, rotated or narrowed after {made_at} comes back \
                         to life."
                    );
                    context.confirm_word(&question, ACCEPTING)?;
                    Ok(Consent::AcceptGap)
                } else {
                    Err(Trouble::new("cannot know which keys ended after the backup; nothing was done")
                        .caused_by(why)
                        .hint("`--suspend-all-keys` brings every key back suspended, to be resumed once it was looked at")
                        .hint("`--accept-gap` brings them back as they were, ended ones too"))
                }
            }
        }
    }
}

/// The passphrase, where one was named: nobody is asked for it unbidden, most backups have none.
fn read_passphrase(context: &mut Context, input: Option<&SecretInput>) -> Result<Option<Passphrase>, Trouble> {
    let Some(input) = input else { return Ok(None) };
    let text = context.read_secret(Some(input), "the passphrase")?;
    Ok(Some(Passphrase::new(&text)))
}

fn tell_ended(context: &mut Context, ended: &[Ended]) {
    if ended.is_empty() {
        context.printer.say("Nothing that is in the backup ended after it.");
        return;
    }
    let mut table = Table::new([
        Head::whole("KIND"),
        Head::words("NAME"),
        Head::words("PROJECT"),
        Head::words("AFTER THE BACKUP"),
        Head::whole("ID"),
    ]);
    for one in ended.iter().take(ENDED_SHOWN_MAX) {
        table.row([
            one.noun.as_str().into(),
            one.name.as_str().into(),
            one.project_handle.as_str().into(),
            Cell::toned(words_of(one).join(", "), Tone::Wary),
            one.id.to_string().into(),
        ]);
    }
    context.printer.say(&format!(
        "{} things in the backup ended, or became less, after it. They will not come back as they were:",
        ended.len()
    ));
    context.printer.say_table(&table);
    if ended.len() > ENDED_SHOWN_MAX {
        context
            .printer
            .say(&format!("and {} more", ended.len() - ENDED_SHOWN_MAX));
    }
    let mut counts = std::collections::BTreeMap::new();
    for ending in ended.iter().flat_map(|one| &one.endings) {
        *counts.entry(*ending).or_insert(0u64) += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(ending, count)| format!("{count} {}", ending.as_str()))
        .collect();
    context.printer.say(&format!("In all: {}.", counts.join(", ")));
}

fn words_of(ended: &Ended) -> Vec<&'static str> {
    ended.endings.iter().map(|ending| ending.as_str()).collect()
}

fn as_json(ended: &Ended) -> Value {
    json!({
        "kind": ended.noun.as_str(),
        "id": ended.id,
        "project": ended.project,
        "name": ended.name,
        "endings": words_of(ended),
    })
}

fn card_of(restored: &Restored) -> Card {
    let counts: Vec<String> = restored
        .endings
        .iter()
        .map(|(ending, count)| format!("{count} {}", ending.as_str()))
        .collect();
    Card::default()
        .line("Restored", Cell::toned("yes", Tone::Good))
        .line("Ended again", counts.join(", "))
        .line("Suspended", restored.suspended.to_string())
        .line_if_any(
            "Old data",
            restored.aside.as_ref().map(|path| path.display().to_string()),
        )
}

fn show(context: &mut Context, summary: &Summary, file: &std::path::Path) -> Result<(), Trouble> {
    let broken = match summary.seals {
        Seals::Unchecked => None,
        Seals::Checked { count, .. } => Some(count),
    };
    match context.printer.form() {
        Form::Json => {
            let document = json!({
                "file": file,
                "made_at": summary.made_at,
                "made_by": summary.made_by,
                "projects": summary.projects,
                "keys": summary.keys,
                "active_keys": summary.active_keys,
                "events": summary.events,
                "lines": summary.lines,
                "broken_seals": broken,
            });
            context.printer.document(&document.to_string())
        }
        Form::Text => {
            let card = Card::default()
                .line("File", file.display().to_string())
                .line("Made at", summary.made_at.to_string())
                .line("Made by", format!("keyholt {}", summary.made_by))
                .line("Projects", summary.projects.to_string())
                .line(
                    "Keys",
                    format!("{}, {} of them active", summary.keys, summary.active_keys),
                )
                .line("Events", summary.events.to_string());
            context.printer.card(&card)
        }
    }
}

fn why(gap: &Gap) -> String {
    match gap {
        Gap::NoData => "there are no present data to compare it with".to_owned(),
        Gap::Unreadable(says) => format!("the present data cannot be read ({says})"),
        Gap::OtherMasterKey => "the present data belong to another master key".to_owned(),
        Gap::OtherHistory => "the present data are no later state of what was backed up".to_owned(),
    }
}

fn told(purpose: &str, error: BackupError) -> Trouble {
    let trouble = Trouble::new(format!("cannot {purpose}")).because(&error);
    let trouble = match &error {
        BackupError::InUse => trouble.hint("`keyholt backup create` works beside a running server; a restore does not"),
        BackupError::Encrypted => trouble.hint("`--passphrase-file` names the file that holds the passphrase"),
        BackupError::NotEncrypted => {
            trouble.hint("if it is the backup that you mean, leave out `--passphrase-file`; nothing was touched")
        }
        BackupError::WrongPassphrase => trouble.hint("`--passphrase-file` names the right one; nothing was touched"),
        BackupError::PreviousMasterKey(_) => {
            trouble.hint("`--master-key-previous-file` names the master key before; nothing was touched")
        }
        BackupError::WrongMasterKey => trouble.hint("`--master-key-file` names the right one; nothing was touched"),
        BackupError::BrokenSeals(_) => {
            trouble.hint("`keyholt backup verify` names them; `--keep-broken-seals` restores them, refused as they are")
        }
        BackupError::NotEmpty => trouble.hint("make a new database (createdb), and name it with `--database`"),
        _ => trouble,
    };
    if error.is_about_the_backup() {
        trouble.into_no()
    } else {
        trouble
    }
}

fn watch(bar: &ProgressBar) -> impl FnMut(Progress) + Send {
    let bar = bar.clone();
    move |progress| {
        bar.set_message(match progress.step {
            Step::Create => "reading",
            Step::Verify => "checking",
            Step::Compare => "comparing",
            Step::Fill => "filling",
            Step::End => "ending what ended",
            Step::Suspend => "suspending",
            Step::Load => "loading",
        });
        if let Some(of) = progress.of {
            bar.set_length(of);
        }
        bar.set_position(progress.done);
    }
}

fn parse_place(text: &str) -> Result<Place, String> {
    match Database::read(text) {
        Some(Database::Sqlite(Some(path))) => Ok(Place::Sqlite(path)),
        Some(database @ Database::Postgres(_)) => Ok(Place::Postgres(database)),
        _ => Err("write `sqlite:FILE` or `postgres://…`".to_owned()),
    }
}
