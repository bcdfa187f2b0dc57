//! The statements that change something. Rows travel as arrays, so that one statement serves one row or a thousand.

/// The first statement of every commit: takes the lock that puts the commits of all nodes in one order.
pub(super) const MOVE_HEAD: &str = "UPDATE feed_head SET number = number + $1 WHERE head = 1 RETURNING number";

/// Events get the numbers up to the head: `$1` is how far before the new head the first of them comes.
pub(super) const INSERT_EVENTS: &str = "\
INSERT INTO events (number, project, at, action, refused, actor, target_noun, target, owner_kind, owner, touched, body)
SELECT h.number - $1::bigint + n.place, n.project, n.at, n.action, n.refused, n.actor, n.target_noun, n.target,
       n.owner_kind, n.owner, n.touched, n.body
FROM feed_head h
CROSS JOIN UNNEST($2::uuid[], $3::bigint[], $4::text[], $5::boolean[], $6::uuid[], $7::text[], $8::uuid[], $9::text[],
                  $10::uuid[], $11::text[], $12::text[])
    WITH ORDINALITY AS n(project, at, action, refused, actor, target_noun, target, owner_kind, owner, touched, body, place)
WHERE h.head = 1";

pub(super) const INSERT_REPLAYS: &str = "\
INSERT INTO replays (actor, request, question, made, at)
SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::bytea[], $4::uuid[], $5::bigint[])";

pub(super) const INSERT_RECORDS: &str = "\
INSERT INTO records (project, noun, id, handle, revision, body, seal)
SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::bytea[])";

pub(super) const REPLACE_RECORDS: &str = "\
UPDATE records r
SET handle = n.handle, revision = n.revision, body = n.body, seal = n.seal
FROM UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::text[], $5::bigint[], $6::text[], $7::bytea[], $8::bigint[])
    AS n(project, noun, id, handle, revision, body, seal, expected)
WHERE r.project = n.project AND r.noun = n.noun AND r.id = n.id AND r.revision = n.expected";

pub(super) const REMOVE_RECORDS: &str = "\
DELETE FROM records r
USING UNNEST($1::uuid[], $2::text[], $3::uuid[], $4::bigint[]) AS n(project, noun, id, expected)
WHERE r.project = n.project AND r.noun = n.noun AND r.id = n.id AND r.revision = n.expected";

pub(super) const INSERT_KEYS: &str = "\
INSERT INTO keys (id, project, owner_kind, owner, kind, access, bounds, expires_at, state, state_at, cause,
                  current, retiring, retiring_until, name, description, metadata, tags, hint, created_at, created_by,
                  revision, seal, labels)
SELECT * FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[],
                     $9::text[], $10::bigint[], $11::text[], $12::bytea[], $13::bytea[], $14::bigint[], $15::text[],
                     $16::text[], $17::text[], $18::text[], $19::text[], $20::bigint[], $21::uuid[], $22::bigint[],
                     $23::bytea[], $24::text[])";

pub(super) const REPLACE_KEYS: &str = "\
UPDATE keys k
SET owner_kind = n.owner_kind, owner = n.owner, kind = n.kind, access = n.access, bounds = n.bounds,
    expires_at = n.expires_at, state = n.state, state_at = n.state_at, cause = n.cause, current = n.current,
    retiring = n.retiring, retiring_until = n.retiring_until, name = n.name, description = n.description,
    metadata = n.metadata, tags = n.tags, hint = n.hint, created_at = n.created_at, created_by = n.created_by,
    revision = n.revision, seal = n.seal, labels = n.labels
FROM UNNEST($1::uuid[], $2::uuid[], $3::text[], $4::uuid[], $5::text[], $6::text[], $7::text[], $8::bigint[],
            $9::text[], $10::bigint[], $11::text[], $12::bytea[], $13::bytea[], $14::bigint[], $15::text[],
            $16::text[], $17::text[], $18::text[], $19::text[], $20::bigint[], $21::uuid[], $22::bigint[],
            $23::bytea[], $24::text[], $25::bigint[])
    AS n(id, project, owner_kind, owner, kind, access, bounds, expires_at, state, state_at, cause, current, retiring,
         retiring_until, name, description, metadata, tags, hint, created_at, created_by, revision, seal, labels, expected)
WHERE k.id = n.id AND k.project = n.project AND k.revision = n.expected";

pub(super) const REMOVE_KEYS: &str = "\
DELETE FROM keys k
USING UNNEST($1::uuid[], $2::uuid[], $3::bigint[]) AS n(id, project, expected)
WHERE k.id = n.id AND k.project = n.project AND k.revision = n.expected";

