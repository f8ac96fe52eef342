import {
  addDays,
  type DateRange,
  isVarveError,
  type Interval,
  type Layer,
  seriesStream,
  type SessionDate,
  type SqlTx,
  uuidFromName,
  VarveError,
} from '@varve/core'
import type { Job, NewEvent } from '@varve/events'
import { backfillPriority, lookbackSessions } from '@varve/layers'
import { BACKFILL_QUEUE, type PipelineContext } from './context.ts'
import { type CoverageNote, coverageSource, coveredRanges, noteCoverage } from './cover.ts'
import type { FetchNeed } from './fetchBars.ts'
import { fetchTwice, type ProvenBars } from './fetchTwice.ts'
import { healOutcome } from './healing.ts'
import { type BackfillJob, backfillJobSchema, backfillKey } from './jobs.ts'
import { commitBars } from './loadBars.ts'
import { barsNeed, depthStart } from './policy.ts'
import { contiguousSessions, subtractRanges, trimToSessions } from './ranges.ts'
import { requireProvider } from './requireProvider.ts'
import type { Tally } from './tally.ts'
import { validateBatch } from './validateBatch.ts'

/** A job with its payload read and its range settled. */
export interface BackfillTask {
  readonly job: Job
  readonly data: BackfillJob
  /** Range the task answers for. */
  readonly range: DateRange
  /** What of it must be fetched. */
  readonly needs: readonly DateRange[]
}

/**
 * Works a batch of backfill jobs: fetches with no transaction open, then one transaction loads the bars, records
 * coverage and suspect rows, appends the events and completes the jobs. Jobs whose fetch failed are handed back
 * to be tried again; the others do not wait for them.
 */
export async function workBackfills(
  ctx: PipelineContext,
  jobs: readonly Job[],
  asOf: SessionDate,
  tally: Tally,
  signal?: AbortSignal,
): Promise<void> {
  const byInterval = new Map<Interval, Job[]>()
  for (const job of jobs) {
    const interval = backfillJobSchema.parse(job.data).interval
    const list = byInterval.get(interval)
    if (list === undefined) byInterval.set(interval, [job])
    else list.push(job)
  }
  for (const [interval, group] of byInterval) await workInterval(ctx, interval, group, asOf, tally, signal)
}

async function workInterval(
  ctx: PipelineContext,
  interval: Interval,
  jobs: readonly Job[],
  asOf: SessionDate,
  tally: Tally,
  signal: AbortSignal | undefined,
): Promise<void> {
  const provider = requireProvider(ctx)
  const source = coverageSource(provider.source)
  const symbols = [...new Set(jobs.map((job) => (job.data as BackfillJob).symbol))]
  const companies = await ctx.companies.load(ctx.sql, symbols)
  const layers = new Map<string, Layer | null>(companies.map((company) => [company.symbol, company.layer]))
  const held = await coveredRanges(ctx, interval, source, symbols)
  const tasks = jobs.map((job) => settle(ctx, job, layers, held, asOf))
  const needs: FetchNeed[] = tasks.flatMap((task) =>
    task.needs.map((range) => ({ symbol: task.data.symbol, range })),
  )
  // An empty answer for a symbol of which nothing is held is believed only when a later attempt gets it again.
  const trusted = new Set(
    tasks
      .filter(({ data, job }) => held.has(data.symbol) || job.attempt >= ctx.options.gapAttempts)
      .map((task) => task.data.symbol),
  )
  // Gaps count their looks themselves.
  const ranged = new Set(tasks.filter((task) => task.data.reason !== 'gap').map((task) => task.data.symbol))
  const fetched = await fetchTwice({
    provider,
    calendar: ctx.calendar,
    interval,
    needs: mergeNeeds(needs),
    concurrency: ctx.options.fetchConcurrency,
    // The limiter serves the lowest number first; the daily refresh, which scans wait for, has 0.
    priority: 9 - Math.max(...tasks.map((task) => backfillPriority(ctx.universe, task.data.layer))),
    signal,
    asOf,
    lookAgain: (symbol, isEmpty) => ranged.has(symbol) && (!isEmpty || trusted.has(symbol)),
  })
  tally.calls += fetched.calls
  tally.bars.offered += fetched.batch.length + fetched.rejected.length
  const validated = validateBatch(ctx, fetched.batch, fetched.rejected)
  tally.bars.accepted += validated.accepted.length
  tally.bars.quarantined += validated.quarantined
  tally.findings(validated.findings)

  const believed = tasks.filter(
    ({ data }) => data.reason === 'gap' || !fetched.empty.has(data.symbol) || trusted.has(data.symbol),
  )
  const done = believed.filter((task) => !fetched.failed.has(task.data.symbol))
  // What was answered is kept even where another part of the same job failed: its next attempt asks for the rest.
  const notes = coverageNotes(believed, fetched)
  const occurredAt = ctx.calendar.session(asOf)?.closeAt ?? ctx.clock.now()
  const pending: NewEvent[] = []
  const loaded = await commitBars(
    ctx,
    { batch: validated.accepted, findings: validated.findings, layers, asOf, signal },
    async (tx: SqlTx) => {
      pending.length = 0
      await noteCoverage(ctx, tx, source, notes, validated.accepted)
      pending.push(...completedEvents(done, fetched, occurredAt))
      pending.push(...(await healOutcome(ctx, tx, done, validated, asOf)))
      await ctx.events.append(tx, pending)
      if (done.length > 0)
        await ctx.jobs.complete(
          tx,
          BACKFILL_QUEUE,
          done.map((task) => task.job),
        )
    },
  )
  tally.load(loaded)
  for (const event of pending) {
    tally.event(event.type)
    if (event.type === 'DataGapResolved') {
      const { outcome, sessions } = event.data as { outcome: string; sessions: string[] }
      if (outcome === 'healed') tally.gaps.healed += sessions.length
      else tally.gaps.confirmedEmpty += sessions.length
    }
  }
  await failRest(ctx, tasks, done, fetched)
}

