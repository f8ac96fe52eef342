import { type BarSource, VarveError, errorMessage, isVarveError, publish } from '@varve/core'
import { type Dataset, datasetDefinition } from './datasets.ts'
import type { RecordContext } from './options.ts'
import type { WrittenRecordFile } from './recordCatalog.ts'
import { createRecordFileWriter, recordFilePath } from './recordFile.ts'
import { RowSum, type StoredRow } from './StoredRow.ts'

/** Collects rows into one file and writes it to the lake. */
export interface RecordFileOutput {
  readonly rows: number
  add(row: StoredRow): void
  /** Writes the file; `undefined` when no row was added. */
  finish(): Promise<WrittenRecordFile | undefined>
}

/** A new file of a dataset and source. */
export function createRecordOutput(
  context: RecordContext,
  dataset: Dataset,
  source: BarSource,
): RecordFileOutput {
  const { rowGroupRows, zstdLevel, lake } = context
  const writer = createRecordFileWriter({ dataset, source, rowGroupRows, zstdLevel })
  return {
    get rows() {
      return writer.rows
    },
    add: (row) => writer.add(row),
    async finish() {
      const made = writer.finish()
      if (made === undefined) return undefined
      const { bytes, ...content } = made
      const path = recordFilePath(dataset, source, content.sha256)
      await lake.write(path, bytes).catch((error: unknown) => {
        const code = isVarveError(error) ? error.code : 'UNEXPECTED'
        publish('alert', () => ({
          key: `lake ${code}`,
          severity: 'critical',
          message: `records of ${dataset} stay in Postgres, because the lake cannot be written: ${errorMessage(error)}`,
        }))
        throw error
      })
      return { path, bytes: bytes.length, content }
    },
  }
}

/** The checksum of what a written file holds, read back and decoded. */
export async function sumOfFile(
  context: RecordContext,
  dataset: Dataset,
  file: WrittenRecordFile,
): Promise<string> {
  const sum = new RowSum()
  const { columns } = datasetDefinition(dataset)
  const { path, bytes, content } = file
  for (const group of await context.reader.open({ id: 0, path, bytes, rows: content.rows })) {
    const rows = await group.rows(columns)
    for (let index = 0; index < rows.length; index++) sum.add(rows.at(index))
  }
  return sum.toString()
}

/** What was written is not what was there. */
export function verifyFailed(found: string): VarveError {
  return new VarveError(`the copy to the lake differs: ${found}; nothing was deleted, run it again`, {
    code: 'LAKE_VERIFY_FAILED',
    retryable: true,
  })
}
