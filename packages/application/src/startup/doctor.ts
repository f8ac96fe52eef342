import { DAY_MS, errorMessage, isVarveError } from '@varve/core'
import { runStartupChecks, type StartupCheck, type StartupReport } from '@varve/runtime'
import { createPostgresClient } from '@varve/storage'
import type { Configuration } from '../configuration/loadConfiguration.ts'
import { openApplication } from '../openApplication.ts'
import type { Settings } from '../settings/sections.ts'
import { status } from '../useCases/queries.ts'
import { startupChecks } from './startupChecks.ts'

export interface DoctorOptions {
  /** What loading gave: the configuration, or why there is none. */
  readonly configuration: Configuration | { readonly error: unknown }
  readonly dataDir: string
  readonly fetch?: typeof fetch
  readonly signal?: AbortSignal
}

/**
 * Looks at everything a start needs and at what lies in the store, and says of each what is right, what is wrong and
 * how to mend it. Nothing is created and nothing changed, but that an accepted key is remembered in a data directory
 * that exists.
 */
export async function doctor(options: DoctorOptions): Promise<StartupReport> {
  const { configuration, dataDir, fetch, signal } = options
  const own = signal === undefined ? {} : { signal }
  if ('error' in configuration)
    return runStartupChecks([nodeCheck(), brokenConfiguration(configuration.error)], own)
  const { values: settings } = configuration
  return runStartupChecks(
    [
      nodeCheck(),
      configurationCheck(configuration),
      ...startupChecks({
        settings,
        dataDir,
        usesProvider: true,
        ...(fetch === undefined ? {} : { fetch }),
        ...own,
      }),
      providerCheck(configuration),
      storeCheck(configuration, dataDir),
    ],
    { timeoutMs: Math.max(settings.startup.timeoutMs, settings.contexts.default.startTimeoutMs), ...own },
  )
}

function nodeCheck(): StartupCheck {
  return {
    name: 'Node',
    run: () => ({ status: 'ok', message: `${process.version} on ${process.platform} ${process.arch}` }),
  }
}

function brokenConfiguration(error: unknown): StartupCheck {
  return {
    name: 'configuration',
    run: () => ({
      status: 'failed',
      message: errorMessage(error),
      remedy: 'correct the files; "varve config check" lists every fault',
    }),
  }
}

function configurationCheck(configuration: Configuration): StartupCheck {
  const { files, warnings, environment, level } = configuration
  return {
    name: 'configuration',
    run() {
      const from = files.length === 0 ? 'built-in defaults' : `${files.length} files`
      const message = `${from}, environment ${environment}, level ${level}`
      return warnings.length === 0
        ? { status: 'ok', message }
        : {
            status: 'warning',
            message: `${message}; ${warnings.map((warning) => warning.message).join('; ')}`,
            remedy: 'see each warning; "varve config explain KEY" says where a value comes from',
          }
    },
  }
}

function providerCheck({ values }: Configuration): StartupCheck {
  return {
    name: 'provider',
    critical: false,
    run: () =>
      values.providers.polygon === undefined
        ? {
            status: 'warning',
            message: 'no source of market data is configured',
            remedy: 'add one to providers.yaml, or name files with --bars',
          }
        : { status: 'ok', message: `polygon at ${new URL(values.providers.polygon.baseUrl).host}` },
  }
}

/** What lies in the store and waits for a person: gaps, dead letters, slow statements, an old last cycle. */
function storeCheck({ values: settings }: Configuration, dataDir: string): StartupCheck {
  return {
    name: 'store',
    critical: false,
    needs: ['data directory', 'database'],
    async run({ clock }) {
      try {
        if (!(await hasTables(settings))) return NOTHING_STORED
        await using app = await openApplication({ settings, dataDir, mustExist: true })
        const report = await status(app)
        const slow = await slowStatements(app.context.sql)
        const dead = report.jobs.failed ?? 0
        const open = report.gaps.open ?? 0
        const judged = report.evaluatedOn
        const ageDays = judged === null ? 0 : (clock.now() - Date.parse(judged)) / DAY_MS
        const found = [
          `${report.symbols.active} symbols, judged ${judged ?? 'never'}`,
          `${open} open gaps`,
          `${dead} dead letters`,
          `${slow} slow statements`,
        ].join(', ')
        const advice = [
          ...(open > 0 ? ['"varve gaps --heal" fetches what is missing'] : []),
          ...(dead > 0 ? ['"varve status" shows failed jobs'] : []),
          ...(slow > 0 ? ['look into pg_stat_activity'] : []),
          ...(ageDays > 7 ? ['no cycle for a week: "varve run", or start the daemon'] : []),
        ]
        return advice.length === 0
          ? { status: 'ok', message: found }
          : { status: 'warning', message: found, remedy: advice.join('; ') }
      } catch (error) {
        if (isVarveError(error, 'STORE_EMPTY')) return NOTHING_STORED
        if (isVarveError(error, 'DIRECTORY_LOCKED'))
          return { status: 'ok', message: `in use: ${errorMessage(error)}` }
        throw error
      }
    },
  }
}

const NOTHING_STORED = {
  status: 'warning',
  message: 'nothing is stored yet',
  remedy: 'fill it with "varve run" or "varve import"',
} as const

/** Whether a server's database has our tables: whoever only looks creates none. */
async function hasTables({ connections }: Settings): Promise<boolean> {
  const { databaseUrl, postgres } = connections
  if (databaseUrl === undefined) return true
  await using sql = createPostgresClient({ ...postgres, maxConnections: 1, connectionString: databaseUrl })
  const { rows } = await sql.query<{ found: boolean }>("SELECT to_regclass('companies') IS NOT NULL AS found")
  return rows[0]?.found === true
}

/** Statements of any session that have run for longer than a minute. */
async function slowStatements(sql: {
  query<Row>(text: string): Promise<{ readonly rows: Row[] }>
}): Promise<number> {
  const { rows } = await sql.query<{ slow: number }>(
    `SELECT count(*)::int AS slow FROM pg_stat_activity
     WHERE state = 'active' AND backend_type = 'client backend' AND query_start < now() - interval '1 minute'`,
  )
  return rows[0]?.slow ?? 0
}