pub(super) const REMOVE_LAST_USES: &str = "DELETE FROM usage_last WHERE key = ANY($1)";
pub(super) const REMOVE_HOURS: &str = "DELETE FROM usage_hours WHERE key = ANY($1)";

/// Digests that another key has, as its newest or its retiring one: the indexes see only one column each.
pub(super) const CLASHING_DIGESTS: &str = "\
SELECT 1 FROM UNNEST($1::uuid[], $2::bytea[]) AS n(id, digest)
JOIN keys k ON k.current = n.digest WHERE k.id <> n.id
UNION ALL
SELECT 1 FROM UNNEST($1::uuid[], $2::bytea[]) AS n(id, digest)
JOIN keys k ON k.retiring = n.digest WHERE k.retiring IS NOT NULL AND k.id <> n.id
LIMIT 1";

pub(super) const INSERT_LABELS: &str = "\
INSERT INTO labels (project, label, key)
SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::uuid[])";

/// Takes the labels of keys that change away, where `$2` says others; most changes leave them alone.
pub(super) const TRIM_LABELS: &str = "\
DELETE FROM labels l
USING (SELECT k.project, k.id, old.label
       FROM UNNEST($1::uuid[], $2::text[]) AS n(id, labels)
       JOIN keys k ON k.id = n.id AND k.labels <> n.labels
       CROSS JOIN LATERAL UNNEST(string_to_array(k.labels, E'\\n')) AS old(label)) o
WHERE l.project = o.project AND l.label = o.label AND l.key = o.id";

/// Gives keys that change their new labels, where `$2` says others than now.
pub(super) const RENEW_LABELS: &str = "\
INSERT INTO labels (project, label, key)
SELECT k.project, new.label, k.id
FROM UNNEST($1::uuid[], $2::text[]) AS n(id, labels)
JOIN keys k ON k.id = n.id AND k.labels <> n.labels
CROSS JOIN LATERAL UNNEST(string_to_array(n.labels, E'\\n')) AS new(label)";

/// Takes the labels of keys away that are about to go.
pub(super) const REMOVE_LABELS: &str = "\
DELETE FROM labels l
USING (SELECT k.project, k.id, old.label
       FROM keys k CROSS JOIN LATERAL UNNEST(string_to_array(k.labels, E'\\n')) AS old(label)
       WHERE k.id = ANY($1)) o
WHERE l.project = o.project AND l.label = o.label AND l.key = o.id";

/// Counts anew for the owners concerned: the keys `$1` as they are now go, one key each of `$2` to `$4` comes.
pub(super) const COUNT_OWNERS: &str = "\
INSERT INTO owner_counts AS c (project, owner_kind, owner, live)
SELECT d.project, d.owner_kind, d.owner, sum(d.change)
FROM (SELECT k.project, k.owner_kind, k.owner, -1 AS change FROM keys k WHERE k.id = ANY($1) AND k.state <> 'revoked'
        AND k.kind <> 'session'
      UNION ALL
      SELECT n.project, n.owner_kind, n.owner, 1
      FROM UNNEST($2::uuid[], $3::text[], $4::uuid[]) AS n(project, owner_kind, owner)) d
GROUP BY d.project, d.owner_kind, d.owner
HAVING sum(d.change) <> 0
ON CONFLICT (project, owner_kind, owner) DO UPDATE SET live = c.live + excluded.live";

/// How many keys each of these owners has that are not revoked.
pub(super) const LIVE_KEYS: &str = "\
SELECT COALESCE(c.live, 0)
FROM UNNEST($1::uuid[], $2::text[], $3::uuid[]) WITH ORDINALITY AS n(project, owner_kind, owner, place)
LEFT JOIN owner_counts c ON c.project = n.project AND c.owner_kind = n.owner_kind AND c.owner = n.owner
ORDER BY n.place";

/// Those of these keys that are revoked or gone.
pub(super) const ENDED_KEYS: &str = "\
SELECT m.id FROM UNNEST($1::uuid[]) AS m(id)
LEFT JOIN keys k ON k.id = m.id AND k.state <> 'revoked'
WHERE k.id IS NULL
LIMIT 1";

pub(super) const INSERT_LAST_USES: &str = "\
INSERT INTO usage_last (key, first_at, last_at, address)
SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::bigint[], $4::text[])";

pub(super) const INSERT_HOURS: &str = "\
INSERT INTO usage_hours (key, hour, outcome, count)
SELECT * FROM UNNEST($1::uuid[], $2::bigint[], $3::text[], $4::bigint[])";
