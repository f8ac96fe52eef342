import { type BarBatch, type BarSource, type Interval, VarveError } from '@varve/core'
import type { BarQuery, BarReadBatch } from '../BarStore.ts'
import type { BarColumns } from './BarColumns.ts'
import { clampTime } from './instants.ts'
import { type StoreContext, chunkSize, chunksOf } from './options.ts'
import { type ReadRange, type SeriesRows, readSeries } from './readSeries.ts'
import { type SeriesRef, findSeries, preferredSeries } from './seriesCatalog.ts'

/** The federated read. See `BarStore.read`. */
export async function* readBars(context: StoreContext, query: BarQuery): AsyncGenerator<BarReadBatch> {
  const from = clampTime(query.from)
  const to = clampTime(query.to)
  if (from >= to || query.symbols?.length === 0) return
  const series = await selectSeries(context, query)
  for await (const { rows, part } of readParts(context, query.interval, series, {
    from,
    to,
    includeLate: query.includeLate,
    rows: query.tiers === 'hot' ? 'hot' : query.tiers === 'cold' ? 'cold' : 'visible',
    knownAt: query.knownAt === undefined ? undefined : clampTime(query.knownAt),
    onLakeFailure: query.onLakeFailure,
    signal: query.signal,
  })) {
    const { lakeFailure } = rows
    if (rows.rows.length === 0 && lakeFailure === undefined) continue
    const batch = toBatch(query.interval, part, rows.rows)
    yield lakeFailure === undefined
      ? batch
      : {
          ...batch,
          partial: { missing: 'cold', symbols: part.map((entry) => entry.symbol), cause: lakeFailure },
        }
  }
}

/** The series a query asks for: all of them, or one per symbol. */
export async function selectSeries(
  context: StoreContext,
  query: Pick<BarQuery, 'interval' | 'symbols' | 'source' | 'asSeries'>,
): Promise<SeriesRef[]> {
  const found = await findSeries(context.sql, query)
  return query.asSeries === 'all' ? found : preferredSeries(context.sql, query.interval, found)
}

export interface PartRange extends Omit<ReadRange, 'rows'> {
  /** @defaultValue 'visible' */
  readonly rows?: ReadRange['rows']
  readonly signal?: AbortSignal
}

/** Series in parts of one source each, read one after another. */
export async function* readParts(
  context: StoreContext,
  interval: Interval,
  series: readonly SeriesRef[],
  range: PartRange,
): AsyncGenerator<{ readonly rows: SeriesRows; readonly part: readonly SeriesRef[] }> {
  const { rows = 'visible', signal } = range
  for (const chunk of chunksOf(series, chunkSize(context, interval, range.from, range.to))) {
    for (const part of bySource(chunk)) {
      signal?.throwIfAborted()
      const selection = {
        interval,
        ids: part.map((entry) => entry.id),
        symbols: part.map((entry) => entry.symbol),
        hotFrom: part.reduce((latest, entry) => Math.max(latest, entry.hotFrom), -Infinity),
      }
      yield { rows: await readSeries(context, context.sql, selection, { ...range, rows }), part }
    }
  }
}

function bySource(series: readonly SeriesRef[]): SeriesRef[][] {
  const groups = new Map<number, SeriesRef[]>()
  for (const entry of series) {
    const list = groups.get(entry.sourceId)
    if (list === undefined) groups.set(entry.sourceId, [entry])
    else list.push(entry)
  }
  return [...groups.values()]
}

export function toBatch(interval: Interval, part: readonly SeriesRef[], rows: BarColumns): BarBatch {
  const source: BarSource | undefined = part[0]?.source
  if (source === undefined) throw new VarveError('a part without series', { code: 'STORAGE_CORRUPT' })
  const { length } = rows
  // Only symbols with rows are named.
  const index = new Int32Array(part.length).fill(-1)
  const symbols: string[] = []
  const symbolIndex = rows.series
  for (let row = 0; row < length; row++) {
    const series = symbolIndex[row]!
    if (index[series] === -1) index[series] = symbols.push(part[series]!.symbol) - 1
    symbolIndex[row] = index[series]!
  }
  return {
    interval,
    source,
    length,
    symbols,
    symbolIndex,
    time: rows.time,
    open: rows.values[0]!,
    high: rows.values[1]!,
    low: rows.values[2]!,
    close: rows.values[3]!,
    volume: rows.values[4]!,
    sourceRow: new Int32Array(length).fill(-1),
  }
}
