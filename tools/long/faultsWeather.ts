// What goes wrong around the store: the server is killed and started again, the bucket flaps.
import { systemClock } from '@varve/core'
import type { S3Double, S3FaultKind } from '../../packages/storage/src/testing/s3Double.ts'
import type { SwitchablePostgres } from '../testing/switchablePostgres.ts'

export interface Weather {
  /** Times the server was killed and came back. */
  readonly restarts: number
  /** How often each kind of trouble with the bucket came. */
  readonly spells: ReadonlyMap<string, number>
}

/** Trouble that hits every request for a while, and trouble that hits some. */
const OUTAGES: readonly S3FaultKind[] = ['slowDown', 'error500', 'reset', 'accessDenied', 'slowFirstByte']
const FLAWS: readonly S3FaultKind[] = [
  'slowDown',
  'error500',
  'reset',
  'lostAnswer',
  'truncatedBody',
  'shortBody',
  'ignoredRange',
  'wrongETag',
  'slowFirstByte',
  'wrongChecksum',
]
const FLAPPING = 'some of all'
const ALL_REQUESTS = 1_000_000_000
const SLOW_MS = 400
const FLAW_EVERY_MS = 40

/** Goes on until the signal; then the server is up and the bucket well. */
export async function makeWeather(
  server: SwitchablePostgres,
  bucket: S3Double,
  random: () => number,
  signal: AbortSignal,
): Promise<Weather> {
  const between = (low: number, high: number): number => Math.round(low + random() * (high - low))
  const pick = <T>(list: readonly T[]): T => list[Math.floor(random() * list.length)]!
  const wait = (ms: number): Promise<void> => systemClock.sleep(ms, { signal }).catch(() => undefined)
  let restarts = 0
  const spells = new Map<string, number>()

  const ofServer = async (): Promise<void> => {
    for (;;) {
      await wait(between(5000, 10_000))
      if (signal.aborted) return
      await server.kill()
      await wait(between(100, 3000))
      await server.start()
      restarts++
    }
  }
  const ofBucket = async (): Promise<void> => {
    while (!signal.aborted) {
      await wait(between(500, 2500))
      if (signal.aborted) break
      const kind = random() < 0.5 ? pick(OUTAGES) : FLAPPING
      spells.set(kind, (spells.get(kind) ?? 0) + 1)
      const until = systemClock.monotonicMs() + between(1000, 6000)
      if (kind !== FLAPPING) bucket.fail({ kind, times: ALL_REQUESTS, delayMs: SLOW_MS })
      while (systemClock.monotonicMs() < until && !signal.aborted) {
        if (kind === FLAPPING) bucket.fail({ kind: pick(FLAWS), delayMs: SLOW_MS })
        await wait(FLAW_EVERY_MS)
      }
      bucket.heal()
    }
    bucket.heal()
  }
  await Promise.all([ofServer(), ofBucket()])
  return { restarts, spells }
}
