//! Says whether a backup is good: its form, its numbers, its checksum, and with the master key every seal.

use std::path::Path;

use keyholt_core::audit::Noun;
use keyholt_core::commit::Record;
use keyholt_core::seal::{MasterKey, Seal, Sealer};
use keyholt_store::{DumpLine, Hex32, StoredRecord};
use uuid::Uuid;

use super::form::{Backup, Header, bad};
use super::{BROKEN_SHOWN_MAX, BackupError, BrokenRow, Progress, Seals, Step, Summary, TOLD_EVERY, Watch};

/// What is derived from the master key and needed to believe a backup.
pub(super) struct Proof {
    /// What binds data to the master key.
    pub check: [u8; 32],
    /// Checks seals, and makes new ones.
    pub sealer: Sealer,
}

impl Proof {
    pub(super) fn of(master: &MasterKey) -> Self {
        Self {
            check: master.check(),
            sealer: master.sealer(),
        }
    }
}

/// Reads a whole backup and says what is in it. Without the master key seals are not checked.
pub fn verify(path: &Path, master: Option<&MasterKey>, watch: Watch<'_>) -> Result<Summary, BackupError> {
    check(&mut Backup::open(path)?, master.map(Proof::of).as_ref(), watch)
}

pub(super) fn check(backup: &mut Backup, proof: Option<&Proof>, watch: Watch<'_>) -> Result<Summary, BackupError> {
    let mut reader = backup.read()?;
    let header = reader.header().clone();
    let mut tally = Tally::default();
    let (mut broken, mut count) = (Vec::new(), 0);
    while let Some(line) = reader.next()? {
        tally.count(&line);
        if let Some(proof) = proof {
            if !belongs(&line, proof) {
                return Err(BackupError::WrongMasterKey);
            }
            if let Some((noun, id)) = broken_row(&line, &proof.sealer) {
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

/// Whether the data are bound to this master key, or not bound at all.
fn belongs(line: &DumpLine, proof: &Proof) -> bool {
    match line {
        DumpLine::Begin {
            master_check: Some(check),
            ..
        } => *check == Hex32(proof.check),
        _ => true,
    }
}

fn broken_row(line: &DumpLine, sealer: &Sealer) -> Option<(Noun, Uuid)> {
    match line {
        DumpLine::Record { noun, id, .. } => opened(line, sealer).is_none().then_some((*noun, *id)),
        DumpLine::Key(columns) => opened(line, sealer).is_none().then_some((Noun::Key, columns.id.uuid())),
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
pub(super) fn opened(line: &DumpLine, sealer: &Sealer) -> Option<Record> {
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
            stored.open(sealer).ok()
        }
        DumpLine::Key(columns) => {
            let (key, seal) = columns.read().ok()?;
            columns
                .row()
                .is_sealed_by(sealer, &seal)
                .then(|| Record::Key(Box::new(key)))
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
