//! The tables, made and changed in numbered steps, however many nodes start at once.

use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Row};

use super::address::Address;
use super::line::{Duty, Session};
use super::trouble;
use crate::StoreError;

/// How long the steps may take altogether, waiting for another node's steps included.
const MIGRATE_WITHIN: Duration = Duration::from_mins(10);
/// How often a step is tried again when another node was faster.
const TRIES_MAX: u32 = 10;

/// Each step leads from the schema of its place to the next one. What was released once is never edited.
const STEPS: [&str; 1] = [FIRST];

/// Where it says which steps were done; also the row that nodes queue up at.
const META: &str = r#"CREATE TABLE IF NOT EXISTS meta (
    name  text COLLATE "C" PRIMARY KEY,
    value text NOT NULL
)"#;

/// Texts are compared by their bytes (`COLLATE "C"`), as in memory and in SQLite: a locale would order them otherwise.
const FIRST: &str = r#"
-- The number of the last commit. Every commit changes this row first: so commits of all nodes come one after the other,
-- and a number is never seen before all smaller ones are. A sequence gives numbers out in one order and shows them in another.
CREATE TABLE feed_head (
    head   smallint PRIMARY KEY CHECK (head = 1),
    number bigint NOT NULL
);
INSERT INTO feed_head (head, number) VALUES (1, 0);

CREATE TABLE records (
    project  uuid NOT NULL,
    noun     text COLLATE "C" NOT NULL,
    id       uuid NOT NULL,
    handle   text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    body     text NOT NULL,
    seal     bytea NOT NULL,
    CONSTRAINT records_id PRIMARY KEY (project, noun, id)
);
CREATE UNIQUE INDEX records_handle ON records (project, noun, handle);

CREATE TABLE keys (
    id             uuid NOT NULL,
    project        uuid NOT NULL,
    owner_kind     text COLLATE "C" NOT NULL,
    owner          uuid NOT NULL,
    kind           text COLLATE "C" NOT NULL,
    access         text NOT NULL,
    bounds         text NOT NULL,
    expires_at     bigint,
    state          text COLLATE "C" NOT NULL,
    state_at       bigint NOT NULL,
    cause          text NOT NULL,
    current        bytea NOT NULL,
    retiring       bytea,
    retiring_until bigint,
    name           text NOT NULL,
    description    text NOT NULL,
    metadata       text NOT NULL,
    tags           text NOT NULL,
    hint           text NOT NULL,
    labels         text NOT NULL,
    created_at     bigint NOT NULL,
    created_by     uuid,
    revision       bigint NOT NULL,
    seal           bytea NOT NULL,
    CONSTRAINT keys_id PRIMARY KEY (id),
    CONSTRAINT keys_two_secrets CHECK (retiring <> current)
);
CREATE UNIQUE INDEX keys_current ON keys (current);
CREATE UNIQUE INDEX keys_retiring ON keys (retiring) WHERE retiring IS NOT NULL;
CREATE UNIQUE INDEX keys_static ON keys (project, owner) WHERE kind = 'static' AND state <> 'revoked';
CREATE INDEX keys_page ON keys (project, id) WHERE kind <> 'session';
CREATE INDEX keys_owner ON keys (project, owner, id) WHERE kind <> 'session';
CREATE INDEX keys_ending ON keys (project, expires_at, id) WHERE expires_at IS NOT NULL AND kind <> 'session';
CREATE INDEX keys_made_with ON keys (created_by, id) WHERE created_by IS NOT NULL AND kind <> 'session';
CREATE INDEX keys_stopped ON keys (project, state, id) WHERE state <> 'active' AND kind <> 'session';
CREATE INDEX keys_special ON keys (project, kind, id) WHERE kind <> 'standard' AND kind <> 'session';
-- Sessions, of which there may be many more than keys, stand in indexes of their own.
CREATE INDEX sessions_owner ON keys (project, owner, id) WHERE kind = 'session';
CREATE INDEX sessions_ending ON keys (project, expires_at, id) WHERE kind = 'session';

-- How many keys an owner has that are not revoked: counting them would cost more with every key.
CREATE TABLE owner_counts (
    project    uuid NOT NULL,
    owner_kind text COLLATE "C" NOT NULL,
    owner      uuid NOT NULL,
    live       bigint NOT NULL,
    PRIMARY KEY (project, owner_kind, owner)
);

-- What keys are found by: their scopes, tags and words. A key's row has its labels too, one per line: so those of a
-- key that changes or goes are found without a second index, which every new label would have to pay for.
CREATE TABLE labels (
    project uuid NOT NULL,
    label   text COLLATE "C" NOT NULL,
    key     uuid NOT NULL,
    PRIMARY KEY (project, label, key)
);

CREATE TABLE events (
    number      bigint PRIMARY KEY,
    project     uuid NOT NULL,
    at          bigint NOT NULL,
    action      text COLLATE "C" NOT NULL,
    refused     boolean NOT NULL,
    actor       uuid,
    target_noun text COLLATE "C" NOT NULL,
    target      uuid,
    owner_kind  text COLLATE "C",
    owner       uuid,
    touched     text NOT NULL,
    body        text NOT NULL
);
CREATE INDEX events_page ON events (project, number);
CREATE INDEX events_at ON events (project, at);
CREATE INDEX events_action ON events (project, action, number);
CREATE INDEX events_refused ON events (project, number) WHERE refused;
CREATE INDEX events_target ON events (project, target, number) WHERE target IS NOT NULL;
CREATE INDEX events_actor ON events (project, actor, number) WHERE actor IS NOT NULL;
CREATE INDEX events_owner ON events (project, owner, number) WHERE owner IS NOT NULL;

