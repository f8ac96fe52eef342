import {
  type BarBatch,
  type BarSource,
  type DateRange,
  dayOf,
  type Interval,
  publish,
  type SessionDate,
  VarveError,
  DAY_MS,
} from '@varve/core'
import type { FileProvider, RejectedRow } from '@varve/providers'
import type { QuarantineRow } from '@varve/storage'
import type { PipelineContext } from './context.ts'
import { coverageSource, noteCoverage } from './cover.ts'
import { sessionDateOf } from './fetchBars.ts'
import { detectGaps } from './gaps.ts'
import { commitBars } from './loadBars.ts'
import { retainBars } from './retain.ts'
import type { Tally } from './tally.ts'
import { BarValidator } from './validate.ts'

/** Provider name of imported series, so that they never mix with fetched ones. */
export const IMPORT_PROVIDER = 'import'

export interface ImportInput {
  readonly file: FileProvider
  /** Name of the series' source; shown with every bar. */
  readonly sourceName: string
  readonly interval: Interval
  /** Session that is "now" for retention; the file's last session by default. */
  readonly asOf?: SessionDate
  /** Since when the file's values are known, milliseconds UTC. @defaultValue now, by the clock of the machine */
  readonly recordedAt?: number
  readonly signal?: AbortSignal
}

export interface ImportResult {
  readonly asOf: SessionDate
  readonly symbols: readonly string[]
  readonly gaps: { readonly missing: number; readonly symbols: number }
}

/**
 * Loads everything a file holds, whatever the layer policy, then looks for gaps and moves to the lake what is not
 * kept hot. Each chunk is one transaction; importing again changes nothing.
 */
export async function importFile(
  ctx: PipelineContext,
  input: ImportInput,
  tally: Tally,
): Promise<ImportResult> {
  const { file, interval, signal } = input
  const last = await file.lastSession?.()
  const asOf = input.asOf ?? last ?? undefined
  if (asOf === undefined) {
    throw new VarveError(`${input.sourceName} holds no rows`, {
      code: 'FILE_EMPTY',
      details: { file: input.sourceName },
    })
  }
  const now = lastSessionAtOrBefore(ctx, asOf)
  const source: BarSource = { provider: IMPORT_PROVIDER, feed: input.sourceName, adjustment: 'raw' }
  const validator = new BarValidator({
    calendar: ctx.calendar,
    jumpRatio: ctx.options.jumpRatio,
    spikeReturnRatio: ctx.options.spikeReturnRatio,
    origin: (row) => `${input.sourceName}#${row}`,
    detectedAt: ctx.clock.now(),
  })
  const extents = new Map<string, DateRange>()
  const load = async (accepted: BarBatch, findings: readonly QuarantineRow[], quarantined: number) => {
    tally.bars.accepted += accepted.length
    tally.bars.quarantined += quarantined
    tally.findings(findings)
    if (accepted.length === 0 && findings.length === 0) return
    const counts = await commitBars(
      ctx,
      { batch: accepted, findings, layers: new Map(), asOf: now, recordedAt: input.recordedAt, signal },
      async () => {},
    )
    tally.load(counts)
  }
  for await (const chunk of file.scan({ chunkRows: ctx.options.importChunkRows, signal })) {
    signal?.throwIfAborted()
    tally.bars.offered += chunk.batch.length + chunk.rejected.length
    const batch: BarBatch = { ...chunk.batch, source }
    widen(extents, batch, chunk.rejected, ctx)
    const judged = validator.push(batch, chunk.rejected)
    await load(judged.accepted, judged.findings, judged.quarantined)
    publish('progress', () => ({
      stage: 'import',
      done: chunk.rowsDone,
      total: chunk.rowsTotal,
      unit: 'rows',
    }))
  }
  const rest = validator.flush({ interval, source })
  await load(rest.accepted, rest.findings, rest.quarantined)
  await ctx.sql.tx((tx) =>
    noteCoverage(
      ctx,
      tx,
      coverageSource(source),
      [...extents].map(([symbol, range]) => ({
        symbol,
        interval,
        range,
        state: 'complete' as const,
        proof: { by: 'import' },
      })),
      rest.accepted,
    ),
  )
  const scan = await detectGaps(ctx, { interval, source, asOf: now, heal: false }, tally)
  await retainBars(ctx, now, { only: source, signal })
  return { asOf: now, symbols: [...extents.keys()], gaps: { missing: scan.missing, symbols: scan.symbols } }
}

function lastSessionAtOrBefore(ctx: PipelineContext, date: SessionDate): SessionDate {
  return ctx.calendar.isSession(date) ? date : ctx.calendar.previousSession(date)
}

function widen(
  extents: Map<string, DateRange>,
  batch: BarBatch,
  rejected: readonly RejectedRow[],
  ctx: PipelineContext,
): void {
  const add = (symbol: string, date: SessionDate) => {
    const held = extents.get(symbol)
    if (held === undefined) extents.set(symbol, { from: date, to: date })
    else if (date < held.from || date > held.to) {
      extents.set(symbol, { from: date < held.from ? date : held.from, to: date > held.to ? date : held.to })
    }
  }
  for (let row = 0; row < batch.length; row++) {
    add(batch.symbols[batch.symbolIndex[row]!]!, sessionDateOf(batch, row, ctx.calendar))
  }
  for (const row of rejected) {
    if (row.symbol === null || row.time === null) continue
    add(row.symbol, batch.interval === '1d' ? dayOf(row.time / DAY_MS) : ctx.calendar.dateOf(row.time))
  }
}
