//! Compares a backup with the data in use until now: what ended after the backup, and whether that can be known.

use std::collections::{BTreeMap, BTreeSet};

use keyholt_core::actor::Source;
use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::id::ProjectId;
use keyholt_core::restore::{Ending, Present, carry_over};
use keyholt_core::seal::Sealers;
use keyholt_core::time::Moment;
use keyholt_store::DumpLine;
use uuid::Uuid;

use super::check::{Proof, opened};
use super::form::{Backup, Reader};
use super::order::{Order, Stands};
use super::place::Data;
use super::{BackupError, Progress, Step, TOLD_EVERY, Watch};

/// What the present data tell about the time after the backup.
#[derive(Debug)]
pub enum Comparison {
    /// Everything: these ended, or became less.
    Known {
        /// What ended: records first, then keys.
        ended: Vec<Ended>,
        /// Keys that were made after the backup; the restored data will not have them.
        newer_keys: u64,
    },
    /// Nothing: whatever ended after the backup would come back to life.
    Unknown(Gap),
}

/// Why it is not known what ended after the backup.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gap {
    /// There are no present data.
    NoData,
    /// The present data cannot be read.
    Unreadable(String),
    /// The present data belong to another master key.
    OtherMasterKey,
    /// The present data are no later state of the backup's: their audit trails differ.
    OtherHistory,
}

/// Something that is in the backup and ended, or became less, after it.
#[derive(Debug)]
pub struct Ended {
    /// What kind of thing.
    pub noun: Noun,
    /// Its project, or Keyholt's own for a project.
    pub project: ProjectId,
    /// The handle of that project.
    pub project_handle: String,
    /// Which.
    pub id: Uuid,
    /// What people call it.
    pub name: String,
    /// What happened to it.
    pub endings: BTreeSet<Ending>,
    /// What it is in the present data.
    pub was: Was,
}

/// What something of the backup is in the present data; kept to do the same to it in the restored data.
#[derive(Debug)]
pub enum Was {
    /// Not there.
    Gone,
    /// Not as Keyholt wrote it.
    Tampered,
    /// There.
    There(Box<Record>),
}

impl Was {
    /// The same as the core takes it.
    pub fn as_present(&self) -> Present<'_> {
        match self {
            Self::Gone => Present::Gone,
            Self::Tampered => Present::Tampered,
            Self::There(record) => Present::There(record),
        }
    }
}

/// Compares a backup, whose form is known to be good, with the present data. Both are read once, side by side.
pub(super) async fn compare(
    backup: &mut Backup,
    present: &Data,
    proof: &Proof,
    source: &Source,
    now: Moment,
    watch: Watch<'_>,
) -> Result<Comparison, BackupError> {
    let mut walk = Walk {
        reader: backup.read()?,
        ahead: None,
        proof,
        present: proof.sealers.clone(),
        source,
        now,
        order: Order::default(),
        projects: BTreeMap::new(),
        ended: Vec::new(),
        newer_keys: 0,
        lines: 0,
    };
    let mut stopped = None;
    let read = present
        .dump(&mut |line| {
            if stopped.is_none() {
                stopped = walk.meet(&line).err();
                walk.tell(watch);
            }
        })
        .await;
    match (stopped, read) {
        (Some(Stop::Gap(gap)), _) => return Ok(Comparison::Unknown(gap)),
        (Some(Stop::Trouble(error)), _) => return Err(error),
        (None, Err(error)) => return Ok(Comparison::Unknown(Gap::Unreadable(error.to_string()))),
        (None, Ok(_)) => {}
    }
    match walk.run_out() {
        Ok(()) => {}
        Err(Stop::Gap(gap)) => return Ok(Comparison::Unknown(gap)),
        Err(Stop::Trouble(error)) => return Err(error),
    }
    Ok(Comparison::Known {
        ended: walk.ended,
        newer_keys: walk.newer_keys,
    })
}

/// Why the walk does not go on.
enum Stop {
    Gap(Gap),
    Trouble(BackupError),
}

impl From<BackupError> for Stop {
    fn from(error: BackupError) -> Self {
        Self::Trouble(error)
    }
}

