// Who works on the store while it storms: loaders, a late writer, a reader, a housekeeper and a careless loader.
import { DAY_MS, VarveError, errorMessage, isVarveError, systemClock } from '@varve/core'
import type { BarStore, LoadBatch, Loader, RecordStore } from '@varve/storage'
import { FIRST_WATERMARK, type Kind, RECORDS_FROM } from './faultsKinds.ts'

/** What callers of the store were told. */
export interface Notes {
  /** How often a caller saw each code, by who it was. */
  readonly codes: Map<string, number>
  /** What no caller should ever see. */
  readonly faults: string[]
  /** Of missing or damaged files: none ever was, however the bucket behaved. */
  readonly damage: string[]
  /** Errors that say trying again is no use, though all that was wrong passed. */
  readonly lasting: string[]
  /** What the database said of queries it refused, whatever it was. */
  readonly refused: string[]
  reads: number
  /** Work of the housekeeper that was done, by its name. */
  readonly chores: Map<string, number>
  /** Files a sweep under way removed. */
  swept: number
}

export interface Player {
  readonly notes: Notes
  readonly random: () => number
  readonly signal: AbortSignal
}

const BAR_ROWS = 60
const RECORD_ROWS = 20
const CORRECTED_ROWS = 30
const PAUSE_MS = 60
/** No read may last as long as a replaced file is kept. */
const READ_LIMIT_MS = 5000
const SWEEP_GRACE_MS = 8000
/** Every value ever handed in is another one. */
let lastValue = 1_000_000

function valuesFor(keys: readonly string[]): Map<string, string> {
  return new Map(keys.map((key) => [key, String(++lastValue)]))
}

function note({ notes }: Player, who: string, error: unknown): void {
  if (!isVarveError(error)) {
    notes.faults.push(`${who} saw an error without a code: ${String(error)}`)
    return
  }
  const name = `${who} ${error.code}`
  if (error.code === 'DATABASE_QUERY_FAILED') notes.refused.push(`${who}: ${error.message}`)
  if (error.code === 'LAKE_UNREADABLE') notes.damage.push(`${who}: ${error.message}`)
  else if (error.code !== 'LAKE_ACCESS_DENIED' && !error.retryable)
    notes.lasting.push(`${who}: ${error.code}: ${error.message} (${errorMessage(error.cause)})`)
  notes.codes.set(name, (notes.codes.get(name) ?? 0) + 1)
}

async function until(signal: AbortSignal, pauseMs: number, turn: () => Promise<void>): Promise<void> {
  while (!signal.aborted) {
    await turn()
    await systemClock.sleep(pauseMs)
  }
}

/** Hands a batch to a loader and remembers what became of it. */
async function handIn(player: Player, who: string, kind: Kind, loader: Loader, keys: readonly string[]) {
  const batch = kind.ledger.open(valuesFor(keys))
  try {
    const { errors, batches } = await loader.load(kind.batch(batch.values, batch.recordedAt))
    if (batches !== 1)
      player.notes.faults.push(`${who}: ${batches} transactions for one batch of ${kind.name}`)
    batch.standing = errors.length === 0 ? 'acknowledged' : 'kept'
    for (const error of errors) {
      if (error.kind === 'row') player.notes.faults.push(`${who}: a row was refused: ${error.message}`)
      else if (error.code === 'UNEXPECTED') note(player, who, new Error(error.message))
      else note(player, who, new VarveError(error.message, { code: error.code, retryable: true }))
    }
  } catch (error) {
    batch.standing = 'lost'
    note(player, who, error)
    player.notes.faults.push(`${who} could not even keep a batch of ${kind.name}: ${String(error)}`)
  }
}

/** Loads new rows of a kind. */
export async function playLoader(player: Player, name: string, kind: Kind, loader: Loader): Promise<void> {
  // Records are loaded without the bucket most of the time, so many more of their loads come through.
  const rows = kind.name === 'bars' ? BAR_ROWS : RECORD_ROWS
  let next = 0
  await until(player.signal, PAUSE_MS, async () => {
    const keys = Array.from({ length: rows }, (_, index) => kind.key(name, next + index))
    await handIn(player, 'loader', kind, loader, keys)
    next += rows
  })
}

