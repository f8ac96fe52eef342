import { DAY_MS, dayNumber } from '@varve/core'
import { PG_EPOCH_MS } from '../hot/copyEncoder.ts'
import { type ColumnKind, type ColumnValue, FIGURE_DECIMALS, type JsonValue } from './columns.ts'
import type { RecordColumn } from './datasets.ts'
import type { StoredRow } from './StoredRow.ts'

/**
 * Rows of any dataset in Postgres' binary COPY format.
 *
 * @see PostgreSQL documentation, COPY, "Binary Format"; src/backend/utils/adt for each type's send function
 */
const SIGNATURE = Uint8Array.of(0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00)
const TRAILER = -1
const NULL_FIELD = -1
const SIGN_NEGATIVE = 0x4000
/** Decimal digits of one digit of a NUMERIC. */
const GROUP = 4
const TEXT_OID = 25
const EPOCH_DAY = PG_EPOCH_MS / DAY_MS
const DECIMAL_PLACES = 6

/** The COPY stream of some rows, chunk by chunk. Its fields are those of `DatasetSql.fields`. */
export function* encodeRecordCopy(
  rows: Iterable<StoredRow>,
  options: {
    readonly sourceId: number
    readonly columns: readonly RecordColumn[]
    readonly chunkBytes: number
  },
): Generator<Uint8Array> {
  const { sourceId, columns, chunkBytes } = options
  let out = new Output(chunkBytes)
  out.bytes(SIGNATURE)
  out.int32(0)
  out.int32(0)
  for (const row of rows) {
    out.int16(6 + columns.length)
    out.int32(2)
    out.int16(sourceId)
    out.text(row.symbol)
    out.instant(row.time)
    out.text(row.key)
    out.instant(row.recordedAt)
    out.boolean(row.deleted)
    for (let index = 0; index < columns.length; index++) {
      const value = row.values[index]!
      if (value === null) out.int32(NULL_FIELD)
      else writeValue(out, columns[index]!.kind, value)
    }
    if (out.length >= chunkBytes) {
      yield out.taken()
      // A fresh buffer: the driver may still hold the last one.
      out = new Output(chunkBytes)
    }
  }
  out.int16(TRAILER)
  yield out.taken()
}

function writeValue(out: Output, kind: ColumnKind, value: Exclude<ColumnValue, null>): void {
  switch (kind) {
    case 'text':
      return out.text(value as string)
    case 'json':
      return out.text((value as JsonValue).text)
    case 'decimal':
      return out.numeric(value as bigint, DECIMAL_PLACES)
    case 'figure':
      return out.numeric(scaledFigure(value as string), FIGURE_DECIMALS)
    case 'integer':
      out.int32(8)
      return out.int64(BigInt(value as number))
    case 'boolean':
      return out.boolean(value as boolean)
    case 'instant':
      return out.instant(value as number)
    case 'date':
      out.int32(4)
      return out.int32(dayNumber(value as string) - EPOCH_DAY)
    case 'texts':
      return out.texts(value as readonly string[])
  }
}

/** A figure times 10^18. */
export function scaledFigure(text: string): bigint {
  const [whole = '', fraction = ''] = text.split('.')
  return BigInt(whole + fraction.padEnd(FIGURE_DECIMALS, '0'))
}

/** A growing buffer of big-endian fields, each with its length in front. */
class Output {
  length = 0
  #data: Buffer

  constructor(bytes: number) {
    this.#data = Buffer.allocUnsafe(bytes + 4096)
  }

  taken(): Uint8Array {
    return this.#data.subarray(0, this.length)
  }

  bytes(value: Uint8Array): void {
    this.#reserve(value.length)
    this.#data.set(value, this.length)
    this.length += value.length
  }

  int16(value: number): void {
    this.#reserve(2)
    this.length = this.#data.writeInt16BE(value, this.length)
  }

  int32(value: number): void {
    this.#reserve(4)
    this.length = this.#data.writeInt32BE(value, this.length)
  }

  int64(value: bigint): void {
    this.#reserve(8)
    this.length = this.#data.writeBigInt64BE(value, this.length)
  }

  boolean(value: boolean): void {
    this.int32(1)
    this.#reserve(1)
    this.#data[this.length++] = value ? 1 : 0
  }

  instant(time: number): void {
    this.int32(8)
    this.int64(BigInt(time - PG_EPOCH_MS) * 1000n)
  }

  text(value: string): void {
    const size = Buffer.byteLength(value)
    this.int32(size)
    this.#reserve(size)
    this.length += this.#data.write(value, this.length)
  }

  texts(values: readonly string[]): void {
    const start = this.length
    this.int32(0)
    this.int32(values.length === 0 ? 0 : 1)
    this.int32(0)
    this.int32(TEXT_OID)
    if (values.length > 0) {
      this.int32(values.length)
      this.int32(1)
      for (const value of values) this.text(value)
    }
    this.#data.writeInt32BE(this.length - start - 4, start)
  }

  /** NUMERIC is a list of base-10000 digits: digit i stands for d × 10000^(weight − i). */
  numeric(scaled: bigint, places: number): void {
    const negative = scaled < 0n
    const text = (negative ? -scaled : scaled).toString().padStart(places + 1, '0')
    const whole = text.slice(0, -places)
    const head = whole.padStart(Math.ceil(whole.length / GROUP) * GROUP, '0')
    const tail = text.slice(-places).padEnd(Math.ceil(places / GROUP) * GROUP, '0')
    const digits: number[] = []
    for (const part of [head, tail]) {
      for (let at = 0; at < part.length; at += GROUP) digits.push(Number(part.slice(at, at + GROUP)))
    }
    let weight = head.length / GROUP - 1
    while (digits.length > 0 && digits[0] === 0) {
      digits.shift()
      weight--
    }
    while (digits.at(-1) === 0) digits.pop()
    if (digits.length === 0) weight = 0
    this.int32(8 + 2 * digits.length)
    this.int16(digits.length)
    this.int16(weight)
    this.int16(negative ? SIGN_NEGATIVE : 0)
    this.int16(places)
    for (const digit of digits) this.int16(digit)
  }

  #reserve(count: number): void {
    if (this.length + count <= this.#data.length) return
    const grown = Buffer.allocUnsafe(Math.max(this.length + count, this.#data.length * 2))
    this.#data.copy(grown, 0, 0, this.length)
    this.#data = grown
  }
}
