import { type BarBatch, formatScaled } from '@varve/core'
import { closeSync, createWriteStream, openSync, writeSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { BAR_COLUMNS } from './support.ts'

const UNNEST_ROWS = 10_000
const INSERT_ROWS = 1000
const TEXT_ROWS = 4000
const COLUMNS = 8
const VALUES = ['open', 'high', 'low', 'close', 'volume'] as const
const RECORDED_AT = '2026-01-01T00:00:00.000Z'

const UPSERT = `ON CONFLICT (series_id, ts) DO UPDATE SET recorded_at = excluded.recorded_at, open = excluded.open,
  high = excluded.high, low = excluded.low, close = excluded.close, volume = excluded.volume`

export type Ids = ReadonlyMap<string, number>

/** Rows of `bars` as CSV, made in JavaScript. */
export function* csvText(batch: BarBatch, ids: Ids): Generator<string> {
  for (let start = 0; start < batch.length; start += TEXT_ROWS) {
    let text = ''
    for (let row = start; row < Math.min(batch.length, start + TEXT_ROWS); row++) {
      const id = ids.get(batch.symbols[batch.symbolIndex[row]!]!)!
      text += `${id},${new Date(batch.time[row]!).toISOString()},${RECORDED_AT}`
      for (const name of VALUES) text += `,${formatScaled(batch[name][row]!)}`
      text += '\n'
    }
    yield text
  }
}

/** Writes the CSV that psql is fed. */
export function writeCsv(batch: BarBatch, ids: Ids, path: string): void {
  const file = openSync(path, 'w')
  for (const text of csvText(batch, ids)) writeSync(file, text)
  closeSync(file)
}

/** Writes what `bars` holds as Postgres' own binary COPY, in the order of the batch. */
export async function writeBinary(plain: pg.Client, path: string): Promise<void> {
  const rows = `SELECT ${BAR_COLUMNS} FROM bars ORDER BY series_id, ts`
  await pipeline(plain.query(copyTo(`COPY (${rows}) TO STDOUT (FORMAT binary)`)), createWriteStream(path))
}

/** CSV made in JavaScript and streamed: what a program with pg-copy-streams does. */
export async function streamCsv(plain: pg.Client, batch: BarBatch, ids: Ids): Promise<void> {
  await pipeline(
    Readable.from(csvText(batch, ids)),
    plain.query(copyFrom('COPY bars FROM STDIN (FORMAT csv)')),
  )
}

/** Arrays of text and ON CONFLICT, as a prepared statement. */
export async function unnestUpsert(plain: pg.Client, batch: BarBatch, ids: Ids): Promise<void> {
  const text = `INSERT INTO bars SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::numeric[],
    $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[]) ${UPSERT}`
  for (let start = 0; start < batch.length; start += UNNEST_ROWS) {
    const rows = range(start, Math.min(batch.length, start + UNNEST_ROWS))
    await plain.query({
      name: 'unnest',
      text,
      values: [
        rows.map((row) => ids.get(batch.symbols[batch.symbolIndex[row]!]!)),
        rows.map((row) => new Date(batch.time[row]!).toISOString()),
        rows.map(() => RECORDED_AT),
        ...VALUES.map((name) => rows.map((row) => formatScaled(batch[name][row]!))),
      ],
    })
  }
}

/** One INSERT of many rows with ON CONFLICT, as a prepared statement. */
export async function multiRowUpsert(plain: pg.Client, batch: BarBatch, ids: Ids): Promise<void> {
  for (let start = 0; start < batch.length; start += INSERT_ROWS) {
    const rows = range(start, Math.min(batch.length, start + INSERT_ROWS))
    const places = rows.map(
      (_, index) =>
        `(${range(index * COLUMNS, (index + 1) * COLUMNS)
          .map((place) => `$${place + 1}`)
          .join(',')})`,
    )
    await plain.query({
      name: `insert ${rows.length}`,
      text: `INSERT INTO bars VALUES ${places.join(',')} ${UPSERT}`,
      values: rows.flatMap((row) => [
        ids.get(batch.symbols[batch.symbolIndex[row]!]!),
        new Date(batch.time[row]!).toISOString(),
        RECORDED_AT,
        ...VALUES.map((name) => formatScaled(batch[name][row]!)),
      ]),
    })
  }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, index) => from + index)
}
