//! Dumps of the SQLite store, filling it from one, and its binding to a master key.

use keyholt_core::audit::Noun;
use keyholt_core::bond::Bond;
use keyholt_core::id::KeyId;
use keyholt_core::seal::Seal;
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Params, Row, TransactionBehavior, params};
use tokio::sync::mpsc;

use super::apply::{self, Tip};
use super::prepare::{EventColumns, RecordColumns};
use super::reader::Readers;
use super::row::{self, RECORD, key_column_names};
use crate::{DUMP_FORMAT, DumpLine, EventNumber, Hex32, NumberedEvent, StoreError, UseOutcome};

/// Lines in one batch.
const BATCH: usize = 1024;
/// Under which name the bond is kept.
const BOND: &str = "master_check";
/// Most batches on their way.
const BATCHES_MAX: usize = 4;

/// To which master keys the data belong.
pub(super) fn bond(connection: &Connection) -> Result<Option<Bond>, StoreError> {
    if fact(connection, "filling")?.is_some() {
        return Err(StoreError::HalfFilled);
    }
    read_bond(connection)
}

fn read_bond(connection: &Connection) -> Result<Option<Bond>, StoreError> {
    let corrupt = || StoreError::Corrupt("what the store is bound to".to_owned());
    match fact(connection, BOND)? {
        None => Ok(None),
        Some(Value::Blob(bytes)) => Bond::from_bytes(&bytes).map(Some).ok_or_else(corrupt),
        Some(_) => Err(corrupt()),
    }
}

/// Gives the data another bond, if they have the expected one.
pub(super) fn rebind(connection: &mut Connection, expected: Option<Bond>, new: Bond) -> Result<bool, StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let is_expected = bond(&transaction)? == expected;
    if is_expected {
        keep_fact(&transaction, BOND, Value::Blob(new.to_bytes()))?;
        transaction.commit()?;
    }
    Ok(is_expected)
}

fn fact(connection: &Connection, name: &str) -> rusqlite::Result<Option<Value>> {
    let sql = "SELECT value FROM meta WHERE name = ?1";
    connection
        .prepare_cached(sql)?
        .query_row([name], |row| row.get(0))
        .optional()
}

fn keep_fact(connection: &Connection, name: &str, value: Value) -> rusqlite::Result<()> {
    let sql = "INSERT OR REPLACE INTO meta (name, value) VALUES (?1, ?2)";
    connection.prepare_cached(sql)?.execute(params![name, value]).map(drop)
}

/// Reads every line as of one instant.
pub(super) async fn dump(
    readers: &Readers,
    each: &mut (dyn FnMut(DumpLine) + Send),
) -> Result<EventNumber, StoreError> {
    let (sender, mut batches) = mpsc::channel::<Result<Vec<DumpLine>, StoreError>>(BATCHES_MAX);
    readers
        .send(Box::new(move |connection| {
            let mut lines = Lines {
                to: sender,
                batch: Vec::with_capacity(BATCH),
                count: 0,
            };
            if let Err(error) = lines.read(connection) {
                // Whoever stopped listening does not want the error either.
                drop(lines.to.blocking_send(Err(error)));
            }
        }))
        .await?;
    let mut head = None;
    while let Some(batch) = batches.recv().await {
        for line in batch? {
            if let DumpLine::End { head: last, .. } = &line {
                head = Some(*last);
            }
            each(line);
        }
    }
    head.ok_or_else(|| StoreError::Unavailable("the reader went away".to_owned()))
}

struct Lines {
    to: mpsc::Sender<Result<Vec<DumpLine>, StoreError>>,
    batch: Vec<DumpLine>,
    count: u64,
}

