import { ByteWriter, type ColumnSource, ParquetWriter } from 'hyparquet-writer'

/** Values tried; enough for zstd to find what repeats. */
const SAMPLE_ROWS = 16_384

type Encoding = Extract<ColumnSource['encoding'], 'PLAIN' | 'DELTA_BINARY_PACKED'>

/**
 * The encoding that makes a column smaller once compressed, tried on its first rows. Equal values give equal answers.
 *
 * Measured: prices of daily stock bars, in cents, repeat so much that zstd does better on plain values (13.2 bytes a
 * bar against 15.4, and read four times as fast); prices with four decimals do better as deltas (14.5 against 17.6).
 */
export function smallerEncoding(
  values: BigInt64Array,
  compress: (bytes: Uint8Array) => Uint8Array,
): Encoding {
  const data = values.subarray(0, SAMPLE_ROWS)
  const sizeAs = (encoding: Encoding) => {
    const output = new ByteWriter(data.byteLength)
    const writer = new ParquetWriter({
      writer: output,
      schema: [
        { name: 'sample', num_children: 1 },
        { name: 'value', type: 'INT64', repetition_type: 'REQUIRED' },
      ],
      codec: 'ZSTD',
      compressors: { ZSTD: compress },
    })
    writer.write({ columnData: [{ name: 'value', data, encoding }], rowGroupSize: data.length })
    return output.offset
  }
  return sizeAs('PLAIN') <= sizeAs('DELTA_BINARY_PACKED') ? 'PLAIN' : 'DELTA_BINARY_PACKED'
}
