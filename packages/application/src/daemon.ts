import {
  type Clock,
  errorMessage,
  isVarveError,
  MINUTE_MS,
  publish,
  systemClock,
  VarveError,
} from '@varve/core'
import { createLogger, createMetrics, forwardLogChannel, type Logger } from '@varve/monitoring'
import { createBackfillListener, drainBackfills, type RunReport, Tally } from '@varve/pipeline'
import {
  createShutdown,
  createTaskRegistry,
  type Shutdown,
  type ShutdownResult,
  type TaskStatus,
} from '@varve/runtime'
import fastify from 'fastify'
import { deliverAlerts } from './alerts.ts'
import { openBackupSchedule } from './backupSchedule.ts'
import type { Application } from './openApplication.ts'
import type { Settings } from './settings/sections.ts'
import { run } from './useCases/run.ts'

/** Settings that may change while the daemon runs. */
export interface LiveSettings {
  /** The values in force now; a cycle takes them once, at its beginning. */
  readonly current: Settings
  /** Calls back after settings at or below one of the prefixes changed. */
  watch(prefixes: readonly string[], handler: (changes: unknown, next: Settings) => void): unknown
  close(): Promise<void>
}

export interface DaemonOptions {
  /** Opens the application; called once, after the port is taken. */
  readonly open: () => Promise<Application>
  readonly settings: Settings
  /** Without it settings do not change until the next start. */
  readonly live?: LiveSettings
  /** Folder of the configuration, for backups. @defaultValue it is not backed up */
  readonly configDirectory?: string | null
  /** @defaultValue JSON lines on standard error */
  readonly logger?: Logger
  readonly clock?: Clock
}

export interface Daemon extends AsyncDisposable {
  /** Where it answers: `http://127.0.0.1:8080`. */
  readonly url: string
  /** Ends the daemon in order; signals go here. */
  readonly shutdown: Shutdown
  /** Resolves when the daemon has stopped. */
  readonly stopped: Promise<ShutdownResult>
  /** What must survive a crash. */
  state(): { readonly phase: string; readonly lastError: string | null; readonly judged: string | null }
  /** Finishes the work in progress, then closes everything. Calling it again changes nothing. */
  stop(): Promise<void>
}

interface State {
  phase: 'starting' | 'idle' | 'running' | 'failing' | 'stopping'
  lastReport: RunReport | undefined
  lastError: string | undefined
  lastCycleAt: number | undefined
  judged: string | undefined
}

