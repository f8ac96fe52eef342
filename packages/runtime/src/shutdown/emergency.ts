import { type Clock, VarveError, checkedOptions, errorMessage, sha256Hex, systemClock } from '@varve/core'
import { readFileSync } from 'node:fs'
import { withDeadline } from '../deadline.ts'
import { writeFileDurablyNow } from '../durableFile.ts'
import { assertJson } from '../json.ts'
import { type ShutdownSettings, shutdownOptionsSchema } from '../options.ts'

export interface EmergencyResult {
  readonly saved: readonly string[]
  readonly failed: readonly { readonly name: string; readonly message: string }[]
}

/** Writes a state that must not be lost. What it does before its first `await` happens in any case. */
export type EmergencySave = (options: {
  readonly reason: string
  readonly signal: AbortSignal
}) => void | Promise<void>

/** What to save when the process ends without being asked. */
export interface Emergency {
  /** Adds a save; returns a function that takes it out again. */
  onEmergency(name: string, save: EmergencySave): () => void
  /** Runs every save, once, side by side, inside `emergencyMs`; later calls get the same result. Never rejects. */
  save(reason: string): Promise<EmergencyResult>
}

export interface EmergencyOptions extends Pick<ShutdownSettings, 'emergencyMs'> {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

export function createEmergency(options: EmergencyOptions = {}): Emergency {
  const { clock = systemClock, ...data } = options
  const { emergencyMs } = checkedOptions(shutdownOptionsSchema, data, 'the emergency')
  const saves = new Set<{ readonly name: string; readonly save: EmergencySave }>()
  let saving: Promise<EmergencyResult> | undefined
  return {
    onEmergency(name, save) {
      const entry = { name, save }
      saves.add(entry)
      return () => void saves.delete(entry)
    },
    save(reason) {
      saving ??= (async () => {
        const saved: string[] = []
        const failed: { name: string; message: string }[] = []
        const runs = [...saves].map(async ({ name, save }) => {
          try {
            await withDeadline(
              {
                clock,
                timeoutMs: emergencyMs,
                expired: () => new Error(`not saved within ${emergencyMs} ms`),
              },
              (signal) => save({ reason, signal }),
            )
            saved.push(name)
          } catch (error) {
            failed.push({ name, message: errorMessage(error) })
          }
        })
        await Promise.all(runs)
        return { saved, failed }
      })()
      return saving
    },
  }
}

interface SavedFile {
  readonly checksum: string
  /** The state as JSON, so that the checksum covers exact text. */
  readonly text: string
}

/**
 * Writes critical state to a file before returning: as a whole, synced to the disk, with a checksum, mode 0600.
 *
 * @throws `STATE_NOT_JSON`
 */
export function saveCriticalState(path: string, state: unknown): void {
  assertJson(state)
  const text = JSON.stringify(state)
  writeFileDurablyNow(path, JSON.stringify({ checksum: sha256Hex(text), text } satisfies SavedFile))
}

/**
 * What {@link saveCriticalState} wrote; `undefined` when there is no such file.
 *
 * @throws `STATE_FILE_DAMAGED`
 */
export function loadCriticalState(path: string): unknown {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { checksum, text } = JSON.parse(content) as SavedFile
    if (sha256Hex(text) === checksum) return JSON.parse(text) as unknown
  } catch {
    // Told below.
  }
  throw new VarveError(
    `${path} is damaged: its checksum does not match; restore it from a backup or remove it`,
    {
      code: 'STATE_FILE_DAMAGED',
      details: { path },
    },
  )
}
