//! `keyholt-torture`: takes the steps and says what came of each. `make torture` builds what it needs and calls it.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::Parser;
use keyholt_rig::machine::Run;
use keyholt_torture::figure::{Figure, Holds};
use keyholt_torture::page;
use keyholt_torture::setting::{Form, Setting};
use keyholt_torture::step::{STEPS, Step};

#[derive(Parser)]
#[command(about = "Breaks a running Keyholt in every way that must be harmless")]
struct Arguments {
    /// Steps, separated by commas; all when it is not given.
    #[arg(long, value_delimiter = ',')]
    steps: Vec<String>,
    /// Some minutes instead of an hour.
    #[arg(long)]
    short: bool,
    /// Only so many of a hundred trials of the long form, where there is no time for all; the page says it.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u8).range(1..=100))]
    percent: u8,
    /// The program under torture.
    #[arg(long)]
    keyholt: PathBuf,
    /// The folder for data while it is needed.
    #[arg(long)]
    home: PathBuf,
    /// The page whose figures are to be written, after a whole run.
    #[arg(long)]
    page: Option<PathBuf>,
    /// Where the dice begin; said at the start of each run, to repeat it.
    #[arg(long)]
    seed: Option<u64>,
    /// The folder of the search after secrets.
    #[arg(long, env = "KEYHOLT_TEST_CANARY")]
    canary: Option<PathBuf>,
}

fn main() -> anyhow::Result<ExitCode> {
    let arguments = Arguments::parse();
    let now = now();
    let run = Run::begin(&now.to_string());
    std::fs::create_dir_all(&arguments.home)?;
    let setting = Setting {
        keyholt: arguments
            .keyholt
            .canonicalize()
            .with_context(|| format!("{} is not built", arguments.keyholt.display()))?,
        home: arguments.home.canonicalize()?,
        canary: arguments.canary,
        form: if arguments.short { Form::Short } else { Form::Long },
        percent: usize::from(arguments.percent),
        seed: arguments
            .seed
            .unwrap_or_else(|| u64::try_from(now.as_millisecond()).unwrap_or(0)),
    };
    let steps = chosen(&arguments.steps)?;
    say(&format!("torture: {} steps, --seed {}", steps.len(), setting.seed))?;
    let mut found = Vec::new();
    let mut failed = Vec::new();
    for step in steps {
        let began = Instant::now();
        say(&format!("{}: {}", step.name, step.about))?;
        let figures = match (step.take)(&setting) {
            Ok(figures) => figures,
            Err(error) => vec![Figure::new(
                step.about,
                format!("{error:#}"),
                "the step is taken",
                false,
            )],
        };
        for figure in &figures {
            say(&figure.line())?;
        }
        say(&format!("  {:.1} s", began.elapsed().as_secs_f64()))?;
        if figures.iter().any(|figure| figure.holds == Holds::No) {
            failed.push(step.name);
        }
        found.push((step.name, figures));
    }
    if let Some(page) = &arguments.page {
        ensure!(found.len() == STEPS.len(), "a page is written after a whole run only");
        page::write(page, &found, &run, &setting)?;
    }
    let figures: usize = found.iter().map(|(_, figures)| figures.len()).sum();
    if failed.is_empty() {
        say(&format!("torture: {figures} figures, all hold"))?;
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("torture: {figures} figures; failed: {}", failed.join(", ")))?;
    Ok(ExitCode::FAILURE)
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Step>> {
    let known = |name: &String| {
        STEPS
            .iter()
            .find(|step| step.name == name)
            .with_context(|| format!("no step is called `{name}`"))
    };
    if names.is_empty() {
        return Ok(STEPS.iter().collect());
    }
    names.iter().map(known).collect()
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place where this program asks for the time of day"
)]
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

fn say(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}
