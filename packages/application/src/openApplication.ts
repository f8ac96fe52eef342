import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createExchangeCalendar } from '@varve/calendar'
import {
  type Clock,
  errorMessage,
  isVarveError,
  type Lock,
  parseSessionDate,
  publish,
  type Secret,
  type SessionCalendar,
  type SessionDate,
  type SqlClient,
  systemClock,
  VarveError,
} from '@varve/core'
import { createEventStore, createJobEngine } from '@varve/events'
import { BACKFILL_QUEUE, type PipelineContext } from '@varve/pipeline'
import type { MarketDataProvider } from '@varve/providers'
import {
  component,
  type ComponentStatus,
  createApplicationContext,
  createLock,
  createPostgresLockStore,
  createPostgresStateStore,
  createStateManager,
  type StateManager,
} from '@varve/runtime'
import {
  type BackupManifest,
  type BarRouter,
  type PoolStatus,
  type QueryTracking,
  type TrackedSqlClient,
  withQueryTracking,
  createBackup,
  type LakeFiles,
  createBarStore,
  createCompanyStore,
  createCoverageStore,
  createGapStore,
  createPgliteClient,
  createPostgresClient,
  createQuarantineStore,
  createRecordStore,
  migrateWithBackup,
} from '@varve/storage'
import { backupKeys, openBackups } from './backups.ts'
import { openBarRouter } from './barRouting.ts'
import { MIGRATIONS } from './migrations.ts'
import { type OpenLake, openLake } from './openLake.ts'
import { barStoreOptionsOf, pipelineOptionsOf, retentionOf, universeOf } from './settings/derive.ts'
import type { Settings } from './settings/sections.ts'

/** The database, with what is watched of it. */
interface Database {
  readonly sql: TrackedSqlClient
  readonly pool: () => PoolStatus | undefined
}

/** Where everything of one installation lies. */
export interface Locations {
  readonly dataDir: string
  /** Folder of the embedded Postgres, when that is used. */
  readonly database: string
  readonly lake: string
}

export interface OpenApplicationOptions {
  readonly settings: Settings
  /** Folder for the embedded database and the lake; created when missing. */
  readonly dataDir: string
  /** Makes the source of market data once the calendar is known; without it only stored data can be read. */
  readonly provider?: (parts: {
    readonly calendar: SessionCalendar
    readonly clock: Clock
  }) => MarketDataProvider
  /** Session whose close is "now"; without it the last session that has closed. */
  readonly asOf?: SessionDate
  /** Refuses to start an empty store: for commands that only read. */
  readonly mustExist?: boolean
  /** Which limits of `contexts.yaml` hold for starting. @defaultValue `default` */
  readonly profile?: 'default' | 'backfill' | 'scanner' | 'trading'
  /** Uses the embedded database even where a database URL is set. */
  readonly embeddedOnly?: boolean
}

export interface Application extends AsyncDisposable {
  readonly context: PipelineContext
  readonly settings: Settings
  readonly locations: Locations
  /** The session that is "now". */
  readonly asOf: SessionDate
  /** That session was asked for, or is the last the data has; it does not move on with time. */
  readonly fixedAsOf: boolean
  /** Every component and its state. */
  components(): readonly ComponentStatus[]
  /** Mutual exclusion with every other process on this database, fenced. */
  readonly lock: Lock
  /** Documents that survive a restart, shared by every process on this database. */
  readonly state: StateManager
  /** Files of the lake. */
  readonly lake: LakeFiles
  /** What statements cost so far, and the pool of connections to a server. */
  readonly database: {
    readonly queries: QueryTracking
    pool(): PoolStatus | undefined
  }
  /** Reads of bars by what they are for. */
  readonly router: BarRouter
  /**
   * The same application at another session, and with settings that have changed since. Only the original is to be
   * closed.
   */
  withSession(asOf: SessionDate, settings?: Settings): Application
  /** Stops jobs, then closes provider and database. Closing twice is fine. */
  close(): Promise<void>
}

/**
 * Builds the whole object graph: database, stores, events, jobs, provider. Opens the database and brings its schema
 * up to date.
 *
 * @throws `LISTING_EMPTY`, `DATA_DIR_NOT_WRITABLE`, `DIRECTORY_LOCKED`, `DATABASE_UNREACHABLE`, `DATE_INVALID`
 */