/** Reads a job and decides what of its range is still to be fetched. */
function settle(
  ctx: PipelineContext,
  job: Job,
  layers: ReadonlyMap<string, Layer | null>,
  held: ReadonlyMap<string, readonly DateRange[]>,
  asOf: SessionDate,
): BackfillTask {
  const data = backfillJobSchema.parse(job.data)
  if (data.reason !== 'layer') {
    const range = { from: data.from, to: data.to }
    // A gap's sessions may lie far apart: only they are asked for, not what lies between.
    const needs = data.reason === 'gap' ? contiguousSessions(data.sessions, ctx.calendar) : [range]
    return { job, data, range, needs }
  }
  // The layer may have risen since the job was queued, and a wider wish may have coalesced into this job.
  const layer = layers.get(data.symbol) ?? data.layer
  const need = layer === null ? undefined : barsNeed(ctx.retention, layer, data.interval)
  const depth =
    need === undefined ? data.from : depthStart(need, asOf, lookbackSessions(ctx.universe), ctx.calendar)
  const limit =
    ctx.provider?.capabilities.bars.find((entry) => entry.interval === data.interval)?.historyDays ?? null
  const reach = limit === null ? depth : maxDate(depth, addDays(asOf, -limit))
  const range = { from: minDate(data.from, reach), to: maxDate(data.to, asOf) }
  const needs = subtractRanges(range, held.get(data.symbol) ?? []).flatMap((part) => {
    const trimmed = trimToSessions(part, ctx.calendar)
    return trimmed === undefined ? [] : [trimmed]
  })
  return { job, data, range, needs }
}

const minDate = (a: SessionDate, b: SessionDate) => (a < b ? a : b)
const maxDate = (a: SessionDate, b: SessionDate) => (a > b ? a : b)

/** Two jobs of a batch may ask for the same symbol and range; it is fetched once. */
function mergeNeeds(needs: readonly FetchNeed[]): FetchNeed[] {
  return [
    ...new Map(needs.map((need) => [`${need.symbol}|${need.range.from}|${need.range.to}`, need])).values(),
  ]
}

/** What the fetch proves, for the series whose ranges were asked for as such. */
function coverageNotes(believed: readonly BackfillTask[], fetched: ProvenBars): CoverageNote[] {
  const attempts = new Map<string, { readonly interval: Interval; readonly attempt: number }>()
  for (const { data, job } of believed) {
    if (data.reason !== 'gap') attempts.set(data.symbol, { interval: data.interval, attempt: job.attempt })
  }
  return fetched.proofs.flatMap((proof) => {
    const task = attempts.get(proof.symbol)
    if (task === undefined) return []
    return [{ ...proof, interval: task.interval, proof: { by: 'backfill', attempt: task.attempt } }]
  })
}

function completedEvents(done: readonly BackfillTask[], fetched: ProvenBars, occurredAt: number): NewEvent[] {
  const rows = new Map<string, number>()
  const { batch } = fetched
  for (let row = 0; row < batch.length; row++) {
    const symbol = batch.symbols[batch.symbolIndex[row]!]!
    rows.set(symbol, (rows.get(symbol) ?? 0) + 1)
  }
  const partial = new Set([
    ...fetched.empty,
    ...fetched.proofs.flatMap(({ symbol, state }) => (state === 'partial' ? symbol : [])),
  ])
  return done.map(({ data, range }) => ({
    id: uuidFromName(`BackfillCompleted|${data.causationId}|${backfillKey(data)}`),
    type: 'BackfillCompleted',
    stream: seriesStream(data),
    data: {
      symbol: data.symbol,
      dataType: data.dataType,
      interval: data.interval,
      from: range.from,
      to: range.to,
      records: rows.get(data.symbol) ?? 0,
      outcome: partial.has(data.symbol) ? 'partial' : 'complete',
      metadata: { layer: data.layer, reason: data.reason },
    },
    metadata: { causationId: data.causationId },
    occurredAt,
  }))
}

/** Hands back what could not be done, each with its own error. */
async function failRest(
  ctx: PipelineContext,
  tasks: readonly BackfillTask[],
  done: readonly BackfillTask[],
  fetched: ProvenBars,
): Promise<void> {
  const finished = new Set(done)
  const byMessage = new Map<string, { error: VarveError; jobs: Job[] }>()
  for (const task of tasks) {
    if (finished.has(task)) continue
    const cause = fetched.failed.get(task.data.symbol)
    const error = isVarveError(cause)
      ? (cause as VarveError)
      : new VarveError(`nothing came for ${task.data.symbol}; a second look follows`, {
          code: 'PROVIDER_EMPTY_UNCONFIRMED',
          retryable: true,
        })
    const entry = byMessage.get(`${error.code}|${error.message}`)
    if (entry === undefined) byMessage.set(`${error.code}|${error.message}`, { error, jobs: [task.job] })
    else entry.jobs.push(task.job)
  }
  for (const { error, jobs } of byMessage.values()) {
    await ctx.jobs.fail(BACKFILL_QUEUE, jobs, error, { retry: error.retryable })
  }
}
