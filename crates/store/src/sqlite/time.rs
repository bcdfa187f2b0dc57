//! How late it ever was: kept beside the other facts of the file, so that a clock that was set back is recognised.

use keyholt_core::time::Moment;
use rusqlite::Connection;

use crate::{StoreError, TimeKept};

const ONWARD: &str = "INSERT INTO meta (name, value) VALUES ('latest_time', ?1) \
                      ON CONFLICT (name) DO UPDATE SET value = max(value, excluded.value)";
/// Events so far do not count any more.
const ANEW: &str = "INSERT OR REPLACE INTO meta (name, value) SELECT 'latest_time', ?1 \
                    UNION ALL SELECT 'time_anew_after', coalesce(max(number), 0) FROM events";
/// Of the events only the last: a clock that was wrong once and was put right must not count for ever.
const LATEST: &str = "SELECT max(at) FROM (SELECT value AS at FROM meta WHERE name = 'latest_time' \
                      UNION ALL SELECT at FROM (SELECT at FROM events WHERE number > \
                      coalesce((SELECT value FROM meta WHERE name = 'time_anew_after'), 0) ORDER BY number DESC LIMIT 1))";

pub(super) fn keep(connection: &Connection, reached: Moment, kept: TimeKept) -> Result<(), StoreError> {
    let sql = match kept {
        TimeKept::Onward => ONWARD,
        TimeKept::Anew => ANEW,
    };
    connection.prepare_cached(sql)?.execute([reached.ms()])?;
    Ok(())
}

pub(super) fn latest(connection: &Connection) -> Result<Option<Moment>, StoreError> {
    let latest: Option<i64> = connection.query_row(LATEST, [], |row| row.get(0))?;
    Ok(latest.map(Moment::from_ms))
}
