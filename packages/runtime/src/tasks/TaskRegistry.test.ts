import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channelNames } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTaskRegistry } from './TaskRegistry.ts'

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error))
  })

describe('task registry', () => {
  const logged: Record<string, unknown>[] = []
  const listener = (message: unknown): void => void logged.push(message as Record<string, unknown>)
  beforeEach(() => {
    logged.length = 0
    subscribe(channelNames.log, listener)
  })
  afterEach(() => void unsubscribe(channelNames.log, listener))

  it('lists every task with its group, state and runs', async () => {
    const clock = createTestClock(1_000)
    const tasks = createTaskRegistry({ clock })
    const polling = tasks.run(
      { name: 'poll', group: 'data', critical: true, stopTimeoutMs: 10 },
      untilAborted,
    )
    tasks.run({ name: 'once', group: 'system' }, () => undefined)
    await clock.advance(5)
    expect(tasks.list()).toEqual([
      {
        name: 'poll',
        group: 'data',
        critical: true,
        stopTimeoutMs: 10,
        state: 'running',
        since: 1_000,
        lastError: undefined,
        runs: 1,
      },
      expect.objectContaining({ name: 'once', critical: false, stopTimeoutMs: 30_000, state: 'stopped' }),
    ])
    await polling.stop()
    expect(tasks.list()[0]).toMatchObject({ state: 'stopped', since: 1_005, lastError: undefined })
    expect(logged).toEqual([])
  })

  it('logs a failure, throws it at nobody and tells who asked', async () => {
    const failed: string[] = []
    const tasks = createTaskRegistry({ onFailure: ({ name }) => failed.push(name) })
    const handle = tasks.run({ name: 'bad', group: 'data' }, () => Promise.reject(new Error('no disk')))
    await handle.ended
    expect(tasks.list()[0]).toMatchObject({ state: 'failed', lastError: 'no disk' })
    expect(logged).toMatchObject([{ level: 'error', message: 'task bad failed: no disk', task: 'bad' }])
    expect(failed).toEqual(['bad'])
    tasks.run({ name: 'bad', group: 'data' }, untilAborted)
    expect(tasks.list()).toMatchObject([{ state: 'running' }])
    await tasks.close()
  })

  it('starts a failed task again, with growing pauses, a limited number of times', async () => {
    const clock = createTestClock()
    const tasks = createTaskRegistry({ clock })
    const at: number[] = []
    tasks.run(
      { name: 'shaky', group: 'data', restart: { restarts: 3, delayMs: 100, maxDelayMs: 150 } },
      () => {
        at.push(clock.now())
        throw new Error('again')
      },
    )
    await clock.advance(50)
    expect(tasks.list()[0]).toMatchObject({ state: 'restarting', runs: 1 })
    await clock.advance(10_000)
    expect(at).toEqual([0, 100, 250, 400])
    expect(tasks.list()[0]).toMatchObject({ state: 'failed', runs: 4, lastError: 'again' })
  })

  it('stops a task that waits for its restart', async () => {
    const clock = createTestClock()
    const tasks = createTaskRegistry({ clock })
    tasks.run({ name: 'shaky', group: 'data', restart: {} }, () => Promise.reject(new Error('x')))
    await clock.advance(1)
    await tasks.stop('shaky')
    expect(tasks.list()[0]?.state).toBe('stopped')
    expect(clock.sleeping).toBe(0)
  })

  it('says what did not stop, and still calls it running', async () => {
    const clock = createTestClock()
    const tasks = createTaskRegistry({ clock, stopTimeoutMs: 50 })
    tasks.run({ name: 'deaf', group: 'data' }, () => new Promise(() => undefined))
    tasks.run({ name: 'good', group: 'data' }, untilAborted)
    const closing = expect(tasks.close()).rejects.toMatchObject({
      code: 'TASK_STOP_TIMEOUT',
      details: { tasks: ['deaf'] },
    })
    await clock.advance(50)
    await closing
    expect(tasks.list().map(({ state }) => state)).toEqual(['running', 'stopped'])
    expect(() => tasks.run({ name: 'new', group: 'data' }, untilAborted)).toThrow(
      expect.objectContaining({ code: 'TASKS_CLOSED' }),
    )
  })

  it('refuses a second task of a name, and forgets old ended ones', async () => {
    const tasks = createTaskRegistry({ keepEnded: 2 })
    tasks.run({ name: 'a', group: 'data' }, untilAborted)
    expect(() => tasks.run({ name: 'a', group: 'data' }, untilAborted)).toThrow(
      expect.objectContaining({ code: 'TASK_NAME_TAKEN' }),
    )
    for (const name of ['b', 'c', 'd', 'e']) await tasks.run({ name, group: 'data' }, () => undefined).ended
    expect(tasks.list().map(({ name }) => name)).toEqual(['a', 'd', 'e'])
    await tasks.close()
  })
})
