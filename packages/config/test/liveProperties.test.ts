import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createConfigStore } from '../src/live/createConfigStore.ts'
import { directoryFingerprint } from '../src/live/fingerprint.ts'
import { loadFolder, scratchFolder } from './liveSupport.ts'

/** Every value carries the generation it was written in. */
interface Generation {
  readonly a: { readonly x: number; readonly y: number }
  readonly b: { readonly deep: { readonly z: number } }
  readonly c: readonly number[]
}

const generationOf = (n: number): Generation => ({ a: { x: n, y: n }, b: { deep: { z: n } }, c: [n, n] })

const numbersOf = (value: unknown): number[] =>
  typeof value === 'number' ? [value] : Object.values(value as object).flatMap(numbersOf)

const isMixed = (value: unknown): boolean => new Set(numbersOf(value)).size > 1

/** Files as a disk has them: each read takes a while, and a write of all may fall between two reads. */
class SlowDisk {
  #now = generationOf(0)
  version = 0

  write(version: number): void {
    this.version = version
    this.#now = generationOf(version)
  }

  async load(turns: readonly number[]): Promise<{ values: Generation }> {
    const read = async <Name extends keyof Generation>(name: Name, turn: number) => {
      for (let left = turn; left > 0; left--) await Promise.resolve()
      return this.#now[name]
    }
    return {
      values: { a: await read('a', turns[0]!), b: await read('b', turns[1]!), c: await read('c', turns[2]!) },
    }
  }
}

interface ReadableStore {
  readonly current: unknown
  reload(): Promise<unknown>
}

type MakeStore = (disk: SlowDisk, turns: readonly number[]) => Promise<ReadableStore>

const ours =
  (fingerprint: boolean): MakeStore =>
  async (disk, turns) => {
    const store = createConfigStore({
      load: () => disk.load(turns),
      ...(fingerprint ? { fingerprint: () => Promise.resolve(String(disk.version)) } : {}),
      loadAttempts: 100,
    })
    await store.reload()
    return store
  }

/** What the store must not be: values assigned one by one. */
const keyByKey: MakeStore = async (disk) => {
  const current = structuredClone(generationOf(0)) as unknown as Record<string, unknown>
  return Promise.resolve({
    current,
    async reload() {
      const { values } = await disk.load([0, 0, 0])
      for (const [key, value] of Object.entries(values)) {
        current[key] = value
        await Promise.resolve()
      }
    },
  })
}

/** Writes, reloads and reads interleaved in an order fast-check chooses. @returns whether a reader saw a mixture */
async function readersSeeMixture(make: MakeStore, steps: readonly Step[], turns: readonly number[]) {
  const disk = new SlowDisk()
  const store = await make(disk, turns)
  let mixed = false
  let written = 0
  const reloads: Promise<unknown>[] = []
  const look = async () => {
    for (let turn = 0; turn < 40; turn++) {
      mixed ||= isMixed(store.current)
      await Promise.resolve()
    }
  }
  for (const step of steps) {
    if (step === 'write') disk.write(++written)
    else if (step === 'reload') reloads.push(store.reload())
    else await Promise.race([look(), Promise.resolve()])
    reloads.push(look())
    await Promise.resolve()
  }
  await Promise.all(reloads)
  return mixed
}

type Step = 'write' | 'reload' | 'look'
const steps = fc.array(fc.constantFrom<Step>('write', 'reload', 'look'), { minLength: 3, maxLength: 30 })
const turns = fc.tuple(fc.nat(6), fc.nat(6), fc.nat(6))