impl Lines {
    fn read(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let instant = connection.unchecked_transaction()?;
        if fact(&instant, "filling")?.is_some() {
            return Err(StoreError::HalfFilled);
        }
        self.write(DumpLine::Begin {
            format: DUMP_FORMAT,
            bond: read_bond(&instant)?,
        })?;
        for noun in Noun::ALL {
            let sql = format!("SELECT {RECORD}, handle FROM records WHERE noun = ?1 ORDER BY project, id");
            self.all(&instant, &sql, [noun.as_str()], record)?;
        }
        let keys = concat!(
            "SELECT ",
            key_column_names!(),
            " FROM keys k JOIN abouts a USING (number) ORDER BY k.id"
        );
        self.all(&instant, keys, [], |row| {
            Ok(DumpLine::Key(Box::new(row::key_columns(row)?)))
        })?;
        self.all(
            &instant,
            "SELECT number, body, touched FROM events ORDER BY number",
            [],
            event,
        )?;
        let uses = "SELECT k.id, u.first_at, u.last_at, u.address FROM keys k INDEXED BY keys_by_id \
                    CROSS JOIN activity u USING (number) WHERE u.last_at IS NOT NULL ORDER BY k.id";
        self.all(&instant, uses, [], last_use)?;
        let hours = "SELECT k.id, h.hour, h.outcome, h.count FROM hours h CROSS JOIN keys k USING (number) \
                     ORDER BY h.hour, h.number";
        self.all(&instant, hours, [], hour)?;
        let (head, lines) = (Tip::read(&instant)?.number(), self.count - 1);
        self.write(DumpLine::End { head, lines })?;
        self.send()
    }

    fn all(
        &mut self,
        connection: &Connection,
        sql: &str,
        params: impl Params,
        line: fn(&Row<'_>) -> Result<DumpLine, StoreError>,
    ) -> Result<(), StoreError> {
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query(params)?;
        while let Some(row) = rows.next()? {
            self.write(line(row)?)?;
        }
        Ok(())
    }

    fn write(&mut self, line: DumpLine) -> Result<(), StoreError> {
        self.batch.push(line);
        self.count += 1;
        if self.batch.len() < BATCH { Ok(()) } else { self.send() }
    }

    fn send(&mut self) -> Result<(), StoreError> {
        let batch = std::mem::replace(&mut self.batch, Vec::with_capacity(BATCH));
        self.to
            .blocking_send(Ok(batch))
            .map_err(|_| StoreError::Unavailable("nobody listens".to_owned()))
    }
}

fn record(row: &Row<'_>) -> Result<DumpLine, StoreError> {
    let record = row::record(row)?;
    Ok(DumpLine::Record {
        project: record.project,
        noun: record.noun,
        id: record.id,
        handle: row.get(6)?,
        revision: record.revision,
        body: record.body,
        seal: Hex32(*record.seal.as_bytes()),
    })
}

fn event(row: &Row<'_>) -> Result<DumpLine, StoreError> {
    let number = EventNumber(row.get::<_, i64>(0)?.cast_unsigned());
    let corrupt = |_| StoreError::Corrupt(format!("event {}", number.0));
    let (body, touched): (String, String) = (row.get(1)?, row.get(2)?);
    Ok(DumpLine::Event {
        numbered: NumberedEvent {
            number,
            event: serde_json::from_str(&body).map_err(corrupt)?,
        },
        touched: serde_json::from_str(&touched).map_err(corrupt)?,
    })
}

fn last_use(row: &Row<'_>) -> Result<DumpLine, StoreError> {
    let address = match row.get_ref(3)?.as_str_or_null().map_err(rusqlite::Error::from)? {
        None => None,
        Some(_) => Some(row::word(row, 3, |text| text.parse().ok())?),
    };
    Ok(DumpLine::LastUse {
        key: KeyId::from_uuid(row.get(0)?),
        first_at: row.get(1)?,
        last_at: row.get(2)?,
        address,
    })
}

fn hour(row: &Row<'_>) -> Result<DumpLine, StoreError> {
    Ok(DumpLine::Hour {
        key: KeyId::from_uuid(row.get(0)?),
        hour: row.get(1)?,
        outcome: row::word(row, 2, UseOutcome::parse)?,
        count: row.get::<_, i64>(3)?.cast_unsigned(),
    })
}

/// Writes the next lines of a dump.
pub(super) fn fill(connection: &mut Connection, lines: Vec<DumpLine>) -> Result<(), StoreError> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut filling = match fact(&transaction, "filling")? {
        Some(Value::Integer(lines)) => Some(lines),
        _ => None,
    };
    let mut tip = Tip::read(&transaction)?;
    for line in lines {
        filling = match (filling, line) {
            (None, DumpLine::Begin { format, bond }) => {
                begin(&transaction, format, bond)?;
                Some(0)
            }
            (None, _) | (Some(_), DumpLine::Begin { .. }) => return Err(StoreError::NotEmpty),
            (Some(filled), DumpLine::End { head, lines }) => {
                if head != tip.number() || i64::try_from(lines) != Ok(filled) {
                    return Err(StoreError::Corrupt(format!(
                        "the dump has {lines} lines, {filled} came"
                    )));
                }
                None
            }
            (Some(filled), line) => {
                fill_line(&transaction, line, &mut tip)?;
                Some(filled + 1)
            }
        };
    }
    match filling {
        Some(filled) => keep_fact(&transaction, "filling", Value::Integer(filled))?,
        None => drop(transaction.execute("DELETE FROM meta WHERE name = 'filling'", [])?),
    }
    Ok(transaction.commit()?)
}

