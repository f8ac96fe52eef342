import { INTERVALS, type SqlTx } from '@varve/core'
import { type Hash, createHash } from 'node:crypto'
import type { StoreChecksums } from '../BarStore.ts'
import { sourceName } from '../sources.ts'
import { VALUE_COLUMNS } from './BarColumns.ts'
import { MAX_TIME, MIN_TIME } from './instants.ts'
import type { StoreContext } from './options.ts'
import { readParts } from './read.ts'
import { findSeries } from './seriesCatalog.ts'
import { runs } from './summaries.ts'

/** Tables by the columns that make up their content: no row ids, no times of recording. */
const TABLES = {
  companies: {
    from: 'companies',
    columns: `symbol, name, exchange, type, is_active, layer0_qualified, layer1_qualified, layer2_qualified, layer3_qualified,
      liquidity_score, market_cap, listed_on, delisted_on, layer_since, evaluated_on, reasons,
      layer0_updated, layer1_updated, layer2_updated, layer3_updated`,
    order: 'symbol',
  },
  coverage: {
    from: 'coverage',
    columns: 'symbol, data_type, interval, source, from_date, to_date, state',
    order: 'symbol, data_type, interval, source, from_date',
  },
  quarantine: {
    from: 'quarantine',
    columns: 'natural_key, message, open, high, low, close, volume',
    order: 'natural_key',
  },
  gaps: {
    from: 'gaps g JOIN sources s ON s.id = g.source_id',
    columns:
      'symbol, data_type, interval, provider, feed, adjustment, session, state, detected_on, attempts, resolved_on',
    order: 'symbol, data_type, interval, provider, feed, adjustment, session',
  },
} as const

/** See `BarStore.checksums`. */
export async function storeChecksums(context: StoreContext): Promise<StoreChecksums> {
  const { sql } = context
  return {
    companies: await tableChecksum(sql, 'companies'),
    bars: await barsChecksum(context, 'visible'),
    lake: await barsChecksum(context, 'lake'),
    coverage: await tableChecksum(sql, 'coverage'),
    quarantine: await tableChecksum(sql, 'quarantine'),
    gaps: await tableChecksum(sql, 'gaps'),
  }
}

async function tableChecksum(tx: SqlTx, table: keyof typeof TABLES): Promise<string> {
  const { from, columns, order } = TABLES[table]
  const { rows } = await tx.query<{ sum: string }>(
    `SELECT encode(sha256(convert_to(coalesce(string_agg(encode(sha256(convert_to(ROW(${columns})::text, 'UTF8')), 'hex'), '' ORDER BY ${order}), ''), 'UTF8')), 'hex') AS sum FROM ${from}`,
  )
  return rows[0]!.sum
}

/** Series by name, each as its times and then its columns, so that chunks and files leave no trace. */
async function barsChecksum(context: StoreContext, rows: 'visible' | 'lake'): Promise<string> {
  const perSeries: string[] = []
  for (const interval of INTERVALS) {
    const series = await findSeries(context.sql, { interval })
    for await (const { rows: read, part } of readParts(context, interval, series, {
      from: MIN_TIME,
      to: MAX_TIME,
      rows,
    })) {
      const columns = read.rows
      for (const { start, end, series: index } of runs(columns.series, columns.length)) {
        const { symbol, source } = part[index]!
        // Expired rows may or may not be compacted away yet.
        const coldFrom = read.snapshot.states[index]?.coldFrom ?? -Infinity
        let from = start
        while (from < end && columns.time[from]! < coldFrom) from++
        if (from === end) continue
        const hash = createHash('sha256')
        addBytes(hash, columns.time.subarray(from, end))
        for (let column = 0; column < VALUE_COLUMNS; column++)
          addBytes(hash, columns.values[column]!.subarray(from, end))
        perSeries.push(`${interval}|${sourceName(source)}|${symbol}|${end - from}|${hash.digest('hex')}`)
      }
    }
  }
  return createHash('sha256').update(perSeries.sort().join('\n')).digest('hex')
}

function addBytes(hash: Hash, column: Float64Array | BigInt64Array): void {
  hash.update(new Uint8Array(column.buffer, column.byteOffset, column.byteLength))
}
