/**
 * Statements on pg-boss's `job` table for what its own calls do not offer: retries to the millisecond, failing for
 * good, handing back without spending a retry, heartbeats that never wait for a row a handler has locked. Written
 * against pg-boss 12.35.0, whose version is pinned for that reason.
 */

const T = 'pgboss.job'
const NOW = 'pgboss.job_now()'

/** Only the attempt that was fetched: `$2` ids, `$3` pairs `id:retry_count`. */
const FENCE = `name = $1 AND id = ANY ($2::uuid[]) AND state = 'active' AND (id::text || ':' || retry_count::text) = ANY ($3::text[])`

/** `$4` retry, `$5` output, `$6` least delay ms, `$7` delay ms, `$8` backoff, `$9` longest delay ms. */
export const FAIL = `
UPDATE ${T} SET
  state = CASE WHEN $4::boolean AND retry_count < retry_limit THEN 'retry'::pgboss.job_state ELSE 'failed'::pgboss.job_state END,
  completed_on = CASE WHEN $4::boolean AND retry_count < retry_limit THEN NULL ELSE ${NOW} END,
  start_after = ${NOW} + greatest($6::float8, least($9::float8,
    $7::float8 * CASE WHEN $8::boolean THEN power(2, least(retry_count, 20)) ELSE 1 END)) * interval '1 millisecond',
  heartbeat_on = NULL, output = $5::jsonb
WHERE ${FENCE}
RETURNING id::text AS id, state::text AS state`

/** How many of the attempts in the fence ended as completed. */
export const COUNT_COMPLETED = `
SELECT count(*)::int AS count FROM ${T} WHERE name = $1 AND id = ANY ($2::uuid[]) AND state = 'completed'
  AND (id::text || ':' || retry_count::text) = ANY ($3::text[])`

/** Gives jobs back untouched, without spending one of their retries. */
export const RELEASE = `
UPDATE ${T} SET state = 'retry', retry_limit = greatest(retry_limit, retry_count + 1), start_after = ${NOW}, heartbeat_on = NULL
WHERE ${FENCE}`

/** Marks the jobs as alive; answers which are still this worker's. Rows a handler has locked are passed over. */
export const BEAT = `
WITH mine AS (
  SELECT id FROM ${T} WHERE ${FENCE} FOR UPDATE SKIP LOCKED
), beat AS (
  UPDATE ${T} j SET heartbeat_on = ${NOW} FROM mine WHERE j.name = $1 AND j.id = mine.id
)
SELECT id::text AS id FROM ${T} WHERE ${FENCE}`

/**
 * A worker that died spends no retry, up to `$3` of them beyond the queue's own; a job that outlives that many
 * workers is what kills them, and fails. `$1` queue, `$2` retry limit.
 */
const RECLAIM_SET = `
  state = CASE WHEN retry_count < $2::int + $3::int THEN 'retry'::pgboss.job_state ELSE 'failed'::pgboss.job_state END,
  completed_on = CASE WHEN retry_count < $2::int + $3::int THEN NULL ELSE ${NOW} END,
  retry_limit = greatest(retry_limit, retry_count + 1), start_after = ${NOW}, heartbeat_on = NULL,
  output = '{"code": "JOB_LOST", "message": "its worker died or went silent"}'::jsonb`

/** Shared queue: jobs whose worker is silent or over time. */
export const RECLAIM_SILENT = `
WITH silent AS (
  SELECT id FROM ${T} WHERE name = $1 AND state = 'active' AND (
    heartbeat_on + heartbeat_seconds * interval '1 second' < ${NOW} OR started_on + expire_seconds * interval '1 second' < ${NOW}
  ) FOR UPDATE SKIP LOCKED
)
UPDATE ${T} j SET ${RECLAIM_SET} FROM silent WHERE j.name = $1 AND j.id = silent.id
RETURNING j.id::text AS id`

/** Only process: active jobs it does not know (`$4`) and that have been active for `$5` seconds. */
export const RECLAIM_UNKNOWN = `
UPDATE ${T} SET ${RECLAIM_SET}
WHERE name = $1 AND state = 'active' AND id <> ALL ($4::uuid[]) AND started_on <= ${NOW} - $5::float8 * interval '1 second'
RETURNING id::text AS id`

/** A waiting job takes the higher priority; then workers are woken when the transaction commits. */
export const RAISE_AND_NOTIFY = `
WITH asked AS (
  SELECT key, max(priority) AS priority FROM jsonb_to_recordset($2::jsonb) AS list (key text, priority int) GROUP BY key
), raised AS (
  UPDATE ${T} j SET priority = asked.priority FROM asked
  WHERE j.name = $1 AND coalesce(j.singleton_key, '') = asked.key AND j.state < 'active' AND j.priority < asked.priority
)
SELECT pg_notify($3, $1)::text AS notified`

export const COUNTS = `SELECT state::text AS state, count(*)::int AS count FROM ${T} WHERE name = $1 GROUP BY state`

/** What keeps a queue from being empty, and when the next waiting job is due. */
export const REMAINING = `
SELECT count(*) FILTER (WHERE state < 'active')::int AS waiting, count(*) FILTER (WHERE state = 'active')::int AS active,
  (extract(epoch FROM min(start_after) FILTER (WHERE state < 'active') - ${NOW}) * 1000)::float8 AS due_ms
FROM ${T} WHERE name = $1 AND state <= 'active'`

export const DEAD_LETTERS = `
SELECT id::text AS id, singleton_key AS key, data, retry_count, priority, output, completed_on
FROM ${T} WHERE name = $1 AND state = 'failed' ORDER BY completed_on, id LIMIT $2::int`

/** `$3` retry limit. Of several dead letters with one key the newest comes back. */
export const REDRIVE = `
UPDATE ${T} j SET state = 'retry', retry_limit = retry_count + 1 + $3::int, completed_on = NULL, start_after = ${NOW},
  keep_until = ${NOW} + interval '1000 years'
WHERE name = $1 AND state = 'failed' AND id IN (
  SELECT DISTINCT ON (singleton_key) id FROM ${T} d
  WHERE name = $1 AND state = 'failed' AND id = ANY ($2::uuid[]) AND NOT EXISTS (
    SELECT FROM ${T} live WHERE live.name = $1 AND live.state <= 'active'
      AND coalesce(live.singleton_key, '') = coalesce(d.singleton_key, ''))
  ORDER BY singleton_key, completed_on DESC, id
)
RETURNING j.id::text AS id`

/** `$2` milliseconds completed jobs stay, `$3` failed ones. */
export const CLEAN_UP = `
DELETE FROM ${T} WHERE name = $1 AND (
  (state = 'completed' AND completed_on < ${NOW} - $2::float8 * interval '1 millisecond') OR
  (state = 'failed' AND completed_on < ${NOW} - $3::float8 * interval '1 millisecond'))`

/** Parameters `$2` and `$3` of a fenced statement. */
export function fenceOf(
  jobs: readonly { readonly id: string; readonly attempt: number }[],
): [string[], string[]] {
  return [jobs.map((job) => job.id), jobs.map((job) => `${job.id}:${job.attempt - 1}`)]
}