describe('readers during reloads', () => {
  it('never see two generations in one snapshot, however reads, writes and reloads interleave', async () => {
    await fc.assert(
      fc.asyncProperty(steps, turns, async (plan, waits) => {
        expect(await readersSeeMixture(ours(true), plan, waits)).toBe(false)
      }),
      { numRuns: 300, seed: 11 },
    )
  })

  it.each([
    ['assigns key by key', keyByKey],
    ['does not look whether files changed while it read them', ours(false)],
  ])('would see a mixture in a store that %s', async (_name, make) => {
    const result = await fc.check(
      fc.asyncProperty(steps, turns, async (plan, waits) => !(await readersSeeMixture(make, plan, waits))),
      { numRuns: 300, seed: 11 },
    )
    expect(result.failed).toBe(true)
  })

  it('see whole generations of real files too', async () => {
    const write = (folder: ReturnType<typeof scratchFolder>, n: number) => {
      folder.write('storage.yaml', `hot: { batchSize: ${100 + n}, days: ${100 + n} }\n`)
      folder.write('network.yaml', `timeoutMs: ${100 + n}\n`)
    }
    using folder = scratchFolder()
    write(folder, 0)
    await using store = createConfigStore({
      load: (overrides) => loadFolder(folder.path, overrides),
      fingerprint: () => directoryFingerprint(folder.path),
      clock: createTestClock(0, { autoAdvance: true }),
      loadAttempts: 50,
    })
    await store.reload()
    const seen = new Set<number>()
    let ended = false
    const reader = (async () => {
      while (!ended) {
        const { storage, network } = store.current
        expect([storage.hot.batchSize, storage.hot.days]).toEqual([network.timeoutMs, network.timeoutMs])
        seen.add(network.timeoutMs)
        await new Promise(setImmediate)
      }
    })()
    const reloads: Promise<unknown>[] = []
    for (let n = 1; n <= 60; n++) {
      write(folder, n)
      reloads.push(
        store.reload().catch(() => undefined),
        store.check(),
      )
      await new Promise(setImmediate)
      if (n % 4 === 0) await Promise.all(reloads)
    }
    await Promise.all(reloads)
    await store.reload()
    ended = true
    await reader
    expect(seen.size).toBeGreaterThan(8)
    expect(store.current.network.timeoutMs).toBe(160)
  })
})

type Flat = Readonly<Record<'a.x' | 'a.y' | 'b.deep.z', number>>
type Action =
  | { readonly kind: 'open'; readonly values: Partial<Flat> }
  | { readonly kind: 'end'; readonly index: number }
  | { readonly kind: 'write'; readonly values: Flat }
  | { readonly kind: 'break' }
  | { readonly kind: 'reload' }

const flat = fc.record({ 'a.x': fc.nat(3), 'a.y': fc.nat(3), 'b.deep.z': fc.nat(3) })
const action: fc.Arbitrary<Action> = fc.oneof(
  fc.record({
    kind: fc.constant('open' as const),
    values: fc.record({ 'a.x': fc.nat(3), 'a.y': fc.nat(3), 'b.deep.z': fc.nat(3) }, { requiredKeys: [] }),
  }),
  fc.record({ kind: fc.constant('end' as const), index: fc.nat(5) }),
  fc.record({ kind: fc.constant('write' as const), values: flat }),
  fc.constant({ kind: 'break' as const }),
  fc.constant({ kind: 'reload' as const }),
)

describe('overrides and reloads', () => {
  it('are, in any sequence, the last good files with the open overrides on top in the order they were opened', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        let files: Flat | undefined = { 'a.x': 0, 'a.y': 0, 'b.deep.z': 0 }
        const store = createConfigStore({
          load: async (overrides = {}) => {
            await Promise.resolve()
            if (files === undefined) throw new Error('bad file')
            const all = { ...files, ...overrides }
            return {
              values: {
                a: { x: Number(all['a.x']), y: Number(all['a.y']) },
                b: { deep: { z: Number(all['b.deep.z']) } },
              },
            }
          },
        })
        await store.reload()
        let good = files
        const open: { readonly values: Partial<Flat>; readonly end: () => void }[] = []
        const told: unknown[] = []
        store.watch([''], (_changes, next) => void told.push(next))
        for (const step of actions) {
          if (step.kind === 'open') {
            // An override takes its settings from the files as they are; when these are bad there is none.
            const texts = Object.fromEntries(Object.entries(step.values).map(([key, n]) => [key, String(n)]))
            const scope = await store.override(texts).catch(() => undefined)
            expect(scope === undefined).toBe(files === undefined)
            if (scope !== undefined) open.push({ values: step.values, end: () => scope.end() })
          } else if (step.kind === 'end') open.splice(step.index, 1)[0]?.end()
          else if (step.kind === 'write') files = step.values
          else if (step.kind === 'break') files = undefined
          else {
            await store.reload().catch(() => undefined)
            good = files ?? good
          }
          const model: Flat = Object.assign({}, good, ...open.map(({ values }) => values)) as Flat
          expect(store.current).toEqual({
            a: { x: model['a.x'], y: model['a.y'] },
            b: { deep: { z: model['b.deep.z'] } },
          })
          expect(store.overrides).toBe(open.length)
          if (told.length > 0) expect(told.at(-1)).toBe(store.current)
        }
      }),
      { numRuns: 300, seed: 5 },
    )
  })
})
