import { describe, expect, it } from 'vitest'
import { runRecordOracle } from './recordsOracle.ts'
import { engines } from './support.ts'

const CASES = {
  postgres: Number(process.env.VARVE_RECORD_CASES ?? 60),
  pglite: Number(process.env.VARVE_RECORD_CASES ?? 15),
}
const SEED = Number(process.env.VARVE_RECORD_SEED ?? 20240301)

describe.each(engines)('any history of records against a plain map, on %s', (engine) => {
  it('answers every question exactly', async () => {
    const run = await runRecordOracle(CASES[engine], SEED, engine)
    console.log(`${engine}: ${JSON.stringify(run)}`)
    for (const count of [run.archived, run.compacted, run.expired]) expect(count).toBeGreaterThan(2)
    expect(run.blind).toBeGreaterThan(2)
    expect(run.rows).toBeGreaterThan(run.cases)
  }, 600_000)
})