/**
 * The long-running service: a cycle after every session's close, events and jobs as they come in between, and
 * `/health`, `/metrics` and `/database` over HTTP. On a shared database one daemon at a time runs cycles; all of them work off
 * events and jobs.
 *
 * @throws `PORT_IN_USE` when the configured port is taken
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const clock = options.clock ?? systemClock
  const { settings, live } = options
  const logger = options.logger ?? createLogger({ level: settings.monitoring.logLevel, component: 'daemon' })
  const stopForwarding = forwardLogChannel(logger)
  const metrics = createMetrics()
  const alerts = deliverAlerts({ settings: settings.alerting, logger, clock })
  const tasks = createTaskRegistry({
    ...settings.daemon.tasks,
    clock,
    onFailure: ({ name, lastError }) =>
      publish('alert', () => ({
        key: `task ${name}`,
        severity: 'critical',
        message: `the task ${name} has ended: ${lastError ?? 'unknown'}`,
      })),
  })
  const shutdown = createShutdown({ ...settings.daemon.shutdown, tasks, clock })
  const state: State = {
    phase: 'starting',
    lastReport: undefined,
    lastError: undefined,
    lastCycleAt: undefined,
    judged: undefined,
  }
  const release = async (): Promise<void> => {
    await live?.close()
    await alerts.close()
    metrics.close()
    stopForwarding()
  }
  const current: { app?: Application } = {}
  const server = createServer(
    settings,
    state,
    metrics,
    () => tasks.list(),
    () => current.app,
  )
  let url: string
  let app: Application
  try {
    url = await server.listen({ host: settings.daemon.host, port: settings.daemon.port })
  } catch (cause) {
    await release()
    throw listenError(cause, settings.daemon)
  }
  try {
    app = await options.open()
  } catch (error) {
    await server.close()
    await release()
    throw error
  }
  current.app = app
  logger.info({ url, dataDir: app.locations.dataDir, engine: app.context.sql.engine }, 'listening')
  live?.watch(['monitoring.logLevel'], (_changes, next) => {
    logger.level = next.monitoring.logLevel
  })
  shutdown.add({ name: 'http', group: 'system', stop: () => server.close() })
  shutdown.add({ name: 'application', group: 'rest', critical: true, stop: () => app.close() })
  shutdown.add({ name: 'alerts', group: 'rest', stop: release })
  tasks.run({ name: 'cycles', group: 'data', critical: true }, (signal) =>
    loop({ app, options, state, signal, clock, logger }),
  )
  if (settings.backup.enabled) {
    const { configDirectory } = options
    const schedule = await openBackupSchedule(app, { clock, configDirectory })
    shutdown.add({ name: 'backups', group: 'data', stop: () => schedule.close() })
    tasks.run({ name: 'backups', group: 'data' }, (signal) => schedule.follow(signal))
  }
  let stopping: Promise<ShutdownResult> | undefined
  const finish = (reason: string): Promise<ShutdownResult> => {
    stopping ??= (async () => {
      state.phase = 'stopping'
      logger.info({ reason }, 'stopping')
      const result = await shutdown.run(reason)
      if (result.ok) logger.info('stopped')
      else logger.error({ notStopped: result.notStopped }, 'stopped, but not everything ended')
      return result
    })()
    return stopping
  }
  const stopped = new Promise<ShutdownResult>((resolve) => {
    // Whoever begins the shutdown, a signal or `stop`, it ends here.
    shutdown.signal.addEventListener('abort', () => resolve(finish(errorMessage(shutdown.signal.reason))), {
      once: true,
    })
  })
  const stop = async (): Promise<void> => {
    await finish('stop')
  }
  return {
    url,
    shutdown,
    stopped,
    state: () => ({
      phase: state.phase,
      lastError: state.lastError ?? null,
      judged: state.judged ?? null,
    }),
    stop,
    [Symbol.asyncDispose]: stop,
  }
}

function createServer(
  settings: Settings,
  state: State,
  metrics: ReturnType<typeof createMetrics>,
  tasks: () => readonly TaskStatus[],
  application: () => Application | undefined,
) {
  const server = fastify({ logger: false })
  server.get('/health', (_request, reply) => {
    const healthy = state.phase !== 'failing'
    return reply.code(healthy ? 200 : 503).send({
      status: healthy ? 'healthy' : 'unhealthy',
      phase: state.phase,
      lastCycleAt: state.lastCycleAt === undefined ? null : new Date(state.lastCycleAt).toISOString(),
      asOf: state.lastReport?.asOf ?? null,
      layers: state.lastReport?.symbols.layers ?? null,
      error: state.lastError ?? null,
      tasks: tasks().map(({ name, group, critical, state: now, runs, lastError }) => ({
        name,
        group,
        critical,
        state: now,
        runs,
        lastError: lastError ?? null,
      })),
    })
  })
  // Connections and statements: shapes only, never the values they were called with.
  server.get('/database', (_request, reply) => {
    const app = application()
    if (app === undefined) return reply.code(503).send({ status: 'starting' })
    return reply.send({
      engine: app.context.sql.engine,
      pool: app.database.pool() ?? null,
      queries: app.database.queries.report(),
    })
  })
  if (settings.monitoring.metrics) {
    server.get('/metrics', async (_request, reply) =>
      reply.type(metrics.contentType).send(await metrics.expose()),
    )
  }
  return server
}

function listenError(cause: unknown, { host, port }: { host: string; port: number }): VarveError {
  const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
  return code === 'EADDRINUSE'
    ? new VarveError(
        `port ${port} of ${host} is in use; stop what listens there, or set another port in daemon.yaml or with --port`,
        {
          code: 'PORT_IN_USE',
          cause,
          details: { host, port },
        },
      )
    : new VarveError(`cannot listen on ${host}:${port}: ${errorMessage(cause)}`, {
        code: 'LISTEN_FAILED',
        cause,
      })
}

interface Loop {
  readonly app: Application
  readonly options: DaemonOptions
  readonly state: State
  readonly signal: AbortSignal
  readonly clock: Clock
  readonly logger: Logger
}

/** Runs cycles when they are due and works off events and jobs in between, until aborted. */
async function loop(work: Loop): Promise<void> {
  const { app, options, state, signal, clock, logger } = work
  while (!signal.aborted) {
    const settings = options.live?.current ?? options.settings
    try {
      const due = dueSession(app, settings.daemon.afterCloseMinutes, clock)
      const now = app.withSession(due, settings)
      if (due === state.judged || !(await runCycle(work, now))) await workOff(now, signal, logger)
      state.phase = 'idle'
      state.lastError = undefined
    } catch (error) {
      if (signal.aborted) break
      state.phase = 'failing'
      state.lastError = errorMessage(error)
      logger.error({ error }, 'cycle failed')
      publish('alert', () => ({
        key: 'cycle',
        severity: 'critical',
        message: `the cycle failed: ${errorMessage(error)}`,
      }))
    }
    await clock.sleep(settings.daemon.pollMs, { signal }).catch(() => {})
  }
}

