import type { BarBatch, BarSource, DataType, DateRange, Interval, Listing, SessionDate } from '@varve/core'

/** What a provider can be asked for; planners read it, nobody guesses. */
export interface ProviderCapabilities {
  /** One entry per interval served. */
  readonly bars: readonly {
    readonly interval: Interval
    /** Longest range of one request, calendar days. */
    readonly maxSpanDays: number
    /** How far back the plan reaches, calendar days; `null` when there is no limit. */
    readonly historyDays: number | null
  }[]
  /** What else it serves beside bars. */
  readonly dataTypes: readonly DataType[]
  /** `dailyMarket` exists: one call gives every symbol's daily bar of a session. */
  readonly wholeMarketDaily: boolean
  /** Symbols one request may name; `Infinity` for files. */
  readonly symbolsPerCall: number
}

/** Asks for the bars of some symbols over some sessions. */
export interface BarsRequest {
  readonly symbols: readonly string[]
  readonly interval: Interval
  /** Session dates, both included. */
  readonly range: DateRange
  /** Lower is served first. @defaultValue 0 */
  readonly priority?: number
  /** Ends the call; requests in flight are aborted and nothing is returned. */
  readonly signal?: AbortSignal
}

/** A row the source gave that could not be read exactly. It is never rounded, guessed or dropped in silence. */
export interface RejectedRow {
  readonly symbol: string | null
  /** Start of the bar, milliseconds UTC; `null` when the row's time itself cannot be read. */
  readonly time: number | null
  /** Stable name of what is wrong, such as `null_price` or `too_many_decimals`. */
  readonly rule: string
  readonly message: string
  /** Position in the source, counted from 1, or -1. */
  readonly sourceRow: number
  /** The file, or the endpoint without its key. */
  readonly origin: string
  /** The fields as the source wrote them. */
  readonly raw: Readonly<Record<string, string | null>>
}

/** Bars of one call, all of one source. */
export interface BarsResult {
  /** Rows inside the asked range. */
  readonly batch: BarBatch
  readonly rejected: readonly RejectedRow[]
  /**
   * The provider's end of data was seen for everything asked. A range that broke throws `PROVIDER_INCOMPLETE`
   * instead.
   */
  readonly complete: boolean
  /** Asked, answered completely, no rows. */
  readonly emptySymbols: readonly string[]
  readonly provenance: {
    readonly provider: string
    readonly feed: string
    readonly adjustment: BarSource['adjustment']
    /** Milliseconds UTC. */
    readonly fetchedAt: number
    /** One per answered request, where the provider names them. */
    readonly requestIds: readonly string[]
    /** Requests sent, retries included. */
    readonly requests: number
  }
}

/** A source of bars and listings. */
export interface MarketDataProvider extends AsyncDisposable {
  readonly name: string
  /** The source of its bars. */
  readonly source: BarSource
  readonly capabilities: ProviderCapabilities
  /** What was listed at the close of a session. */
  listings(query: { readonly asOf: SessionDate; readonly signal?: AbortSignal }): Promise<readonly Listing[]>
  /**
   * Bars of a range, completely or not at all.
   *
   * @throws `PROVIDER_…` codes, see the package README
   */
  bars(request: BarsRequest): Promise<BarsResult>
  /** Every symbol's daily bar of one session in one call, where {@link ProviderCapabilities.wholeMarketDaily}. */
  dailyMarket?(
    date: SessionDate,
    options?: { readonly signal?: AbortSignal; readonly priority?: number },
  ): Promise<BarsResult>
  /** Files: the last session present; `null` for an empty file. */
  lastSession?(): Promise<SessionDate | null>
  /** Releases what is held. Closing twice is fine. */
  close(): Promise<void>
}
