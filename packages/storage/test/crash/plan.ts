import { DAY, seededRandom } from '../support.ts'

/**
 * The work a crash run kills again and again, as a pure function of the seed: days of bars of some symbols loaded in
 * order, a late writer that corrects old days beside it, archiving, expiry, compaction and sweeps. What must be
 * stored in the end follows from the plan alone, whatever was killed when.
 */
export const SYMBOLS = Array.from({ length: 10 }, (_, index) => `S${String(index).padStart(2, '0')}`)
/** 1970-11-11: the days cross a year. */
export const FIRST = 314
export const DEPTH = 40
export const STEPS = 60
export const LATE_STEPS = 40
/** Days below this are never corrected, so that expiry can take them. */
export const EXPIRED = 12
/** Sessions kept hot when all is done. */
const HOT = 6

export interface PlannedBar {
  readonly symbol: number
  readonly day: number
  readonly price: bigint
}

/** Bars of main step `step`; every later step brings one more day. */
export function mainBars(seed: number, step: number): PlannedBar[] {
  const days =
    step === 0 ? Array.from({ length: DEPTH }, (_, index) => FIRST + index) : [FIRST + DEPTH + step - 1]
  return SYMBOLS.flatMap((_, symbol) =>
    days.map((day) => ({ symbol, day, price: priceOf(seed, symbol, day, 0) })),
  )
}

/** Corrections of late step `step`, each of another price than any before. */
export function lateBars(seed: number, step: number): PlannedBar[] {
  const random = seededRandom(seed * 1000 + step)
  return Array.from({ length: 6 }, () => {
    const symbol = Math.floor(random() * SYMBOLS.length)
    const day = FIRST + EXPIRED + Math.floor(random() * (DEPTH - EXPIRED))
    return { symbol, day, price: priceOf(seed, symbol, day, step + 1) }
  })
}

/** When the values of a step were recorded, milliseconds UTC: main steps on whole seconds, late ones between. */
export const recordedAt = (kind: 'main' | 'late', step: number): number =>
  step * 1000 + (kind === 'late' ? 1500 : 1000)

function priceOf(seed: number, symbol: number, day: number, version: number): bigint {
  return BigInt(((seed % 97) + 1) * 10_000_000 + symbol * 1_000_000 + day * 1_000 + version)
}

/** First day still visible when all is done. */
export const COLD_FROM = FIRST + EXPIRED - 2
export const LAST = FIRST + DEPTH + STEPS - 2
export const HOT_FROM = LAST - HOT

/** What every read must show in the end, as known at an instant: price by `symbol|day`. */
export function expectedBars(seed: number, knownAt = Infinity): Map<string, bigint> {
  const versions: { readonly bar: PlannedBar; readonly recorded: number }[] = []
  for (let step = 0; step < STEPS; step++)
    for (const bar of mainBars(seed, step)) versions.push({ bar, recorded: recordedAt('main', step) })
  for (let step = 0; step < LATE_STEPS; step++)
    for (const bar of lateBars(seed, step)) versions.push({ bar, recorded: recordedAt('late', step) })
  const found = new Map<string, bigint>()
  for (const { bar, recorded } of versions.sort((a, b) => a.recorded - b.recorded)) {
    if (recorded <= knownAt && bar.day >= COLD_FROM) found.set(`${SYMBOLS[bar.symbol]}|${bar.day}`, bar.price)
  }
  return found
}

export const instant = (day: number): number => day * DAY
