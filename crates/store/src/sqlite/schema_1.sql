-- Ids are the 16 bytes of their UUID, instants are milliseconds since 1970, enums are the words of the vocabulary.

-- Facts about the store itself: schema_version, master_check, filling.
CREATE TABLE meta (
  name  TEXT NOT NULL PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Every record other than a key.
CREATE TABLE records (
  project  BLOB NOT NULL,
  noun     TEXT NOT NULL,
  id       BLOB NOT NULL,
  handle   TEXT NOT NULL,
  revision INTEGER NOT NULL,
  body     TEXT NOT NULL,
  seal     BLOB NOT NULL,
  PRIMARY KEY (project, noun, id)
) STRICT;
CREATE UNIQUE INDEX records_by_handle ON records (project, noun, handle);

-- The part of a key that judges: narrow, because all of it is read at every start.
-- A number is never given twice (AUTOINCREMENT), so that what still names a deleted key cannot come to mean another.
CREATE TABLE keys (
  number         INTEGER PRIMARY KEY AUTOINCREMENT,
  id             BLOB NOT NULL,
  project        BLOB NOT NULL,
  owner_kind     TEXT NOT NULL,
  owner          BLOB NOT NULL,
  kind           TEXT NOT NULL,
  access         TEXT NOT NULL,
  bounds         TEXT NOT NULL,
  expires_at     INTEGER,
  state          TEXT NOT NULL,
  state_at       INTEGER NOT NULL,
  current        BLOB NOT NULL,
  retiring       BLOB,
  retiring_until INTEGER,
  created_by     BLOB,
  revision       INTEGER NOT NULL,
  seal           BLOB NOT NULL
) STRICT;
CREATE UNIQUE INDEX keys_by_id ON keys (id);
CREATE UNIQUE INDEX keys_static ON keys (project, owner) WHERE kind = 'static' AND state <> 'revoked';
-- One index for each filter, in the order in which keys are listed. Sessions, of which there may be many more than
-- keys, stand in indexes of their own.
CREATE INDEX keys_by_project ON keys (project, id) WHERE kind <> 'session';
CREATE INDEX keys_by_owner ON keys (project, owner_kind, owner, id) WHERE kind <> 'session';
CREATE INDEX keys_by_kind ON keys (project, kind, id) WHERE kind <> 'session';
CREATE INDEX keys_by_state ON keys (project, state, id) WHERE kind <> 'session';
CREATE INDEX keys_by_maker ON keys (project, created_by, id) WHERE kind <> 'session';
CREATE INDEX keys_by_expiry ON keys (project, expires_at, id) WHERE kind <> 'session';
CREATE INDEX sessions_by_project ON keys (project, id) WHERE kind = 'session';
CREATE INDEX sessions_by_owner ON keys (project, owner_kind, owner, id) WHERE kind = 'session';
CREATE INDEX sessions_by_expiry ON keys (project, expires_at, id) WHERE kind = 'session';

-- What people need to know about a key; one row for each row of keys.
CREATE TABLE abouts (
  number      INTEGER PRIMARY KEY,
  cause       TEXT NOT NULL,
  name        TEXT NOT NULL,
  description TEXT NOT NULL,
  metadata    TEXT NOT NULL,
  tags        TEXT NOT NULL,
  hint        TEXT NOT NULL,
  created_at  INTEGER NOT NULL
) STRICT;

-- Every digest under which a key is recognised, current or beside it: it stands in one place only.
CREATE TABLE digests (
  digest BLOB NOT NULL PRIMARY KEY,
  number INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How many keys an owner has that are not revoked: counting them would cost more with every key.
CREATE TABLE owner_counts (
  project    BLOB NOT NULL,
  owner_kind TEXT NOT NULL,
  owner      BLOB NOT NULL,
  live       INTEGER NOT NULL,
  PRIMARY KEY (project, owner_kind, owner)
) STRICT, WITHOUT ROWID;

-- What keys are searched by: scopes, tags and words, in the order in which keys are listed.
CREATE TABLE labels (
  project BLOB NOT NULL,
  sort    TEXT NOT NULL,
  value   TEXT NOT NULL,
  id      BLOB NOT NULL,
  PRIMARY KEY (project, sort, value, id)
) STRICT, WITHOUT ROWID;

-- The audit trail and the feed. latest_at is the latest instant so far and most_late how far any event so far lay behind
-- that: both only grow, so that a span of time is found as a span of numbers although clocks differ a little.
CREATE TABLE events (
  number      INTEGER PRIMARY KEY,
  project     BLOB NOT NULL,
  at          INTEGER NOT NULL,
  latest_at   INTEGER NOT NULL,
  most_late   INTEGER NOT NULL,
  action      TEXT NOT NULL,
  refused     INTEGER NOT NULL,
  actor       BLOB,
  target_noun TEXT NOT NULL,
  target      BLOB,
  owner_kind  TEXT,
  owner       BLOB,
  body        TEXT NOT NULL,
  touched     TEXT NOT NULL
) STRICT;
CREATE INDEX events_by_project ON events (project, number);
CREATE INDEX events_by_action ON events (project, action, number);
CREATE INDEX events_by_target ON events (project, target, number) WHERE target IS NOT NULL;
CREATE INDEX events_by_actor ON events (project, actor, number) WHERE actor IS NOT NULL;
CREATE INDEX events_by_owner ON events (project, owner, number) WHERE owner IS NOT NULL;
CREATE INDEX events_by_refused ON events (project, refused, number);

-- Which answer a repeated request gets.
CREATE TABLE replays (
  actor    BLOB NOT NULL,
  request  TEXT NOT NULL,
  question BLOB NOT NULL,
  made     BLOB NOT NULL,
  at       INTEGER NOT NULL,
  PRIMARY KEY (actor, request)
) STRICT, WITHOUT ROWID;
CREATE INDEX replays_by_age ON replays (at);

-- When each key was used first and last. active_at starts as the key's making, so that keys long unused are one range.
CREATE TABLE activity (
  number    INTEGER PRIMARY KEY,
  project   BLOB NOT NULL,
  id        BLOB NOT NULL,
  active_at INTEGER NOT NULL,
  first_at  INTEGER,
  last_at   INTEGER,
  address   TEXT
) STRICT;
CREATE INDEX activity_by_age ON activity (project, active_at, id);

-- Uses by hour. The hour comes first: writing touches the pages of this hour alone, and forgetting drops whole pages.
CREATE TABLE hours (
  hour    INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  outcome TEXT NOT NULL,
  count   INTEGER NOT NULL,
  PRIMARY KEY (hour, number, outcome)
) STRICT, WITHOUT ROWID;
