import { uniform } from './noise.ts'

/** Ways an answer goes wrong. */
export type FaultKind =
  | 'status429'
  | 'status500'
  | 'timeout'
  | 'truncated'
  | 'reset'
  | 'duplicatePage'
  | 'missingPage'
  | 'empty200'
  | 'wrongAdjusted'
  | 'outOfOrder'
  | 'foreignNext'

/** Share of requests each fault befalls, drawn from the seed and the request's ordinal. */
export type FaultRates = Partial<Readonly<Record<FaultKind, number>>>

/** An answer given instead of the real one. */
export interface CannedAnswer {
  readonly status: number
  readonly body: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Applies a fault to the requests that match, so many times. */
export interface FaultRule {
  /** Part of the path. @defaultValue any */
  readonly path?: string
  /** Page of the range, counted from 1. @defaultValue any */
  readonly page?: number
  /** @defaultValue 1 */
  readonly times?: number
  readonly fault?: FaultKind
  readonly answer?: CannedAnswer
}

export interface Faults {
  readonly rates?: FaultRates
  readonly rules?: readonly FaultRule[]
}

/** What happens to one request. */
export interface Fate {
  readonly fault?: FaultKind | undefined
  readonly answer?: CannedAnswer | undefined
}

const KINDS: readonly FaultKind[] = [
  'status429',
  'status500',
  'timeout',
  'truncated',
  'reset',
  'duplicatePage',
  'missingPage',
  'empty200',
  'wrongAdjusted',
  'outOfOrder',
  'foreignNext',
]

/** Decides each request's fate: a matching rule first, then the seeded mix. */
export class FaultPlan {
  readonly #seed: number
  #rates: FaultRates
  #rules: { readonly rule: FaultRule; left: number }[] = []

  constructor(seed: number, rates: FaultRates) {
    this.#seed = seed
    this.#rates = rates
  }

  set({ rates, rules }: Faults): void {
    if (rates !== undefined) this.#rates = rates
    if (rules !== undefined) this.#rules = rules.map((rule) => ({ rule, left: rule.times ?? 1 }))
  }

  decide(ordinal: number, path: string, page: number): Fate {
    for (const entry of this.#rules) {
      const { rule } = entry
      if (entry.left <= 0) continue
      if (rule.path !== undefined && !path.includes(rule.path)) continue
      if (rule.page !== undefined && rule.page !== page) continue
      entry.left--
      return { fault: rule.fault, answer: rule.answer }
    }
    let luck = uniform(this.#seed, ordinal, 91)
    for (const kind of KINDS) {
      const rate = this.#rates[kind] ?? 0
      if (luck < rate) return { fault: kind }
      luck -= rate
    }
    return {}
  }
}
