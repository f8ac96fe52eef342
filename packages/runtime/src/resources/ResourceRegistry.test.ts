import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import { createResourceRegistry } from './ResourceRegistry.ts'

describe('resource registry', () => {
  it('closes everything youngest first, however it is closed', async () => {
    const closed: string[] = []
    const note = (name: string) => () => void closed.push(name)
    const registry = createResourceRegistry()
    registry.add('function', note('function'))
    registry.add('close', { close: note('close') })
    registry.add('destroy', { destroy: note('destroy') })
    registry.add('dispose', { [Symbol.dispose]: note('dispose'), close: note('not this') })
    const asyncOne = registry.add('async', { [Symbol.asyncDispose]: async () => note('async')() })
    registry.add('own way', 42, () => closed.push('own way'))
    const early = registry.add('early', { close: note('early') })
    expect(registry.list()).toEqual(['function', 'close', 'destroy', 'dispose', 'async', 'own way', 'early'])
    await registry.release(early)
    await registry.release(early)
    await registry.release(asyncOne)
    await registry.close()
    await registry.close()
    expect(closed).toEqual(['early', 'async', 'own way', 'dispose', 'destroy', 'close', 'function'])
    expect(registry.list()).toEqual([])
  })

  it('closes the rest when some fail or hang, and names them', async () => {
    const clock = createTestClock()
    const closed: string[] = []
    const registry = createResourceRegistry({ clock, closeTimeoutMs: 100 })
    registry.add('first', () => void closed.push('first'))
    registry.add('fails', () => Promise.reject(new Error('busy')))
    registry.add('hangs', () => new Promise(() => undefined))
    const closing = expect(registry.close()).rejects.toMatchObject({
      code: 'RESOURCE_CLOSE_FAILED',
      details: {
        failures: [
          { name: 'hangs', message: 'did not close within 100 ms' },
          { name: 'fails', message: 'busy' },
        ],
      },
    })
    await clock.advance(100)
    await closing
    expect(closed).toEqual(['first'])
    expect(clock.sleeping).toBe(0)
  })

  it('closes what comes too late, and says so', async () => {
    const registry = createResourceRegistry()
    await registry.close()
    let closed = false
    expect(() => registry.add('late', () => (closed = true))).toThrow(
      expect.objectContaining({ code: 'RESOURCES_CLOSED' }),
    )
    expect(closed).toBe(true)
  })

  it('refuses what it could not close', () => {
    const registry = createResourceRegistry()
    expect(() => registry.add('stone', {} as { close(): void })).toThrow('cannot be closed')
  })
})
