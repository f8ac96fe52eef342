import { describe, expect, it } from 'vitest'
import { runCrashSeed } from './crash/rig.ts'
import { engines } from './support.ts'

/** A taste; `npm run test:crash:storage` kills both engines more often, and the long runs much more. */
const KILLS = 7
const ENGINES = engines.filter((engine) => engine === 'postgres')

describe.each(ENGINES)('killed at any point on %s', (engine) => {
  it('loses nothing, doubles nothing, leaves no file behind, and no reader ever sees a gap', async () => {
    const outcome = await runCrashSeed({
      engine,
      seed: 42,
      kills: KILLS,
      server: process.env.VARVE_TEST_DATABASE_URL,
    })
    console.log(
      `${engine}: ${outcome.kills} kills (${[...outcome.phases].map(([name, count]) => `${name} ${count}`).join(', ')}), ${outcome.reads} reads, ${outcome.naiveFaults} faults of the two-statement reader`,
    )
    expect(outcome.faults).toEqual([])
    expect(outcome.kills).toBeGreaterThanOrEqual(3)
    expect(outcome.reads).toBeGreaterThan(0)
    // The control: bounds and rows by two statements.
    expect(outcome.naiveFaults).toBeGreaterThan(0)
  }, 180_000)
})