CREATE TABLE replays (
    actor    uuid NOT NULL,
    request  text COLLATE "C" NOT NULL,
    question bytea NOT NULL,
    made     uuid NOT NULL,
    at       bigint NOT NULL,
    CONSTRAINT replays_request PRIMARY KEY (actor, request)
);
CREATE INDEX replays_at ON replays (at);

CREATE TABLE usage_last (
    key      uuid PRIMARY KEY,
    first_at bigint NOT NULL,
    last_at  bigint NOT NULL,
    address  text
);

CREATE TABLE usage_hours (
    key     uuid NOT NULL,
    hour    bigint NOT NULL,
    outcome text COLLATE "C" NOT NULL,
    count   bigint NOT NULL,
    PRIMARY KEY (key, hour, outcome)
);
CREATE INDEX usage_hours_hour ON usage_hours (hour);
"#;

/// Brings the tables to the newest schema that this program knows.
pub(super) async fn migrate(address: &Address) -> Result<(), StoreError> {
    let session = Session::open(address, Duty::Migrate).await?;
    let outcome = timeout(MIGRATE_WITHIN, all_steps(session.client())).await;
    // Dropped halfway, the transaction would go on until the server noticed.
    session.condemn();
    outcome.unwrap_or_else(|_| Err(trouble::silent(MIGRATE_WITHIN)))
}

/// What came of one try.
enum Outcome {
    Newest,
    Moved,
}

async fn all_steps(client: &Client) -> Result<(), StoreError> {
    let mut lost_races = 0;
    loop {
        match next_step(client).await {
            Ok(Outcome::Newest) => return Ok(()),
            Ok(Outcome::Moved) => {}
            Err(Stop::Told(error)) => return Err(error),
            Err(Stop::Server(error)) => {
                let raced = error.code().is_some_and(is_lost_race);
                // The transaction, where there is one, came to nothing in any case.
                let _ = client.batch_execute("ROLLBACK").await;
                lost_races += 1;
                if !raced || lost_races >= TRIES_MAX {
                    return Err(trouble::store_error(&error));
                }
            }
        }
    }
}

/// `IF NOT EXISTS` looks before it leaps: two nodes that leap at once meet in the catalogue.
fn is_lost_race(code: &SqlState) -> bool {
    [
        SqlState::UNIQUE_VIOLATION,
        SqlState::DUPLICATE_TABLE,
        SqlState::DUPLICATE_OBJECT,
        SqlState::T_R_SERIALIZATION_FAILURE,
        SqlState::T_R_DEADLOCK_DETECTED,
    ]
    .contains(code)
}

enum Stop {
    Server(tokio_postgres::Error),
    Told(StoreError),
}

impl From<tokio_postgres::Error> for Stop {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Server(error)
    }
}

async fn next_step(client: &Client) -> Result<Outcome, Stop> {
    if found_schema(client).await? == Some(newest()) {
        return Ok(Outcome::Newest);
    }
    client.batch_execute(META).await?;
    client
        .execute(
            "INSERT INTO meta (name, value) VALUES ('schema', '0') ON CONFLICT (name) DO NOTHING",
            &[],
        )
        .await?;
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
    let found = client
        .query_one("SELECT value FROM meta WHERE name = 'schema' FOR UPDATE", &[])
        .await?;
    let found = number(&found)?;
    let known = newest();
    if found > known {
        return Err(Stop::Told(StoreError::TooNew { found, known }));
    }
    let Some(step) = usize::try_from(found).ok().and_then(|done| STEPS.get(done)) else {
        client.batch_execute("COMMIT").await?;
        return Ok(Outcome::Newest);
    };
    client.batch_execute(step).await?;
    client
        .execute(
            "UPDATE meta SET value = $1 WHERE name = 'schema'",
            &[&(found + 1).to_string()],
        )
        .await?;
    client.batch_execute("COMMIT").await?;
    tracing::info!(schema = found + 1, "the tables are brought up to date");
    Ok(Outcome::Moved)
}

/// The newest schema that this program knows.
fn newest() -> u32 {
    u32::try_from(STEPS.len()).unwrap_or(u32::MAX)
}

/// The schema that is there. A role that may not make tables can use those that somebody else made.
async fn found_schema(client: &Client) -> Result<Option<u32>, Stop> {
    let looked = client
        .query_opt("SELECT value FROM meta WHERE name = 'schema'", &[])
        .await;
    match looked {
        Ok(row) => row.as_ref().map(number).transpose(),
        Err(error) if error.code() == Some(&SqlState::UNDEFINED_TABLE) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn number(row: &Row) -> Result<u32, Stop> {
    let value: String = row.try_get(0)?;
    value
        .parse()
        .map_err(|_| Stop::Told(trouble::corrupt("the number of the schema")))
}
