//! Says whether a backup is good: its form, its numbers, its checksum, and with the master key every seal.

use std::path::Path;
use std::sync::Arc;

use keyholt_core::audit::Noun;
use keyholt_core::bond::{Bond, BondError, Masters};
use keyholt_core::commit::Record;
use keyholt_core::seal::{Seal, Sealers};
use keyholt_core::secret::Pepper;
use keyholt_store::{DumpLine, StoredRecord};
use uuid::Uuid;

use super::encrypted::Passphrase;
use super::form::{Backup, Header, bad};
use super::{BROKEN_SHOWN_MAX, BackupError, BrokenRow, Progress, Seals, Step, Summary, TOLD_EVERY, Watch};

/// What is derived from the master keys and needed to believe a backup.
pub(super) struct Proof {
    masters: Arc<Masters>,
    /// What binds the data to the master keys from now on.
    pub bond: Bond,
    /// Checks seals, and makes new ones.
    pub sealers: Sealers,
}

impl Proof {
    /// For data with this bond. Those that were never bound belong to whoever has them.
    pub(super) fn of(masters: &Arc<Masters>, bond: Option<&Bond>) -> Result<Self, BondError> {
        let bond = match bond {
            None => Bond::to(masters.present.check()),
            Some(bond) => masters.tie(Some(bond))?,
        };
        Ok(Self {
            masters: Arc::clone(masters),
            bond,
            sealers: bond.sealers(masters),
        })
    }

    /// For a backup, by its first line.
    pub(super) fn of_backup(masters: &Arc<Masters>, backup: &mut Backup) -> Result<Self, BackupError> {
        let first = backup.read()?.next()?;
        let bond = first.as_ref().and_then(|line| match line {
            DumpLine::Begin { bond, .. } => bond.as_ref(),
            _ => None,
        });
        Ok(Self::of(masters, bond)?)
    }

    /// The same for other data, with the bond that those have.
    pub(super) fn beside(&self, bond: Option<&Bond>) -> Result<Self, BondError> {
        Self::of(&self.masters, bond)
    }

    /// What turns fingerprints into digests.
    pub(super) fn pepper(&self) -> Pepper {
        self.masters.pepper()
    }
}

/// Reads a whole backup and says what is in it. Without the master keys seals are not checked.
pub fn verify(
    path: &Path,
    passphrase: Option<&Passphrase>,
    masters: Option<&Arc<Masters>>,
    watch: Watch<'_>,
) -> Result<Summary, BackupError> {
    let mut backup = Backup::open(path, passphrase)?;
    let proof = match masters {
        None => None,
        Some(masters) => Some(Proof::of_backup(masters, &mut backup)?),
    };
    check(&mut backup, proof.as_ref(), watch)
}

pub(super) fn check(backup: &mut Backup, proof: Option<&Proof>, watch: Watch<'_>) -> Result<Summary, BackupError> {
    let mut reader = backup.read()?;
    let header = reader.header().clone();
    let mut tally = Tally::default();
    let (mut broken, mut count) = (Vec::new(), 0);
    while let Some(line) = reader.next()? {
        tally.count(&line);
        if let Some(proof) = proof {
            if let Some((noun, id)) = broken_row(&line, &proof.sealers) {
                count += 1;
                if broken.len() < BROKEN_SHOWN_MAX {
                    let line = reader.number();
                    broken.push(BrokenRow { line, noun, id });
                }
            }
        } else if !can_be_read(&line) {
            return Err(bad(reader.number(), "it holds a key that cannot be read"));
        }
        if tally.lines.is_multiple_of(TOLD_EVERY) {
            watch(Progress {
                step: Step::Verify,
                done: reader.bytes(),
                of: Some(reader.size()),
            });
        }
    }
    let mut summary = tally.summary(&header, reader.number() - 1);
    if proof.is_some() {
        summary.seals = Seals::Checked { broken, count };
    }
    Ok(summary)
}

fn broken_row(line: &DumpLine, sealers: &Sealers) -> Option<(Noun, Uuid)> {
    match line {
        DumpLine::Record { noun, id, .. } => opened(line, sealers).is_none().then_some((*noun, *id)),
        DumpLine::Key(columns) => opened(line, sealers)
            .is_none()
            .then_some((Noun::Key, columns.id.uuid())),
        _ => None,
    }
}

fn can_be_read(line: &DumpLine) -> bool {
    match line {
        DumpLine::Key(columns) => columns.read().is_ok(),
        _ => true,
    }
}

/// The record or key of a line, if it is one and is as Keyholt wrote it.
pub(super) fn opened(line: &DumpLine, sealers: &Sealers) -> Option<Record> {
    match line {
        DumpLine::Record {
            project,
            noun,
            id,
            revision,
            body,
            seal,
            ..
        } => {
            let stored = StoredRecord {
                project: *project,
                noun: *noun,
                id: *id,
                revision: *revision,
                body: body.clone(),
                seal: Seal::from_bytes(seal.0),
            };
            stored.opened(sealers).ok().map(|(record, _)| record)
        }
        DumpLine::Key(columns) => {
            let (key, seal) = columns.read().ok()?;
            key.opened(sealers, &seal).map(|(key, _)| Record::Key(Box::new(key)))
        }
        _ => None,
    }
}

/// Counts what goes by.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tally {
    pub lines: u64,
    projects: u64,
    records: u64,
    keys: u64,
    active_keys: u64,
    events: u64,
}

impl Tally {
    pub(super) fn count(&mut self, line: &DumpLine) {
        self.lines += 1;
        match line {
            DumpLine::Record { noun, .. } => {
                self.records += 1;
                self.projects += u64::from(*noun == Noun::Project);
            }
            DumpLine::Key(columns) => {
                self.keys += 1;
                self.active_keys += u64::from(columns.state == "active");
            }
            DumpLine::Event { .. } => self.events += 1,
            DumpLine::Begin { .. } | DumpLine::LastUse { .. } | DumpLine::Hour { .. } | DumpLine::End { .. } => {}
        }
    }

    pub(super) fn summary(self, header: &Header, lines: u64) -> Summary {
        Summary {
            made_at: header.made_at,
            made_by: header.made_by.clone(),
            lines,
            projects: self.projects,
            records: self.records,
            keys: self.keys,
            active_keys: self.active_keys,
            events: self.events,
            seals: Seals::Unchecked,
        }
    }
}
