import { DAY_MS, HOUR_MS, MINUTE_MS } from './time.ts'
import { VarveError } from './VarveError.ts'

/** Bar lengths, shortest first. `tick` is a single trade and has no length. */
export const INTERVALS = ['tick', '1m', '5m', '15m', '1h', '1d'] as const
export type Interval = (typeof INTERVALS)[number]

const ALIASES: Readonly<Record<string, Interval>> = {
  '1min': '1m',
  '1minute': '1m',
  minute: '1m',
  '5min': '5m',
  '5minute': '5m',
  '15min': '15m',
  '15minute': '15m',
  '60m': '1h',
  '60min': '1h',
  '1hour': '1h',
  hour: '1h',
  hourly: '1h',
  '1day': '1d',
  day: '1d',
  daily: '1d',
}

const LENGTH_MS: Record<Interval, number> = {
  tick: 0,
  '1m': MINUTE_MS,
  '5m': 5 * MINUTE_MS,
  '15m': 15 * MINUTE_MS,
  '1h': HOUR_MS,
  '1d': DAY_MS,
}

/** Length of the interval in milliseconds; 0 for `tick`. */
export function intervalMs(interval: Interval): number {
  return LENGTH_MS[interval]
}

/** True for intervals shorter than a session. */
export function isIntraday(interval: Interval): boolean {
  return interval !== '1d'
}

/**
 * The canonical interval for a name people write, such as `1min` or `daily`. For the edges of the system only.
 *
 * @throws `INTERVAL_UNKNOWN`
 */
export function parseInterval(text: string): Interval {
  const key = text.trim().toLowerCase()
  const found = INTERVALS.find((interval) => interval === key) ?? ALIASES[key]
  if (found === undefined) {
    throw new VarveError(`unknown interval "${text}"; use one of ${INTERVALS.join(', ')}`, {
      code: 'INTERVAL_UNKNOWN',
      details: { found: text, allowed: [...INTERVALS] },
    })
  }
  return found
}
