import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import { createWakeUp } from './wakeUp.ts'

describe('wake-up', () => {
  it('sleeps its time, wakes early, remembers a call while awake, and ends on abort', async () => {
    const clock = createTestClock()
    const wake = createWakeUp(clock)
    const { signal } = new AbortController()
    let ends = 0
    const sleep = (until = signal): Promise<void> => wake.wait(100, until).then(() => void ends++)
    const slept = sleep()
    await clock.advance(99)
    expect(ends).toBe(0)
    await clock.advance(1)
    await slept
    const woken = sleep()
    wake.now()
    await woken
    wake.now()
    await sleep()
    const abort = new AbortController()
    const aborted = sleep(abort.signal)
    abort.abort()
    await aborted
    expect(ends).toBe(4)
    expect(clock.sleeping).toBe(0)
  })
})