export async function openApplication(options: OpenApplicationOptions): Promise<Application> {
  const { settings, profile = 'default' } = options
  const calendar = createExchangeCalendar(settings.scanner.exchange)
  const locations = locate(options)
  const provider = options.provider?.({ calendar, clock: systemClock })
  let built: ReturnType<typeof contextOf> | undefined
  try {
    const { asOf, fixed: fixedAsOf } = await resolveAsOf(options.asOf, provider, calendar)
    if (options.mustExist === true) refuseEmpty(options, locations)
    if (provider?.lastSession !== undefined) await refuseNothing(provider, asOf)
    const { contexts } = settings
    built = contextOf(options, locations, provider, {
      startTimeoutMs: contexts[profile].startTimeoutMs,
      stopTimeoutMs: contexts.stopTimeoutMs,
      abortGraceMs: contexts.abortGraceMs,
    })
    const running = built
    await running.start().catch((error: unknown) => {
      throw startError(error)
    })
    const { jobs, events } = running.get('eventBus')
    const { sql, pool } = running.get('database')
    const stores = {
      sql,
      companies: createCompanyStore(),
      bars: running.get('dualStorage'),
      records: createRecordStore({ ...settings.storage.records, sql, lake: running.get('lake').files }),
      coverage: createCoverageStore(),
      quarantine: createQuarantineStore(settings.storage.hot),
      gaps: createGapStore(),
      events,
      jobs,
      provider,
      calendar,
    }
    const shared = {
      locations,
      fixedAsOf,
      lock: createLock({ ...settings.daemon.lock, store: createPostgresLockStore({ sql }) }),
      state: createStateManager({ store: createPostgresStateStore({ sql }) }),
      lake: running.get('lake').files,
      database: { queries: sql.queries, pool },
      components: () => running.status(),
      close: () => running.close(),
      [Symbol.asyncDispose]: () => running.close(),
    }
    const at = (session: SessionDate, current: Settings): Application => {
      const context = {
        ...stores,
        clock: clockAt(calendar, session),
        universe: universeOf(current),
        retention: retentionOf(current),
        options: pipelineOptionsOf(current),
      }
      return {
        ...shared,
        context,
        router: openBarRouter(context, current),
        settings: current,
        asOf: session,
        withSession: (next, changed = current) => at(next, changed),
      }
    }
    return at(asOf, settings)
  } catch (error) {
    if (built === undefined) await provider?.close()
    else await built.close().catch(() => undefined)
    throw error
  }
}

/** Components in the order they need each other; all of them run, or none. */
function contextOf(
  options: OpenApplicationOptions,
  locations: Locations,
  provider: MarketDataProvider | undefined,
  limits: { readonly startTimeoutMs: number; readonly stopTimeoutMs: number; readonly abortGraceMs: number },
) {
  const { settings } = options
  return createApplicationContext({
    ...limits,
    components: {
      sources: component({ start: () => provider, stop: (opened) => opened?.close() }),
      database: component({
        dependsOn: ['lake'],
        async start(parts) {
          makeWritable(locations.dataDir)
          const database = openDatabase(options, locations)
          const { sql } = database
          try {
            const lake = parts.get<OpenLake>('lake').files
            await migrateWithBackup({
              sql,
              migrations: MIGRATIONS,
              backup: () => backUpBeforeMigration(settings, locations, sql, lake),
            })
            return database
          } catch (error) {
            await sql.close().catch(() => undefined)
            throw error
          }
        },
        stop: ({ sql }) => sql.close(),
      }),
      lake: component({ start: () => openLake(settings, locations.lake), stop: (lake) => lake.close() }),
      dualStorage: component({
        dependsOn: ['database', 'lake'],
        start(parts) {
          const { files, reader } = parts.get<OpenLake>('lake')
          return createBarStore({
            ...barStoreOptionsOf(settings),
            sql: parts.get<Database>('database').sql,
            lake: files,
            reader,
          })
        },
      }),
      eventBus: component({
        dependsOn: ['database'],
        async start(parts) {
          const sql = parts.get<Database>('database').sql
          const { retryLimit, retryDelayMs } = settings.events.jobs
          const jobs = createJobEngine({
            ...settings.events.jobs,
            sql,
            exclusive: sql.engine === 'pglite',
            queues: [{ name: BACKFILL_QUEUE, retryLimit, retryDelayMs }],
          })
          await jobs.start()
          return { jobs, events: createEventStore({ sql }) }
        },
        stop: ({ jobs }) => jobs.stop(),
      }),
    },
  })
}