/// Two dumps walked side by side, in the order that both have.
struct Walk<'a> {
    reader: Reader<'a>,
    /// The line of the backup that was read last and is not yet met.
    ahead: Option<DumpLine>,
    proof: &'a Proof,
    /// Whose seals are believed in the present data.
    present: Sealers,
    source: &'a Source,
    now: Moment,
    order: Order,
    projects: BTreeMap<Uuid, String>,
    ended: Vec<Ended>,
    newer_keys: u64,
    lines: u64,
}

impl Walk<'_> {
    /// Takes the next line of the present data.
    fn meet(&mut self, line: &DumpLine) -> Result<(), Stop> {
        self.lines += 1;
        let unreadable = |says: &str| Stop::Gap(Gap::Unreadable(says.to_owned()));
        self.order.take(line).map_err(unreadable)?;
        match line {
            DumpLine::Begin { bond, .. } => {
                let proof = self.proof.beside(bond.as_ref());
                self.present = proof.map_err(|_| Stop::Gap(Gap::OtherMasterKey))?.sealers;
                self.advance()?;
                self.advance()
            }
            DumpLine::Record { .. } | DumpLine::Key(_) => self.meet_record(line),
            DumpLine::Event { numbered, .. } => {
                self.gone_until(None)?;
                match &self.ahead {
                    Some(DumpLine::Event { numbered: before, .. }) => {
                        // A trail that differs anywhere is another trail: what ended in it says nothing here.
                        if before != numbered {
                            return Err(Stop::Gap(Gap::OtherHistory));
                        }
                        self.advance()
                    }
                    _ => Ok(()),
                }
            }
            DumpLine::LastUse { .. } | DumpLine::Hour { .. } | DumpLine::End { .. } => Ok(()),
        }
    }

    fn meet_record(&mut self, line: &DumpLine) -> Result<(), Stop> {
        let Some(stands) = Stands::of(line) else { return Ok(()) };
        self.gone_until(Some(stands))?;
        if self.ahead.as_ref().and_then(Stands::of) != Some(stands) {
            self.newer_keys += u64::from(matches!(line, DumpLine::Key(_)));
            return Ok(());
        }
        let was = match opened(line, &self.present) {
            Some(record) => Was::There(Box::new(record)),
            None => Was::Tampered,
        };
        self.judge(was);
        self.advance()
    }

    /// All records of the backup before this place are not in the present data.
    fn gone_until(&mut self, stands: Option<Stands>) -> Result<(), Stop> {
        while let Some(at) = self.ahead.as_ref().and_then(Stands::of)
            && stands.is_none_or(|stands| at < stands)
        {
            self.judge(Was::Gone);
            self.advance()?;
        }
        Ok(())
    }

    /// Keeps the record that is ahead in mind if it ended.
    fn judge(&mut self, was: Was) {
        let Some(line) = &self.ahead else { return };
        if let DumpLine::Record {
            noun: Noun::Project,
            id,
            handle,
            ..
        } = line
        {
            self.projects.insert(*id, handle.clone());
        }
        // What is broken in the backup stays refused in the restored data; nothing revives it.
        let Some(record) = opened(line, &self.proof.sealers) else {
            return;
        };
        if let Some(carried) = carry_over(&record, was.as_present(), self.source, self.now) {
            let name = match (&record, record.handle()) {
                (Record::Key(key), _) => key.about.name.as_str(),
                (_, handle) => handle.unwrap_or_default(),
            };
            self.ended.push(Ended {
                noun: record.noun(),
                project: record.project(),
                project_handle: self.projects.get(&record.project().uuid()).cloned().unwrap_or_default(),
                id: record.id(),
                name: name.to_owned(),
                endings: carried.endings,
                was,
            });
        }
    }

    /// The present data are at their end: reads the backup to its own, which proves it.
    fn run_out(&mut self) -> Result<(), Stop> {
        self.gone_until(None)?;
        while let Some(line) = &self.ahead {
            if matches!(line, DumpLine::Event { .. }) {
                // The backup knows more than the present data: they are older, or others.
                return Err(Stop::Gap(Gap::OtherHistory));
            }
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), Stop> {
        self.ahead = self.reader.next()?;
        Ok(())
    }

    fn tell(&self, watch: Watch<'_>) {
        if self.lines.is_multiple_of(TOLD_EVERY) {
            watch(Progress {
                step: Step::Compare,
                done: self.reader.bytes(),
                of: Some(self.reader.size()),
            });
        }
    }
}
