import type { SessionDate } from '@varve/core'

/** A change of the number of shares; reverse splits and stock dividends too. */
export interface SplitAction {
  readonly kind: 'split'
  readonly symbol: string
  /** First session traded on the new basis. */
  readonly exDate: SessionDate
  /** Shares before, as decimal text: a 7-for-1 split is from `1` to `7`. */
  readonly from: string
  /** Shares after, as decimal text. */
  readonly to: string
  /** Since when it is known, milliseconds UTC. @defaultValue always known */
  readonly knownAt?: number | undefined
}

/** Cash paid to whoever held a share at the close before the ex-date. */
export interface DividendAction {
  readonly kind: 'dividend'
  readonly symbol: string
  readonly exDate: SessionDate
  /** Cash per share held on the ex-date (after a split of that day), as decimal text. */
  readonly cash: string
  /** @defaultValue the currency of the prices */
  readonly currency?: string | undefined
  readonly knownAt?: number | undefined
}

/** Part of the company given to its holders. */
export interface SpinOffAction {
  readonly kind: 'spin_off'
  readonly symbol: string
  readonly exDate: SessionDate
  /** Share of the previous close that stays with this symbol, as decimal text: `0.92` when 8 % left. */
  readonly kept?: string | undefined
  readonly knownAt?: number | undefined
}

/** Something that moves prices in a way no factor is known for. Reported where it would apply. */
export interface OtherAction {
  readonly kind: 'rights'
  readonly symbol: string
  readonly exDate: SessionDate
  readonly knownAt?: number | undefined
}

/** What happened to a share that its raw prices do not say. */
export type CorporateAction = SplitAction | DividendAction | SpinOffAction | OtherAction

/** What actions to load. */
export interface ActionQuery {
  readonly symbols: readonly string[]
  /** Last ex-date of interest. */
  readonly asOf: SessionDate
  /** Only what was known then, milliseconds UTC. @defaultValue what is known now */
  readonly knownAt?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Where actions come from. Each action once, in any order. */
export type LoadActions = (query: ActionQuery) => Promise<readonly CorporateAction[]>

/** The close of one session, scaled by 10^6, as traded. */
export interface SessionClose {
  readonly date: SessionDate
  readonly close: bigint
}

/** Raw daily closes, for the value of a distribution. */
export interface SessionCloses {
  /** The last close before a date. */
  before(symbol: string, date: SessionDate): SessionClose | undefined
  /** The close of that very date. */
  on(symbol: string, date: SessionDate): SessionClose | undefined
}

/** Why an action was not applied. */
export type AdjustWarningReason =
  | 'no_previous_close'
  | 'no_ex_close'
  | 'ratio_not_positive'
  | 'value_invalid'
  | 'foreign_currency'
  | 'not_supported'

/** An action that should apply and could not: the series has a step there that is no market move. */
export interface AdjustWarning {
  readonly symbol: string
  readonly exDate: SessionDate
  readonly kind: CorporateAction['kind']
  readonly reason: AdjustWarningReason
  readonly message: string
}
