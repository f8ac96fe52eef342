// Kills `varve run` with SIGKILL at random moments, runs it again, and compares everything stored with an
// uninterrupted run: companies, events, bars, lake, coverage, suspect rows and gaps.
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../testing/postgres.ts'
import { realData, writeMarketSlice } from './marketSlice.ts'
import { contentHashes, createDatabase } from './contentHashes.ts'
import { varve } from './varve.ts'

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '20' }, seed: { type: 'string' }, nth: { type: 'string', default: '20' } },
})
const seeds = Number(values.seeds)
const firstSeed = values.seed === undefined ? randomInt(1_000_000) : Number(values.seed)

/** A number in [0, 1) that depends on the seed alone (mulberry32). */
function randomOf(seed: number): number {
  let state = (seed + 0x6d2b79f5) | 0
  state = Math.imul(state ^ (state >>> 15), state | 1)
  state ^= state + Math.imul(state ^ (state >>> 7), state | 61)
  return ((state ^ (state >>> 14)) >>> 0) / 4_294_967_296
}

if (realData('market/us_daily_2015-03_2016-03.parquet') === undefined) {
  console.log('skipped: the market tape is not here; set VARVE_TEST_DATA')
  console.log('0 passed, 0 failed, 1 skipped')
  process.exit(0)
}

const folder = mkdtempSync(join(tmpdir(), 'varve-crash-'))
const postgres = await startPostgres()
let passed = 0
let failed = 0
try {
  const file = join(folder, 'market.parquet')
  await writeMarketSlice(file, Number(values.nth))
  for (const engine of ['pglite', 'postgres'] as const) {
    const fresh = async (name: string) => {
      const env = engine === 'pglite' ? {} : { DATABASE_URL: await createDatabase(postgres.url, `crash_${name}`) }
      return { env, dataDir: join(folder, `${engine}-${name}`) }
    }
    const args = (dataDir: string) => ['run', '--bars', file, '--as-of', '2015-06-30', '--data-dir', dataDir, '--json']
    const reference = await fresh('reference')
    const whole = await varve(args(reference.dataDir), { env: reference.env })
    if (whole.code !== 0) throw new Error(`the uninterrupted run failed:\n${whole.stderr}`)
    const expected = await contentHashes(reference.dataDir, reference.env)
    console.log(`${engine}: an uninterrupted run takes ${Math.round(whole.elapsedMs)} ms`)
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const place = await fresh(String(seed))
      let killed = 0
      let last = await varve(args(place.dataDir), { env: place.env, killAfterMs: 200 + randomOf(seed) * whole.elapsedMs })
      if (last.signal === 'SIGKILL') killed++
      // Half the seeds are killed a second time, during recovery.
      if (killed > 0 && seed % 2 === 0) {
        last = await varve(args(place.dataDir), { env: place.env, killAfterMs: 200 + randomOf(seed + 7919) * whole.elapsedMs })
        if (last.signal === 'SIGKILL') killed++
      }
      last = await varve(args(place.dataDir), { env: place.env })
      const found = last.code === 0 ? await contentHashes(place.dataDir, place.env) : {}
      const differs = Object.keys(expected).filter((key) => expected[key] !== found[key])
      if (last.code === 0 && differs.length === 0) passed++
      else {
        failed++
        console.log(`${engine} seed ${seed}: ${last.code === 0 ? `differs in ${differs.join(', ')}` : last.stderr.trim()}`)
      }
      console.log(`${engine} seed ${seed}: killed ${killed}×, ${last.code === 0 && differs.length === 0 ? 'same content' : 'FAILED'}`)
      rmSync(place.dataDir, { recursive: true, force: true })
    }
  }
} finally {
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed === 0 ? 0 : 1
