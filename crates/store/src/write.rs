//! What goes into and comes out of a store: commits with seals on their rows, and rows whose seals can be checked.

use keyholt_core::audit::Noun;
use keyholt_core::commit::{Change, Commit, Record, Revision};
use keyholt_core::id::ProjectId;
use keyholt_core::password::Made;
use keyholt_core::seal::{Seal, SealedBy, Sealer, Sealers};
use uuid::Uuid;

use crate::Touched;

/// A commit whose rows are sealed, ready to be written.
#[derive(Clone, Debug)]
pub struct Write {
    commit: Commit,
    rows: Vec<Row>,
}

/// What is written for one change.
#[derive(Clone, Debug)]
pub struct Row {
    /// The record as JSON; empty for a key, which has columns of its own, and for a removal.
    pub body: String,
    /// The seal over the row; for a removal it is not written.
    pub seal: Seal,
}

impl Write {
    /// Seals every row of a commit.
    pub fn sealed(commit: Commit, sealer: &Sealer) -> Self {
        let rows = commit
            .changes()
            .iter()
            .map(|change| match change {
                Change::Insert(record) | Change::Replace { record, .. } => row(record, sealer),
                Change::Remove { .. } => Row {
                    body: String::new(),
                    seal: Seal::from_bytes([0; 32]),
                },
            })
            .collect();
        Self { commit, rows }
    }

    /// The commit.
    pub fn commit(&self) -> &Commit {
        &self.commit
    }

    /// Each change with the row to write for it.
    pub fn rows(&self) -> impl Iterator<Item = (&Change, &Row)> {
        self.commit.changes().iter().zip(&self.rows)
    }

    /// The records that the commit makes, replaces or removes.
    pub fn touched(&self) -> Vec<Touched> {
        let records = self.commit.changes().iter().map(Change::record);
        records
            .map(|record| Touched {
                project: record.project(),
                noun: record.noun(),
                id: record.id(),
            })
            .collect()
    }
}

fn row(record: &Record, sealer: &Sealer) -> Row {
    if let Record::Key(key) = record {
        let at_rest = key.at_rest();
        return Row {
            body: String::new(),
            seal: key.row(&at_rest).seal(sealer),
        };
    }
    let body = match record {
        Record::Setup(setup) => serde_json::to_string(setup),
        Record::Project(project) => serde_json::to_string(project),
        Record::Role(role) => serde_json::to_string(role),
        Record::User(user) => serde_json::to_string(user),
        Record::Team(team) => serde_json::to_string(team),
        Record::Service(service) => serde_json::to_string(service),
        Record::Password(password) => serde_json::to_string(password),
        Record::SigningKey(key) => serde_json::to_string(key),
        Record::Token(token) => serde_json::to_string(token),
        Record::Key(_) => Ok(String::new()),
    }
    .unwrap_or_default();
    let seal = seal_of(
        sealer,
        record.project(),
        record.noun(),
        record.id(),
        record.revision(),
        &body,
    );
    Row { body, seal }
}

fn seal_of(sealer: &Sealer, project: ProjectId, noun: Noun, id: Uuid, revision: Revision, body: &str) -> Seal {
    sealer.seal(&[
        b"record",
        project.uuid().as_bytes(),
        noun.as_str().as_bytes(),
        id.as_bytes(),
        &revision.number().to_be_bytes(),
        body.as_bytes(),
    ])
}

/// A record other than a key, as a store keeps it.
#[derive(Clone, Debug)]
pub struct StoredRecord {
    /// Its project.
    pub project: ProjectId,
    /// What kind of thing.
    pub noun: Noun,
    /// Which.
    pub id: Uuid,
    /// How often it was changed.
    pub revision: Revision,
    /// The record as JSON.
    pub body: String,
    /// The seal over all of that.
    pub seal: Seal,
}

/// A row that is not as Keyholt wrote it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the stored {} is not as Keyholt wrote it", .0.as_str())]
pub struct BrokenSeal(pub Noun);

impl StoredRecord {
    /// Checks the seal and reads the record, as it is seen from the present master key.
    pub fn opened(&self, sealers: &Sealers) -> Result<(Record, SealedBy), BrokenSeal> {
        let by = sealers
            .find(|sealer| self.is_sealed_by(sealer))
            .ok_or(BrokenSeal(self.noun))?;
        let mut record = self.read()?;
        if let (Record::Password(password), SealedBy::Previous) = (&mut record, by) {
            password.made = Made::Earlier;
        }
        Ok((record, by))
    }

    /// Checks the seal and reads the record.
    pub fn open(&self, sealer: &Sealer) -> Result<Record, BrokenSeal> {
        if self.is_sealed_by(sealer) {
            self.read()
        } else {
            Err(BrokenSeal(self.noun))
        }
    }

    fn is_sealed_by(&self, sealer: &Sealer) -> bool {
        let seal = seal_of(sealer, self.project, self.noun, self.id, self.revision, &self.body);
        keyholt_core::seal::same(&seal, &self.seal)
    }

    fn read(&self) -> Result<Record, BrokenSeal> {
        let broken = BrokenSeal(self.noun);
        let read = match self.noun {
            Noun::Setup => serde_json::from_str(&self.body).map(Record::Setup),
            Noun::Project => serde_json::from_str(&self.body).map(Record::Project),
            Noun::Role => serde_json::from_str(&self.body).map(Record::Role),
            Noun::User => serde_json::from_str(&self.body).map(Record::User),
            Noun::Team => serde_json::from_str(&self.body).map(Record::Team),
            Noun::Service => serde_json::from_str(&self.body).map(Record::Service),
            Noun::Password => serde_json::from_str(&self.body).map(Record::Password),
            Noun::SigningKey => serde_json::from_str(&self.body).map(|key| Record::SigningKey(Box::new(key))),
            Noun::Token => serde_json::from_str(&self.body).map(Record::Token),
            Noun::Key => return Err(broken),
        };
        read.map_err(|_| broken)
    }
}
