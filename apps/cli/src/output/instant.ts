import { DAY_MS, VarveError } from '@varve/core'

/**
 * A date (its end, UTC) or an ISO instant, milliseconds UTC.
 *
 * @throws `DATE_INVALID`
 */
export function parseInstant(text: string): number {
  const time = /^\d{4}-\d{2}-\d{2}$/.test(text) ? Date.parse(text) + DAY_MS - 1 : Date.parse(text)
  if (!Number.isNaN(time)) return time
  throw new VarveError(`"${text}" is no instant; use 2015-06-30 or 2015-06-30T20:00:00Z`, {
    code: 'DATE_INVALID',
    details: { found: text },
  })
}