/** What every daemon on a database knows of the last cycle. */
const CYCLE = ['daemon', 'cycle'] as const

/** One cycle under the lock all daemons share. @returns whether there was nothing left to do for others' sake */
async function runCycle({ state, signal, clock, logger }: Loop, app: Application): Promise<boolean> {
  const session = app.asOf
  const held = await app.lock.acquire('cycle', { waitMs: 0, signal }).catch((error: unknown) => {
    if (isVarveError(error, 'LOCK_TIMEOUT')) return undefined
    throw error
  })
  if (held === undefined) {
    logger.debug({ asOf: session }, 'another daemon runs the cycle')
    return false
  }
  try {
    const last = (await app.state.load(...CYCLE)) as { readonly session?: string } | undefined
    if (last?.session === session && !app.fixedAsOf) {
      state.judged = session
      return false
    }
    state.phase = 'running'
    state.lastReport = await run(app, { signal: AbortSignal.any([signal, held.signal]) })
    await held.check()
    state.lastCycleAt = clock.now()
    state.judged = session
    await app.state.save(...CYCLE, { session, at: new Date(clock.now()).toISOString() })
    logger.info({ asOf: session, report: state.lastReport }, 'cycle finished')
    return true
  } finally {
    await held.release()
  }
}

async function workOff(app: Application, signal: AbortSignal, logger: Logger): Promise<void> {
  if (!app.context.options.autoTriggerBackfill) return
  const tally = new Tally()
  const handled = await createBackfillListener(app.context, tally).drain(signal)
  await drainBackfills(app.context, app.asOf, tally, signal)
  if (handled > 0) logger.info({ handled, bars: tally.bars }, 'events handled')
}

/** The session to judge: fixed by `--as-of` or the data, otherwise the last one that closed long enough ago. */
function dueSession(app: Application, afterCloseMinutes: number, clock: Clock): string {
  if (app.fixedAsOf) return app.asOf
  const { calendar } = app.context
  const today = calendar.dateOf(clock.now())
  const session = calendar.session(today)
  return session !== undefined && session.closeAt + afterCloseMinutes * MINUTE_MS <= clock.now()
    ? today
    : calendar.previousSession(today)
}