/** What one component says is what the user needs to know; several are told together. */
function startError(error: unknown): unknown {
  if (!isVarveError(error, 'CONTEXT_START_FAILED')) return error
  const failures = error.details.failures
  return isVarveError(error.cause) && Array.isArray(failures) && failures.length === 1 ? error.cause : error
}

/** Where everything of an installation lies. */
export function locate(options: Pick<OpenApplicationOptions, 'dataDir' | 'settings'>): Locations {
  const dataDir = resolve(options.dataDir)
  return {
    dataDir,
    database: join(dataDir, 'db'),
    lake: resolve(options.settings.storage.lake.directory ?? join(dataDir, 'lake')),
  }
}

/** A database of an older version is backed up before its schema changes. */
async function backUpBeforeMigration(
  settings: Settings,
  locations: Locations,
  sql: SqlClient,
  lake: LakeFiles,
): Promise<BackupManifest> {
  const destination = openBackups(settings, locations.dataDir)
  try {
    publish('log', () => ({
      level: 'info',
      component: 'storage',
      message: `the database is of an older version; it is backed up to ${destination.files.location} and brought up to date`,
    }))
    return await createBackup({
      ...settings.backup,
      sql,
      lake,
      destination: destination.files,
      keys: backupKeys(settings),
    })
  } finally {
    await destination.close()
  }
}

function openDatabase(options: OpenApplicationOptions, locations: Locations): Database {
  const { postgres, embedded, queries } = options.settings.connections
  const url = databaseUrl(options)
  if (url === undefined) {
    const client = createPgliteClient({ ...embedded, directory: locations.database })
    return { sql: withQueryTracking(client, queries), pool: () => undefined }
  }
  const client = createPostgresClient({ ...postgres, connectionString: url })
  return { sql: withQueryTracking(client, queries), pool: () => client.pool.status() }
}

function databaseUrl(options: OpenApplicationOptions): Secret | undefined {
  return options.embeddedOnly === true ? undefined : options.settings.connections.databaseUrl
}

/** Reading from a store that was never filled is a mistake in the directory's name more often than not. */
function refuseEmpty(options: OpenApplicationOptions, locations: Locations): void {
  if (databaseUrl(options) !== undefined || existsSync(locations.database)) return
  throw new VarveError(
    `nothing is stored in ${locations.dataDir} yet; fill it with "varve run" or "varve import", or name another --data-dir`,
    { code: 'STORE_EMPTY', details: { dataDir: locations.dataDir } },
  )
}

function makeWritable(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true })
    accessSync(directory, constants.W_OK)
  } catch (cause) {
    throw new VarveError(
      `cannot write to the data directory ${directory}: ${errorMessage(cause)}; choose another with --data-dir or change its permissions`,
      { code: 'DATA_DIR_NOT_WRITABLE', cause, details: { directory } },
    )
  }
}

/** Files are looked at before anything is created: columns they lack, or a date they know nothing of, end it here. */
async function refuseNothing(provider: MarketDataProvider, asOf: SessionDate): Promise<void> {
  if ((await provider.listings({ asOf })).length > 0) return
  const last = await provider.lastSession?.()
  throw new VarveError(
    `${provider.name} lists no symbol at ${asOf}; check the date against the data${last === null || last === undefined ? '' : `, which ends on ${last}`}`,
    { code: 'LISTING_EMPTY', details: { provider: provider.name, asOf, last: last ?? null } },
  )
}

/** The session asked for, or the last before it; without a wish the provider's last, or the last that has closed. */
async function resolveAsOf(
  wish: string | undefined,
  provider: MarketDataProvider | undefined,
  calendar: SessionCalendar,
): Promise<{ readonly asOf: SessionDate; readonly fixed: boolean }> {
  const date = wish === undefined ? ((await provider?.lastSession?.()) ?? undefined) : parseSessionDate(wish)
  if (date !== undefined)
    return { asOf: calendar.isSession(date) ? date : calendar.previousSession(date), fixed: true }
  const now = systemClock.now()
  const today = calendar.dateOf(now)
  const session = calendar.session(today)
  return {
    asOf: session !== undefined && session.closeAt <= now ? today : calendar.previousSession(today),
    fixed: false,
  }
}

/** A clock that stands at the close of a session; lengths of time are still measured. */
function clockAt(calendar: SessionCalendar, asOf: SessionDate): Clock {
  const { closeAt } = calendar.session(asOf)!
  return { ...systemClock, now: () => closeAt }
}
