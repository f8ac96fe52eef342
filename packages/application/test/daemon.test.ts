import { createExchangeCalendar } from '@varve/calendar'
import { MINUTE_MS, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { createLogger } from '@varve/monitoring'
import { createLock, createMemoryLockStore, createMemoryStateStore, createStateManager } from '@varve/runtime'
import { expect, it } from 'vitest'
import { type Application, startDaemon } from '../src/index.ts'
import { settingsWith } from './support.ts'

it('judges a session half an hour after its close, says when a cycle fails, and goes on', async () => {
  const clock = createTestClock(Date.parse('2026-06-30T20:20:00Z'))
  const asked: string[] = []
  const { daemon: defaults, monitoring } = settingsWith()
  const settings = settingsWith({
    daemon: { ...defaults, port: 0, pollMs: MINUTE_MS },
    monitoring: { ...monitoring, logLevel: 'silent' },
  })
  // Only what the schedule looks at; every cycle fails, which must not end the service.
  const app = {
    fixedAsOf: false,
    context: { calendar: createExchangeCalendar(), sql: { engine: 'pglite' } },
    locations: { dataDir: 'none' },
    lock: createLock({ store: createMemoryLockStore({ clock }), clock }),
    state: createStateManager({ store: createMemoryStateStore({ clock }), clock }),
    withSession(session: string) {
      asked.push(session)
      throw new VarveError('no market today', { code: 'PROVIDER_UNAVAILABLE', retryable: true })
    },
    close: () => Promise.resolve(),
  } as unknown as Application
  const daemon = await startDaemon({
    open: () => Promise.resolve(app),
    settings,
    logger: createLogger({ level: 'silent', component: 'test' }),
    clock,
  })
  await clock.advance(9 * MINUTE_MS)
  expect(new Set(asked)).toEqual(new Set(['2026-06-29'])) // closed at 20:00Z, due at 20:30Z
  await clock.advance(2 * MINUTE_MS)
  expect(asked.at(-1)).toBe('2026-06-30')
  const health = await fetch(`${daemon.url}/health`)
  expect(health.status).toBe(503)
  expect(await health.json()).toMatchObject({ status: 'unhealthy', error: 'no market today' })
  await daemon.stop()
  await expect(fetch(`${daemon.url}/health`)).rejects.toThrow()
})
