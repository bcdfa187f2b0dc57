//! Backups: everything out as lines, and lines into an empty database.

use std::str::FromStr;

use futures_util::pin_mut;
use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::id::KeyId;
use tokio::time::timeout;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Error, Row};
use uuid::Uuid;

use super::address::Address;
use super::columns::{self, Reading};
use super::line::{Duty, Session};
use super::load::{Snapshot, next};
use super::plan::{Value, column, event_columns, key_columns, label_columns, owner_columns, record_columns};
use super::read::read_bond;
use super::ready::{KeyItem, ReadyEvent, RecordItem, labels};
use super::statements as sql;
use super::trouble;
use crate::{ANSWER_WITHIN, DUMP_FORMAT, DumpLine, EventNumber, Hex32, StoreError, UseOutcome};

/// Most lines that one statement writes.
const RUN_MOST: usize = 1000;
/// How long filling in one call's lines may take.
const FILLED_WITHIN: std::time::Duration = std::time::Duration::from_mins(2);

const FILLING: &str = "SELECT value FROM meta WHERE name = 'filling'";
const CHECK: &str = "SELECT value FROM meta WHERE name = 'master_check'";
const RECORDS: &str =
    "SELECT project, noun, id, revision, body, seal, handle FROM records WHERE noun = $1 ORDER BY project, id";
const EVENTS: &str = "SELECT number, body, touched FROM events ORDER BY number";
const LAST_USES: &str = "SELECT key, first_at, last_at, address FROM usage_last ORDER BY key";

/// Reads everything for a backup.
pub(super) async fn dump(
    address: &Address,
    each: &mut (dyn FnMut(DumpLine) + Send),
) -> Result<EventNumber, StoreError> {
    let snapshot = Snapshot::open(address).await?;
    let session = snapshot.session();
    if !session.query(FILLING, &[]).await?.is_empty() {
        return Err(StoreError::HalfFilled);
    }
    let check = session.query(CHECK, &[]).await?;
    each(DumpLine::Begin {
        format: DUMP_FORMAT,
        bond: match check.first() {
            None => None,
            Some(row) => Some(read_bond(Reading::new(row, "what the store is bound to").next()?)?),
        },
    });
    let mut lines = 0;
    for noun in Noun::ALL.into_iter().filter(|noun| *noun != Noun::Key) {
        lines += stream(session, RECORDS, &[&noun.as_str()], record_line, each).await?;
    }
    let keys = format!("SELECT {} FROM keys k ORDER BY k.id", columns::KEY);
    lines += stream(session, &keys, &[], key_line, each).await?;
    lines += stream(session, EVENTS, &[], event_line, each).await?;
    lines += stream(session, LAST_USES, &[], last_use_line, each).await?;
    let outcomes = UseOutcome::ALL
        .map(|outcome| format!("'{}'", outcome.as_str()))
        .join(", ");
    let hours = format!(
        "SELECT key, hour, outcome, count FROM usage_hours ORDER BY key, hour, array_position(ARRAY[{outcomes}], outcome)"
    );
    lines += stream(session, &hours, &[], hour_line, each).await?;
    each(DumpLine::End {
        head: snapshot.head,
        lines,
    });
    Ok(snapshot.head)
}

async fn stream(
    session: &Session,
    sql: &str,
    values: &[&(dyn ToSql + Sync)],
    line: impl Fn(&Row) -> Result<DumpLine, StoreError>,
    each: &mut (dyn FnMut(DumpLine) + Send),
) -> Result<u64, StoreError> {
    let rows = session
        .answer(session.client().query_raw(sql, values.iter().copied()))
        .await?;
    pin_mut!(rows);
    let mut lines = 0;
    while let Some(row) = next(rows.as_mut(), ANSWER_WITHIN).await? {
        each(line(&row)?);
        lines += 1;
    }
    Ok(lines)
}

fn record_line(row: &Row) -> Result<DumpLine, StoreError> {
    let record = columns::record(row)?;
    Ok(DumpLine::Record {
        project: record.project,
        noun: record.noun,
        id: record.id,
        handle: row.try_get("handle").map_err(|error| trouble::store_error(&error))?,
        revision: record.revision,
        body: record.body,
        seal: Hex32(*record.seal.as_bytes()),
    })
}

fn key_line(row: &Row) -> Result<DumpLine, StoreError> {
    columns::key(row).map(|columns| DumpLine::Key(Box::new(columns)))
}

fn event_line(row: &Row) -> Result<DumpLine, StoreError> {
    let mut reading = Reading::new(row, "an audit event");
    let _: i64 = reading.next()?;
    let _: &str = reading.next()?;
    Ok(DumpLine::Event {
        numbered: columns::event(row)?,
        touched: reading.as_(|touched: &str| serde_json::from_str(touched).ok())?,
    })
}

