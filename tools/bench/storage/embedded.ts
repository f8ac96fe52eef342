import { applyMigrations, isVarveError } from '@varve/core'
import { createBarStore, createPgliteClient, storageMigrations } from '@varve/storage'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { type BenchOptions, type BenchResult, against, bounded, interleave, median } from '../harness.ts'
import { hourlyBars } from '../market.ts'
import { writeCsv } from './loadPeers.ts'
import { ALL_HOT, type BenchPlace, NO_PSQL, hasPsql, load, seriesIds, tableSums } from './support.ts'

const SECOND_OPENERS = 20
const NANOSECONDS = 1e6

/** The same load into Postgres embedded in this process, on disk, beside psql and a server. */
export async function measureEmbedded(options: BenchOptions, place: BenchPlace): Promise<BenchResult> {
  if (!hasPsql()) return { cases: [], skipped: [NO_PSQL] }
  const server = await place.openDatabase('embedded_peer')
  const directory = join(place.folder, 'embedded')
  const sql = createPgliteClient({ directory })
  await applyMigrations(sql, storageMigrations)
  const batch = hourlyBars(100, 250)
  const store = createBarStore({ sql, lake: server.lake })
  await load(sql, store, batch, ALL_HOT)
  await load(server.sql, createBarStore({ sql: server.sql, lake: server.lake }), batch, ALL_HOT)
  const csv = join(place.folder, 'embedded.csv')
  writeCsv(batch, await seriesIds(server.sql), csv)

  const gaps: number[] = []
  const times = await interleave(
    [
      {
        name: 'ours',
        prepare: () => sql.exec('TRUNCATE bars'),
        async run() {
          const delay = monitorEventLoopDelay({ resolution: 1 })
          delay.enable()
          const { inserted } = await load(sql, store, batch, ALL_HOT)
          delay.disable()
          gaps.push(delay.max / NANOSECONDS)
          if (inserted !== batch.length) throw new Error(`${inserted} rows inserted`)
        },
      },
      {
        name: 'psql',
        async prepare() {
          await server.sql.exec('TRUNCATE bars')
          await server.sql.exec('CHECKPOINT')
        },
        async run() {
          execFileSync('psql', [server.url, '-q', '-c', `\\copy bars from '${csv}' csv`])
          if ((await tableSums(server.plain)).rows !== batch.length) throw new Error('psql lost rows')
        },
      },
    ],
    options.quick ? 3 : 7,
  )
  const refused = await refusals(directory)
  await sql.close()
  await server.close()
  const rate = (name: string) => (batch.length / times.get(name)!) * 1000
  const name = 'embedded on disk, load 200,000 bars'
  return {
    cases: [
      against(options, {
        case: name,
        unit: 'rows/s',
        ours: rate('ours'),
        peer: rate('psql'),
        peerName: 'psql \\copy csv into a server',
        better: 'higher',
        target: 0.7,
      }),
      bounded(options, {
        case: `${name}: longest gap of the event loop, median of the loads`,
        unit: 'ms',
        ours: median(gaps),
        better: 'lower',
        target: 50,
      }),
      bounded(options, {
        case: `${name}: longest gap of the event loop, worst of the loads`,
        unit: 'ms',
        ours: Math.max(...gaps),
        better: 'lower',
        target: 50,
      }),
      bounded(options, {
        case: `embedded on disk: second openers refused, of ${SECOND_OPENERS}`,
        unit: 'refusals',
        ours: refused,
        better: 'higher',
        target: SECOND_OPENERS,
      }),
    ],
    skipped: [],
  }
}

async function refusals(directory: string): Promise<number> {
  let refused = 0
  for (let opener = 0; opener < SECOND_OPENERS; opener++) {
    const second = createPgliteClient({ directory })
    try {
      await second.query('SELECT 1')
    } catch (error) {
      if (!isVarveError(error, 'DIRECTORY_LOCKED')) throw error
      refused++
    }
    await second.close()
  }
  return refused
}
