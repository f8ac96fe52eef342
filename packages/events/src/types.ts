import { DATA_TYPES, INTERVALS, VarveError, isSessionDate } from '@varve/core'
import { z } from 'zod'

/**
 * The facts of the system, past tense and immutable. Dates are session dates (`YYYY-MM-DD`). A change of meaning
 * gets a new version in {@link EVENT_VERSIONS}; stored events keep the version they were written with.
 */

const sessionDateSchema = z.string().refine(isSessionDate, { error: 'expected a date written YYYY-MM-DD' })
const layerSchema = z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)])
const symbolSchema = z.string().min(1).max(64)
const metadataSchema = z.record(z.string(), z.unknown()).default({})

const rangeShape = { from: sessionDateSchema, to: sessionDateSchema }
const seriesShape = {
  symbol: symbolSchema,
  dataType: z.enum(DATA_TYPES),
  /** `null` for data without one, such as news. */
  interval: z.enum(INTERVALS).nullable(),
}

export const PRIORITIES = ['normal', 'high', 'critical'] as const
export type Priority = (typeof PRIORITIES)[number]

/** Number for a job queue: higher is served first. */
export function priorityNumber(priority: Priority): number {
  return PRIORITIES.indexOf(priority)
}

export const REQUESTERS = [
  'system',
  'user',
  'scheduler',
  'scanner_qualification',
  'layer_promotion',
  'gap_detection',
] as const
export type Requester = (typeof REQUESTERS)[number]

export const eventSchemas = {
  /** A symbol entered a layer. */
  SymbolQualified: z.strictObject({
    symbol: symbolSchema,
    layer: layerSchema,
    qualifiedOn: sessionDateSchema,
    /** log10 of the 20-session average dollar volume, 4 decimals. */
    liquidityScore: z.number().nullable(),
    previousLayer: layerSchema.nullable(),
    metadata: metadataSchema,
  }),
  SymbolPromoted: z.strictObject({
    symbol: symbolSchema,
    fromLayer: layerSchema.nullable(),
    toLayer: layerSchema,
    promotedOn: sessionDateSchema,
    reason: z.string(),
    metadata: metadataSchema,
  }),
  SymbolDemoted: z.strictObject({
    symbol: symbolSchema,
    fromLayer: layerSchema,
    /** `null`: in no layer any more. */
    toLayer: layerSchema.nullable(),
    demotedOn: sessionDateSchema,
    reason: z.string(),
    metadata: metadataSchema,
  }),
  BackfillRequested: z.strictObject({
    ...seriesShape,
    layer: layerSchema.nullable(),
    ...rangeShape,
    priority: z.enum(PRIORITIES),
    requestedBy: z.enum(REQUESTERS),
    metadata: metadataSchema,
  }),
  BackfillCompleted: z.strictObject({
    ...seriesShape,
    ...rangeShape,
    /** Rows received for the series; ranges held already are not fetched again. */
    records: z.int().nonnegative(),
    outcome: z.enum(['complete', 'partial', 'empty_confirmed']),
    metadata: metadataSchema,
  }),
  DataGapDetected: z.strictObject({
    ...seriesShape,
    ...rangeShape,
    sessions: z.array(sessionDateSchema),
    layer: layerSchema.nullable(),
    metadata: metadataSchema,
  }),
  DataGapResolved: z.strictObject({
    ...seriesShape,
    ...rangeShape,
    sessions: z.array(sessionDateSchema),
    outcome: z.enum(['healed', 'empty_confirmed']),
    metadata: metadataSchema,
  }),
} as const

export type EventType = keyof typeof eventSchemas
export const EVENT_TYPES = Object.keys(eventSchemas) as readonly EventType[]

/** What an event of a type says. */
export type EventData<Type extends EventType = EventType> = z.output<(typeof eventSchemas)[Type]>
export type SymbolQualified = EventData<'SymbolQualified'>
export type SymbolPromoted = EventData<'SymbolPromoted'>
export type SymbolDemoted = EventData<'SymbolDemoted'>
export type BackfillRequested = EventData<'BackfillRequested'>
export type BackfillCompleted = EventData<'BackfillCompleted'>
export type DataGapDetected = EventData<'DataGapDetected'>
export type DataGapResolved = EventData<'DataGapResolved'>

/** Version of each type's schema, written into the envelope of every event. */
export const EVENT_VERSIONS: Readonly<Record<EventType, number>> = {
  SymbolQualified: 1,
  SymbolPromoted: 1,
  SymbolDemoted: 1,
  BackfillRequested: 1,
  BackfillCompleted: 1,
  DataGapDetected: 1,
  DataGapResolved: 1,
}

interface EventEnvelope<Type extends EventType> {
  /** A UUID that the writer derives from the fact (`uuidFromName`), so that saying it twice is saying it once. */
  readonly id: string
  readonly type: Type
  /** What it is about: `series:AAPL|bars|1d`, `symbol:AAPL`. */
  readonly stream: string
  readonly data: z.input<(typeof eventSchemas)[Type]>
  /** About the writing: run, trigger, software. */
  readonly metadata?: Readonly<Record<string, unknown>>
  /** When it happened, milliseconds since 1970-01-01T00:00Z. */
  readonly occurredAt: number
}

/** An event to append; `type` decides what `data` must be. */
export type NewEvent = { [Type in EventType]: EventEnvelope<Type> }[EventType]

interface StoredEnvelope<Type extends EventType> {
  readonly id: string
  readonly type: Type
  readonly stream: string
  readonly data: EventData<Type>
  readonly metadata: Readonly<Record<string, unknown>>
  readonly occurredAt: number
  /** Place in its stream, from 1, strictly increasing; a number may be missing. */
  readonly version: number
  /** Version of the type's schema it was written with. */
  readonly schemaVersion: number
  readonly position: bigint
  /** Postgres transaction that wrote it; events are ordered by it first. */
  readonly transactionId: string
  readonly recordedAt: number
}

/** An event as it was stored. */
export type StoredEvent = { [Type in EventType]: StoredEnvelope<Type> }[EventType]

const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/**
 * Checks an event and fills in what may be left out.
 *
 * @throws `EVENT_INVALID` with the path of what is wrong
 */
export function parseEvent<Event extends NewEvent>(event: Event): Event & { readonly data: EventData } {
  const schema = Object.hasOwn(eventSchemas, event.type) ? eventSchemas[event.type] : undefined
  if (schema === undefined)
    throw invalid(event, `type "${event.type}" is unknown; use one of ${EVENT_TYPES.join(', ')}`)
  if (!UUID.test(event.id))
    throw invalid(event, `id "${event.id}" is not a UUID; derive one with uuidFromName`)
  if (event.stream === '') throw invalid(event, 'stream is empty')
  if (!Number.isSafeInteger(event.occurredAt))
    throw invalid(event, `occurredAt ${event.occurredAt} is not whole milliseconds`)
  const parsed = schema.safeParse(event.data)
  if (!parsed.success) {
    const [issue] = parsed.error.issues
    throw invalid(event, `data.${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'invalid'}`)
  }
  return { ...event, data: parsed.data }
}

function invalid(event: { readonly id: string; readonly type: string }, what: string): VarveError {
  return new VarveError(`event of type ${event.type}: ${what}`, {
    code: 'EVENT_INVALID',
    details: { id: event.id, type: event.type, what },
  })
}
