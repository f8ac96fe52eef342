import { type Layer, seriesStream, type SessionDate, type SqlTx, uuidFromName } from '@varve/core'
import type { NewEvent } from '@varve/events'
import { BACKFILL_QUEUE, type PipelineContext } from './context.ts'
import { type BackfillJob, backfillKey, type BackfillPriority, priorityNumber } from './jobs.ts'
import type { Tally } from './tally.ts'

export interface BackfillWish {
  readonly job: BackfillJob
  readonly priority: BackfillPriority
  readonly requestedBy:
    'system' | 'user' | 'scheduler' | 'scanner_qualification' | 'layer_promotion' | 'gap_detection'
  readonly metadata: Readonly<Record<string, unknown>>
}

/** Queues backfills and appends `BackfillRequested`, in the caller's transaction. Safe to repeat. */
export async function requestBackfills(
  ctx: Pick<PipelineContext, 'events' | 'jobs' | 'calendar' | 'universe'>,
  tx: SqlTx,
  wishes: readonly BackfillWish[],
  asOf: SessionDate,
  tally: Tally,
): Promise<void> {
  if (wishes.length === 0) return
  const occurredAt = ctx.calendar.session(asOf)?.closeAt ?? 0
  const events: NewEvent[] = wishes.map(({ job, priority, requestedBy, metadata }) => ({
    id: uuidFromName(`BackfillRequested|${job.causationId}|${backfillKey(job)}`),
    type: 'BackfillRequested',
    stream: seriesStream(job),
    data: {
      symbol: job.symbol,
      dataType: job.dataType,
      interval: job.interval,
      layer: job.layer as Layer | null,
      from: job.from,
      to: job.to,
      priority,
      requestedBy,
      metadata,
    },
    metadata: { causationId: job.causationId },
    occurredAt,
  }))
  const { appended } = await ctx.events.append(tx, events)
  await ctx.jobs.enqueue(
    tx,
    BACKFILL_QUEUE,
    wishes.map(({ job, priority }) => ({
      key: backfillKey(job),
      priority: priorityNumber(priority, ctx.universe, job.layer),
      data: job,
    })),
  )
  tally.event('BackfillRequested', appended)
}
