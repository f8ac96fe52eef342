import type { BarBatch, BarSource, DateRange, Interval, SqlTx } from '@varve/core'
import type { CoverageState } from '@varve/storage'
import type { PipelineContext } from './context.ts'

/** How coverage names a source: provider, feed and adjustment. */
export function coverageSource(source: BarSource): string {
  return `${source.provider}/${source.feed}/${source.adjustment}`
}

export interface CoverageNote {
  readonly symbol: string
  readonly interval: Interval
  readonly range: DateRange
  readonly state: CoverageState
  readonly proof: unknown
}

/** Ranges held completely, per symbol. */
export async function coveredRanges(
  ctx: Pick<PipelineContext, 'coverage' | 'sql'>,
  interval: Interval,
  source: string,
  symbols?: readonly string[],
): Promise<Map<string, DateRange[]>> {
  const held = new Map<string, DateRange[]>()
  for (const entry of await ctx.coverage.load(ctx.sql, { dataType: 'bars', interval, source, symbols })) {
    if (entry.state === 'partial') continue
    const list = held.get(entry.symbol)
    if (list === undefined) held.set(entry.symbol, [entry])
    else list.push(entry)
  }
  return held
}

/** Records what was fetched, inside the transaction that loads it. */
export async function noteCoverage(
  ctx: Pick<PipelineContext, 'coverage' | 'clock'>,
  tx: SqlTx,
  source: string,
  notes: readonly CoverageNote[],
  loaded: BarBatch,
): Promise<void> {
  if (notes.length === 0) return
  const rows = new Int32Array(loaded.symbols.length)
  for (let row = 0; row < loaded.length; row++) rows[loaded.symbolIndex[row]!]!++
  const rowsOf = new Map(loaded.symbols.map((symbol, index) => [symbol, rows[index]!]))
  await ctx.coverage.record(
    tx,
    notes.map((note) => ({
      symbol: note.symbol,
      dataType: 'bars' as const,
      interval: note.interval,
      source,
      from: note.range.from,
      to: note.range.to,
      state: note.state,
      rows: rowsOf.get(note.symbol) ?? 0,
      fetchedAt: ctx.clock.now(),
      proof: note.proof,
    })),
  )
}
