import { DAY_MS, VarveError, parseInstantText } from '@varve/core'

/**
 * A date (its end, UTC) or an ISO instant, milliseconds UTC.
 *
 * @throws `DATE_INVALID`
 */
export function parseInstant(text: string): number {
  const time = parseInstantText(text)
  const isDate = !text.includes(':')
  if (!Number.isNaN(time)) return isDate ? time + DAY_MS - 1 : time
  throw new VarveError(`"${text}" is no instant; use 2015-06-30, or 2015-06-30T20:00:00Z with its zone`, {
    code: 'DATE_INVALID',
    details: { found: text },
  })
}
