import { createHash } from 'node:crypto'
import { loadSettings, openApplication } from '@varve/application'
import { createPostgresClient } from '@varve/storage'

/** Makes an empty database on the server and returns its connection string. */
export async function createDatabase(serverUrl: string, name: string): Promise<string> {
  await using admin = createPostgresClient({ connectionString: serverUrl, maxConnections: 1 })
  await admin.exec(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`)
  await admin.exec(`CREATE DATABASE "${name}"`)
  const url = new URL(serverUrl)
  url.pathname = `/${name}`
  return url.toString()
}

/** Hashes of everything a store says, free of row ids, file names and times of recording. */
export async function contentHashes(
  dataDir: string,
  env: Readonly<Record<string, string | undefined>>,
): Promise<Record<string, string>> {
  await using app = await openApplication({
    settings: await loadSettings({ directory: null, env }),
    dataDir,
    mustExist: true,
  })
  const { sql, bars } = app.context
  const events = createHash('sha256')
  const { rows } = await sql.query<{ line: string }>(
    `SELECT concat_ws('|', id, type, stream, version, data::text, occurred_at::text) AS line FROM events ORDER BY id`,
  )
  for (const { line } of rows) events.update(`${line}\n`)
  const live = await sql.query<{ live: bigint }>(
    "SELECT count(*) AS live FROM pgboss.job WHERE name = 'backfill' AND state IN ('created', 'retry', 'active')",
  )
  return {
    ...(await bars.checksums()),
    events: events.digest('hex'),
    eventCount: String(rows.length),
    liveJobs: String(live.rows[0]?.live),
  }
}
