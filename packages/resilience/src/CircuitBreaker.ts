import { publish } from '@varve/core'
import type { BreakerOptions } from './schema.ts'

export type BreakerState = 'closed' | 'open' | 'half-open'

/** What became of a permitted call. `neutral` says nothing about the service's health. */
export type Outcome = 'success' | 'failure' | 'neutral'

/**
 * closed → open after `failures` within `windowMs` and `windowCalls`; open → half-open after `openMs`; half-open lets `probes` calls
 * through at a time and closes after `successes`, or opens again at the first failure. Time is looked at when a call
 * comes: there are no timers, and a breaker is a few hundred bytes.
 */
export class CircuitBreaker {
  readonly name: string
  readonly #options: BreakerOptions
  /** Instants of the last `failures` failures, a ring. */
  readonly #failedAt: Float64Array
  /** Number of the call each of them was. */
  readonly #failedCall: Float64Array
  #failedCount = 0
  /** Calls settled since the circuit closed. */
  #calls = 0
  #state: BreakerState = 'closed'
  #openUntil = 0
  #probing = 0
  #succeeded = 0
  /** Grows with every change of state, so that calls begun before it no longer count. */
  #generation = 0

  constructor(name: string, options: BreakerOptions) {
    this.name = name
    this.#options = options
    this.#failedAt = new Float64Array(options.failures)
    this.#failedCall = new Float64Array(options.failures)
  }

  stateAt(now: number): BreakerState {
    return this.#state === 'open' && now >= this.#openUntil ? 'half-open' : this.#state
  }

  /** Milliseconds until a call may be let through; 0 when one may now. */
  retryAfterMs(now: number): number {
    return this.#state === 'open' ? Math.max(0, this.#openUntil - now) : 0
  }

  /** A permit for one call, to be handed back to `settle`, or `undefined` when the circuit refuses. */
  enter(now: number): number | undefined {
    if (this.#state === 'open') {
      if (now < this.#openUntil) return undefined
      this.#move('half-open')
      this.#probing = 0
      this.#succeeded = 0
    }
    if (this.#state === 'half-open') {
      if (this.#probing >= this.#options.probes) return undefined
      this.#probing++
    }
    return this.#generation
  }

  /** The outcome of a permitted call. `opens` opens the circuit whatever the count. */
  settle(permit: number, outcome: Outcome, now: number, opens = false): void {
    if (outcome === 'failure' && opens && this.#state !== 'open') {
      this.#open(now)
      return
    }
    if (permit !== this.#generation) return
    if (this.#state === 'half-open') {
      this.#probing--
      if (outcome === 'failure') this.#open(now)
      else if (outcome === 'success' && ++this.#succeeded >= this.#options.successes) this.#close()
      return
    }
    if (outcome !== 'neutral') this.#calls++
    if (outcome === 'failure') this.#countFailure(now)
  }

  #countFailure(now: number): void {
    const { failures, windowMs, windowCalls } = this.#options
    const slot = this.#failedCount++ % failures
    this.#failedAt[slot] = now
    this.#failedCall[slot] = this.#calls
    const oldest = this.#failedCount % failures
    if (this.#failedCount < failures) return
    if (now - this.#failedAt[oldest]! < windowMs && this.#calls - this.#failedCall[oldest]! < windowCalls)
      this.#open(now)
  }

  #open(now: number): void {
    this.#openUntil = now + this.#options.openMs
    this.#move('open')
  }

  #close(): void {
    this.#failedCount = 0
    this.#calls = 0
    this.#move('closed')
  }

  #move(to: BreakerState): void {
    const from = this.#state
    this.#state = to
    this.#generation++
    publish('breaker', () => ({ name: this.name, from, to }))
  }
}
