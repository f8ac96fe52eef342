import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { createExchangeCalendar } from '@varve/calendar'
import {
  applyMigrations,
  type Clock,
  errorMessage,
  parseSessionDate,
  type SessionCalendar,
  type SessionDate,
  type SqlClient,
  systemClock,
  VarveError,
} from '@varve/core'
import { createEventStore, createJobEngine, eventsMigrations, type JobEngine } from '@varve/events'
import { BACKFILL_QUEUE, type PipelineContext } from '@varve/pipeline'
import type { MarketDataProvider } from '@varve/providers'
import {
  createBarStore,
  createCompanyStore,
  createCoverageStore,
  createGapStore,
  createLocalLake,
  createPgliteClient,
  createPostgresClient,
  createQuarantineStore,
  storageMigrations,
} from '@varve/storage'
import type { Settings } from './settings.ts'

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
  /** Uses the embedded database even where a database URL is set. */
  readonly embeddedOnly?: boolean
  readonly env?: Readonly<Record<string, string | undefined>>
}

export interface Application extends AsyncDisposable {
  readonly context: PipelineContext
  readonly settings: Settings
  readonly locations: Locations
  /** The session that is "now". */
  readonly asOf: SessionDate
  /** That session was asked for, or is the last the data has; it does not move on with time. */
  readonly fixedAsOf: boolean
  /** The same application at another session. Only the original is to be closed. */
  withSession(asOf: SessionDate): Application
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
  const { settings } = options
  const calendar = createExchangeCalendar(settings.pipeline.exchange)
  const locations = locate(options)
  const provider = options.provider?.({ calendar, clock: systemClock })
  let sql: SqlClient | undefined
  let jobs: JobEngine | undefined
  const close = async () => {
    await jobs?.stop()
    await provider?.close()
    await sql?.close()
  }
  try {
    const { asOf, fixed: fixedAsOf } = await resolveAsOf(options.asOf, provider, calendar)
    const clock = clockAt(calendar, asOf)
    if (options.mustExist === true) refuseEmpty(options, locations)
    if (provider?.lastSession !== undefined) await refuseNothing(provider, asOf)
    makeWritable(locations.dataDir)
    sql = openDatabase(options, locations)
    await applyMigrations(sql, [...storageMigrations, ...eventsMigrations])
    jobs = createJobEngine({
      sql,
      exclusive: sql.engine === 'pglite',
      queues: [
        {
          name: BACKFILL_QUEUE,
          retryLimit: settings.pipeline.jobRetryLimit,
          retryDelayMs: settings.pipeline.jobRetryDelayMs,
        },
      ],
    })
    await jobs.start()
    const context: PipelineContext = {
      sql,
      companies: createCompanyStore(),
      bars: createBarStore({ sql, lake: createLocalLake({ directory: locations.lake }) }),
      coverage: createCoverageStore(),
      quarantine: createQuarantineStore(),
      gaps: createGapStore(),
      events: createEventStore({ sql }),
      jobs,
      provider,
      calendar,
      clock,
      universe: settings.layers,
      retention: settings.retention,
      options: settings.pipeline,
    }
    const at = (session: SessionDate): Application => ({
      context: { ...context, clock: clockAt(calendar, session) },
      settings,
      locations,
      asOf: session,
      fixedAsOf,
      withSession: at,
      close,
      [Symbol.asyncDispose]: close,
    })
    return at(asOf)
  } catch (error) {
    await close().catch(() => {})
    throw error
  }
}

function locate(options: OpenApplicationOptions): Locations {
  const dataDir = resolve(options.dataDir)
  return {
    dataDir,
    database: join(dataDir, 'db'),
    lake: resolve(options.settings.storage.lakeDirectory ?? join(dataDir, 'lake')),
  }
}

function openDatabase(options: OpenApplicationOptions, locations: Locations): SqlClient {
  const { storage } = options.settings
  const url = databaseUrl(options)
  if (url === undefined) return createPgliteClient({ directory: locations.database })
  return createPostgresClient({
    connectionString: url,
    maxConnections: storage.maxConnections,
    statementTimeoutMs: storage.statementTimeoutMs,
  })
}

function databaseUrl(options: OpenApplicationOptions): string | undefined {
  if (options.embeddedOnly === true) return undefined
  return options.settings.storage.databaseUrl ?? blankToUndefined((options.env ?? process.env).DATABASE_URL)
}

/** Reading from a store that was never filled is a mistake in the directory's name more often than not. */
function refuseEmpty(options: OpenApplicationOptions, locations: Locations): void {
  if (databaseUrl(options) !== undefined || existsSync(locations.database)) return
  throw new VarveError(
    `nothing is stored in ${locations.dataDir} yet; fill it with "varve run" or "varve import", or name another --data-dir`,
    { code: 'STORE_EMPTY', details: { dataDir: locations.dataDir } },
  )
}

function blankToUndefined(text: string | undefined): string | undefined {
  return text === undefined || text.trim() === '' ? undefined : text
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
