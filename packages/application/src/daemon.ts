import { type Clock, errorMessage, systemClock, VarveError } from '@varve/core'
import { createLogger, createMetrics, forwardLogChannel, type Logger } from '@varve/monitoring'
import { createBackfillListener, drainBackfills, type RunReport, Tally } from '@varve/pipeline'
import fastify from 'fastify'
import type { Application } from './openApplication.ts'
import { run } from './useCases/run.ts'

export interface DaemonOptions {
  /** Opens the application; called once, after the port is taken. */
  readonly open: () => Promise<Application>
  readonly settings: Application['settings']['daemon']
  /** @defaultValue JSON lines on standard error */
  readonly logger?: Logger
  readonly clock?: Clock
}

export interface Daemon extends AsyncDisposable {
  /** Where it answers: `http://127.0.0.1:8080`. */
  readonly url: string
  /** Resolves when the daemon has stopped. */
  readonly stopped: Promise<void>
  /** Finishes the work in progress, then closes everything. Calling it again changes nothing. */
  stop(): Promise<void>
}

interface State {
  phase: 'starting' | 'idle' | 'running' | 'failing' | 'stopping'
  lastReport: RunReport | undefined
  lastError: string | undefined
  lastCycleAt: number | undefined
}

/**
 * The long-running service: a cycle after every session's close, events and jobs as they come in between, and
 * `/health` and `/metrics` over HTTP.
 *
 * @throws `PORT_IN_USE` when the configured port is taken
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const clock = options.clock ?? systemClock
  const { settings } = options
  const logger = options.logger ?? createLogger({ level: settings.logLevel, component: 'daemon' })
  const stopForwarding = forwardLogChannel(logger)
  const metrics = createMetrics()
  const abort = new AbortController()
  const state: State = {
    phase: 'starting',
    lastReport: undefined,
    lastError: undefined,
    lastCycleAt: undefined,
  }
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
    })
  })
  server.get('/metrics', async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.expose()),
  )
  let url: string
  try {
    url = await server.listen({ host: settings.host, port: settings.port })
  } catch (cause) {
    metrics.close()
    stopForwarding()
    throw listenError(cause, settings)
  }
  let app: Application | undefined
  try {
    app = await options.open()
  } catch (error) {
    await server.close()
    metrics.close()
    stopForwarding()
    throw error
  }
  logger.info({ url, dataDir: app.locations.dataDir, engine: app.context.sql.engine }, 'listening')
  const work = loop(app, options, state, abort.signal, clock, logger)
  let stopping: Promise<void> | undefined
  const stop = () => {
    stopping ??= (async () => {
      state.phase = 'stopping'
      logger.info('stopping')
      abort.abort(new VarveError('the daemon is stopping', { code: 'STOPPING' }))
      // The wait is called off as soon as the work has ended; a timer left behind would keep the process alive.
      const patience = new AbortController()
      const late = clock.sleep(settings.shutdownMs, { signal: patience.signal }).then(
        () => 'late' as const,
        () => 'in time' as const,
      )
      if ((await Promise.race([work, late])) === 'late') logger.warn('work in progress did not end in time')
      patience.abort()
      await server.close()
      await app.close()
      metrics.close()
      logger.info('stopped')
      stopForwarding()
    })()
    return stopping
  }
  const stopped = work.then(() => stop())
  return { url, stopped, stop, [Symbol.asyncDispose]: stop }
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

/** Runs cycles when they are due and works off events and jobs in between, until aborted. */
async function loop(
  first: Application,
  options: DaemonOptions,
  state: State,
  signal: AbortSignal,
  clock: Clock,
  logger: Logger,
): Promise<void> {
  let judged: string | undefined
  while (!signal.aborted) {
    try {
      const due = dueSession(first, options.settings.afterCloseMinutes, clock)
      if (due !== judged) {
        state.phase = 'running'
        const app = first.withSession(due)
        state.lastReport = await run(app, { signal })
        state.lastCycleAt = clock.now()
        judged = due
        logger.info({ asOf: due, report: state.lastReport }, 'cycle finished')
      } else {
        const app = first.withSession(due)
        const tally = new Tally()
        const handled = await createBackfillListener(app.context, tally).drain(signal)
        await drainBackfills(app.context, app.asOf, tally, signal)
        if (handled > 0) logger.info({ handled, bars: tally.bars }, 'events handled')
      }
      state.phase = 'idle'
      state.lastError = undefined
    } catch (error) {
      if (signal.aborted) break
      state.phase = 'failing'
      state.lastError = errorMessage(error)
      logger.error({ error }, 'cycle failed')
    }
    await clock.sleep(options.settings.pollMs, { signal }).catch(() => {})
  }
}

/** The session to judge: fixed by `--as-of` or the data, otherwise the last one that closed long enough ago. */
function dueSession(app: Application, afterCloseMinutes: number, clock: Clock): string {
  if (app.fixedAsOf) return app.asOf
  const { calendar } = app.context
  const today = calendar.dateOf(clock.now())
  const session = calendar.session(today)
  return session !== undefined && session.closeAt + afterCloseMinutes * 60_000 <= clock.now()
    ? today
    : calendar.previousSession(today)
}
