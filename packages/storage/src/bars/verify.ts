import { type LakeVerifyResult, verifyCatalog } from '../lake/checkCatalog.ts'
import { checkBarFile } from '../lake/checkBarFile.ts'
import type { StoreContext } from './options.ts'

export type { LakeOrphan, LakeVerifyResult } from '../lake/checkCatalog.ts'

const SYMBOLS = `
  SELECT s.symbol, e.rows, e.time_min, e.time_max FROM lake_file_series e JOIN series s ON s.id = e.series_id
  WHERE e.file_id = $1`

/** See `BarStore.verify`. */
export function verifyLake(
  context: StoreContext,
  signal: AbortSignal | undefined,
): Promise<LakeVerifyResult> {
  return verifyCatalog(
    context,
    {
      kind: 'bars',
      table: 'lake_files',
      name: 'interval',
      symbolsSql: SYMBOLS,
      check: (file) => checkBarFile(context.lake, file, context.verifyBlockBytes),
    },
    signal,
  )
}
