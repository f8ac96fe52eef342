import { type Secret } from '@varve/core'

/**
 * - `ok`: the provider accepted the key and it may do what is asked of it.
 * - `format_invalid`: no key looks like this; nothing was sent.
 * - `key_rejected`: the provider does not accept it.
 * - `permission_missing`: accepted, but it may not do what is needed.
 * - `wrong_environment`: a paper key for live trading, or a live key for paper trading.
 * - `unreachable`: the provider did not answer, so nothing is known of the key.
 * - `rate_limited`: the provider answered 429. Quotas belong to keys, so it most likely knows this one; start is
 *   allowed with a warning, since a process that restarts and asks again would only prolong the limit.
 */
export type CredentialOutcome =
  | 'ok'
  | 'format_invalid'
  | 'key_rejected'
  | 'permission_missing'
  | 'wrong_environment'
  | 'unreachable'
  | 'rate_limited'

/** What a check found. */
export interface CredentialFinding {
  readonly outcome: CredentialOutcome
  /** What was found, without the key. */
  readonly message: string
  /** What to do; empty for `ok`. */
  readonly remedy: string
  /** Things to know that stop nothing: crypto not enabled, an unusual form. */
  readonly warnings: readonly string[]
}

/** An answer, or why there is none. */
export type ProviderAnswer =
  | { readonly status: number; readonly body: Readonly<Record<string, unknown>> | undefined }
  | { readonly status: undefined; readonly why: string }

/** Sends one GET within the time-out, never following a redirect. */
export type AskProvider = (url: string, headers: Readonly<Record<string, string>>) => Promise<ProviderAnswer>

/** One set of keys and how to ask about it. */
export interface CredentialCheck {
  /** `alpaca`, `polygon`, `polygon news`: unique among the checks of one run. */
  readonly name: string
  /** Whether anything but an accepted key stops the start. */
  readonly critical: boolean
  /** Host and purpose: what an accepted key was accepted for. */
  readonly scope: string
  readonly secrets: readonly Secret[]
  /** What can be said without asking; `undefined` when the key may be right. */
  inspect(): CredentialFinding | undefined
  ask(ask: AskProvider): Promise<CredentialFinding>
}

/** One check's result. */
export interface CredentialResult extends CredentialFinding {
  readonly name: string
  readonly critical: boolean
  /** Whether it stops the start. */
  readonly blocks: boolean
  /** Whether an earlier answer was used. */
  readonly cached: boolean
}

/** What became of all checks. */
export interface CredentialReport {
  /** False when one of the results blocks the start. */
  readonly ok: boolean
  /** In the order of the checks. */
  readonly results: readonly CredentialResult[]
}
