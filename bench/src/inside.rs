//! The keeper without HTTP: what a verify costs in process, and how often it asks the allocator.

use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use keyholt_core::scope::Wanted;
use keyholt_core::verify::{Ask, Needed};
use keyholt_server::keeper::{Admitted, Background, Counting, Keeper, Question, Verifier};
use keyholt_store::Sqlite;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

use crate::data::{ASKED, DataSet, Secrets, keeper_on};
use crate::figure::median;
use crate::load::{Outlook, Words};

/// Room for an answer, so that it is the keeper's allocations that are counted and not the buffer's.
const ANSWER_BYTES: usize = 4096;
/// Usage is gathered as in a running server, but not written: the store's work is no part of this.
const FLUSH_EVERY: Duration = Duration::from_secs(3600);

/// What was found in process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Found {
    /// Admission of the caller, judging, and writing the answer, in nanoseconds.
    pub hit: f64,
    /// The same for a well-formed secret of no key.
    pub unknown: f64,
    /// The same for a mistyped secret.
    pub malformed: f64,
    /// Admission of the caller alone.
    pub admit: f64,
    /// Judging a mistyped secret alone.
    pub malformed_alone: f64,
}

/// What is asked in process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Case {
    /// Admit, judge and answer about a key that is there.
    Hit,
    /// The same about a key that is not.
    Unknown,
    /// The same about a mistyped secret.
    Malformed,
    /// Admit the caller, nothing else.
    Admit,
    /// Judge a mistyped secret, nothing else.
    MalformedAlone,
}

impl Case {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Hit,
        Self::Unknown,
        Self::Malformed,
        Self::Admit,
        Self::MalformedAlone,
    ];
}

/// A keeper on a data set, and what is asked of it.
pub struct Inside {
    keeper: Arc<Keeper>,
    verifier: Verifier,
    admitted: Admitted,
    wanted: Wanted<'static>,
    hits: Words,
    unknown: Words,
    malformed: Words,
}

impl Inside {
    /// Reads a data set into a keeper; so many different keys are going to be presented.
    pub async fn open(folder: &Path, distinct: u64) -> anyhow::Result<Self> {
        let set = DataSet::open(folder)?;
        let keeper = Arc::new(keeper_on(Arc::new(Sqlite::open(&set.database())?)).await?);
        let verifier = keeper
            .verifier(&set.facts.gateway, None)
            .context("the gateway's key does not work")?;
        let (secrets, numbers) = (Secrets::new()?, set.working(distinct));
        let words =
            |outlook, text: &dyn Fn(u64) -> String| Words::new(outlook, numbers.iter().map(|number| text(*number)));
        Ok(Self {
            admitted: admit(&keeper, &verifier)?,
            verifier,
            wanted: Wanted::parse(ASKED)?,
            hits: words(Outlook::Good, &|number| secrets.text(number))?,
            unknown: words(Outlook::Bad, &|number| secrets.unknown(number))?,
            malformed: words(Outlook::Bad, &|number| secrets.malformed(number))?,
            keeper,
        })
    }

    /// Asks once, about the word at a place; the answer is in `out`.
    pub fn ask(&self, case: Case, at: usize, out: &mut Vec<u8>) -> anyhow::Result<()> {
        out.clear();
        let words = match case {
            Case::Hit | Case::Admit => &self.hits,
            Case::Unknown => &self.unknown,
            Case::Malformed | Case::MalformedAlone => &self.malformed,
        };
        if case == Case::Admit {
            black_box(admit(&self.keeper, &self.verifier)?);
            return Ok(());
        }
        let credential = std::str::from_utf8(words.word(at % words.count()))?;
        // In the order of the short way: what waits for memory is asked for before something that does not.
        let search = self.keeper.search();
        let mut sought = search.seek(credential);
        search.approach(&mut sought);
        let admitted = match case {
            Case::MalformedAlone => self.admitted,
            _ => admit(&self.keeper, &self.verifier)?,
        };
        let ask = Ask {
            scopes: Needed::One(self.wanted),
            ..Ask::default()
        };
        let question = Question {
            credential,
            ask,
            counting: Counting::Counted,
        };
        self.keeper
            .judge_sought(&admitted, &question, sought, |answer| match case {
                Case::MalformedAlone => drop(black_box(&answer.verification)),
                _ => answer.write_json(None, out),
            });
        Ok(())
    }

    /// Sees that each case is answered as it should be: a wrong answer may be quick.
    pub fn check(&self) -> anyhow::Result<()> {
        let mut out = Vec::with_capacity(ANSWER_BYTES);
        for (case, code) in [
            (Case::Hit, "valid"),
            (Case::Unknown, "unknown"),
            (Case::Malformed, "malformed"),
        ] {
            self.ask(case, 0, &mut out)?;
            let answer = String::from_utf8_lossy(&out);
            ensure!(
                answer.contains(&format!(r#""code":"{code}""#)),
                "{case:?} was answered with {answer}"
            );
        }
        Ok(())
    }

    /// Nanoseconds of processor time for one call of each case: medians of rounds in alternation.
    pub fn time(&self, rounds: usize, calls: usize) -> anyhow::Result<Found> {
        self.check()?;
        let mut out = Vec::with_capacity(ANSWER_BYTES);
        let mut taken: Vec<(Case, Vec<f64>)> = Case::ALL.map(|case| (case, Vec::new())).into();
        // One round more than is counted: the first one finds cold caches.
        for round in 0..=rounds {
            for (case, times) in &mut taken {
                let began = processor_time();
                for at in 0..calls {
                    self.ask(*case, round * calls + at, &mut out)?;
                }
                let each = (processor_time() - began) / calls as f64;
                if round > 0 {
                    times.push(each);
                }
            }
        }
        let of = |wanted| {
            taken
                .iter()
                .find(|(case, _)| *case == wanted)
                .map_or(f64::NAN, |(_, times)| median(times))
        };
        Ok(Found {
            hit: of(Case::Hit),
            unknown: of(Case::Unknown),
            malformed: of(Case::Malformed),
            admit: of(Case::Admit),
            malformed_alone: of(Case::MalformedAlone),
        })
    }

    /// The keeper's background work, for a thread of its own.
    pub fn background(&self) -> impl Future<Output = ()> + Send + 'static {
        Background {
            flush_every: FLUSH_EVERY,
        }
        .run(Arc::clone(&self.keeper))
    }

    /// Room for an answer.
    pub fn buffer() -> Vec<u8> {
        Vec::with_capacity(ANSWER_BYTES)
    }
}

fn admit(keeper: &Keeper, verifier: &Verifier) -> anyhow::Result<Admitted> {
    keeper
        .admit(verifier)
        .map_err(|why| anyhow::anyhow!("not admitted: {why:?}"))
}

/// Processor time of this thread in nanoseconds: what others do on the machine must not count.
pub(crate) fn processor_time() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// Measures a data set in this process.
pub fn measure(folder: &Path, distinct: u64, rounds: usize, calls: usize) -> anyhow::Result<Found> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let inside = runtime.block_on(Inside::open(folder, distinct))?;
    let background = runtime.spawn(inside.background());
    let found = inside.time(rounds, calls)?;
    background.abort();
    runtime.shutdown_background();
    Ok(found)
}