fn begin(connection: &Connection, format: u32, bond: Option<Bond>) -> Result<(), StoreError> {
    let written = "SELECT EXISTS (SELECT 1 FROM records) OR EXISTS (SELECT 1 FROM keys) OR EXISTS (SELECT 1 FROM events) \
                   OR EXISTS (SELECT 1 FROM meta WHERE name = 'master_check')";
    if connection.query_row(written, [], |row| row.get(0))? {
        return Err(StoreError::NotEmpty);
    }
    if format > DUMP_FORMAT {
        return Err(StoreError::TooNew {
            found: format,
            known: DUMP_FORMAT,
        });
    }
    if let Some(bond) = bond {
        keep_fact(connection, BOND, Value::Blob(bond.to_bytes()))?;
    }
    Ok(())
}

fn fill_line(connection: &Connection, line: DumpLine, tip: &mut Tip) -> Result<(), StoreError> {
    let run = |sql: &str, params: &[&dyn rusqlite::ToSql]| connection.prepare_cached(sql)?.execute(params).map(drop);
    match line {
        DumpLine::Record {
            project,
            noun,
            id,
            handle,
            revision,
            body,
            seal,
        } => {
            let columns = RecordColumns {
                project,
                noun,
                id,
                handle,
                revision,
                body,
                seal: Seal::from_bytes(seal.0),
            };
            apply::insert_record(connection, &columns)?;
        }
        DumpLine::Key(columns) => apply::fill_key(connection, &columns)?,
        DumpLine::Event { numbered, touched } => {
            if numbered.number.0 != tip.number().0 + 1 {
                return Err(StoreError::Corrupt(format!(
                    "event {} is out of order",
                    numbered.number.0
                )));
            }
            apply::append_event(connection, &EventColumns::of_numbered(&numbered, &touched)?, tip)?;
        }
        DumpLine::LastUse {
            key,
            first_at,
            last_at,
            address,
        } => run(
            "UPDATE activity SET active_at = max(active_at, ?3), first_at = ?2, last_at = ?3, address = ?4 \
             WHERE number = (SELECT number FROM keys WHERE id = ?1)",
            params![
                key.uuid(),
                first_at,
                last_at,
                address.map(|address| address.to_string())
            ],
        )?,
        DumpLine::Hour {
            key,
            hour,
            outcome,
            count,
        } => run(
            "INSERT INTO hours (hour, number, outcome, count) \
             SELECT ?2, number, ?3, ?4 FROM keys WHERE id = ?1",
            params![key.uuid(), hour, outcome.as_str(), count.cast_signed()],
        )?,
        // The caller has seen to these.
        DumpLine::Begin { .. } | DumpLine::End { .. } => {}
    }
    Ok(())
}
