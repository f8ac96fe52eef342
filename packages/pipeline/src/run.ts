import { addDays, type Interval, INTERVALS, publish, type SessionDate } from '@varve/core'
import { lookbackSessions } from '@varve/layers'
import { BACKFILL_QUEUE, type PipelineContext } from './context.ts'
import { coverageSource, coveredRanges } from './cover.ts'
import { detectGaps } from './gaps.ts'
import { type BackfillJob } from './jobs.ts'
import { refreshListing } from './list.ts'
import { createBackfillListener, isServed } from './listener.ts'
import { workBackfills } from './backfill.ts'
import { depthStart, needsOf } from './policy.ts'
import { trimToSessions } from './ranges.ts'
import { refreshDaily } from './refresh.ts'
import { type BackfillWish, requestBackfills } from './request.ts'
import { requireProvider } from './requireProvider.ts'
import { retainBars } from './retain.ts'
import { scanUniverse } from './scan.ts'
import type { Tally } from './tally.ts'

export interface RunOptions {
  readonly asOf: SessionDate
  /** Applies a scan that would otherwise be held for confirmation. */
  readonly confirm?: boolean
  readonly signal?: AbortSignal
}

/** One cycle of the whole flow: list, scan, events, backfill, gaps, retention. Killed anywhere, the next run finishes it. */
export async function runCycle(ctx: PipelineContext, options: RunOptions, tally: Tally): Promise<void> {
  const { asOf, signal } = options
  const stage = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    signal?.throwIfAborted()
    publish('progress', () => ({ stage: name, done: 0, total: null, unit: '' }))
    return work()
  }
  await stage('list', () => refreshListing(ctx, asOf, signal))
  await stage('refresh', () => refreshDaily(ctx, asOf, tally, signal))
  await stage('scan', () => scanUniverse(ctx, asOf, tally, { confirm: options.confirm, signal }))
  await stage('backfill', async () => {
    if (!ctx.options.autoTriggerBackfill) return
    await dispatch(ctx, tally, signal)
    await requestTopUps(ctx, asOf, tally)
    await drainBackfills(ctx, asOf, tally, signal)
  })
  await stage('gaps', () => findGaps(ctx, asOf, tally, signal))
  await stage('retention', () => retainBars(ctx, asOf, { compact: ctx.options.compactLake, signal }))
}

/** Heals gaps, or only records them where healing is switched off. */
async function findGaps(
  ctx: PipelineContext,
  asOf: SessionDate,
  tally: Tally,
  signal?: AbortSignal,
): Promise<void> {
  if (ctx.options.healGaps && ctx.options.autoTriggerBackfill) return healGaps(ctx, asOf, tally, signal)
  await eachInterval(ctx, (interval) =>
    detectGaps(ctx, { interval, source: requireProvider(ctx).source, asOf, heal: false }, tally),
  )
}

/** Runs `work` for every interval of which something is stored. */
async function eachInterval(
  ctx: PipelineContext,
  work: (interval: Interval) => Promise<unknown>,
): Promise<void> {
  for (const interval of INTERVALS) {
    if ((await ctx.bars.watermark(interval)) !== undefined) await work(interval)
  }
}

/** Handles every event not handled yet. */
export async function dispatch(ctx: PipelineContext, tally: Tally, signal?: AbortSignal): Promise<void> {
  await createBackfillListener(ctx, tally).drain(signal)
}

/** Works the queue of backfills until nothing is left to do now or later. */
export async function drainBackfills(
  ctx: PipelineContext,
  asOf: SessionDate,
  tally: Tally,
  signal?: AbortSignal,
): Promise<void> {
  const { jobBatchSize, jobConcurrency } = ctx.options
  let finished = 0
  const counts = await ctx.jobs.counts(BACKFILL_QUEUE)
  const total = counts.created + counts.retry + counts.active
  const result = await ctx.jobs.drain(
    BACKFILL_QUEUE,
    { batchSize: jobBatchSize, concurrency: jobConcurrency, signal },
    async (jobs, jobSignal) => {
      await workBackfills(ctx, jobs, asOf, tally, jobSignal)
      finished += jobs.length
      publish('progress', () => ({ stage: 'backfill', done: Math.min(finished, total), total, unit: 'jobs' }))
    },
  )
  tally.jobs.completed += result.completed
  tally.jobs.failed += result.failed
  tally.jobs.retried += result.retried
}