fn last_use_line(row: &Row) -> Result<DumpLine, StoreError> {
    let mut row = Reading::new(row, "a last use");
    let key = KeyId::from_uuid(row.next()?);
    let last = columns::last_use(&mut row)?;
    Ok(DumpLine::LastUse {
        key,
        first_at: last.first_at.ms(),
        last_at: last.last_at.ms(),
        address: last.address,
    })
}

fn hour_line(row: &Row) -> Result<DumpLine, StoreError> {
    let mut row = Reading::new(row, "an hour of usage");
    Ok(DumpLine::Hour {
        key: KeyId::from_uuid(row.next()?),
        hour: row.next()?,
        outcome: row.as_(UseOutcome::parse)?,
        count: row.next::<i64>()?.cast_unsigned(),
    })
}

/// Writes the next lines of a dump in one transaction.
pub(super) async fn fill(address: &Address, lines: Vec<DumpLine>) -> Result<(), StoreError> {
    let session = Session::open(address, Duty::Fill).await?;
    let outcome = timeout(FILLED_WITHIN, transact(session.client(), lines)).await;
    // Closing the connection undoes what was not committed.
    session.condemn();
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(Stop::Told(error))) => Err(error),
        Ok(Err(Stop::Server(error))) => Err(trouble::store_error(&error)),
        Err(_) => Err(trouble::silent(FILLED_WITHIN)),
    }
}

enum Stop {
    Server(Error),
    Told(StoreError),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Server(error)
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Told(error)
    }
}

async fn transact(client: &Client, lines: Vec<DumpLine>) -> Result<(), Stop> {
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    // The same lock as for commits: nobody else writes meanwhile.
    let head: i64 = client
        .query_one("SELECT number FROM feed_head WHERE head = 1 FOR UPDATE", &[])
        .await?
        .try_get(0)?;
    let filled = client
        .query_opt("SELECT value FROM meta WHERE name = 'filling'", &[])
        .await?;
    let filled = match filled {
        None => None,
        Some(row) => Some(Reading::new(&row, "how much was filled").as_(|text: &str| u64::from_str(text).ok())?),
    };
    let mut filling = Filling { client, filled, head };
    let mut lines = lines.into_iter().peekable();
    while let Some(line) = lines.next() {
        let mut run = vec![line];
        while run.len() < RUN_MOST
            && let Some(more) = lines.next_if(|line| run.first().is_some_and(|first| are_alike(first, line)))
        {
            run.push(more);
        }
        filling.write(run).await?;
    }
    if let Some(filled) = filling.filled {
        let filled = filled.to_string();
        client
            .execute(
                "INSERT INTO meta (name, value) VALUES ('filling', $1) \
                 ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                &[&filled],
            )
            .await?;
    }
    client.batch_execute("COMMIT").await?;
    Ok(())
}

/// Whether two lines go into one statement. Only lines between the first and the last do.
fn are_alike(one: &DumpLine, other: &DumpLine) -> bool {
    !matches!(one, DumpLine::Begin { .. } | DumpLine::End { .. })
        && std::mem::discriminant(one) == std::mem::discriminant(other)
}

struct Filling<'c> {
    client: &'c Client,
    /// How many lines came since the first one; `None` outside a dump.
    filled: Option<u64>,
    head: i64,
}

impl Filling<'_> {
    async fn write(&mut self, run: Vec<DumpLine>) -> Result<(), Stop> {
        match (run.as_slice(), self.filled) {
            ([DumpLine::Begin { format, bond }], None) => return self.begin(*format, *bond).await,
            // Outside a dump only a first line may come, and only a first line may not come inside one.
            ([DumpLine::Begin { .. }, ..], _) | (_, None) => return Err(StoreError::NotEmpty.into()),
            ([DumpLine::End { head, lines }], Some(filled)) => return self.end(*head, *lines, filled).await,
            (_, Some(filled)) => self.filled = Some(filled + run.len() as u64),
        }
        let mut rows = Rows::default();
        run.into_iter().try_for_each(|line| rows.push(line))?;
        let before = self.head;
        for (event, number) in rows.numbers.iter().zip(before + 1..) {
            if *event != number {
                return Err(trouble::corrupt(&format!("event {event} of the dump is out of order")).into());
            }
            self.head = number;
        }
        rows.write(self.client, self.head - before).await
    }

    async fn begin(&mut self, format: u32, bond: Option<Bond>) -> Result<(), Stop> {
        let used = self
            .client
            .query(
                "SELECT 1 FROM meta WHERE name = 'master_check' UNION ALL SELECT 1 FROM feed_head WHERE number > 0 \
                 UNION ALL (SELECT 1 FROM records LIMIT 1) UNION ALL (SELECT 1 FROM keys LIMIT 1)",
                &[],
            )
            .await?;
        if !used.is_empty() {
            return Err(StoreError::NotEmpty.into());
        }
        if format > DUMP_FORMAT {
            return Err(StoreError::TooNew {
                found: format,
                known: DUMP_FORMAT,
            }
            .into());
        }
        if let Some(bond) = bond {
            self.client
                .execute(
                    "INSERT INTO meta (name, value) VALUES ('master_check', $1)",
                    &[&String::from(bond)],
                )
                .await?;
        }
        self.filled = Some(0);
        Ok(())
    }

    async fn end(&mut self, head: EventNumber, lines: u64, filled: u64) -> Result<(), Stop> {
        if i64::try_from(head.0) != Ok(self.head) || lines != filled {
            return Err(trouble::corrupt(&format!("the dump has {lines} lines, {filled} came")).into());
        }
        self.client
            .execute("DELETE FROM meta WHERE name = 'filling'", &[])
            .await?;
        self.filled = None;
        Ok(())
    }
}

