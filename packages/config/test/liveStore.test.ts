import { EventEmitter } from 'node:events'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Secret, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { describe, expect, expectTypeOf, it } from 'vitest'
import { type z } from 'zod'
import { type ConfigChange } from '../src/live/changes.ts'
import { type ConfigProblemReport } from '../src/live/ConfigStore.ts'
import { createConfigStore } from '../src/live/createConfigStore.ts'
import { directoryFingerprint } from '../src/live/fingerprint.ts'
import { type EditSettingOptions } from '../src/live/editSetting.ts'
import { type MigrateConfigOptions } from '../src/live/migrateConfig.ts'
import { processInstance } from '../src/live/processConfig.ts'
import { type LoadedConfig } from '../src/types.ts'
import { loadFolder, scratchFolder } from './liveSupport.ts'

interface Values {
  readonly risk: { readonly limit: number; readonly key?: Secret }
  readonly network: { readonly hosts: readonly string[]; readonly timeoutMs: number }
}

const first: Values = { risk: { limit: 10 }, network: { hosts: ['a'], timeoutMs: 5000 } }

/** A store over values in memory; `fail` makes the next loads throw. */
function setUp(options: Partial<Parameters<typeof createConfigStore<{ values: Values }>>[0]> = {}) {
  const disk = { values: first, fail: undefined as Error | undefined, loads: 0 }
  const clock = createTestClock()
  const problems: ConfigProblemReport[] = []
  const recoveries: ConfigProblemReport[] = []
  const store = createConfigStore<{ values: Values }>({
    load: async (overrides = {}) => {
      disk.loads++
      await Promise.resolve()
      if (disk.fail !== undefined) throw disk.fail
      const limit =
        overrides['risk.limit'] === undefined ? disk.values.risk.limit : Number(overrides['risk.limit'])
      if (!(limit > 0)) throw new VarveError('risk.limit must be above 0', { code: 'CONFIG_INVALID' })
      return {
        values: structuredCloneKeepingSecrets({ ...disk.values, risk: { ...disk.values.risk, limit } }),
      }
    },
    clock,
    pollMs: 30_000,
    settleMs: 0,
    onProblem: (problem) => problems.push(problem),
    onRecovered: (problem) => recoveries.push(problem),
    ...options,
  })
  return { store, disk, clock, problems, recoveries }
}

function structuredCloneKeepingSecrets(values: Values): Values {
  return {
    risk: { ...values.risk },
    network: { ...values.network, hosts: [...values.network.hosts] },
  }
}