/** Corrects rows that are there. */
export async function playLateWriter(player: Player, kinds: readonly Kind[], loader: Loader): Promise<void> {
  await until(player.signal, PAUSE_MS * 4, async () => {
    for (const kind of kinds) {
      const settled = kind.ledger.settledKeys()
      if (settled.length < CORRECTED_ROWS) continue
      const keys = new Set<string>()
      while (keys.size < CORRECTED_ROWS) keys.add(settled[Math.floor(player.random() * settled.length)]!)
      await handIn(player, 'late writer', kind, loader, [...keys])
    }
  })
}

/** Loads once and forgets what failed: the control. */
export async function playCareless(
  player: Player,
  kind: Kind,
  write: (batch: LoadBatch) => Promise<void>,
): Promise<void> {
  let next = 0
  await until(player.signal, PAUSE_MS, async () => {
    const keys = Array.from({ length: BAR_ROWS }, (_, index) => kind.key('CARELESS', next + index))
    next += BAR_ROWS
    const batch = kind.ledger.open(valuesFor(keys))
    try {
      await write(kind.batch(batch.values, batch.recordedAt))
      batch.standing = 'acknowledged'
    } catch (error) {
      note(player, 'careless', error)
    }
  })
}

/** Reads everything: what was acknowledged before must be there, once. */
export async function playReader(
  player: Player,
  kinds: readonly Kind[],
  ours: (key: string) => boolean,
): Promise<void> {
  await until(player.signal, PAUSE_MS * 3, async () => {
    for (const kind of kinds) {
      const known = kind.ledger.acknowledged()
      const signal = AbortSignal.timeout(READ_LIMIT_MS)
      try {
        const stored = new Map([...(await kind.read({ signal }))].filter(([key]) => ours(key)))
        player.notes.reads++
        player.notes.faults.push(...kind.ledger.faults(stored, known).map((fault) => `reader: ${fault}`))
      } catch (error) {
        // Its own patience ended, which is no fault of the store.
        if (error === signal.reason)
          error = new VarveError('the reader gave up', { code: 'GAVE_UP', retryable: true })
        note(player, 'reader', error)
      }
    }
  })
}

/** Moves, merges, sweeps and verifies, in any order. */
export async function playHousekeeper(player: Player, bars: BarStore, records: RecordStore): Promise<void> {
  let turn = 0
  const sweep = async (store: BarStore | RecordStore): Promise<void> => {
    const { replaced, orphans } = await store.sweep({ graceMs: SWEEP_GRACE_MS })
    player.notes.swept += replaced + orphans
  }
  const chores: readonly (readonly [name: string, chore: () => Promise<unknown>])[] = [
    ['retention', () => retainBars(bars, FIRST_WATERMARK + ++turn * 20 * DAY_MS)],
    ['compaction', () => bars.compact('1d')],
    ['sweep', () => sweep(bars)],
    [
      'verification',
      async () => {
        const { problems } = await bars.verify()
        for (const { path, problem } of problems)
          player.notes.faults.push(`verification under way: ${path}: ${problem}`)
      },
    ],
    ...(['trades', 'news'] as const).flatMap(
      (dataset) =>
        [
          [
            `archive of ${dataset}`,
            () => records.archive(dataset, { before: () => RECORDS_FROM + ++turn * DAY_MS }),
          ],
          [`compaction of ${dataset}`, () => records.compact(dataset)],
        ] as const,
    ),
    ['sweep of records', () => sweep(records)],
  ]
  const sweeps = chores.filter(([name]) => name.startsWith('sweep'))
  await until(player.signal, PAUSE_MS * 3, async () => {
    // Every other chore is a sweep, since a sweep has most to do where others have just been.
    const list = player.random() < 0.5 ? sweeps : chores
    const [name, chore] = list[Math.floor(player.random() * list.length)]!
    try {
      await chore()
      player.notes.chores.set(name, (player.notes.chores.get(name) ?? 0) + 1)
    } catch (error) {
      note(player, name, error)
    }
  })
}

async function retainBars(store: BarStore, watermark: number): Promise<void> {
  const policy = { interval: '1d', asOf: watermark, archiveTo: watermark } as const
  await store.retain({ ...policy, hotFrom: () => watermark, coldFrom: () => null })
}