/// Lines of one kind as rows.
#[derive(Default)]
struct Rows {
    records: Vec<RecordItem>,
    keys: Vec<KeyItem>,
    events: Vec<ReadyEvent>,
    numbers: Vec<i64>,
    last_uses: Vec<Use>,
    hours: Vec<Hour>,
}

struct Use {
    key: Uuid,
    first_at: i64,
    last_at: i64,
    address: Option<String>,
}

struct Hour {
    key: Uuid,
    hour: i64,
    outcome: &'static str,
    count: i64,
}

impl Rows {
    fn push(&mut self, line: DumpLine) -> Result<(), StoreError> {
        match line {
            // The caller has dealt with them.
            DumpLine::Begin { .. } | DumpLine::End { .. } => {}
            DumpLine::Record {
                project,
                noun,
                id,
                handle,
                revision,
                body,
                seal,
            } => self.records.push(RecordItem {
                project: project.uuid(),
                noun,
                id,
                handle,
                revision: i64::from(revision.number()),
                body,
                seal,
                expected: 0,
            }),
            DumpLine::Key(columns) => {
                let (key, _) = columns.read()?;
                self.keys.push(KeyItem {
                    labels: labels(&key),
                    columns: *columns,
                    expected: 0,
                });
            }
            DumpLine::Event { numbered, touched } => {
                self.numbers.push(numbered.number.0.cast_signed());
                self.events.push(ReadyEvent::new(&numbered.event, &touched));
            }
            DumpLine::LastUse {
                key,
                first_at,
                last_at,
                address,
            } => self.last_uses.push(Use {
                key: key.uuid(),
                first_at,
                last_at,
                address: address.map(|address| address.to_string()),
            }),
            DumpLine::Hour {
                key,
                hour,
                outcome,
                count,
            } => self.hours.push(Hour {
                key: key.uuid(),
                hour,
                outcome: outcome.as_str(),
                count: count.cast_signed(),
            }),
        }
        Ok(())
    }

    async fn write(&self, client: &Client, events: i64) -> Result<(), Stop> {
        let run = async |sql: &str, values: Vec<Value<'_>>| {
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| &**value as _).collect();
            client.execute(sql, &values).await
        };
        if !self.records.is_empty() {
            let records: Vec<&RecordItem> = self.records.iter().collect();
            run(sql::INSERT_RECORDS, record_columns(&records)).await?;
        }
        if !self.keys.is_empty() {
            let keys: Vec<&KeyItem> = self.keys.iter().collect();
            run(sql::COUNT_OWNERS, owner_columns(&[], &keys)).await?;
            run(sql::INSERT_KEYS, key_columns(&keys)).await?;
            run(sql::INSERT_LABELS, label_columns(&keys)).await?;
        }
        if !self.events.is_empty() {
            run(sql::MOVE_HEAD, vec![Box::new(events)]).await?;
            let rows: Vec<&ReadyEvent> = self.events.iter().collect();
            let mut values: Vec<Value<'_>> = vec![Box::new(events)];
            values.extend(event_columns(&rows));
            run(sql::INSERT_EVENTS, values).await?;
        }
        if !self.last_uses.is_empty() {
            let uses: Vec<&Use> = self.last_uses.iter().collect();
            let values = vec![
                column(&uses, |last| last.key),
                column(&uses, |last| last.first_at),
                column(&uses, |last| last.last_at),
                column(&uses, |last| last.address.as_deref()),
            ];
            run(sql::INSERT_LAST_USES, values).await?;
        }
        if !self.hours.is_empty() {
            let hours: Vec<&Hour> = self.hours.iter().collect();
            let values = vec![
                column(&hours, |hour| hour.key),
                column(&hours, |hour| hour.hour),
                column(&hours, |hour| hour.outcome),
                column(&hours, |hour| hour.count),
            ];
            run(sql::INSERT_HOURS, values).await?;
        }
        Ok(())
    }
}