describe('a configuration store', () => {
  it('says what to do when it is read before it was loaded', async () => {
    const { store } = setUp()
    expect(() => store.current).toThrow(expect.objectContaining({ code: 'CONFIG_NOT_LOADED' }))
    await expect(store.override({ 'risk.limit': '5' })).rejects.toMatchObject({ code: 'CONFIG_NOT_LOADED' })
  })

  it('keeps one frozen object in force until something changes', async () => {
    const { store } = setUp()
    await store.start()
    const before = store.current
    expect((await store.reload()).changes).toEqual([])
    expect(store.current).toBe(before)
    expect(store.generation).toBe(1)
    expect(() => ((before.network.hosts as string[])[0] = 'x')).toThrow(TypeError)
    expect(() => ((before.risk as { limit: number }).limit = 1)).toThrow(TypeError)
    await store.close()
  })

  it('takes up a change at the next poll and hands each watcher its own changes only', async () => {
    const { store, disk, clock } = setUp()
    await store.start()
    const seen: Record<string, readonly ConfigChange[][]> = {}
    const watch = (name: string, prefixes: string[]) => {
      seen[name] = []
      return store.watch(prefixes, (changes, next) => {
        expect(next).toBe(store.current)
        seen[name] = [...seen[name]!, [...changes]]
      })
    }
    watch('limit', ['risk.limit'])
    watch('network', ['network'])
    watch('all', [''])
    watch('lim', ['risk.lim'])
    const stopped = watch('stopped', ['risk'])
    stopped.end()
    disk.values = { ...first, risk: { limit: 20 } }
    await clock.advance(29_999)
    expect(store.current.risk.limit).toBe(10)
    await clock.advance(1)
    const change = { key: 'risk.limit', from: 10, to: 20 }
    expect(store.current.risk.limit).toBe(20)
    expect(seen).toEqual({ limit: [[change]], network: [], all: [[change]], lim: [], stopped: [] })
    await store.close()
    disk.values = first
    await clock.advance(60_000)
    expect(store.current.risk.limit).toBe(20)
  })

  it('notices that a secret changed and shows neither text', async () => {
    const { store, disk } = setUp()
    disk.values = { ...first, risk: { limit: 10, key: new Secret('old-canary') } }
    await store.start()
    const told: ConfigChange[] = []
    store.watch(['risk.key'], (changes) => void told.push(...changes))
    disk.values = { ...first, risk: { limit: 10, key: new Secret('new-canary') } }
    await store.reload()
    expect(told).toEqual([{ key: 'risk.key', from: '[secret]', to: '[secret]' }])
    expect(store.current.risk.key?.reveal()).toBe('new-canary')
    expect(JSON.stringify(told)).not.toContain('canary')
  })

  it('keeps the old values when a file is bad, tells it once, and tells the recovery once', async () => {
    const { store, disk, clock, problems, recoveries } = setUp()
    await store.start()
    disk.fail = new VarveError('risk.yaml:1:1 CONFIG_SYNTAX', { code: 'CONFIG_INVALID' })
    await clock.advance(300_000)
    expect(disk.loads).toBeGreaterThan(9)
    expect(store.current.risk.limit).toBe(10)
    expect(problems).toMatchObject([{ code: 'CONFIG_INVALID', reason: 'poll', at: 30_000 }])
    await expect(store.reload('operator')).rejects.toBe(disk.fail)
    expect(problems).toHaveLength(1)
    disk.fail = new VarveError('risk.yaml:2:1 CONFIG_SYNTAX', { code: 'CONFIG_INVALID' })
    await clock.advance(60_000)
    expect(problems).toHaveLength(2)
    disk.fail = undefined
    await clock.advance(120_000)
    expect(recoveries).toMatchObject([{ message: 'risk.yaml:2:1 CONFIG_SYNTAX' }])
    await store.close()
  })

  it('refuses a reload while trading is active, also when trading starts during the load, and catches up later', async () => {
    let active: string | undefined = 'the trading engine is active'
    const { store, disk, clock, problems, recoveries } = setUp({
      mayReload: () => active,
      initial: { values: first },
    })
    await store.start()
    disk.values = { ...first, risk: { limit: 20 } }
    await expect(store.reload()).rejects.toMatchObject({ code: 'CONFIG_RELOAD_REFUSED' })
    expect(disk.loads).toBe(0)
    await expect(store.override({ 'risk.limit': '5' })).rejects.toMatchObject({
      code: 'CONFIG_RELOAD_REFUSED',
    })
    active = undefined
    const reloading = store.reload()
    await Promise.resolve()
    await Promise.resolve()
    active = 'the trading engine is active'
    await expect(reloading).rejects.toMatchObject({ code: 'CONFIG_RELOAD_REFUSED' })
    expect(store.current.risk.limit).toBe(10)
    await clock.advance(90_000)
    expect(problems).toMatchObject([{ code: 'CONFIG_RELOAD_REFUSED', reason: 'asked' }])
    active = undefined
    await clock.advance(30_000)
    expect(store.current.risk.limit).toBe(20)
    expect(recoveries).toHaveLength(1)
    await store.close()
  })

  it('refuses values that do not fit, and settings only a restart may change, naming them', async () => {
    const { store, disk } = setUp({
      validate: (next, previous) =>
        next.risk.limit > previous.risk.limit * 2 ? 'the limit may at most double' : undefined,
      restartOnly: ['network.hosts'],
    })
    await store.start()
    disk.values = { ...first, risk: { limit: 21 } }
    await expect(store.reload()).rejects.toThrow(/may at most double/)
    disk.values = { risk: { limit: 11 }, network: { hosts: ['b'], timeoutMs: 1 } }
    await expect(store.reload()).rejects.toMatchObject({
      code: 'CONFIG_RESTART_REQUIRED',
      details: { keys: ['network.hosts'] },
    })
    expect(store.current).toEqual(first)
    await expect(store.override({ 'risk.limit': '100' })).rejects.toMatchObject({
      code: 'CONFIG_INCOMPATIBLE',
    })
  })

  it('tells every watcher although one throws and one rejects, and tells of both', async () => {
    const { store, disk, problems } = setUp()
    await store.start()
    let told = 0
    store.watch([''], () => {
      throw new Error('first')
    })
    store.watch([''], () => Promise.reject(new Error('second')))
    store.watch([''], () => void told++)
    disk.values = { ...first, risk: { limit: 11 } }
    await store.reload()
    await Promise.resolve()
    expect(told).toBe(1)
    expect(
      problems.map(({ code, message }) => [code, /failed on a change: (\w+)/.exec(message)?.[1]]),
    ).toEqual([
      ['CONFIG_WATCHER_FAILED', 'first'],
      ['CONFIG_WATCHER_FAILED', 'second'],
    ])
  })

  it('shares loads among calls made together', async () => {
    const { store, disk } = setUp()
    await store.start()
    expect(disk.loads).toBe(1)
    const early = Array.from({ length: 100 }, () => store.reload())
    await Promise.resolve()
    await Promise.resolve()
    disk.values = { ...first, risk: { limit: 12 } } // after the load began: only a later one may count
    const late = Array.from({ length: 100 }, () => store.reload())
    await Promise.all([...early, ...late])
    expect(disk.loads).toBe(3)
    expect(store.current.risk.limit).toBe(12)
  })

  it('reloads on a signal until the hook ends', async () => {
    const { store, disk } = setUp()
    await store.start()
    const source = new EventEmitter()
    const hook = store.reloadOn(source)
    disk.values = { ...first, risk: { limit: 13 } }
    source.emit('SIGHUP')
    await store.reload()
    expect(store.current.risk.limit).toBe(13)
    hook.end()
    store.reloadOn(source, 'SIGUSR2')
    await store.close()
    expect(source.eventNames()).toEqual([])
  })

  it('changes nothing when it is closed during a load, and can be read and closed again', async () => {
    const { store, disk } = setUp()
    await store.start()
    disk.values = { ...first, risk: { limit: 14 } }
    const reloading = store.reload()
    await Promise.resolve()
    const closing = store.close()
    await expect(reloading).rejects.toMatchObject({ code: 'CONFIG_CLOSED' })
    await closing
    await store.close()
    expect(store.current.risk.limit).toBe(10)
    await expect(store.reload()).rejects.toMatchObject({ code: 'CONFIG_CLOSED' })
  })

  it('can be started again after a failed first load', async () => {
    const { store, disk, problems } = setUp()
    disk.fail = new Error('bad')
    await expect(store.start()).rejects.toThrow('bad')
    expect(problems).toEqual([])
    disk.fail = undefined
    await store.start()
    expect(store.current.risk.limit).toBe(10)
    await store.close()
  })

  it('survives an alert function that throws', async () => {
    const { store, disk } = setUp({
      onProblem: () => {
        throw new Error('the pager is down')
      },
    })
    await store.start()
    disk.fail = new Error('bad')
    await expect(store.reload()).rejects.toThrow('bad')
  })
})

