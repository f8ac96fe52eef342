import { VarveError } from '@varve/core'
import { buildReport, runCycle, type RunReport, Tally } from '@varve/pipeline'
import type { Application } from '../openApplication.ts'

export interface RunUseCaseOptions {
  /** Applies a scan that would otherwise wait for confirmation. */
  readonly confirm?: boolean
  readonly signal?: AbortSignal
}

/**
 * One cycle of the whole flow, and what it did.
 *
 * @throws `AS_OF_BACKWARDS` when the store was already judged at a later session
 */
export async function run(app: Application, options: RunUseCaseOptions = {}): Promise<RunReport> {
  const { context, asOf } = app
  const startedMs = context.clock.monotonicMs()
  await refuseOlderSession(app)
  const tally = new Tally()
  await runCycle(context, { asOf, confirm: options.confirm, signal: options.signal }, tally)
  await context.bars.sweep({ graceMs: app.settings.storage.lake.sweepGraceMs })
  return buildReport(context, { asOf, tally, startedMs })
}

/** Layers move with time; judging an older session over a newer one would rewrite history. */
export async function refuseOlderSession({ context, asOf }: Application): Promise<void> {
  const { rows } = await context.sql.query<{ latest: string | null }>(
    'SELECT max(evaluated_on) AS latest FROM companies',
  )
  const latest = rows[0]?.latest ?? null
  if (latest !== null && latest > asOf) {
    throw new VarveError(
      `this store was already judged at ${latest}; ${asOf} lies before it. Use a later --as-of, or another --data-dir`,
      { code: 'AS_OF_BACKWARDS', details: { asOf, latest } },
    )
  }
}
