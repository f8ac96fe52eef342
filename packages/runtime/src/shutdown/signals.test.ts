import { EventEmitter } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import { createEmergency, loadCriticalState, saveCriticalState } from './emergency.ts'
import { createShutdown } from './Shutdown.ts'
import { handleSignals } from './signals.ts'

class FakeProcess extends EventEmitter {
  readonly exits: number[] = []
  text = ''
  readonly stderr = { write: (text: string) => (this.text += text) }
  exit(code: number): void {
    this.exits.push(code)
  }
}
const never = (): Promise<never> => new Promise<never>(() => undefined)

function setUp(stop: () => void | Promise<void> = () => undefined, exitAs?: 'service' | 'command') {
  const clock = createTestClock()
  const target = new FakeProcess()
  const shutdown = createShutdown({ clock })
  const emergency = createEmergency({ clock })
  const saved: string[] = []
  emergency.onEmergency('positions', ({ reason }) => void saved.push(reason))
  shutdown.add({ name: 'worker', group: 'data', stop })
  const dispose = handleSignals(target, {
    shutdown,
    emergency,
    clock,
    ...(exitAs === undefined ? {} : { exitAs }),
  })
  return { clock, target, shutdown, emergency, saved, dispose }
}

describe('signals', () => {
  it('stop a service in order and exit with 0', async () => {
    const { clock, target, saved } = setUp()
    target.emit('SIGTERM')
    await clock.advance(0)
    expect(target.exits).toEqual([0])
    expect(target.text).toBe('')
    expect(saved).toEqual([])
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('%s makes a command exit with %i', async (signal, code) => {
    const { clock, target } = setUp(undefined, 'command')
    target.emit(signal)
    await clock.advance(0)
    expect(target.exits).toEqual([code])
  })

  it('at the same instant are one wish', async () => {
    let stops = 0
    const { clock, target } = setUp(() => {
      stops++
      return clock.sleep(1_000)
    })
    target.emit('SIGTERM')
    target.emit('SIGTERM')
    target.emit('SIGINT')
    await clock.advance(499)
    target.emit('SIGINT')
    await clock.advance(600)
    expect(stops).toBe(1)
    expect(target.exits).toEqual([0])
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('%s again ends at once, saves, and says what is left', async (signal, code) => {
    const { clock, target, saved } = setUp(never)
    target.emit('SIGTERM')
    await clock.advance(500)
    target.emit(signal)
    target.emit(signal)
    await clock.advance(0)
    expect(target.exits).toEqual([code])
    expect(target.text).toContain('did not stop: worker (data)')
    expect(saved).toEqual([`forced by a second ${signal}`])
  })

  it('exit with 1 when something did not stop, after saving', async () => {
    const { clock, target, saved } = setUp(never)
    target.emit('SIGTERM')
    await clock.advance(60_000)
    expect(target.exits).toEqual([1])
    expect(target.text).toBe('did not stop: worker (data): still running after 30000 ms\n')
    expect(saved).toEqual(['SIGTERM: not everything stopped'])
  })

  it.each([
    ['uncaughtException', 'uncaught exception'],
    ['unhandledRejection', 'unhandled rejection'],
  ])('%s saves and exits with 1', async (event, reason) => {
    const { clock, target, saved } = setUp()
    target.emit(event, new Error('boom'))
    target.emit(event, new Error('and again'))
    await clock.advance(0)
    expect(target.exits).toEqual([1])
    expect(saved).toEqual([reason])
    expect(target.text).toContain('boom')
  })

  it('are left alone after dispose', () => {
    const { target, dispose } = setUp()
    dispose()
    expect(target.eventNames()).toEqual([])
  })
})

describe('emergency', () => {
  it('saves everything once, although some fail or hang', async () => {
    const clock = createTestClock()
    const emergency = createEmergency({ clock, emergencyMs: 100 })
    let saves = 0
    emergency.onEmergency('bad', () => Promise.reject(new Error('no disk')))
    emergency.onEmergency('hangs', never)
    emergency.onEmergency('good', () => void saves++)
    emergency.onEmergency('removed', () => void saves++)()
    const result = emergency.save('test')
    // What a save does before it first waits has happened by now.
    expect(saves).toBe(1)
    await clock.advance(100)
    expect(await result).toEqual({
      saved: ['good'],
      failed: [
        { name: 'bad', message: 'no disk' },
        { name: 'hangs', message: 'not saved within 100 ms' },
      ],
    })
    expect(await emergency.save('again')).toBe(await result)
  })

  it('writes state that can be read back, and refuses a damaged file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-emergency-'))
    const path = join(folder, 'critical.json')
    expect(loadCriticalState(path)).toBeUndefined()
    saveCriticalState(path, { orders: ['a'] })
    saveCriticalState(path, { orders: ['a', 'b'] })
    expect(loadCriticalState(path)).toEqual({ orders: ['a', 'b'] })
    expect(statSync(path).mode & 0o777).toBe(0o600)
    writeFileSync(path, readFileSync(path, 'utf8').replace('b', 'c'))
    expect(() => loadCriticalState(path)).toThrow(expect.objectContaining({ code: 'STATE_FILE_DAMAGED' }))
    expect(() => saveCriticalState(path, { at: new Date(0) })).toThrow(
      expect.objectContaining({ code: 'STATE_NOT_JSON' }),
    )
    rmSync(folder, { recursive: true })
  })
})
