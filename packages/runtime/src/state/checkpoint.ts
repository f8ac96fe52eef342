import { VarveError, sha256Hex } from '@varve/core'
import { z } from 'zod'
import type { StateEntry, StateRecord } from './VersionedStateStore.ts'

const contentSchema = z.strictObject({
  /** Milliseconds since 1970. */
  createdAt: z.number(),
  namespaces: z.array(
    z.strictObject({
      name: z.string(),
      entries: z.array(z.strictObject({ key: z.string(), text: z.string(), ttlMs: z.number().optional() })),
    }),
  ),
})

const checkpointSchema = z.strictObject({ checksum: z.string(), content: z.string() })

/** Everything in some namespaces at one moment, as text with its checksum; can be stored anywhere. */
export type Checkpoint = z.output<typeof checkpointSchema>

/** @param createdAt - milliseconds since 1970 */
export function makeCheckpoint(
  snapshot: ReadonlyMap<string, readonly StateEntry[]>,
  createdAt: number,
): Checkpoint {
  const content = JSON.stringify({
    createdAt,
    namespaces: [...snapshot].map(([name, entries]) => ({
      name,
      entries: entries.map(({ key, text, remainingMs }) => ({ key, text, ttlMs: remainingMs })),
    })),
  } satisfies z.input<typeof contentSchema>)
  return { checksum: sha256Hex(content), content }
}

/**
 * What a restore has to write; entries whose time passed meanwhile are left out.
 *
 * @throws `STATE_CHECKPOINT_DAMAGED`
 */
export function readCheckpoint(name: string, found: unknown, now: number): Map<string, StateRecord[]> {
  const parsed = checkpointSchema.safeParse(found)
  const content =
    parsed.success && sha256Hex(parsed.data.content) === parsed.data.checksum
      ? parsed.data.content
      : undefined
  if (content === undefined) {
    throw new VarveError(
      `the check-point "${name}" is damaged: its SHA-256 does not match; nothing was restored, use another one`,
      { code: 'STATE_CHECKPOINT_DAMAGED', details: { checkpoint: name } },
    )
  }
  const { createdAt, namespaces } = contentSchema.parse(JSON.parse(content))
  const passedMs = Math.max(0, now - createdAt)
  return new Map(
    namespaces.map((namespace) => [
      namespace.name,
      namespace.entries
        .map(({ key, text, ttlMs }) =>
          ttlMs === undefined ? { key, text } : { key, text, ttlMs: ttlMs - passedMs },
        )
        .filter(({ ttlMs }) => ttlMs === undefined || ttlMs > 0),
    ]),
  )
}
