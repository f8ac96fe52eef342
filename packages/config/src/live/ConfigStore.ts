import { type Clock } from '@varve/core'
import { z } from 'zod'
import { type ConfigChange } from './changes.ts'

/** The numbers of a configuration store, with their defaults. */
export const configStoreOptionsSchema = z.strictObject({
  pollMs: z
    .int()
    .min(100)
    .max(86_400_000)
    .default(30_000)
    .describe('How often the files are looked at for changes, milliseconds'),
  settleMs: z
    .int()
    .min(0)
    .max(60_000)
    .default(250)
    .describe('Changed files must stay the same this long before a poll takes them up, milliseconds'),
  loadAttempts: z
    .int()
    .min(1)
    .max(100)
    .default(3)
    .describe('Times the files are read when somebody writes them meanwhile'),
})

/** A configuration as the store takes it; what `loadConfig` returns is one. */
export interface LoadedValues {
  readonly values: object
}

export interface ConfigStoreOptions<Loaded extends LoadedValues> extends z.input<
  typeof configStoreOptionsSchema
> {
  /** Reads everything afresh; `overrides` (dotted key to text) go on top of every other layer. */
  readonly load: (overrides?: Readonly<Record<string, string>>) => Promise<Loaded>
  /** In force until the first reload. Without it `start()` loads. */
  readonly initial?: Loaded
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /**
   * Changes with the contents of the files, such as `directoryFingerprint`. Without it every poll loads, and a file
   * that is written while it is read is not noticed.
   */
  readonly fingerprint?: () => Promise<string>
  /** Why no change may be made now, such as "the trading engine is active"; asked before and after loading. */
  readonly mayReload?: () => string | undefined
  /** Why the next values do not fit those in force. */
  readonly validate?: (next: Loaded['values'], previous: Loaded['values']) => string | undefined
  /** Prefixes of settings that only a restart may change; a change of one refuses the whole reload. */
  readonly restartOnly?: readonly string[]
  /** Called once for each distinct fault, however often it is met again. */
  readonly onProblem?: (problem: ConfigProblemReport) => void
  /** Called once when a load succeeds after a fault, with the last one. */
  readonly onRecovered?: (problem: ConfigProblemReport) => void
}

/** Something an operator should hear of. The values in force are still the last good ones. */
export interface ConfigProblemReport {
  /** Of the error: `CONFIG_INVALID`, `CONFIG_RELOAD_REFUSED`, `CONFIG_WATCHER_FAILED` and so on. */
  readonly code: string
  readonly message: string
  /** What asked for the reload: `poll`, `SIGHUP`, or the reason given to `reload`. */
  readonly reason: string
  /** Milliseconds since 1970-01-01T00:00Z. */
  readonly at: number
  readonly error: unknown
}

/** What a reload did. */
export interface ReloadResult {
  /** Grows by one with every change of the values. */
  readonly generation: number
  /** Empty when the files say what was in force already. */
  readonly changes: readonly ConfigChange[]
}

export type ConfigWatcher<Values extends object> = (
  changes: readonly ConfigChange[],
  next: Values,
) => void | Promise<void>

/** Ends what it stands for; ending twice is fine. */
export interface Ending extends Disposable {
  end(): void
}

/** The part of `process` that signals come through. */
export interface SignalSource {
  on(signal: string, listener: () => void): unknown
  off(signal: string, listener: () => void): unknown
}

/** Configuration that may change while the process runs. Readers always see one whole, frozen generation. */
export interface ConfigStore<Loaded extends LoadedValues> extends AsyncDisposable {
  /**
   * The values in force: one frozen object, replaced as a whole. Take it once for work that must be consistent.
   *
   * @throws `CONFIG_NOT_LOADED` before the first load
   */
  readonly current: Loaded['values']
  /** What the last good load returned, without overrides. @throws `CONFIG_NOT_LOADED` */
  readonly loaded: Loaded
  /** 0 before the first load; grows by one with every change of the values. */
  readonly generation: number
  /** Overrides in force now. */
  readonly overrides: number
  /** Loads unless `initial` was given, then looks at the files every `pollMs`. */
  start(): Promise<void>
  /** Looks at the files once, as a poll does; faults go to `onProblem`. */
  check(): Promise<void>
  /**
   * Loads, checks and swaps. Calls made before a load has begun share it; those made during one share the next.
   *
   * @throws `CONFIG_RELOAD_REFUSED`, `CONFIG_INCOMPATIBLE`, `CONFIG_RESTART_REQUIRED`, `CONFIG_UNSETTLED`,
   *   `CONFIG_CLOSED`, and what `load` throws (`CONFIG_INVALID`); the values in force are kept
   */
  reload(reason?: string): Promise<ReloadResult>
  /** Calls the handler after each change of settings at or below one of the prefixes; `''` is every setting. */
  watch(prefixes: readonly string[], handler: ConfigWatcher<Loaded['values']>): Ending
  /**
   * Puts values (dotted key to text, as in a file) on top until the scope ends. Ending removes this layer only,
   * whatever the order. They are checked like a file.
   *
   * @throws like `reload`
   */
  override(values: Readonly<Record<string, string>>): Promise<Ending>
  /** The same for the length of some work; what was in force comes back also when the work throws. */
  override<Result>(
    values: Readonly<Record<string, string>>,
    work: (values: Loaded['values']) => Result | Promise<Result>,
  ): Promise<Result>
  /** Reloads on a signal until ended or closed. @param signal - default `SIGHUP` */
  reloadOn(source: SignalSource, signal?: string): Ending
  /** Ends polling and waits for a load in progress, which then changes nothing. Values stay readable. */
  close(): Promise<void>
}
