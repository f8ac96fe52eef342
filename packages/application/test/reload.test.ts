import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { channelNames, publish, Secret } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { createLogger } from '@varve/monitoring'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Alert, deliverAlerts, liveConfiguration, loadConfiguration } from '../src/index.ts'

let directory: string
let alerts: Alert[]
const hear = (message: unknown) => void alerts.push(message as Alert)

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'varve-reload-'))
  alerts = []
  subscribe(channelNames.alert, hear)
})
afterEach(() => {
  unsubscribe(channelNames.alert, hear)
  rmSync(directory, { recursive: true, force: true })
})

const write = (name: string, text: string) => writeFileSync(join(directory, name), text)

/** The configuration of a daemon whose pauses pass at once. */
async function live() {
  const options = { directory, env: {} }
  return liveConfiguration(await loadConfiguration(options), {
    ...options,
    clock: createTestClock(0, { autoAdvance: true }),
  })
}

describe('the configuration of a running daemon', () => {
  it('takes up a change as a whole and hands watchers only what they asked for', async () => {
    write('features.yaml', 'healGaps: true\n')
    await using store = await live()
    const heard: string[][] = []
    store.watch(['features'], (changes) => void heard.push(changes.map(({ key }) => key)))
    const before = store.current
    write('features.yaml', 'healGaps: false\n')
    write('scanner.yaml', 'maximumStep: 3\n')
    await store.reload('test')
    expect(store.current.features.healGaps).toBe(false)
    expect(store.current.scanner.maximumStep).toBe(3)
    expect(before.features.healGaps).toBe(true)
    expect(heard).toEqual([['features.healGaps']])
    expect(alerts).toEqual([])
  })

  it('keeps the old values over a bad file, and raises one alert however often it looks', async () => {
    await using store = await live()
    const before = store.current
    write('scanner.yaml', 'maximumStep: 9\n')
    for (let look = 0; look < 3; look++) await store.check()
    expect(store.current).toBe(before)
    expect(alerts).toHaveLength(1)
    expect(alerts[0]).toMatchObject({ severity: 'warning' })
    expect(alerts[0]?.message).toContain('scanner.yaml:1:14 CONFIG_INVALID_VALUE')
    write('scanner.yaml', 'maximumStep: 3\n')
    await store.check()
    expect(store.current.scanner.maximumStep).toBe(3)
    expect(alerts).toHaveLength(1)
  })

  it('refuses what only a restart can change, and everything while trading is active', async () => {
    await using store = await live()
    write('storage.yaml', 'hot:\n  batchSize: 200\n')
    await expect(store.reload('test')).rejects.toMatchObject({ code: 'CONFIG_RESTART_REQUIRED' })
    rmSync(join(directory, 'storage.yaml'))
    write('risk.yaml', 'tradingEnabled: true\n')
    await expect(store.reload('test')).rejects.toMatchObject({ code: 'CONFIG_RESTART_REQUIRED' })
    await using trading = await live()
    write('scanner.yaml', 'maximumStep: 3\n')
    await expect(trading.reload('test')).rejects.toMatchObject({ code: 'CONFIG_RELOAD_REFUSED' })
    expect(trading.current.scanner.maximumStep).toBe(2)
  })

  it('puts an override in force for some work, and takes it back', async () => {
    await using store = await live()
    const during = await store.override(
      { 'scanner.maximumStep': '1' },
      (values) => values.scanner.maximumStep,
    )
    expect([during, store.current.scanner.maximumStep]).toEqual([1, 2])
  })
})

describe('alerts', () => {
  const settings = { repeatAfterMs: 1000, timeoutMs: 5000 }
  const logger = createLogger({ level: 'silent', component: 'test' })
  const raise = (key: string) =>
    publish('alert', () => ({ key, severity: 'critical', message: `${key} broke` }))

  it('are posted to the webhook, the same one only once in a while', async () => {
    const clock = createTestClock()
    const posted: Record<string, unknown>[] = []
    await using delivery = deliverAlerts({
      settings: { ...settings, webhookUrl: new Secret('https://hooks.example.com/x') },
      logger,
      clock,
      fetch: (_url, options) => {
        posted.push(JSON.parse(options?.body as string) as Record<string, unknown>)
        return Promise.resolve(new Response(null, { status: 204 }))
      },
    })
    for (const key of ['database', 'database', 'disk']) raise(key)
    await clock.advance(1000)
    raise('database')
    await delivery.close()
    raise('database')
    expect(delivery.raised).toBe(4)
    expect(posted.map(({ key, severity, message }) => [key, severity, message])).toEqual([
      ['database', 'critical', 'database broke'],
      ['disk', 'critical', 'disk broke'],
      ['database', 'critical', 'database broke'],
    ])
  })

  it('reach a real server, and one that refuses them costs nothing but a log line', async () => {
    const bodies: string[] = []
    const server = createServer((request, response) => {
      request.on('data', (chunk: Buffer) => bodies.push(chunk.toString()))
      request.on('end', () => response.writeHead(bodies.length === 1 ? 500 : 204).end())
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const lines: string[] = []
    const logged = createLogger({
      level: 'error',
      component: 'test',
      destination: { write: (line: string) => void lines.push(line) },
    })
    await using delivery = deliverAlerts({
      settings: { ...settings, webhookUrl: new Secret(`http://127.0.0.1:${port}/hidden-path`) },
      logger: logged,
    })
    raise('database')
    raise('disk')
    await delivery.close()
    server.close()
    expect(bodies).toHaveLength(2)
    expect(lines.filter((line) => line.includes('could not be delivered'))).toHaveLength(1)
    expect(lines.join('')).not.toContain('hidden-path')
  })
})
