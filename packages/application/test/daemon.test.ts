import { createExchangeCalendar } from '@varve/calendar'
import { MINUTE_MS, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { createLogger } from '@varve/monitoring'
import { createLock, createMemoryLockStore, createMemoryStateStore, createStateManager } from '@varve/runtime'
import { expect, it } from 'vitest'
import { type Application, type Daemon, startDaemon } from '../src/index.ts'
import { calendar, quickSettings, serveMarket, smallMarket } from './market.ts'
import { createPlace, settingsWith } from './support.ts'

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

it('two daemons on one database run a cycle once between them', async () => {
  const session = lastClosedSession()
  const market = smallMarket({ symbols: 30, asOf: session, missingRate: 0, transientRate: 0 })
  await using served = await serveMarket(market)
  await using place = await createPlace('postgres')
  const { daemon: defaults, monitoring } = settingsWith()
  const settings = quickSettings({
    daemon: { ...defaults, port: 0, pollMs: 100 },
    monitoring: { ...monitoring, logLevel: 'silent' },
  })
  const open = () => place.open({ settings, provider: served.provider })
  // One after the other, so that both never migrate an empty database at the same moment.
  const first = await startDaemon({ open, settings })
  const second = await startDaemon({ open, settings })
  const healthOf = async ({ url }: Daemon) =>
    (await (await fetch(`${url}/health`)).json()) as {
      readonly lastCycleAt: string | null
      readonly tasks: readonly { readonly name: string; readonly state: string }[]
    }
  try {
    await expect
      .poll(() => [first.state().judged, second.state().judged], { timeout: 30_000 })
      .toEqual([session, session])
    const healths = await Promise.all([first, second].map(healthOf))
    expect(healths.filter(({ lastCycleAt }) => lastCycleAt !== null)).toHaveLength(1)
    expect(healths[0]?.tasks).toMatchObject([{ name: 'cycles', state: 'running' }])
  } finally {
    await Promise.all([first.stop(), second.stop()])
  }
})

function lastClosedSession(): string {
  const now = Date.now()
  const today = calendar.dateOf(now)
  const { afterCloseMinutes } = settingsWith().daemon
  const closeAt = calendar.session(today)?.closeAt
  return closeAt !== undefined && closeAt + afterCloseMinutes * MINUTE_MS <= now
    ? today
    : calendar.previousSession(today)
}
