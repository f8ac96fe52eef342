import type { Layer, SessionDate, SqlEngine } from '@varve/core'
import type { PipelineContext } from './context.ts'
import type { Tally } from './tally.ts'

/** What one run or import did: the JSON document of `varve run --json` and `varve import --json`. */
export interface RunReport {
  readonly asOf: SessionDate
  readonly engine: { readonly hot: SqlEngine; readonly cold: 'parquet' }
  readonly symbols: { readonly listed: number; readonly layers: Record<`${Layer}`, number> }
  readonly events: {
    readonly qualified: number
    readonly promoted: number
    readonly demoted: number
    readonly backfillRequested: number
    readonly backfillCompleted: number
    readonly gapDetected: number
  }
  readonly bars: Tally['bars']
  /** Rows kept out of the store, by rule. */
  readonly quarantine: Readonly<Record<string, number>>
  /** Rows stored and marked, by rule. */
  readonly warnings: Readonly<Record<string, number>>
  readonly gaps: {
    /** Sessions the passes of this run found missing, without those confirmed empty before. */
    readonly detected: number
    readonly healed: number
    readonly confirmedEmpty: number
    /** Gaps open in the whole store at the end. */
    readonly open: number
    /** Symbols with a session found missing. */
    readonly symbols: number
  }
  readonly storage: {
    readonly hotRows: number
    readonly coldRows: number
    readonly coldFiles: number
    readonly coldBytes: number
  }
  readonly jobs: Tally['jobs']
  readonly providerCalls: number
  /** Data the layers want and no configured provider serves. */
  readonly unservable: readonly string[]
  readonly elapsedMs: number
  /** Bars offered per second of the whole run. */
  readonly barsPerSecond: number
  readonly peakRssMb: number
}

/** Puts the report together at the end of a run that began at `startedMs` (monotonic). */
export async function buildReport(
  ctx: PipelineContext,
  input: {
    readonly asOf: SessionDate
    readonly tally: Tally
    readonly startedMs: number
    readonly listed?: number
  },
): Promise<RunReport> {
  const { tally } = input
  const layers = await ctx.companies.countByLayer(ctx.sql)
  const listed =
    input.listed ??
    (await ctx.companies.load(ctx.sql)).reduce((count, company) => count + (company.active ? 1 : 0), 0)
  const open = await ctx.gaps.load(ctx.sql, { states: ['open'] })
  const storage = await ctx.bars.stats()
  const elapsedMs = Math.round(ctx.clock.monotonicMs() - input.startedMs)
  return {
    asOf: input.asOf,
    engine: { hot: ctx.sql.engine, cold: 'parquet' },
    symbols: { listed, layers: { '0': layers[0], '1': layers[1], '2': layers[2], '3': layers[3] } },
    events: {
      qualified: tally.events.SymbolQualified ?? 0,
      promoted: tally.events.SymbolPromoted ?? 0,
      demoted: tally.events.SymbolDemoted ?? 0,
      backfillRequested: tally.events.BackfillRequested ?? 0,
      backfillCompleted: tally.events.BackfillCompleted ?? 0,
      gapDetected: tally.events.DataGapDetected ?? 0,
    },
    bars: { ...tally.bars },
    quarantine: { ...tally.quarantine },
    warnings: { ...tally.warnings },
    gaps: { ...tally.gaps, open: open.length, symbols: tally.gapSymbols.size },
    storage,
    jobs: { ...tally.jobs },
    providerCalls: tally.calls,
    unservable: [...tally.notices].sort(),
    elapsedMs,
    barsPerSecond: elapsedMs === 0 ? 0 : Math.round((tally.bars.offered / elapsedMs) * 1000),
    peakRssMb: Math.round(process.resourceUsage().maxRSS / 1024),
  }
}
