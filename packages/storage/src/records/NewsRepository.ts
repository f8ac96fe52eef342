import { type BarSource, type Clock, checkedOptions, systemClock } from '@varve/core'
import { z } from 'zod'
import { sourceName } from '../sources.ts'
import { type DuplicateGroup, groupDuplicates } from './duplicates.ts'
import type { RecordRow, RecordStore } from './RecordStore.ts'

/** The part of `createNewsRepository`'s options that is data. */
export const newsRepositoryOptionsSchema = z.object({
  duplicateWindowMs: z
    .int()
    .min(0)
    .default(86_400_000)
    .describe('Articles with the same title are one story when each follows the one before it within this'),
  latestLookBackMs: z
    .int()
    .min(1)
    .default(604_800_000)
    .describe('How far back latest() looks first, milliseconds; doubled until it has enough'),
  latestLookBackMaxMs: z
    .int()
    .min(1)
    .default(63_072_000_000)
    .describe('How far back latest() looks at most, milliseconds'),
  trendWindowMs: z.int().min(1).default(86_400_000).describe('Length of time trending() counts stories in'),
  trendBaselineMs: z
    .int()
    .min(1)
    .default(1_209_600_000)
    .describe('Length of time before the window that it is compared with'),
  trendMinStories: z.int().min(1).default(3).describe('Fewer stories than this in the window are no trend'),
})
export type NewsRepositorySettings = z.input<typeof newsRepositoryOptionsSchema>

/** An article with where it came from. */
export interface Article extends RecordRow<'news'> {
  readonly source: BarSource
}

/** How much a symbol is written about, compared with what is usual for it. */
export interface TrendingSymbol {
  readonly symbol: string
  /** Stories in the window; one story told by several providers counts once. */
  readonly stories: number
  /** Stories expected in a window of that length, by the baseline. */
  readonly expected: number
  /** `stories / max(expected, 1)`: how many times more than usual, with one story as the least that is usual. */
  readonly ratio: number
}

/** When and of whom to ask. */
export interface NewsQuery {
  /** Shows what was known and published until then, milliseconds UTC. @defaultValue now */
  readonly asOf?: number | undefined
  readonly source?: BarSource | string | undefined
  readonly signal?: AbortSignal | undefined
}

/** News by story. */
export interface NewsRepository {
  /** The latest stories of a symbol, newest first; each with the articles that repeat it. */
  latest(symbol: string, limit: number, query?: NewsQuery): Promise<readonly DuplicateGroup<Article>[]>
  /** Stories of a range, oldest first. */
  stories(
    range: {
      readonly symbols?: readonly string[] | undefined
      readonly from: number
      readonly to: number
    } & NewsQuery,
  ): Promise<readonly DuplicateGroup<Article>[]>
  /** Symbols written about more than usual, most unusual first. */
  trending(query?: NewsQuery & { readonly limit?: number | undefined }): Promise<readonly TrendingSymbol[]>
}

/** Its data, with their defaults: {@link newsRepositoryOptionsSchema}. */
export interface NewsRepositoryOptions extends NewsRepositorySettings {
  readonly records: Pick<RecordStore, 'read'>
  /** @defaultValue `systemClock` */
  readonly clock?: Clock | undefined
}

/**
 * News of a record store, each story once.
 *
 * @throws `OPTION_INVALID`
 */
export function createNewsRepository(options: NewsRepositoryOptions): NewsRepository {
  const settings = checkedOptions(newsRepositoryOptionsSchema, options, 'the news repository')
  const { records, clock = systemClock } = options

  const articles = async (
    symbols: readonly string[] | undefined,
    from: number,
    to: number,
    query: NewsQuery,
  ): Promise<Article[]> => {
    const found: Article[] = []
    const { asOf, source, signal } = query
    for await (const page of records.read({
      dataset: 'news',
      symbols,
      from,
      to,
      knownAt: asOf,
      source,
      signal,
    })) {
      for (const row of page.rows) found.push({ ...row, source: page.source })
    }
    return found
  }
  const grouped = (list: readonly Article[]): DuplicateGroup<Article>[] =>
    groupDuplicates(list, {
      windowMs: settings.duplicateWindowMs,
      traits: (article) => ({
        id: article.values.article_id,
        origin: sourceName(article.source),
        title: article.values.title,
        time: article.time,
      }),
    })

  return {
    async latest(symbol, limit, query = {}) {
      const end = (query.asOf ?? clock.now()) + 1
      for (let back = settings.latestLookBackMs; ; back = Math.min(back * 2, settings.latestLookBackMaxMs)) {
        // A story that began before the look back would otherwise seem to begin in it.
        const from = end - back - settings.duplicateWindowMs
        const stories = grouped(await articles([symbol], from, end, query))
        const recent = stories.filter((story) => story.first.time >= end - back)
        if (recent.length >= limit || back >= settings.latestLookBackMaxMs)
          return recent.slice(-limit).reverse()
      }
    },
    async stories({ symbols, from, to, ...query }) {
      return grouped(await articles(symbols, from, to, query))
    },
    async trending(query = {}) {
      const end = (query.asOf ?? clock.now()) + 1
      const start = end - settings.trendWindowMs
      const list = await articles(undefined, start - settings.trendBaselineMs, end, query)
      const bySymbol = Map.groupBy(list, (article) => article.symbol)
      const trends: TrendingSymbol[] = []
      for (const [symbol, own] of bySymbol) {
        const stories = grouped(own)
        const recent = stories.filter((story) => story.first.time >= start).length
        const before = stories.length - recent
        const expected = (before * settings.trendWindowMs) / settings.trendBaselineMs
        if (recent >= settings.trendMinStories)
          trends.push({ symbol, stories: recent, expected, ratio: recent / Math.max(expected, 1) })
      }
      trends.sort((a, b) => b.ratio - a.ratio || b.stories - a.stories || (a.symbol < b.symbol ? -1 : 1))
      return trends.slice(0, query.limit)
    },
  }
}
