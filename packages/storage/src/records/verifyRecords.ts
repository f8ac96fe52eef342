import { checkedOptions } from '@varve/core'
import { z } from 'zod'
import { type LakeVerifyResult, verifyCatalog } from '../lake/checkCatalog.ts'
import { checkLakeFile } from '../lake/checkFile.ts'
import { type Dataset, DATASETS, datasetDefinition } from './datasets.ts'
import type { RecordContext } from './options.ts'
import { scanRecordFile } from './verifyScan.ts'

const SYMBOLS = 'SELECT symbol, rows, time_min, time_max FROM record_file_symbols WHERE file_id = $1'

/** The part of `RecordStore.verify`'s options that is data. */
export const recordVerifyOptionsSchema = z.strictObject({
  blockBytes: z
    .int()
    .min(1)
    .default(4_194_304)
    .describe('Bytes of a lake file read at once while its hash is taken'),
})

/** Options of `RecordStore.verify`. */
export interface RecordVerifyOptions extends z.input<typeof recordVerifyOptionsSchema> {
  /** Ends the run between two files with its reason; nothing is changed by verifying. */
  readonly signal?: AbortSignal | undefined
}

/** See `RecordStore.verify`. */
export async function verifyRecords(
  context: RecordContext,
  options: RecordVerifyOptions = {},
): Promise<LakeVerifyResult> {
  const { signal, ...settings } = options
  const { blockBytes } = checkedOptions(recordVerifyOptionsSchema, settings, 'the verification of records')
  const { lake, footerBytes } = context
  return verifyCatalog(
    context,
    {
      kind: 'records',
      table: 'record_files',
      name: 'dataset',
      symbolsSql: SYMBOLS,
      check: (file, dataset) => {
        // Of a dataset this version does not know, what all records have is checked.
        const columns = isDataset(dataset) ? datasetDefinition(dataset).columns : []
        const kind = {
          what: 'record file',
          footerBytes,
          scan: (path: string, size: number) => scanRecordFile(lake, path, size, columns, footerBytes),
        }
        return checkLakeFile(lake, file, kind, blockBytes)
      },
    },
    signal,
  )
}

function isDataset(name: string): name is Dataset {
  return Object.hasOwn(DATASETS, name)
}
