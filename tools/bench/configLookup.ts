// Reads one setting a million times over: node configLookup.ts WAY FOLDER prints nanoseconds for one read. Each way has a
// process of its own that loads twice at most, as a program does: with the shapes of another way's objects, or with
// another loop before its own, the same reads differ by a quarter of a nanosecond.
import { SECTIONS } from '@varve/application'
import { createConfigStore, loadConfig } from '@varve/config'
import { join } from 'node:path'
import { convictFor, nodeConfigOf } from './configLoaders.ts'

const READS = 1_000_000
const ROUNDS = 61
const KEY = 'storage.hot.batchSize'

const [way, folder] = process.argv.slice(2) as [string, string]
const folders = { split: join(folder, 'split'), merged: join(folder, 'merged') }
const load = () => loadConfig({ directory: folders.split, sections: SECTIONS, env: {} })
const first = await load()
const second = await load()
const { values } = first

/** Ways to sum one setting. Two objects in turn, so that no read can be moved out of a loop. */
const ways: Readonly<Record<string, () => Promise<() => number>>> = {
  ours() {
    const pair = [first, second] as const
    return Promise.resolve(() => {
      let sum = 0
      for (let index = 0; index < READS; index++) sum += pair[index & 1]!.values.storage.hot.batchSize
      return sum
    })
  },
  plain() {
    const pair = [copyOf(values), copyOf(values)] as const
    return Promise.resolve(() => {
      let sum = 0
      for (let index = 0; index < READS; index++) sum += pair[index & 1]!.values.storage.hot.batchSize
      return sum
    })
  },
  store() {
    const pair = [
      createConfigStore({ initial: first, load }),
      createConfigStore({ initial: second, load }),
    ] as const
    return Promise.resolve(() => {
      let sum = 0
      for (let index = 0; index < READS; index++) sum += pair[index & 1]!.current.storage.hot.batchSize
      return sum
    })
  },
  async nodeConfig() {
    const config = await nodeConfigOf(folders)
    return () => {
      let sum = 0
      for (let index = 0; index < READS; index++) sum += config.get(KEY)
      return sum
    }
  },
  async convict() {
    const config = (await convictFor(folders))()
    return () => {
      let sum = 0
      for (let index = 0; index < READS; index++) sum += config.get(KEY) as number
      return sum
    }
  },
}

const sum = await ways[way]!()
const expected = READS * values.storage.hot.batchSize
let best = Infinity
for (let round = 0; round < ROUNDS; round++) {
  const began = performance.now()
  const found = sum()
  best = Math.min(best, performance.now() - began)
  if (found !== expected) throw new Error(`${way} read ${found}, not ${expected}`)
}
console.log((best / READS) * 1e6)

function copyOf<Values>(from: Values): { readonly values: Values } {
  return Object.freeze({ values: freeze(JSON.parse(JSON.stringify(from)) as Values) })
}

function freeze<Value>(item: Value): Value {
  if (item !== null && typeof item === 'object') {
    Object.values(item).forEach(freeze)
    Object.freeze(item)
  }
  return item
}
