import { formatScaled } from '@varve/core'

/** A value already written as JSON. */
export type JsonText = string

/** From this many shares on the vendor writes volumes in exponent form. */
const EXPONENT_FROM = 10_000_000n * 1_000_000n

/** A scaled number as the vendor writes prices. */
export const priceText = (scaled: bigint): JsonText => formatScaled(scaled)

/** A scaled volume: `25933.6`, and `7.0790813e+07` for large ones. */
export function volumeText(scaled: bigint): JsonText {
  const plain = formatScaled(scaled)
  if (scaled < EXPONENT_FROM) return plain
  const [whole = '', fraction = ''] = plain.split('.')
  const digits = (whole + fraction).replace(/0+$/, '')
  const mantissa = digits.length > 1 ? `${digits[0]}.${digits.slice(1)}` : digits
  return `${mantissa}e+${String(whole.length - 1).padStart(2, '0')}`
}

/** An object from fields that are JSON already; `undefined` ones are left out, as the vendor does. */
export function objectText(
  fields: readonly (readonly [name: string, value: JsonText | undefined])[],
): JsonText {
  return `{${fields
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
    .join(',')}}`
}

export const text = (value: string): JsonText => JSON.stringify(value)
export const listText = (items: readonly JsonText[]): JsonText => `[${items.join(',')}]`
