import { formatScaled } from '@varve/core'
import type { SchemaElement } from 'hyparquet'
import type { NumberCell } from '../numberCell.ts'
import { parseNumberText } from '../numberCell.ts'
import type { CellFault } from './parseCell.ts'
import {
  parseDays,
  parseDouble,
  parseEpoch,
  parseFloat32,
  parseInstant,
  parseInteger,
  parseTimeText,
  parseUnscaled,
} from './parseCell.ts'

const utf8 = new TextDecoder()

/** Text of a string cell; empty and null alike are `null`. */
export function textDecoder(): (value: unknown) => string | null {
  return (value) => {
    if (typeof value === 'string') return value.trim() || null
    return value instanceof Uint8Array ? utf8.decode(value).trim() || null : null
  }
}

const isNothing = (value: unknown): value is null | undefined => value === null || value === undefined

/** Two's complement, most significant byte first, as fixed-length decimals are stored. */
function bigEndian(bytes: Uint8Array): bigint {
  let value = 0n
  for (const byte of bytes) value = (value << 8n) | BigInt(byte)
  return bytes.length > 0 && bytes[0]! >= 0x80 ? value - (1n << BigInt(8 * bytes.length)) : value
}

const asBigint = (value: unknown): bigint | undefined => {
  if (typeof value === 'bigint') return value
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
  return value instanceof Uint8Array ? bigEndian(value) : undefined
}

const decimalScale = (element: SchemaElement): number | undefined =>
  element.logical_type?.type === 'DECIMAL'
    ? element.logical_type.scale
    : element.converted_type === 'DECIMAL'
      ? (element.scale ?? 0)
      : undefined

/** Reads cells of one numeric column exactly, whatever type the file gave it. */
export function numberDecoder(element: SchemaElement): (value: unknown) => NumberCell {
  const scale = decimalScale(element)
  if (scale !== undefined) {
    return (value) => {
      if (isNothing(value)) return 'null'
      const unscaled = asBigint(value)
      return unscaled === undefined ? 'not_a_number' : parseUnscaled(unscaled, scale)
    }
  }
  const float32 = element.type === 'FLOAT'
  const text = textDecoder()
  return (value) => {
    if (isNothing(value)) return 'null'
    if (typeof value === 'bigint') return parseInteger(value)
    if (typeof value === 'number') return float32 ? parseFloat32(value) : parseDouble(value)
    return parseNumberText(text(value))
  }
}

/** Ticks of a timestamp column per millisecond. */
function ticksPerMs(element: SchemaElement): bigint | undefined {
  if (element.logical_type?.type === 'TIMESTAMP') {
    return { MILLIS: 1n, MICROS: 1_000n, NANOS: 1_000_000n }[element.logical_type.unit]
  }
  if (element.converted_type === 'TIMESTAMP_MILLIS') return 1n
  return element.converted_type === 'TIMESTAMP_MICROS' ? 1_000n : undefined
}

/** Reads cells of the date or time column. */
export function timeDecoder(element: SchemaElement, daily: boolean): (value: unknown) => number | CellFault {
  const ticks = ticksPerMs(element)
  const isDate = element.converted_type === 'DATE' || element.logical_type?.type === 'DATE'
  const text = textDecoder()
  return (value) => {
    if (isNothing(value)) return 'null'
    if (value instanceof Date) return parseInstant(value.getTime(), daily)
    const whole = asBigint(typeof value === 'string' || value instanceof Uint8Array ? undefined : value)
    if (whole === undefined) return parseTimeText(text(value), daily)
    if (ticks !== undefined)
      return whole % ticks === 0n ? parseInstant(Number(whole / ticks), daily) : 'date_invalid'
    return isDate ? parseDays(Number(whole), daily) : parseEpoch(Number(whole), daily)
  }
}

/** A cell as text, for the record of a rejected row. */
export function rawText(element: SchemaElement, value: unknown): string | null {
  if (isNothing(value)) return null
  const scale = decimalScale(element)
  if (scale !== undefined) {
    const unscaled = asBigint(value)
    if (unscaled !== undefined) return decimalText(unscaled, scale)
  }
  const time = element.converted_type === 'DATE' ? parseDays(Number(value), true) : undefined
  if (typeof time === 'number') return new Date(time).toISOString().slice(0, 10)
  if (value instanceof Date) return value.toISOString()
  return value instanceof Uint8Array ? utf8.decode(value) : String(value)
}

function decimalText(unscaled: bigint, scale: number): string {
  if (scale === 6) return formatScaled(unscaled)
  const digits = (unscaled < 0n ? -unscaled : unscaled).toString().padStart(scale + 1, '0')
  const whole = digits.slice(0, digits.length - scale)
  const sign = unscaled < 0n ? '-' : ''
  return scale === 0 ? sign + whole : `${sign}${whole}.${digits.slice(-scale)}`
}
