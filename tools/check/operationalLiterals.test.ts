import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { operationalLiterals, productSources, scanProduct } from './operationalLiterals.ts'

/**
 * Numbers that look operational and are not: units, wire formats, facts of the world, and how a terminal is drawn.
 * Each with why nobody would ever want to configure it.
 */
const NOT_OPERATIONAL: Readonly<Record<string, string>> = {
  'packages/core/src/time.ts SECOND_MS': 'a unit',
  'packages/core/src/time.ts MINUTE_MS': 'a unit',
  'packages/core/src/time.ts HOUR_MS': 'a unit',
  'packages/core/src/time.ts DAY_MS': 'a unit',
  'packages/calendar/src/newYork.ts HOUR_MS': 'a unit; the calendar depends on nothing',
  'packages/calendar/src/newYork.ts DAY_MS': 'a unit; the calendar depends on nothing',
  'packages/calendar/src/exchangeCalendar.ts OPEN_MINUTES': 'the hours of the exchange',
  'packages/calendar/src/exchangeCalendar.ts CLOSE_MINUTES': 'the hours of the exchange',
  'packages/core/src/BarBatch.ts capacity': 'first size of arrays that grow by themselves',
  'packages/storage/src/bars/BarColumns.ts capacity': 'first size of arrays that grow by themselves',
  'packages/storage/src/duckdb/DuckdbReader.ts MIN_TIME': 'first instant DuckDB can be told in text',
  'packages/storage/src/duckdb/DuckdbReader.ts MAX_TIME': 'last instant DuckDB can be told in text',
  'packages/storage/src/hot/copyOutStream.ts HEADER_BYTES': "Postgres' protocol",
  'packages/storage/src/lake/checkBarFile.ts FOOTER_BYTES':
    'a first guess; the rest of a longer footer is fetched',
  'packages/storage/src/hot/partitions.ts WEEK_MS': 'days of a week',
  'packages/storage/src/hot/queries/LatencyHistogram.ts FINEST_MS': 'finest time the clock tells apart',
  'packages/storage/src/bars/rowSums.ts SECOND_MS': 'part of a checksum; other values give other sums',
  'packages/storage/src/hot/copyDecoder.ts HEADER_BYTES': "Postgres' binary COPY format",
  'packages/storage/src/hot/copyEncoder.ts PG_EPOCH_MS': "where Postgres' time begins",
  'packages/storage/src/hot/copyEncoder.ts MAX_ROW_BYTES': "Postgres' binary COPY format",
  'packages/storage/src/hot/numericCodec.ts MAX_NUMERIC_BYTES': "Postgres' binary COPY format",
  'packages/storage/src/hot/pgliteWorker.ts PIECE_BYTES': 'pieces of one answer between two threads',
  'packages/storage/src/hot/postgresCopy.ts highWaterMark': 'one chunk sent, one prepared',
  'packages/storage/src/hot/emptyDatabase.ts ZSTD_LEVEL': 'of an image made when the package is built',
  'packages/storage/src/lake/smallerEncoding.ts SAMPLE_ROWS':
    'part of the choice of encoding: equal rows make equal files',
  'packages/providers/src/file/FileProvider.ts NO_LIMIT': 'stands for no limit where arithmetic needs a date',
  'packages/providers/src/credentials/keyFormats.ts minLength': 'what keys of a vendor look like',
  'packages/providers/src/credentials/TokenKeeper.ts sleep()': 'doubling',
  'packages/providers/src/credentials/jwt.ts LARGEST_MS': 'the last instant a Date can hold',
  'packages/config/src/environment.ts host': 'names by which this machine is recognized',
  'packages/providers/src/polygon/PolygonProvider.ts stepMs': 'the length of the interval itself',
  'apps/cli/src/commands/queries.ts maximumFractionDigits': 'digits of a printed number',
  'apps/cli/src/output/progress.ts TERMINAL_EVERY_MS': 'how often a line is redrawn',
  'apps/cli/src/output/progress.ts PLAIN_EVERY_MS': 'how often a line is written',
}

describe('operational values', () => {
  it('none is written into code', () => {
    const found = scanProduct().filter((item) => NOT_OPERATIONAL[`${item.file} ${item.name}`] === undefined)
    expect(found.map((item) => `${item.file}:${item.line} ${item.name} = ${item.text}`)).toEqual([])
  })

  it('looks at the whole product', () => {
    const files = productSources()
    expect(files.length).toBeGreaterThan(150)
    for (const folder of ['apps/cli/', 'apps/daemon/', 'packages/pipeline/', 'packages/storage/'])
      expect(files.some((file) => file.startsWith(folder))).toBe(true)
  })

  it('every exception is still needed', () => {
    const names = new Set(scanProduct().map((item) => `${item.file} ${item.name}`))
    expect(Object.keys(NOT_OPERATIONAL).filter((name) => !names.has(name))).toEqual([])
  })

  it.each([
    ['a constant', 'const BATCH_SIZE = 500'],
    ['a number behind ??', 'const wait = options.timeoutMs ?? 30_000'],
    ['a default of a parameter', 'function load(rows, chunk = 5000) {}'],
    ['a default of a destructured option', 'const { maxConnections = 10 } = options'],
    ['a property', 'createPool({ max: 10 })'],
    ['arithmetic', 'const KEEP_MS = 7 * 24 * 3600 * 1000'],
    ['a pause', 'await clock.sleep(12)'],
    ['a timer', 'setTimeout(work, 250)'],
    ['a host', "const url = 'http://localhost:8080'"],
    ['an address', "listen({ host: '127.0.0.1' })"],
    ['a database', "connect('postgres://varve@db/varve')"],
    ['a choice', 'const retries = quick ? 1 : 5'],
  ])('finds %s (control)', (_name, text) => {
    expect(operationalLiterals('planted.ts', text)).not.toEqual([])
  })

  it.each([
    ['a default of a schema', 'const schema = z.object({ batchSize: z.int().min(100).default(500) })'],
    ['a value that is handed on', 'connect({ timeoutMs: settings.timeoutMs })'],
    ['0 and 1', 'let retries = 0; const depth = 1'],
    ['an index', 'const third = parts[2]'],
    ['a type', 'type Level = 3'],
  ])('lets pass %s', (_name, text) => {
    expect(operationalLiterals('planted.ts', text)).toEqual([])
  })

  it('no host stands in a default file', () => {
    for (const name of ['layers', 'rate-limits']) {
      const path = fileURLToPath(new URL(`../../packages/application/defaults/${name}.yaml`, import.meta.url))
      expect(readFileSync(path, 'utf8')).not.toMatch(/localhost|127\.0\.0\.1|https?:/)
    }
  })
})
