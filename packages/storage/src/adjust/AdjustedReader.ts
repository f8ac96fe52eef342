import {
  type BarSource,
  DAY_MS,
  checkedOptions,
  dayNumber,
  addDays,
  isIntraday,
  VarveError,
} from '@varve/core'
import type { BarQuery, BarReadBatch } from '../BarStore.ts'
import type { ActionQuery, CorporateAction, LoadActions, SessionCloses } from './CorporateAction.ts'
import { type AdjustedBars, adjustBars } from './adjustBars.ts'
import { type AdjustOptions, type AdjustSettings, adjustOptionsSchema } from './options.ts'
import { closesOf } from './sessionCloses.ts'
import { sessionStart } from './sessionStart.ts'

/** Whatever answers a {@link BarQuery} with raw bars: a store, or a router in front of one. */
export interface BarReader {
  read(query: BarQuery): AsyncIterable<BarReadBatch>
}

/** Adjusted bars of one batch. */
export interface AdjustedBatch extends AdjustedBars {
  /** As on the batch read: rows are missing. */
  readonly partial: BarReadBatch['partial']
}

/** Reads adjusted series. */
export interface AdjustedReader {
  /**
   * Reads raw bars and adjusts them as of `adjust.asOf`. Bars after that date are not shown. `query.knownAt` and
   * `adjust.knownAt` are one instant: give either.
   *
   * @throws `OPTION_INVALID` when they differ
   * @throws `ADJUST_NOT_RAW` when a series was stored adjusted
   */
  read(query: BarQuery, adjust: AdjustOptions): AsyncIterable<AdjustedBatch>
}

/** What {@link createAdjustedReader} needs. */
export interface AdjustedReaderOptions {
  readonly reader: BarReader
  readonly loadActions: LoadActions
}

/** Derives adjusted series on read. Opens nothing. */
export function createAdjustedReader({ reader, loadActions }: AdjustedReaderOptions): AdjustedReader {
  return {
    async *read(query, adjust) {
      const knownAt = adjust.knownAt ?? query.knownAt
      if (query.knownAt !== undefined && query.knownAt !== knownAt) {
        throw new VarveError(
          `bars as known at ${query.knownAt} and actions as known at ${knownAt} make no series anybody saw; give one instant`,
          { code: 'OPTION_INVALID', details: { query: query.knownAt, adjust: knownAt } },
        )
      }
      const checked = checkedOptions(adjustOptionsSchema, { ...adjust, knownAt }, 'the adjusted read')
      const to = Math.min(query.to, endOf(query, checked))
      for await (const batch of reader.read({
        ...query,
        to,
        ...(knownAt === undefined ? {} : { knownAt }),
      })) {
        const actions = await loadActions(actionQuery(batch, checked, query))
        const closes = await loadCloses(reader, query, batch, actions, checked)
        yield { ...adjustBars(batch, actions, { ...checked, closes }), partial: batch.partial }
      }
    },
  }
}

function actionQuery(batch: BarReadBatch, settings: AdjustSettings, query: BarQuery): ActionQuery {
  return { symbols: batch.symbols, asOf: settings.asOf, knownAt: settings.knownAt, signal: query.signal }
}

/** First instant after the observer's session. */
function endOf(query: BarQuery, settings: AdjustSettings): number {
  const next = addDays(settings.asOf, 1)
  return isIntraday(query.interval) ? sessionStart(next, settings.timeZone) : dayNumber(next) * DAY_MS
}

/**
 * Raw daily closes around the ex-dates of a batch's dividends, of the same source. They may lie outside the range
 * read, and an intraday series has none.
 */
async function loadCloses(
  reader: BarReader,
  query: BarQuery,
  batch: BarReadBatch,
  actions: readonly CorporateAction[],
  settings: AdjustSettings,
): Promise<SessionCloses> {
  const held = new Set(batch.symbols)
  const dividends = settings.dividends
    ? actions.filter(
        ({ kind, symbol, exDate }) => kind === 'dividend' && held.has(symbol) && exDate <= settings.asOf,
      )
    : []
  if (dividends.length === 0) return closesOf([])
  const symbols = [...new Set(dividends.map(({ symbol }) => symbol))]
  // Dividends that went ex before the first bar change nothing.
  const first = Math.floor(query.from / DAY_MS)
  const days = dividends.map(({ exDate }) => dayNumber(exDate)).filter((day) => day >= first)
  if (days.length === 0) return closesOf([])
  const earliest = days.reduce((least, day) => Math.min(least, day))
  const latest = days.reduce((most, day) => Math.max(most, day))
  const source: BarSource = batch.source
  const batches: BarReadBatch[] = []
  for await (const daily of reader.read({
    interval: '1d',
    symbols,
    source,
    from: (earliest - settings.closeMaxAgeDays) * DAY_MS,
    to: (latest + 1) * DAY_MS,
    ...(settings.knownAt === undefined ? {} : { knownAt: settings.knownAt }),
    // The lake alone may end days before an ex-date, and an older close would pass for the previous one.
    tiers: query.tiers === 'hot' ? 'hot' : 'both',
    ...(query.onLakeFailure === undefined ? {} : { onLakeFailure: query.onLakeFailure }),
    ...(query.signal === undefined ? {} : { signal: query.signal }),
  }))
    batches.push(daily)
  return closesOf(batches)
}
