import { addDays, type Interval, type Layer, type SessionDate, type SqlTx } from '@varve/core'
import { createSubscription, type StoredEvent, type Subscription } from '@varve/events'
import { lookbackSessions } from '@varve/layers'
import type { PipelineContext } from './context.ts'
import { coverageSource, coveredRanges } from './cover.ts'
import { type DataNeed, depthStart, needsOf } from './policy.ts'
import { subtractRanges, trimToSessions } from './ranges.ts'
import { type BackfillWish, requestBackfills } from './request.ts'
import type { Tally } from './tally.ts'

/** What an event of the universe says about a symbol. */
interface LayerEvent {
  readonly symbol: string
  readonly layer: Layer
  readonly session: SessionDate
  readonly promoted: boolean
}

/**
 * Turns what happened into what must be fetched: a qualified symbol gets everything its layer wants, a promoted
 * one the difference, a gap exactly its sessions. The jobs, the events that announce them and the position in the
 * event log are committed together.
 */
export function createBackfillListener(ctx: PipelineContext, tally: Tally): Subscription {
  return createSubscription({
    sql: ctx.sql,
    store: ctx.events,
    name: 'backfill-listener',
    types: ['SymbolQualified', 'SymbolPromoted', 'DataGapDetected'],
    batchSize: ctx.options.listenerBatchSize,
    handler: (tx, events) => handle(ctx, tx, events, tally),
  })
}

async function handle(
  ctx: PipelineContext,
  tx: SqlTx,
  events: readonly StoredEvent[],
  tally: Tally,
): Promise<void> {
  const bySession = new Map<SessionDate, BackfillWish[]>()
  const add = (session: SessionDate, wish: BackfillWish) => {
    const list = bySession.get(session)
    if (list === undefined) bySession.set(session, [wish])
    else list.push(wish)
  }
  const held = await heldByInterval(ctx, tx, events)
  for (const event of events) {
    if (event.type === 'DataGapDetected') {
      const wish = gapWish(event)
      if (wish !== undefined) add(detectedOn(event), wish)
      continue
    }
    const layerEvent = readLayerEvent(event)
    for (const need of needsOf(ctx.retention, layerEvent.layer)) {
      if (!isServed(ctx, need)) {
        tally.notices.add(unservable(need))
        continue
      }
      const wish = layerWish(ctx, event, layerEvent, need, held)
      if (wish !== undefined) add(layerEvent.session, wish)
    }
  }
  for (const [session, wishes] of bySession) await requestBackfills(ctx, tx, wishes, session, tally)
}

/** Ranges already held, for the symbols promoted in this batch: only the difference is requested for them. */
async function heldByInterval(
  ctx: PipelineContext,
  tx: SqlTx,
  events: readonly StoredEvent[],
): Promise<Map<Interval, Awaited<ReturnType<typeof coveredRanges>>>> {
  const held = new Map<Interval, Awaited<ReturnType<typeof coveredRanges>>>()
  const symbols = events
    .filter((event) => event.type === 'SymbolPromoted')
    .map((event) => readLayerEvent(event).symbol)
  if (symbols.length === 0 || ctx.provider === undefined) return held
  const source = coverageSource(ctx.provider.source)
  for (const { interval } of ctx.provider.capabilities.bars) {
    held.set(
      interval,
      await coveredRanges(
        { coverage: ctx.coverage, sql: { ...ctx.sql, query: tx.query.bind(tx) } },
        interval,
        source,
        symbols,
      ),
    )
  }
  return held
}

export function isServed(
  ctx: Pick<PipelineContext, 'provider'>,
  need: Pick<DataNeed, 'dataType' | 'interval'>,
): boolean {
  return (
    need.dataType === 'bars' &&
    (ctx.provider?.capabilities.bars.some((entry) => entry.interval === need.interval) ?? false)
  )
}

export function unservable(need: Pick<DataNeed, 'dataType' | 'interval'>): string {
  return need.interval === null ? need.dataType : `${need.dataType} ${need.interval}`
}

function layerWish(
  ctx: PipelineContext,
  event: StoredEvent,
  { symbol, layer, session, promoted }: LayerEvent,
  need: DataNeed,
  held: ReadonlyMap<Interval, Awaited<ReturnType<typeof coveredRanges>>>,
): BackfillWish | undefined {
  const interval = need.interval!
  const limit =
    ctx.provider?.capabilities.bars.find((entry) => entry.interval === interval)?.historyDays ?? null
  const wanted = depthStart(need, session, lookbackSessions(ctx.universe), ctx.calendar)
  const earliest = limit === null ? wanted : addDays(session, -limit)
  const range = { from: wanted > earliest ? wanted : earliest, to: session }
  if (promoted) {
    const left = subtractRanges(range, held.get(interval)?.get(symbol) ?? [])
    if (left.every((part) => trimToSessions(part, ctx.calendar) === undefined)) return undefined
  }
  return {
    job: {
      symbol,
      dataType: 'bars',
      interval,
      ...range,
      layer,
      reason: 'layer',
      sessions: [],
      causationId: event.id,
    },
    priority: promoted || layer >= 2 ? 'high' : 'normal',
    requestedBy: promoted ? 'layer_promotion' : 'scanner_qualification',
    metadata: { trigger: event.type },
  }
}

function readLayerEvent(event: StoredEvent): LayerEvent {
  const data = event.data as {
    symbol: string
    layer?: Layer
    toLayer?: Layer
    qualifiedOn?: SessionDate
    promotedOn?: SessionDate
  }
  const promoted = event.type === 'SymbolPromoted'
  return {
    symbol: data.symbol,
    layer: (promoted ? data.toLayer : data.layer) ?? 0,
    session: (promoted ? data.promotedOn : data.qualifiedOn) ?? '',
    promoted,
  }
}

interface GapData {
  readonly symbol: string
  readonly interval: Interval
  readonly from: SessionDate
  readonly to: SessionDate
  readonly sessions: readonly SessionDate[]
  readonly layer: Layer | null
  readonly metadata: { readonly detectedOn?: SessionDate; readonly heal?: boolean }
}

function detectedOn(event: StoredEvent): SessionDate {
  const data = event.data as unknown as GapData
  return data.metadata.detectedOn ?? data.to
}

function gapWish(event: StoredEvent): BackfillWish | undefined {
  const { symbol, interval, from, to, sessions, layer, metadata } = event.data as unknown as GapData
  // Gaps of imported series stand open: their file has already given all it has.
  if (metadata.heal === false) return undefined
  return {
    job: {
      symbol,
      dataType: 'bars',
      interval,
      from,
      to,
      layer,
      reason: 'gap',
      sessions: [...sessions],
      causationId: event.id,
    },
    priority: 'critical',
    requestedBy: 'gap_detection',
    metadata: { trigger: event.type, sessions: sessions.length },
  }
}
