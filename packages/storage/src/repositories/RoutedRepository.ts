import { type Clock, canonicalJson, checkedOptions, systemClock } from '@varve/core'
import { channel } from 'node:diagnostics_channel'
import { z } from 'zod'
import type { RouteLabel } from '../routing/index.ts'

/**
 * Channel on which every answer of a repository is told:
 * `{ repository, kind, asked, answered, complete, rule, cached, items, durationMs, failed }`.
 */
export const REPOSITORY_READ_CHANNEL = 'varve:repository.read'

/** Keeps answers by reference for a while; a map with times is enough. */
export interface RepositoryCache {
  get(key: string): Promise<unknown>
  set(key: string, value: unknown, options: { readonly ttlMs: number }): Promise<void>
}

/** The part of a repository's options that is data. */
export const repositoryOptionsSchema = z.strictObject({
  cacheTtlMs: z
    .int()
    .min(1)
    .default(60_000)
    .describe('How long an answer may be given again, milliseconds; only complete answers are kept'),
})
export type RepositorySettings = z.input<typeof repositoryOptionsSchema>

/** What every repository may be given. */
export interface RepositoryOptions extends RepositorySettings {
  /** @defaultValue no cache */
  readonly cache?: RepositoryCache | undefined
  /** @defaultValue `systemClock` */
  readonly clock?: Clock | undefined
}

/** A whole answer and its label. */
export interface Answer<Item> {
  readonly items: readonly Item[]
  readonly label: RouteLabel
  /** Given from the cache. */
  readonly cached: boolean
}

/** A read a repository can hand out: items, and a label that is final at the end. */
export interface LabelledRead<Item> extends AsyncIterable<Item> {
  readonly label: RouteLabel
}

/** What the repositories of one kind of data share: labels, a cache, and word of every answer. */
export interface RoutedRepository<Query, Item> {
  readonly name: string
  /** Reads piece by piece, past the cache. */
  stream(query: Query): AsyncIterable<Item>
  /** Reads all of it. A complete answer may come from the cache, unless the query is of kind `real_time`. */
  collect(query: Query): Promise<Answer<Item>>
}

/** The query of a repository; a signal is no part of what is asked. */
interface Askable {
  readonly signal?: AbortSignal | undefined
  readonly kind?: string | undefined
}

/**
 * The base of every repository.
 *
 * @param name - as in the router's policy
 * @param open - the routed read
 */
export function createRoutedRepository<Query extends Askable, Item>(
  name: string,
  open: (query: Query) => Promise<LabelledRead<Item>>,
  options: RepositoryOptions = {},
): RoutedRepository<Query, Item> {
  const { cache, clock = systemClock, ...data } = options
  const { cacheTtlMs } = checkedOptions(repositoryOptionsSchema, data, `repository ${name}`)
  const told = channel(REPOSITORY_READ_CHANNEL)

  async function* stream(query: Query, done?: (label: RouteLabel) => void): AsyncGenerator<Item> {
    const startedAt = clock.monotonicMs()
    let read: LabelledRead<Item> | undefined
    let items = 0
    let failed = true
    try {
      read = await open(query)
      for await (const item of read) {
        items++
        yield item
      }
      failed = false
      done?.(read.label)
    } finally {
      tell(query, read?.label, { cached: false, items, failed, durationMs: clock.monotonicMs() - startedAt })
    }
  }
  const tell = (query: Query, label: RouteLabel | undefined, rest: Record<string, unknown>) => {
    if (!told.hasSubscribers) return
    const { asked, answered, complete, rule } = label ?? {}
    told.publish({ repository: name, kind: query.kind, asked, answered, complete, rule, ...rest })
  }

  return {
    name,
    stream: (query) => stream(query),
    async collect(query) {
      const startedAt = clock.monotonicMs()
      const { signal: _signal, ...asked } = query
      const key = `${name}:${canonicalJson(asked)}`
      // What is asked in real time is asked because it changes.
      const kept = query.kind === 'real_time' ? undefined : cache
      const held = (await kept?.get(key)) as Answer<Item> | undefined
      if (held !== undefined) {
        tell(query, held.label, {
          cached: true,
          items: held.items.length,
          failed: false,
          durationMs: clock.monotonicMs() - startedAt,
        })
        return { ...held, cached: true }
      }
      const items: Item[] = []
      let label: RouteLabel | undefined
      for await (const item of stream(query, (final) => (label = final))) items.push(item)
      const answer: Answer<Item> = { items, label: label!, cached: false }
      if (answer.label.complete) await kept?.set(key, answer, { ttlMs: cacheTtlMs })
      return answer
    },
  }
}
