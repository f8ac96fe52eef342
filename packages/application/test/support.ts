import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { barAt, type Bar, Secret } from '@varve/core'
import { createPostgresClient, type StoreChecksums } from '@varve/storage'
import {
  type Application,
  loadSettings,
  openApplication,
  type OpenApplicationOptions,
  type Settings,
} from '../src/index.ts'

export const DAY_MS = 86_400_000

export const engines = ['pglite', 'postgres'] as const
export type Engine = (typeof engines)[number]

const DEFAULTS = await loadSettings({ directory: null, env: {} })

/** The built-in configuration with some sections changed. */
export function settingsWith(
  change: { readonly [Name in keyof Settings]?: Partial<Settings[Name]> } = {},
): Settings {
  return Object.fromEntries(
    Object.entries(DEFAULTS).map(([name, section]) => [
      name,
      { ...section, ...change[name as keyof Settings] },
    ]),
  ) as Settings
}

/** A store of its own that can be opened several times, one after another. */
export interface TestPlace extends AsyncDisposable {
  readonly engine: Engine
  readonly dataDir: string
  open(options?: Partial<OpenApplicationOptions>): Promise<Application>
}

/** An empty folder, and for `postgres` an empty database; both are gone after disposal. */
export async function createPlace(engine: Engine): Promise<TestPlace> {
  const dataDir = mkdtempSync(join(tmpdir(), 'varve-app-'))
  let databaseUrl: Secret | undefined
  let dropDatabase = async () => {}
  if (engine === 'postgres') {
    const server = process.env.VARVE_TEST_DATABASE_URL
    if (server === undefined) throw new Error('VARVE_TEST_DATABASE_URL is not set; run through vitest')
    const name = `application_${randomUUID().replaceAll('-', '')}`
    const onServer = async (statement: string) => {
      await using admin = createPostgresClient({ connectionString: server, maxConnections: 1 })
      await admin.exec(statement)
    }
    await onServer(`CREATE DATABASE ${name}`)
    const url = new URL(server)
    url.pathname = `/${name}`
    databaseUrl = new Secret(url.href)
    dropDatabase = () => onServer(`DROP DATABASE ${name} WITH (FORCE)`)
  }
  return {
    engine,
    dataDir,
    open(options = {}) {
      const settings = options.settings ?? settingsWith()
      const connections = { ...settings.connections, databaseUrl }
      return openApplication({ dataDir, ...options, settings: { ...settings, connections } })
    },
    async [Symbol.asyncDispose]() {
      await dropDatabase()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** Everything the store says, hashed, and the number of events beside it. */
export async function contentOf(app: Application): Promise<StoreChecksums & { readonly events: number }> {
  const { rows } = await app.context.sql.query<{ count: bigint }>('SELECT count(*) AS count FROM events')
  return { ...(await app.context.bars.checksums()), events: Number(rows[0]!.count) }
}

/** Every bar of an interval, by symbol, oldest first. */
export async function allBars(app: Application, source?: string): Promise<Map<string, Bar[]>> {
  const found = new Map<string, Bar[]>()
  for await (const batch of app.context.bars.read({ interval: '1d', from: -8.64e14, to: 8.64e14, source })) {
    for (let row = 0; row < batch.length; row++) {
      const bar = barAt(batch, row)
      const list = found.get(bar.symbol)
      if (list === undefined) found.set(bar.symbol, [bar])
      else list.push(bar)
    }
  }
  return found
}

/** Events of one type, by position. */
export async function eventsOf(app: Application, type: string): Promise<Record<string, unknown>[]> {
  const { rows } = await app.context.sql.query<{ data: Record<string, unknown> }>(
    'SELECT data FROM events WHERE type = $1 ORDER BY data::text',
    [type],
  )
  return rows.map((row) => row.data)
}
