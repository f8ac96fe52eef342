import { configurationSchemas, loadConfiguration, SECTIONS } from '@varve/application'
import { createConfigStore, directoryFingerprint, loadConfig, toYaml } from '@varve/config'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  assertSame,
  type BenchFolders,
  LIBRARY,
  type Load,
  type LoaderName,
  LOADERS,
} from '../configLoaders.ts'
import {
  against,
  type Bench,
  type BenchCase,
  type BenchOptions,
  bounded,
  type Contender,
  interleave,
  median,
} from '../harness.ts'
import { hasLibrary } from '../library.ts'

/** No variables: what somebody has set on this machine is not to be measured. */
const NO_ENVIRONMENT = {}
/** A load may take half as long again as the least one can do. */
const BY_HAND_TARGET = 0.667
const PROCESS_ROUNDS = 20
const COLD = join(import.meta.dirname, '..', 'configCold.ts')
const LOOKUP = join(import.meta.dirname, '..', 'configLookup.ts')

/** Loads compared in a quick run; whatever is left out is in a full one. */
const QUICK: readonly LoaderName[] = ['varve', 'byHand', 'zodConfig']

/** Loads, lookups, explanations and reloads of the whole configuration, beside other configuration libraries. */
export const config: Bench = async (options) => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-config-'))
  try {
    const folders = await writeFolders(folder)
    const names = Object.keys(LOADERS) as LoaderName[]
    const there: LoaderName[] = []
    const skipped: string[] = [
      'pydantic-settings and Hydra: they are Python libraries',
      ...(options.quick ? ['fresh processes, further peers, reloads: only in a full run'] : []),
    ]
    for (const name of names) {
      if (await hasLibrary(LIBRARY[name])) there.push(name)
      else skipped.push(`${LOADERS[name].name}: ${LIBRARY[name]} is not installed`)
    }
    return {
      cases: [
        ...(await measureLoads(options, folders, there)),
        ...measureLookups(options, folder, there),
        ...(await measureExplanations(options, folders)),
        ...(options.quick ? [] : await measureReloads(options, folders)),
        ...(options.quick ? [] : await measureProcesses(options, folder, there)),
      ],
      skipped,
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Writes every setting at the value it has without any file. */
async function writeFolders(folder: string): Promise<BenchFolders> {
  const folders = { split: join(folder, 'split'), merged: join(folder, 'merged') }
  for (const directory of Object.values(folders)) mkdirSync(directory)
  const all = (await loadConfiguration({ directory: null, env: NO_ENVIRONMENT })).redacted()
  for (const section of Object.keys(SECTIONS))
    writeFileSync(join(folders.split, `${section}.yaml`), toYaml(all[section]))
  writeFileSync(join(folders.merged, 'default.yaml'), toYaml(all))
  writeFileSync(join(folder, 'schemas.json'), JSON.stringify(configurationSchemas()))
  return folders
}

const ours = (directory: string) => loadConfig({ directory, sections: SECTIONS, env: NO_ENVIRONMENT })

/** The files are in the cache of the operating system, the code is warm, nothing else is remembered. */
async function measureLoads(
  options: BenchOptions,
  folders: BenchFolders,
  names: readonly LoaderName[],
): Promise<BenchCase[]> {
  const wanted = options.quick ? names.filter((name) => QUICK.includes(name)) : names
  const loads = new Map<string, Load>()
  for (const name of wanted) loads.set(name, await LOADERS[name].open(folders, SECTIONS))
  loads.set('whole', async () => {
    const { values } = await loadConfiguration({ directory: folders.split, env: NO_ENVIRONMENT })
    return values
  })
  const expected = await loads.get('byHand')!()
  const contenders = [...loads].map(([name, load]): Contender => {
    let last: unknown
    return {
      name,
      async prepare() {
        if (last !== undefined) assertSame(name, last, expected)
        last = undefined
        // Garbage of the one before is not this one's to sweep.
        globalThis.gc?.()
      },
      async run() {
        last = await load()
      },
    }
  })
  const times = await interleave(contenders, options.quick ? 101 : 201)
  const settings = Object.keys((await ours(folders.split)).flatten()).length
  const what = `load of ${settings} settings in ${Object.keys(SECTIONS).length} files`
  const beside = (title: string, name: string, peer: LoaderName, target: number) =>
    against(options, {
      case: title,
      unit: 'ms',
      ours: times.get(name)!,
      peer: times.get(peer)!,
      peerName: LOADERS[peer].name,
      better: 'lower',
      target,
    })
  return [
    beside(what, 'varve', 'byHand', BY_HAND_TARGET),
    beside(`${what}, with all Varve asks of it`, 'whole', 'byHand', BY_HAND_TARGET),
    ...wanted
      .filter((name) => name !== 'varve' && name !== 'byHand')
      .map((name) => beside(what, 'varve', name, 1)),
  ]
}

/** Each way's best round in a process of its own, and of several such processes the median. */
function measureLookups(options: BenchOptions, folder: string, names: readonly LoaderName[]): BenchCase[] {
  const ways = options.quick
    ? ['ours', 'plain']
    : ['ours', 'plain', 'store', ...names.filter((name) => name === 'nodeConfig' || name === 'convict')]
  const found = new Map<string, number[]>(ways.map((way) => [way, []]))
  for (let round = 0; round < (options.quick ? 3 : 7); round++) {
    for (const way of round % 2 === 0 ? ways : [...ways].reverse()) {
      const words = [...process.execArgv, LOOKUP, way, folder]
      found.get(way)!.push(Number(execFileSync(process.execPath, words, { encoding: 'utf8' })))
    }
  }
  const times = Object.fromEntries([...found].map(([way, list]) => [way, median(list)]))
  const key = 'storage.hot.batchSize'
  const beside = (
    title: string,
    name: string,
    peer: string,
    peerName: string,
    target: number,
  ): BenchCase[] =>
    times[peer] === undefined
      ? []
      : [
          against(options, {
            case: `lookup ${title}.${key}`,
            unit: 'ns',
            ours: times[name]!,
            peer: times[peer],
            peerName,
            better: 'lower',
            target,
          }),
        ]
  const frozen = 'property of a frozen object'
  const plain = beside('values', 'ours', 'plain', frozen, 0.9)
  if (options.quick) return plain
  return [
    ...plain,
    ...beside('store.current', 'store', 'plain', frozen, 0.9),
    ...beside('values', 'ours', 'nodeConfig', `node-config get('${key}')`, 1),
    ...beside('values', 'ours', 'convict', `convict get('${key}')`, 1),
  ]
}

async function measureExplanations(options: BenchOptions, folders: BenchFolders): Promise<BenchCase[]> {
  const rounds = options.quick ? 9 : 31
  const keys = Object.keys((await ours(folders.split)).flatten())
  let fresh = await ours(folders.split)
  const prepare = async () => void (fresh = await ours(folders.split))
  const times = await interleave(
    [
      {
        name: 'first',
        prepare,
        run() {
          fresh.explain('storage.hot.batchSize')
          return Promise.resolve()
        },
      },
      {
        name: 'each',
        async prepare() {
          await prepare()
          fresh.explain(keys[0]!)
        },
        run() {
          for (const key of keys)
            if (fresh.explain(key).origin.kind !== 'file') throw new Error(`${key} has no file`)
          return Promise.resolve()
        },
      },
      {
        name: 'origins',
        prepare,
        run() {
          return fresh.origins().size === keys.length
            ? Promise.resolve()
            : Promise.reject(new Error('origins are missing'))
        },
      },
    ],
    rounds,
  )
  const bound = (title: string, time: number, target: number) =>
    bounded(options, { case: title, unit: 'ms', ours: time, better: 'lower', target })
  return [
    bound('explain(key), the first after a load', times.get('first')!, 25),
    bound('explain(key), every other', times.get('each')! / keys.length, 1),
    bound(`origins() of ${keys.length} settings, the first after a load`, times.get('origins')!, 50),
  ]
}

function storeOf({ split }: BenchFolders, initial: Awaited<ReturnType<typeof ours>>) {
  return createConfigStore({
    initial,
    load: () => ours(split),
    fingerprint: () => directoryFingerprint(split),
    settleMs: 0,
  })
}

async function measureReloads(options: BenchOptions, folders: BenchFolders): Promise<BenchCase[]> {
  const store = storeOf(folders, await ours(folders.split))
  const file = join(folders.split, 'storage.yaml')
  const original = readFileSync(file, 'utf8')
  const line = /batchSize: \d+/
  let told = 0
  store.watch(['storage.hot'], (changes) => void (told += changes.length))
  await store.reload()
  let written = store.current.storage.hot.batchSize
  const times = await interleave(
    [
      { name: 'poll', run: () => store.check() },
      {
        name: 'same',
        async run() {
          if ((await store.reload()).changes.length > 0) throw new Error('nothing had changed')
        },
      },
      {
        name: 'changed',
        prepare() {
          written = written === 500 ? 600 : 500
          writeFileSync(file, original.replace(line, `batchSize: ${written}`))
          return Promise.resolve()
        },
        async run() {
          const before = told
          await store.reload()
          if (store.current.storage.hot.batchSize !== written || told === before)
            throw new Error('the change was missed')
        },
      },
    ],
    51,
  )
  writeFileSync(file, original)
  await store.close()
  const bound = (title: string, name: string, target: number) =>
    bounded(options, { case: title, unit: 'ms', ours: times.get(name)!, better: 'lower', target })
  return [
    bound('poll, nothing changed', 'poll', 10),
    bound('reload, nothing changed', 'same', 50),
    bound('reload, one setting changed and its watcher told', 'changed', 50),
  ]
}

/** Whole processes, from start to end, less what one takes that stops before the library is imported. */
async function measureProcesses(
  options: BenchOptions,
  folder: string,
  names: readonly LoaderName[],
): Promise<BenchCase[]> {
  const start = (name: string) => {
    const began = performance.now()
    execFileSync(process.execPath, [...process.execArgv, COLD, name, folder], { stdio: 'pipe' })
    return performance.now() - began
  }
  const all = ['none', ...names]
  const totals = new Map<string, number[]>(all.map((name) => [name, []]))
  for (let round = 0; round <= PROCESS_ROUNDS; round++) {
    for (const name of round % 2 === 0 ? all : [...all].reverse()) {
      const time = start(name)
      // The first round fills the cache of the operating system.
      if (round > 0) totals.get(name)!.push(time)
    }
  }
  const floors = totals.get('none')!
  const floor = median(floors)
  // Neighbours on the machine come and go: each round is compared with itself.
  const time = (name: string) => median(totals.get(name)!.map((total, round) => total - floors[round]!))
  return names
    .filter((name) => name !== 'varve')
    .map((name) =>
      against(options, {
        case: `first load of a process, import included, beyond the ${Math.round(floor)} ms of Node, zod and schemas`,
        unit: 'ms',
        ours: time('varve'),
        peer: time(name),
        peerName: LOADERS[name].name,
        better: 'lower',
        target: name === 'byHand' ? BY_HAND_TARGET : 1,
      }),
    )
}
