import { seriesStream, type SessionDate, type SqlTx, uuidFromName } from '@varve/core'
import type { NewEvent } from '@varve/events'
import type { GapKey } from '@varve/storage'
import type { BackfillTask } from './backfill.ts'
import type { PipelineContext } from './context.ts'
import { sessionDateOf } from './fetchBars.ts'
import type { ValidatedBatch } from './validateBatch.ts'

/**
 * Settles the gaps that gap jobs went to fill: a session that came is healed, one that did not after the
 * configured number of looks is confirmed empty, any other stays open. A suspect row fills its session too.
 */
export async function healOutcome(
  ctx: PipelineContext,
  tx: SqlTx,
  done: readonly BackfillTask[],
  validated: ValidatedBatch,
  asOf: SessionDate,
): Promise<NewEvent[]> {
  const tasks = done.filter((task) => task.data.reason === 'gap')
  if (tasks.length === 0) return []
  const came = new Set<string>()
  const { accepted } = validated
  for (let row = 0; row < accepted.length; row++) {
    came.add(`${accepted.symbols[accepted.symbolIndex[row]!]!}|${sessionDateOf(accepted, row, ctx.calendar)}`)
  }
  for (const finding of validated.findings) came.add(`${finding.symbol}|${finding.session ?? ''}`)
  const known = await ctx.gaps.load(tx, {
    dataType: 'bars',
    interval: tasks[0]!.data.interval,
    symbols: [...new Set(tasks.map((task) => task.data.symbol))],
    states: ['open'],
  })
  const attempts = new Map(known.map((gap) => [`${gap.symbol}|${gap.session}`, gap.attempts]))
  const source = ctx.provider!.source
  const occurredAt = ctx.calendar.session(asOf)?.closeAt ?? ctx.clock.now()
  const events: NewEvent[] = []
  const settled: Record<'healed' | 'empty_confirmed' | 'open', GapKey[]> = {
    healed: [],
    empty_confirmed: [],
    open: [],
  }
  for (const { data } of tasks) {
    const outcomes: Record<'healed' | 'empty_confirmed' | 'open', SessionDate[]> = {
      healed: [],
      empty_confirmed: [],
      open: [],
    }
    for (const session of data.sessions) {
      const key = `${data.symbol}|${session}`
      const looks = attempts.get(key)
      if (looks === undefined) continue
      outcomes[
        came.has(key) ? 'healed' : looks + 1 >= ctx.options.gapAttempts ? 'empty_confirmed' : 'open'
      ].push(session)
    }
    for (const outcome of ['healed', 'empty_confirmed', 'open'] as const) {
      const sessions = outcomes[outcome]
      for (const session of sessions) {
        settled[outcome].push({
          symbol: data.symbol,
          dataType: 'bars',
          interval: data.interval,
          source,
          session,
        })
      }
      if (sessions.length === 0 || outcome === 'open') continue
      events.push({
        id: uuidFromName(`DataGapResolved|${data.causationId}|${data.symbol}|${outcome}|${sessions.join()}`),
        type: 'DataGapResolved',
        stream: seriesStream(data),
        data: {
          symbol: data.symbol,
          dataType: 'bars',
          interval: data.interval,
          from: sessions[0]!,
          to: sessions[sessions.length - 1]!,
          sessions,
          outcome,
          metadata: {},
        },
        metadata: { causationId: data.causationId },
        occurredAt,
      })
    }
  }
  for (const outcome of ['healed', 'empty_confirmed', 'open'] as const) {
    if (settled[outcome].length > 0)
      await ctx.gaps.resolve(tx, settled[outcome], { state: outcome, on: asOf })
  }
  return events
}
