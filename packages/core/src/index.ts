/**
 * Words used throughout Varve.
 *
 * - **Layer**: how much a symbol matters, 0 (listed) to 3 (active trading). A layer is a layer: no tiers.
 * - **Interval**: the length of a bar: `tick 1m 5m 15m 1h 1d`.
 * - **Session**: one trading day of an exchange, named by its date there (`2015-06-30`), never by an instant.
 * - **Bar**: open, high, low, close and volume of one symbol over one interval, as the provider gave them.
 * - **Series**: all bars of one symbol, data type and interval.
 * - **Scaled**: a decimal number times 10^6 in a 64-bit integer; exact to six decimals.
 * - **Suspect**: a row kept aside by validation, with the rule that stopped it.
 * - **Gap**: a session the calendar expects inside a series that is neither stored nor suspect.
 * - **Watermark**: the instant before which every row of an interval is in the lake.
 */
export type { Clock, SleepOptions } from './Clock.ts'
export { systemClock } from './Clock.ts'
export { INTERVALS, intervalMs, isIntraday, parseInterval } from './Interval.ts'
export type { Interval } from './Interval.ts'
export { DATA_TYPES, isDataType } from './DataType.ts'
export { parseInstantText } from './instantText.ts'
export type { DataType } from './DataType.ts'
export { LAYERS, isLayer } from './Layer.ts'
export type { Layer } from './Layer.ts'
export { SCALE, SCALE_DIGITS, MAX_SCALED, formatScaled, parseScaled, tryParseScaled } from './scaled.ts'
export type { ParsedScaled } from './scaled.ts'
export { BarBatchBuilder, barAt, concatBarBatches, emptyBarBatch, selectBars, sortBars } from './BarBatch.ts'
export type { Bar, BarBatch, BarRowInput, BarSource } from './BarBatch.ts'
export { addDays, dayNumber, dayOf, daysBetween, isSessionDate, parseSessionDate } from './sessionDate.ts'
export type { SessionDate } from './sessionDate.ts'
export type { DateRange } from './DateRange.ts'
export { VarveError, isVarveError, errorMessage } from './VarveError.ts'
export type { VarveErrorOptions } from './VarveError.ts'
export { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from './time.ts'
export { checkedOptions } from './checkedOptions.ts'
export { sqlName, sqlNumber } from './sqlText.ts'
export { secureRandom } from './random.ts'
export { REDACTED, Secret } from './Secret.ts'
export { jobKey, seriesStream } from './seriesKey.ts'
export type { SeriesKey } from './seriesKey.ts'
export type { Listing } from './Listing.ts'
export { canonicalJson, sha256Hex, uuidFromName } from './canonical.ts'
export { channelNames, publish } from './channels.ts'
export type { ChannelName } from './channels.ts'
export { applyMigrations } from './migrations.ts'
export type { Migration } from './migrations.ts'
export type {
  ColumnInfo,
  CopyInOptions,
  NotificationHandler,
  QueryResult,
  SqlClient,
  SqlEngine,
  SqlTx,
} from './ports/SqlClient.ts'
export type { KeyValue } from './ports/KeyValue.ts'
export type { Lock, LockHandle, LockOptions } from './ports/Lock.ts'
export type { StateStore } from './ports/StateStore.ts'
export type { Session, SessionCalendar } from './ports/SessionCalendar.ts'
export type { AcquireOptions, QuotaGate } from './ports/QuotaGate.ts'
