import { DuckDBInstance } from '@duckdb/node-api'
import type { Application } from '@varve/application'
import { dayNumber, dayOf, type Layer, type SessionDate } from '@varve/core'
import { lookbackSessions } from '@varve/layers'
import { barsNeed, depthStart, lookbackStart } from '@varve/pipeline'
import type { Checker } from './checker.ts'

const DAY_MS = 86_400_000
/** Differences named in a message. */
const SHOWN = 5

export interface EventLine {
  readonly id: string
  readonly type: string
  readonly symbol: string
}

export async function eventTotals(app: Application): Promise<EventLine[]> {
  return (
    await app.context.sql.query<EventLine>(
      "SELECT id::text AS id, type, data->>'symbol' AS symbol FROM events ORDER BY id",
    )
  ).rows
}

export async function layersOf(app: Application): Promise<Map<string, Layer | null>> {
  return new Map(
    (await app.context.companies.load(app.context.sql)).map(({ symbol, layer }) => [symbol, layer]),
  )
}

/** Compares what a first run stored with the layers' policy and with the file. */
export async function checkStore(
  app: Application,
  file: string,
  asOf: SessionDate,
  check: Checker['check'],
): Promise<void> {
  const layers = await layersOf(app)
  const expected = [...layers]
    .flatMap(([symbol, layer]) => (layer === null ? [] : [`${symbol}|bars|1d`]))
    .sort()
  for (const type of ['BackfillRequested', 'BackfillCompleted']) {
    const { rows } = await app.context.sql.query<{ key: string }>(
      `SELECT concat_ws('|', data->>'symbol', data->>'dataType', data->>'interval') AS key FROM events
        WHERE type = $1 AND data->>'requestedBy' IS DISTINCT FROM 'gap_detection' AND data->'metadata'->>'reason' IS DISTINCT FROM 'gap'`,
      [type],
    )
    const found = rows.map(({ key }) => key).sort()
    const same = found.length === expected.length && expected.every((key, index) => found[index] === key)
    check(
      `one ${type} per qualified symbol, data type and interval`,
      same,
      `${found.length} for ${expected.length} symbols`,
    )
  }
  await checkRows(app, file, asOf, layers, check)
}

type Row = readonly [open: bigint, high: bigint, low: bigint, close: bigint, volume: bigint]

async function checkRows(
  app: Application,
  file: string,
  asOf: SessionDate,
  layers: ReadonlyMap<string, Layer | null>,
  check: Checker['check'],
): Promise<void> {
  const { context } = app
  const lookback = lookbackSessions(context.universe)
  const starts = new Map<string, number>()
  for (const [symbol, layer] of layers) {
    // A company in no layer has only what the criteria looked back on.
    const start =
      layer === null
        ? lookbackStart(asOf, lookback, context.calendar)
        : depthStart(barsNeed(context.retention, layer, '1d')!, asOf, lookback, context.calendar)
    starts.set(symbol, dayNumber(start))
  }
  const stored = new Map<string, Row>()
  for await (const batch of context.bars.read({ interval: '1d', from: -8.64e14, to: 8.64e14 })) {
    for (let row = 0; row < batch.length; row++) {
      const key = `${batch.symbols[batch.symbolIndex[row]!]!}|${batch.time[row]! / DAY_MS}`
      stored.set(key, [
        batch.open[row]!,
        batch.high[row]!,
        batch.low[row]!,
        batch.close[row]!,
        batch.volume[row]!,
      ])
    }
  }
  const suspect = new Set<string>()
  for (const [symbol, sessions] of await context.quarantine.suspectSessions(context.sql, '1d')) {
    for (const session of sessions) suspect.add(`${symbol}|${dayNumber(session)}`)
  }
  const total = stored.size
  const absent: string[] = []
  const different: string[] = []
  for await (const [symbol, day, row] of fileRows(file, asOf)) {
    const start = starts.get(symbol)
    if (start === undefined || day < start) continue
    const key = `${symbol}|${day}`
    const held = stored.get(key)
    if (held === undefined) {
      if (!suspect.has(key)) absent.push(key)
    } else if (held.some((value, column) => value !== row[column])) different.push(key)
    stored.delete(key)
  }
  const show = (keys: readonly string[]) =>
    `${keys.length}: ${keys
      .slice(0, SHOWN)
      .map((key) => key.replace(/\d+$/, (day) => dayOf(Number(day))))
      .join(', ')}`
  check(
    'every row of the file within the depth of its layer is stored or suspect',
    absent.length === 0,
    show(absent),
  )
  check('every stored row equals the file to the last digit', different.length === 0, show(different))
  const left = [...stored.keys()]
  const deeper = left.filter((key) => Number(key.split('|')[1]) < (starts.get(key.split('|')[0]!) ?? 0))
  check('no symbol holds more history than its layer', deeper.length === 0, show(deeper))
  check('nothing is stored that the file does not have', left.length === deeper.length, show(left))
  check('the comparison saw the whole store', total > 100_000, `${total} rows`)
}

/** Rows of the file up to a date, prices scaled by 10^6. */
async function* fileRows(file: string, asOf: SessionDate): AsyncGenerator<[string, number, Row]> {
  const instance = await DuckDBInstance.create()
  const db = await instance.connect()
  try {
    const scaled = ['open', 'high', 'low', 'close', 'volume'].map(
      (name) => `(${name}::DECIMAL(24,6) * 1000000)::BIGINT AS ${name}`,
    )
    const result = await db.stream(
      `SELECT symbol, (date - DATE '1970-01-01')::INTEGER AS day, ${scaled.join(', ')} FROM '${file}' WHERE date <= DATE '${asOf}'`,
    )
    for (
      let chunk = await result.fetchChunk();
      chunk !== null && chunk.rowCount > 0;
      chunk = await result.fetchChunk()
    ) {
      for (const [symbol, day, open, high, low, close, volume] of chunk.getRows()) {
        yield [symbol as string, Number(day), [open, high, low, close, volume] as unknown as Row]
      }
    }
  } finally {
    db.closeSync()
    instance.closeSync()
  }
}
