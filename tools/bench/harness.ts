/** One line of the result. */
export interface BenchCase {
  readonly case: string
  readonly unit: string
  readonly ours: number
  /** The alternative's figure; `null` where the target is a figure of its own. */
  readonly peer: number | null
  readonly peerName: string | null
  /** How many times better than the peer we are, above 1 is better; `null` without a peer. */
  readonly ratio: number | null
  /** Least ratio, or without a peer the bound in `unit`. */
  readonly target: number
  /** Whether the target is reached; in a quick run 85 % of it is enough, because it is noisy. */
  readonly met: boolean
}

export interface BenchOptions {
  readonly quick: boolean
}

/** What a bench hands back: its cases, and those that could not be run here, by name and why. */
export interface BenchResult {
  readonly cases: readonly BenchCase[]
  readonly skipped: readonly string[]
}

export type Bench = (options: BenchOptions) => Promise<BenchResult>

const QUICK_SHARE = 0.85

/** A case whose alternative was measured in the same rounds. */
export function against(
  options: BenchOptions,
  input: {
    readonly case: string
    readonly unit: string
    readonly ours: number
    readonly peer: number
    readonly peerName: string
    readonly better: 'higher' | 'lower'
    readonly target: number
  },
): BenchCase {
  const { better, ...rest } = input
  const ratio = better === 'higher' ? input.ours / input.peer : input.peer / input.ours
  return {
    ...rest,
    ours: rounded(input.ours),
    peer: rounded(input.peer),
    ratio: rounded(ratio),
    met: ratio >= input.target * (options.quick ? QUICK_SHARE : 1),
  }
}

/** A case with a bound of its own. */
export function bounded(
  options: BenchOptions,
  input: {
    readonly case: string
    readonly unit: string
    readonly ours: number
    readonly better: 'higher' | 'lower'
    readonly target: number
  },
): BenchCase {
  const { better, ...rest } = input
  const share = options.quick ? QUICK_SHARE : 1
  const met = better === 'higher' ? input.ours >= input.target * share : input.ours <= input.target / share
  return { ...rest, ours: rounded(input.ours), peer: null, peerName: null, ratio: null, met }
}

export interface Contender {
  readonly name: string
  /** Not timed. */
  prepare?(): Promise<void>
  run(): Promise<void>
}

/** Runs contenders round by round, every other round backwards, and returns each one's median milliseconds. */
export async function interleave(
  contenders: readonly Contender[],
  rounds: number,
): Promise<Map<string, number>> {
  const times = await interleavedTimes(contenders, rounds)
  return new Map([...times].map(([name, list]) => [name, median(list)]))
}

/** As {@link interleave}, with every time: milliseconds by contender, in order. */
export async function interleavedTimes(
  contenders: readonly Contender[],
  rounds: number,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const times = new Map<string, number[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const contender of round % 2 === 0 ? contenders : [...contenders].reverse()) {
      await contender.prepare?.()
      const began = performance.now()
      await contender.run()
      times.get(contender.name)!.push(performance.now() - began)
    }
  }
  return times
}

export function median(list: readonly number[]): number {
  const sorted = [...list].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The value that a share of the list does not exceed. */
export function quantile(list: readonly number[], share: number): number {
  const sorted = [...list].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))]!
}

/** Three significant digits, or the whole number where it is larger. */
function rounded(value: number): number {
  return Math.abs(value) >= 1000 ? Math.round(value) : Number(value.toPrecision(3))
}