describe('an override', () => {
  it('holds for a block and goes when the block throws', async () => {
    const { store } = setUp()
    await store.start()
    const seen = await store.override({ 'risk.limit': '99' }, (values) => [
      values.risk.limit,
      store.current.risk.limit,
    ])
    expect(seen).toEqual([99, 99])
    expect(store.current).toEqual(first)
    await expect(
      store.override({ 'risk.limit': '99' }, () => {
        throw new Error('trial failed')
      }),
    ).rejects.toThrow('trial failed')
    expect(store.current).toEqual(first)
    expect(store.overrides).toBe(0)
  })

  it('ends with its scope', async () => {
    const { store } = setUp()
    await store.start()
    {
      using scope = await store.override({ 'risk.limit': '7' })
      expect(scope).toBeDefined()
      expect(store.current.risk.limit).toBe(7)
    }
    expect(store.current.risk.limit).toBe(10)
  })

  it('is checked like a file', async () => {
    const { store } = setUp()
    await store.start()
    await expect(store.override({ 'risk.limit': '-1' })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    expect(store.current).toEqual(first)
  })

  it('stays on top of a reload, and an equal value below it still counts when another ends', async () => {
    const { store, disk } = setUp()
    await store.start()
    const a = await store.override({ 'risk.limit': '50' })
    const b = await store.override({ 'risk.limit': '50' })
    disk.values = { risk: { limit: 1 }, network: { hosts: ['z'], timeoutMs: 1 } }
    await store.reload()
    expect(store.current).toEqual({ risk: { limit: 50 }, network: { hosts: ['z'], timeoutMs: 1 } })
    a.end()
    a.end()
    expect(store.current.risk.limit).toBe(50)
    b.end()
    expect(store.current.risk.limit).toBe(1)
  })

  it('tells watchers when it begins and ends, in order, also when a watcher ends it', async () => {
    const { store, disk } = setUp()
    await store.start()
    const told: unknown[] = []
    const scope = await store.override({ 'risk.limit': '5' })
    store.watch(['network'], () => scope.end())
    store.watch([''], (changes, next) => void told.push([changes.map(({ key }) => key), next.risk.limit]))
    disk.values = { ...first, network: { hosts: ['b'], timeoutMs: 5000 } }
    await store.reload()
    expect(told).toEqual([
      [['network.hosts'], 5],
      [['risk.limit'], 10],
    ])
    expect(store.current.risk.limit).toBe(10)
  })
})

describe('a store over files', () => {
  const over = (path: string, clock = createTestClock(0, { autoAdvance: true })) => {
    const problems: ConfigProblemReport[] = []
    const store = createConfigStore({
      load: (overrides) => loadFolder(path, overrides),
      fingerprint: () => directoryFingerprint(path),
      clock,
      onProblem: (problem) => problems.push(problem),
    })
    return { store, problems }
  }

  it('notices contents, not times, and does not load without need', async () => {
    using folder = scratchFolder({ 'storage.yaml': 'hot:\n  batchSize: 2000\n' })
    const { store } = over(folder.path)
    await store.reload()
    const before = store.current
    folder.write('storage.yaml', 'hot:\n  batchSize: 2000\n')
    await store.check()
    expect(store.current).toBe(before)
    folder.write('profiles/prod/storage.yaml', 'hot: { days: 5 }')
    await store.check()
    expect(store.current.storage.hot).toEqual({ batchSize: 2000, days: 5 })
    writeFileSync(join(folder.path, 'storage.yaml'), 'hot:\n  batchSize: 3\n')
    await store.check()
    await store.check()
    expect(store.current.storage.hot.batchSize).toBe(2000)
  })

  it('gives up on files that never stand still, and says so', async () => {
    using folder = scratchFolder({ 'storage.yaml': 'name: a0' })
    let writes = 0
    const store = createConfigStore({
      load: async () => {
        const loaded = await loadFolder(folder.path)
        folder.write('storage.yaml', `name: a${++writes}`)
        return loaded
      },
      fingerprint: () => directoryFingerprint(folder.path),
    })
    await expect(store.reload()).rejects.toMatchObject({ code: 'CONFIG_UNSETTLED', details: { attempts: 3 } })
  })
})

describe('what the loader returns', () => {
  it('fits the store and the editor as it is', () => {
    interface Sections {
      readonly [name: string]: z.ZodType
      readonly risk: z.ZodObject<{ limit: z.ZodInt }>
    }
    const load = (): Promise<LoadedConfig<Sections>> => Promise.reject(new Error('not called'))
    const make = () => createConfigStore({ load })
    expectTypeOf(make).returns.toExtend<{ readonly current: { readonly risk: { limit: number } } }>()
    expectTypeOf(load).toExtend<EditSettingOptions['load']>()
    expectTypeOf(load).toExtend<MigrateConfigOptions['load']>()
  })
})

describe('the instance of the process', () => {
  it('is made once and can be put back between tests', () => {
    const place = processInstance<{ name: string }>('test')
    expect(() => place.get()).toThrow(expect.objectContaining({ code: 'CONFIG_NOT_LOADED' }))
    const made = place.get(() => ({ name: 'one' }))
    expect(place.get(() => ({ name: 'two' }))).toBe(made)
    expect(place.reset()).toBe(made)
    expect(() => place.get()).toThrow(/was read before it was loaded/)
  })
})
