//! `keyholt-bench`: measures the rows of the table and writes them down. `make bench` builds what it needs and calls it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};
use keyholt_bench::figure::Figure;
use keyholt_bench::machine::{Run, load_average};
use keyholt_bench::report::Report;
use keyholt_bench::row::{GROUPS, Group};
use keyholt_bench::setting::{Extent, Setting};
use keyholt_bench::{inside, rival, say};
use keyholt_core::time::Moment;
use keyholt_server::clock::{Clock, SystemClock};

/// The same as the server's: what is measured in process must lie in memory as it does there.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "Measures Keyholt")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measures groups of rows and writes the report.
    Run(Options),
    /// Lists the groups.
    List,
    /// Serves the answer in a file, whatever is asked.
    Bare {
        /// Head and body of the answer.
        answer: PathBuf,
    },
    /// Serves a bare 200 from a hand-written loop.
    Floor,
    /// Measures the keeper in process and prints what it found.
    Inside {
        /// The data set.
        folder: PathBuf,
        /// How many different keys are presented.
        distinct: u64,
        /// Rounds that count.
        rounds: usize,
        /// Calls of each case in a round.
        calls: usize,
    },
}

#[derive(clap::Args)]
struct Options {
    /// Groups, separated by commas; all when it is not given.
    #[arg(long, value_delimiter = ',')]
    rows: Vec<String>,
    /// Few rounds and small data sets: sees that every number can be had, judges none, writes no page.
    #[arg(long)]
    quick: bool,
    /// How many rounds, instead of what the form says.
    #[arg(long)]
    rounds: Option<usize>,
    /// The folder with the built programs.
    #[arg(long)]
    programs: PathBuf,
    /// The folder for data sets and results.
    #[arg(long)]
    home: PathBuf,
    /// Where the numbers go.
    #[arg(long)]
    json: PathBuf,
    /// Where the page goes.
    #[arg(long)]
    page: PathBuf,
    /// The folder with the servers of others.
    #[arg(long)]
    peers: PathBuf,
    /// A PostgreSQL in which databases may be made.
    #[arg(long, env = "KEYHOLT_TEST_POSTGRES", hide_env_values = true)]
    postgres: Option<String>,
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run(options) => run(&options),
        Command::List => {
            for group in GROUPS {
                say::print(&format!("{:<16} {}", group.name, group.about))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        Command::Bare { answer } => rival::serve_bare(&answer).map(|()| ExitCode::SUCCESS),
        Command::Floor => rival::serve_floor().map(|()| ExitCode::SUCCESS),
        Command::Inside {
            folder,
            distinct,
            rounds,
            calls,
        } => {
            let found = inside::measure(&folder, distinct, rounds, calls)?;
            say::print(&serde_json::to_string(&found)?)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let groups = chosen(&options.rows)?;
    let setting = setting(options)?;
    let this = Run::begin(&Moment::from_ms(SystemClock::new().now_ms()).to_string());
    let kept = setting.home.join("results.json");
    let mut report = if options.quick {
        Report::default()
    } else {
        Report::kept(&kept)
    };
    let mut without_number = Vec::new();
    for group in groups {
        say::talk(&format!("{}: {}", group.name, group.about));
        let before = load_average();
        match (group.measure)(&setting) {
            Ok(findings) => {
                let lacking = |figure: &&Figure| !figure.value.is_finite();
                without_number.extend(
                    findings
                        .figures
                        .iter()
                        .filter(lacking)
                        .map(|figure| figure.name.clone()),
                );
                report.put(group.name, findings, &this, (before, load_average()));
                if !options.quick {
                    report.keep(&kept)?;
                }
            }
            Err(error) => {
                say::talk(&format!("{}: no number: {error:#}", group.name));
                without_number.push(group.name.to_owned());
            }
        }
    }
    say::print(&report.plain())?;
    std::fs::write(&options.json, serde_json::to_string_pretty(&report.json())?)?;
    if !options.quick {
        report.write_page(&options.page)?;
    }
    let broken: Vec<&str> = report
        .limited()
        .iter()
        .filter(|figure| !figure.holds())
        .map(|figure| figure.name.as_str())
        .collect();
    if !without_number.is_empty() {
        say::talk(&format!("without a number: {}", without_number.join(", ")));
        return Ok(ExitCode::from(2));
    }
    if !broken.is_empty() {
        say::talk(&format!("limits that do not hold: {}", broken.join(", ")));
    }
    Ok(if broken.is_empty() || options.quick {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn chosen(names: &[String]) -> anyhow::Result<Vec<&'static Group>> {
    let known = |name: &String| {
        GROUPS
            .iter()
            .find(|group| group.name == name)
            .with_context(|| format!("no group is called `{name}`"))
    };
    if names.is_empty() {
        return Ok(GROUPS.iter().collect());
    }
    names.iter().map(known).collect()
}

fn setting(options: &Options) -> anyhow::Result<Setting> {
    let program = |name: &str| -> anyhow::Result<PathBuf> {
        let path = options.programs.join(name);
        path.canonicalize()
            .with_context(|| format!("{} is not built", path.display()))
    };
    let mut extent = if options.quick { Extent::QUICK } else { Extent::FULL };
    extent.rounds = options.rounds.unwrap_or(extent.rounds);
    ensure!(extent.rounds > 0, "at least one round");
    let absolute = |path: &Path| -> anyhow::Result<PathBuf> {
        std::fs::create_dir_all(path)?;
        Ok(path.canonicalize()?)
    };
    Ok(Setting {
        keyholt: program("keyholt")?,
        bench: program("keyholt-bench")?,
        counter: program("count-allocations")?,
        home: absolute(&options.home)?,
        peers: options.peers.clone(),
        postgres: options.postgres.clone(),
        extent,
        runtime: tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?,
    })
}
