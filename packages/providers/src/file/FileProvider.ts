import { open } from 'node:fs/promises'
import { basename } from 'node:path'
import type { BarSource, Clock, Interval, Listing, SessionCalendar, SessionDate } from '@varve/core'
import {
  BarBatchBuilder,
  dayNumber,
  dayOf,
  emptyBarBatch,
  errorMessage,
  systemClock,
  DAY_MS,
  checkedOptions,
} from '@varve/core'
import { fileNotFound, fileUnreadable, providerClosed, providerInvalidRequest } from '../errors.ts'
import type { BarsResult, MarketDataProvider, RejectedRow } from '../model.ts'
import { BatchAppender } from './BatchAppender.ts'
import type { ReadFileOptions } from './readCsv.ts'
import { readCsv } from './readCsv.ts'
import { countParquetRows, readParquet } from './readParquet.ts'
import { type FileProviderConfig, fileProviderSchema } from '../schema.ts'
import type { FileChunk, FilePart } from './RowSink.ts'
import { SortedBars } from './SortedBars.ts'

/** Its data, with their defaults: {@link fileProviderSchema}. */
export interface FileProviderOptions extends Omit<FileProviderConfig, 'files' | 'interval'> {
  /** Parquet, CSV or gzipped CSV; told apart by their first bytes. */
  readonly files: readonly string[]
  /** Length of every bar in the files. @defaultValue `1d` */
  readonly interval?: Interval
  readonly calendar: SessionCalendar
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

export interface FileScanOptions {
  /** Rows per chunk. @defaultValue the provider's */
  readonly chunkRows?: number
  readonly signal?: AbortSignal
}

export interface FileSummary {
  /** Data rows, rejected ones included. */
  readonly rows: number
  readonly rejectedRows: number
  readonly symbols: number
  readonly firstDate: SessionDate | null
  readonly lastDate: SessionDate | null
}

/** Bars from files, as a provider. */
export interface FileProvider extends MarketDataProvider {
  /** Everything, in the order of the files, with `sourceRow` set; memory stays flat. */
  scan(options?: FileScanOptions): AsyncIterable<FileChunk>
  summary(): Promise<FileSummary>
  /** Rejected rows that no request for bars can give back, because their symbol or time cannot be read. */
  unplacedRows(): Promise<readonly RejectedRow[]>
  dailyMarket(date: SessionDate, options?: { readonly signal?: AbortSignal }): Promise<BarsResult>
  lastSession(): Promise<SessionDate | null>
}

/** Everything in the files, sorted for random access. */
interface Loaded {
  readonly bars: SortedBars
  readonly rejected: ReadonlyMap<string, readonly RejectedRow[]>
  readonly unplaced: readonly RejectedRow[]
  readonly rows: number
  readonly rejectedRows: number
}

/** Files have no limit; a finite one keeps date arithmetic on it valid. */
const NO_LIMIT = 36_525

/**
 * Bars from Parquet and CSV files. Nothing is opened until the first call.
 *
 * @throws `FILE_NOT_FOUND`, `FILE_UNREADABLE`, `FILE_COLUMNS_MISSING` from its methods
 */
export function createFileProvider(options: FileProviderOptions): FileProvider {
  const { files, calendar, clock = systemClock } = options
  const [firstFile] = files
  if (firstFile === undefined) throw providerInvalidRequest('file', 'no files were given; name at least one')
  if (options.interval === 'tick')
    throw providerInvalidRequest('file', 'ticks are not bars; give files of bars')
  const settings = checkedOptions(fileProviderSchema.strip(), options, 'the file provider')
  const { interval, exchange, listedWithinSessions: listedWithin } = settings
  const feed = options.name ?? basename(firstFile).replace(/(\.(csv|gz|parquet|pq))+$/i, '')
  const source: BarSource = { provider: 'file', feed, adjustment: 'raw' }
  const daily = interval === '1d'
  let loading: Promise<Loaded> | undefined
  let closed = false

  const load = (): Promise<Loaded> => {
    if (closed) return Promise.reject(providerClosed('file'))
    loading ??= loadAll(provider.scan()).catch((error: unknown) => {
      loading = undefined
      throw error
    })
    return loading
  }

  const bounds = (from: SessionDate, to: SessionDate): { fromMs: number; toMs: number } =>
    daily
      ? { fromMs: dayNumber(from) * DAY_MS, toMs: dayNumber(to) * DAY_MS }
      : { fromMs: calendar.midnightOf(from), toMs: calendar.midnightOf(dayOf(dayNumber(to) + 1)) - 1 }

  const select = (
    loaded: Loaded,
    symbols: readonly string[],
    from: SessionDate,
    to: SessionDate,
  ): BarsResult => {
    const { fromMs, toMs } = bounds(from, to)
    const ranges = symbols.map((symbol) => loaded.bars.range(symbol, fromMs, toMs))
    const total = ranges.reduce((sum, { start, end }) => sum + end - start, 0)
    const builder = new BarBatchBuilder(interval, source, Math.max(1, total))
    const rejected: RejectedRow[] = []
    const emptySymbols: string[] = []
    symbols.forEach((symbol, index) => {
      const rows = ranges[index]!
      loaded.bars.copy(rows, builder)
      const faulty = loaded.rejected.get(symbol)?.filter(({ time }) => time! >= fromMs && time! <= toMs) ?? []
      rejected.push(...faulty)
      if (rows.start === rows.end && faulty.length === 0) emptySymbols.push(symbol)
    })
    return {
      batch: builder.build(),
      rejected,
      complete: true,
      emptySymbols,
      provenance: {
        provider: source.provider,
        feed,
        adjustment: source.adjustment,
        fetchedAt: clock.now(),
        requestIds: [],
        requests: 0,
      },
    }
  }

  const provider: FileProvider = {
    name: 'file',
    source,
    capabilities: {
      bars: [{ interval, maxSpanDays: NO_LIMIT, historyDays: null }],
      dataTypes: [],
      wholeMarketDaily: daily,
      symbolsPerCall: Infinity,
    },
    async *scan({ chunkRows = settings.chunkRows, signal } = {}) {
      if (closed) throw providerClosed('file')
      const opened = await Promise.all(files.map(async (file) => ({ file, kind: await kindOf(file) })))
      const counts = await Promise.all(
        opened.map(({ file, kind }) => (kind === 'parquet' ? countParquetRows(file) : null)),
      )
      const rowsTotal = counts.reduce<number | null>(
        (sum, count) => (sum === null || count === null ? null : sum + count),
        0,
      )
      let before = 0
      for (const { file, kind } of opened) {
        let inFile = 0
        for await (const part of readFile(file, kind, {
          interval,
          source,
          chunkRows,
          signal,
          fieldNames: settings.fieldNames,
        })) {
          inFile = part.rows
          yield { batch: part.batch, rejected: part.rejected, rowsDone: before + inFile, rowsTotal, file }
        }
        before += inFile
      }
    },
    async bars({ symbols, interval: asked, range, signal }) {
      if (asked !== interval) {
        throw providerInvalidRequest('file', `the files hold ${interval} bars, not ${asked}`, {
          asked,
          interval,
        })
      }
      const loaded = await load()
      signal?.throwIfAborted()
      return select(loaded, symbols, range.from, range.to)
    },
    async dailyMarket(date, { signal } = {}) {
      if (!daily) throw providerInvalidRequest('file', `the files hold ${interval} bars, not 1d`)
      const loaded = await load()
      signal?.throwIfAborted()
      const { fromMs, toMs } = bounds(date, date)
      const traded = loaded.bars.symbols.filter((symbol) => {
        const { start, end } = loaded.bars.range(symbol, fromMs, toMs)
        return start < end
      })
      const faulty = [...loaded.rejected.keys()].filter((symbol) =>
        loaded.rejected.get(symbol)?.some(({ time }) => time! >= fromMs && time! <= toMs),
      )
      return select(loaded, [...new Set([...traded, ...faulty])], date, date)
    },
    async listings({ asOf, signal }) {
      const loaded = await load()
      signal?.throwIfAborted()
      let first = calendar.isSession(asOf) ? asOf : calendar.previousSession(asOf)
      for (let session = 1; session < listedWithin; session++) first = calendar.previousSession(first)
      const { fromMs, toMs } = bounds(first, asOf)
      return loaded.bars.symbols
        .filter((symbol) => {
          const { start, end } = loaded.bars.range(symbol, fromMs, toMs)
          return start < end
        })
        .map((symbol): Listing => ({
          symbol,
          name: null,
          exchange,
          type: null,
          active: true,
          marketCap: null,
          listedOn: null,
          delistedOn: null,
        }))
    },
    async lastSession() {
      const { bars } = await load()
      let last: SessionDate | null = null
      bars.timesDescending((time) => {
        const date = daily ? dayOf(time / DAY_MS) : calendar.dateOf(time)
        if (calendar.isSession(date)) last = date
        return last === null
      })
      return last
    },
    async summary() {
      const loaded = await load()
      const extent = loaded.bars.extent()
      const dateOf = (time: number) => (daily ? dayOf(time / DAY_MS) : calendar.dateOf(time))
      return {
        rows: loaded.rows,
        rejectedRows: loaded.rejectedRows,
        symbols: loaded.bars.symbols.length,
        firstDate: extent === undefined ? null : dateOf(extent.first),
        lastDate: extent === undefined ? null : dateOf(extent.last),
      }
    },
    unplacedRows: async () => (await load()).unplaced,
    close() {
      closed = true
      loading = undefined
      return Promise.resolve()
    },
    [Symbol.asyncDispose]: () => provider.close(),
  }
  return provider
}

type FileKind = 'parquet' | 'gzip' | 'text'

function readFile(file: string, kind: FileKind, options: ReadFileOptions): AsyncIterable<FilePart> {
  return kind === 'parquet' ? readParquet(file, options) : readCsv(file, kind === 'gzip', options)
}

/** What a file is, by its first bytes: names lie more often than contents. */
async function kindOf(file: string): Promise<FileKind> {
  try {
    await using handle = await open(file, 'r')
    const head = Buffer.alloc(4)
    const { bytesRead } = await handle.read(head, 0, 4, 0)
    if (bytesRead === 0) throw fileUnreadable(file, 'it is empty')
    if (head.toString('latin1') === 'PAR1') return 'parquet'
    return head[0] === 0x1f && head[1] === 0x8b ? 'gzip' : 'text'
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') throw fileNotFound(file, error)
    if (error instanceof Error && 'retryable' in error) throw error
    throw fileUnreadable(file, errorMessage(error), error)
  }
}

async function loadAll(chunks: AsyncIterable<FileChunk>): Promise<Loaded> {
  let bars: BatchAppender | undefined
  const rejected = new Map<string, RejectedRow[]>()
  const unplaced: RejectedRow[] = []
  let rows = 0
  for await (const chunk of chunks) {
    bars ??= new BatchAppender(
      chunk.batch.interval,
      chunk.batch.source,
      chunk.rowsTotal ?? chunk.batch.length,
    )
    bars.append(chunk.batch)
    for (const faulty of chunk.rejected) {
      if (faulty.symbol === null || faulty.time === null) unplaced.push(faulty)
      else {
        const same = rejected.get(faulty.symbol)
        if (same === undefined) rejected.set(faulty.symbol, [faulty])
        else same.push(faulty)
      }
    }
    rows = chunk.rowsDone
  }
  const batch = bars?.build() ?? emptyBarBatch('1d', { provider: 'file', feed: '', adjustment: 'raw' })
  const rejectedRows = unplaced.length + [...rejected.values()].reduce((sum, list) => sum + list.length, 0)
  return { bars: new SortedBars(batch), rejected, unplaced, rows, rejectedRows }
}