/**
 * Finds gaps in every series of the provider and sends backfills to fill them, looking again as often as the
 * configuration says before a session counts as confirmed empty.
 */
export async function healGaps(
  ctx: PipelineContext,
  asOf: SessionDate,
  tally: Tally,
  signal?: AbortSignal,
): Promise<void> {
  const { source } = requireProvider(ctx)
  await eachInterval(ctx, (interval) => detectGaps(ctx, { interval, source, asOf, heal: true }, tally))
  await dispatch(ctx, tally, signal)
  for (let look = 1; look <= ctx.options.gapAttempts; look++) {
    await drainBackfills(ctx, asOf, tally, signal)
    const requested = look < ctx.options.gapAttempts ? await requestSecondLooks(ctx, asOf, tally) : 0
    if (requested === 0) return
  }
}

/** Asks again for gaps that the last look left open. */
async function requestSecondLooks(ctx: PipelineContext, asOf: SessionDate, tally: Tally): Promise<number> {
  const { source } = requireProvider(ctx)
  const open = (await ctx.gaps.load(ctx.sql, { dataType: 'bars', states: ['open'] })).filter(
    (gap) =>
      gap.source.provider === source.provider &&
      gap.source.feed === source.feed &&
      gap.attempts < ctx.options.gapAttempts,
  )
  const bySymbol = new Map<string, typeof open>()
  for (const gap of open) {
    const key = `${gap.symbol}|${gap.interval}`
    bySymbol.set(key, [...(bySymbol.get(key) ?? []), gap])
  }
  const wishes: BackfillWish[] = [...bySymbol.values()].map((gaps) => {
    const sessions = gaps.map((gap) => gap.session).sort()
    const attempts = Math.max(...gaps.map((gap) => gap.attempts))
    const { symbol, interval } = gaps[0]!
    const job: BackfillJob = {
      symbol,
      dataType: 'bars',
      interval,
      from: sessions[0]!,
      to: sessions[sessions.length - 1]!,
      layer: null,
      reason: 'gap',
      sessions,
      causationId: `look-${attempts + 1}|${symbol}|${interval}|${sessions.join()}`,
    }
    return { job, priority: 'critical', requestedBy: 'gap_detection', metadata: { look: attempts + 1 } }
  })
  await ctx.sql.tx((tx) => requestBackfills(ctx, tx, wishes, asOf, tally))
  return wishes.length
}

/**
 * Keeps intraday series of layered symbols going: what lies between the end of their coverage and the session is
 * requested. Daily bars need none of this; the refresh before the scan brings them for every symbol.
 */
async function requestTopUps(ctx: PipelineContext, asOf: SessionDate, tally: Tally): Promise<void> {
  const provider = requireProvider(ctx)
  const source = coverageSource(provider.source)
  const companies = (await ctx.companies.load(ctx.sql)).filter(
    (company) => company.active && company.layer !== null,
  )
  for (const { interval } of provider.capabilities.bars) {
    if (interval === '1d') continue
    const held = await coveredRanges(ctx, interval, source)
    const wishes: BackfillWish[] = []
    for (const { symbol, layer } of companies) {
      const need = needsOf(ctx.retention, layer!).find(
        (item) => item.dataType === 'bars' && item.interval === interval,
      )
      const end = held.get(symbol)?.reduce((latest, range) => (range.to > latest ? range.to : latest), '')
      if (need === undefined || !isServed(ctx, need) || end === undefined || end === '') continue
      const range = trimToSessions({ from: addDays(end, 1), to: asOf }, ctx.calendar)
      if (range === undefined || end >= asOf) continue
      const depth = depthStart(need, asOf, lookbackSessions(ctx.universe), ctx.calendar)
      const from = range.from > depth ? range.from : depth
      const causationId = `top-up|${symbol}|${interval}|${asOf}`
      wishes.push({
        job: {
          symbol,
          dataType: 'bars',
          interval,
          from,
          to: asOf,
          layer,
          reason: 'layer',
          sessions: [],
          causationId,
        },
        priority: 'normal',
        requestedBy: 'scheduler',
        metadata: { heldTo: end },
      })
    }
    await ctx.sql.tx((tx) => requestBackfills(ctx, tx, wishes, asOf, tally))
  }
}
