import { type Clock, checkedOptions, systemClock } from '@varve/core'
import { constants } from 'node:os'
import { type ShutdownSettings, shutdownOptionsSchema } from '../options.ts'
import type { Emergency } from './emergency.ts'
import { type Shutdown, type ShutdownResult, formatNotStopped } from './Shutdown.ts'

type Listener = (...values: unknown[]) => void

/** The part of `process` that is used, so that tests need no real signals. */
export interface ProcessLike {
  on(event: string, listener: Listener): unknown
  off(event: string, listener: Listener): unknown
  exit(code: number): void
  readonly stderr: { write(text: string): unknown }
}

export interface HandleSignalsOptions extends Pick<ShutdownSettings, 'sameSignalMs' | 'exitAs'> {
  readonly shutdown: Shutdown
  /** Saved when the shutdown leaves something behind, is forced, or the process fails. */
  readonly emergency?: Emergency
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

const SIGNALS = ['SIGTERM', 'SIGINT'] as const

/**
 * Lets SIGTERM and SIGINT shut down in order, and a second one end at once; an error nobody caught saves critical
 * state and exits with 1. Exit codes: 0 after an orderly stop (a command: 128 plus the number of the signal), 1 when
 * something did not stop, 130 or 143 when a second SIGINT or SIGTERM forced the exit. What did not stop is printed.
 *
 * @returns a function that takes the handlers away again
 */
export function handleSignals(target: ProcessLike, options: HandleSignalsOptions): () => void {
  const { shutdown, emergency, clock = systemClock, ...data } = options
  const { sameSignalMs, exitAs } = checkedOptions(shutdownOptionsSchema, data, 'the signal handlers')
  let firstAt: number | undefined
  let exiting = false

  const print = (text: string): void => {
    if (text !== '') target.stderr.write(`${text}\n`)
  }
  const saveCritical = async (reason: string): Promise<void> => {
    const result = await emergency?.save(reason)
    for (const { name, message } of result?.failed ?? []) print(`could not save ${name}: ${message}`)
  }
  const stopInOrder = async (signal: (typeof SIGNALS)[number]): Promise<void> => {
    const result: ShutdownResult = await shutdown.run(signal)
    if (exiting) return
    exiting = true
    print(formatNotStopped(result))
    if (!result.ok) await saveCritical(`${signal}: not everything stopped`)
    target.exit(result.ok ? (exitAs === 'command' ? signalCode(signal) : 0) : 1)
  }
  const endNow = async (signal: (typeof SIGNALS)[number]): Promise<void> => {
    exiting = true
    print(`${signal} again: exit without waiting`)
    // Saved before anything else is done: the next signal may be one that cannot be handled.
    const saving = saveCritical(`forced by a second ${signal}`)
    shutdown.force()
    const [result] = await Promise.all([shutdown.run(signal), saving])
    print(formatNotStopped(result))
    target.exit(signalCode(signal))
  }
  const fail = async (what: string, error: unknown): Promise<void> => {
    if (exiting) return
    exiting = true
    const saving = saveCritical(what)
    print(`${what}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    await saving
    target.exit(1)
  }

  const listeners = new Map<string, Listener>([
    ['uncaughtException', (error) => void fail('uncaught exception', error)],
    ['unhandledRejection', (error) => void fail('unhandled rejection', error)],
  ])
  for (const signal of SIGNALS) {
    listeners.set(signal, () => {
      if (firstAt === undefined) {
        firstAt = clock.monotonicMs()
        void stopInOrder(signal)
      } else if (!exiting && clock.monotonicMs() - firstAt >= sameSignalMs) void endNow(signal)
    })
  }
  for (const [event, listener] of listeners) target.on(event, listener)
  return () => {
    for (const [event, listener] of listeners) target.off(event, listener)
  }
}

/** What a shell reports for a process ended by a signal. */
function signalCode(signal: (typeof SIGNALS)[number]): number {
  const SHELL_BASE = 128
  return SHELL_BASE + constants.signals[signal]
}
