// Kills the store's work with SIGKILL again and again, on Postgres and on the embedded engine, and compares what is
// stored with what must be. Ends with a line of totals. Readers run meanwhile; two controls must fail: a reader that
// takes bounds and rows by two statements, and a second opener that takes no lock.
import { spawnSync } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runCrashSeed } from '../../packages/storage/test/crash/rig.ts'
import { startPostgres } from '../testing/postgres.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2' },
    seed: { type: 'string' },
    kills: { type: 'string', default: '13' },
    engine: { type: 'string' },
  },
})
const firstSeed = values.seed === undefined ? randomInt(1_000_000) : Number(values.seed)
const engines = (['postgres', 'pglite'] as const).filter(
  (engine) => values.engine === undefined || values.engine === engine,
)

let passed = 0
let failed = 0
const check = (name: string, good: boolean, found: string) => {
  console.log(`${good ? 'ok  ' : 'FAIL'} ${name}: ${found}`)
  if (good) passed++
  else failed++
}

const server = engines.includes('postgres') ? await startPostgres() : undefined
try {
  for (const engine of engines) {
    let naive = 0
    for (let seed = firstSeed; seed < firstSeed + Number(values.seeds); seed++) {
      const outcome = await runCrashSeed({ engine, seed, kills: Number(values.kills), server: server?.url })
      const phases = [...outcome.phases].map(([phase, count]) => `${phase} ${count}`).join(', ')
      check(
        `${engine} seed ${seed}`,
        outcome.faults.length === 0,
        `${outcome.kills} kills (${phases}), ${outcome.reads} reads, ${outcome.faults.length} faults; control ${outcome.naiveFaults}`,
      )
      for (const fault of outcome.faults.slice(0, 20)) console.log(`     ${fault}`)
      naive += outcome.naiveFaults
    }
    check(`${engine} control, two statements`, naive > 0, `${naive} faults`)
  }
  if (engines.includes('pglite')) {
    const lost = rowsLostWithoutLock()
    check('pglite control, a second opener without a lock', lost > 0, `${lost} acknowledged rows lost`)
  }
} finally {
  await server?.stop()
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed === 0 ? 0 : 1

/** Two processes with one directory open and no lock between them: what the first wrote is gone in the end. */
function rowsLostWithoutLock(): number {
  const folder = mkdtempSync(join(tmpdir(), 'varve-unlocked-'))
  try {
    const child = spawnSync(
      process.execPath,
      [join(import.meta.dirname, '../../packages/storage/test/crash/unlocked.ts'), join(folder, 'database')],
      { encoding: 'utf8' },
    )
    const found = /^(\d+) lost$/m.exec(child.stdout)
    if (found === null) throw new Error(`the control did not run: ${child.stderr}`)
    return Number(found[1])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
