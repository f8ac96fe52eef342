import { type BarSource, type Interval, SCALE_DIGITS } from '@varve/core'
import type { KeyValue, SchemaElement } from 'hyparquet'

/** Version of the layout below, kept in each file's metadata under `varve.format`. */
export const LAKE_FORMAT = '2'
/** Digits of DECIMAL(18,6). */
const PRECISION = 18
/** Open, high, low, close and volume, in the order of `BarColumns.values`. */
export const VALUE_NAMES = ['open', 'high', 'low', 'close', 'volume'] as const
export const COLUMN_NAMES = ['symbol', 'time', ...VALUE_NAMES, 'recorded'] as const

/** The columns by their physical types. Values are written under this schema, so that no library rescales them. */
export function physicalSchema(): SchemaElement[] {
  return [
    { name: 'bars', num_children: COLUMN_NAMES.length },
    {
      name: 'symbol',
      type: 'BYTE_ARRAY',
      converted_type: 'UTF8',
      logical_type: { type: 'STRING' },
      repetition_type: 'REQUIRED',
    },
    { name: 'time', type: 'INT64', repetition_type: 'REQUIRED' },
    ...VALUE_NAMES.map((name): SchemaElement => ({ name, type: 'INT64', repetition_type: 'REQUIRED' })),
    { name: 'recorded', type: 'INT64', repetition_type: 'REQUIRED' },
  ]
}

/** Says what the integers mean: UTC milliseconds, and decimals scaled by 10^6. For the footer only. */
export function annotateSchema(schema: SchemaElement[]): void {
  for (const element of schema) {
    if (element.name === 'time' || element.name === 'recorded') {
      element.logical_type = { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'MILLIS' }
    } else if ((VALUE_NAMES as readonly string[]).includes(element.name)) {
      element.converted_type = 'DECIMAL'
      element.logical_type = { type: 'DECIMAL', precision: PRECISION, scale: SCALE_DIGITS }
      element.precision = PRECISION
      element.scale = SCALE_DIGITS
    }
  }
}

/**
 * Takes the meaning away again before reading: a reader that turns DECIMAL into a double loses digits (29 % of
 * prices come back inexact), so the plain integers are read.
 */
export function stripSchema(schema: SchemaElement[]): void {
  for (const element of schema) {
    if (element.type === 'INT64') {
      delete element.converted_type
      delete element.logical_type
    }
  }
}

export function fileMetadata(interval: Interval, source: BarSource): KeyValue[] {
  return [
    { key: 'varve.format', value: LAKE_FORMAT },
    { key: 'varve.interval', value: interval },
    { key: 'varve.provider', value: source.provider },
    { key: 'varve.feed', value: source.feed },
    { key: 'varve.adjustment', value: source.adjustment },
  ]
}
