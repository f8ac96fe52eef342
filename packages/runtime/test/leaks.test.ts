import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

interface Outcome {
  readonly heap: readonly number[]
  readonly before: readonly string[]
  readonly after: readonly string[]
}

const CYCLES = 1_000
/** Less than the smallest thing that could be forgotten in a cycle: a timer alone is larger. */
const NOISE_BYTES_PER_CYCLE = 60

async function run(leakBytes: number): Promise<Outcome> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--expose-gc',
    // Code compiled on the way counts as heap and comes in leaps.
    '--no-opt',
    '--no-maglev',
    '--no-sparkplug',
    '--conditions=@varve/source',
    '--disable-warning=ExperimentalWarning',
    join(import.meta.dirname, 'support/cyclesChild.ts'),
    String(CYCLES),
    String(leakBytes),
  ])
  return JSON.parse(stdout) as Outcome
}

/** Bytes the heap grows per cycle between the second and the last tenth: the median slope of all pairs (Theil–Sen). */
function growth(heap: readonly number[]): number {
  const points = heap.slice(1)
  const slopes = points.flatMap((from, place) =>
    points.slice(place + 1).map((to, further) => (to - from) / ((further + 1) * (CYCLES / heap.length))),
  )
  return slopes.sort((a, b) => a - b)[Math.floor(slopes.length / 2)]!
}

describe('a thousand starts and stops of a whole context', () => {
  it('leave no handle, no timer and no memory behind', async () => {
    const { heap, before, after } = await run(0)
    console.log(`heap grows ${growth(heap).toFixed(1)} bytes per cycle`)
    expect(growth(heap)).toBeLessThan(NOISE_BYTES_PER_CYCLE)
    expect(after).toEqual(before)
    expect(after).not.toContain('Timeout')
  })

  it('would show a leak of 128 bytes per cycle, and one timer (control)', async () => {
    const { heap, after } = await run(128)
    expect(growth(heap)).toBeGreaterThan(NOISE_BYTES_PER_CYCLE)
    expect(after).toContain('Timeout')
  })
})
