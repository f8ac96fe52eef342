import { isVarveError } from '@varve/core'
import type { ScannedLakeFile } from '../lake/checkFile.ts'
import { readFooter } from '../lake/checkFooter.ts'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { JsonValue } from './columns.ts'
import type { RecordColumn } from './datasets.ts'
import { compareVersions } from './order.ts'
import { createRecordFileReader } from './recordFileReader.ts'
import type { StoredRow } from './StoredRow.ts'

interface Found {
  rows: number
  timeMin: number
  timeMax: number
}

/**
 * Decodes every value of a record file and says what rows there are.
 *
 * @param size - bytes of the file
 * @param columns - those of its dataset, besides the ones every record has
 * @param footerBytes - fetched from its end to find the footer
 * @throws an ordinary error or `LAKE_UNREADABLE` when the file is no record file or a value does not decode; errors of
 * the lake pass untouched
 */
export async function scanRecordFile(
  lake: LakeFiles,
  path: string,
  size: number,
  columns: readonly RecordColumn[],
  footerBytes: number,
): Promise<ScannedLakeFile> {
  const footer = await readFooter(lake, path, size, footerBytes)
  // The number of rows comes from the file itself: whether it is the right one is for the caller to say.
  const rows = Number(footer.num_rows)
  const reader = createRecordFileReader({ lake, footerCacheFiles: 1, footerBytes })
  const series = new Map<string, Found>()
  let [seen, sorted] = [0, true]
  let last: StoredRow | undefined
  try {
    for (const group of await reader.open({ id: 0, path, bytes: size, rows })) {
      const decoded = await group.rows(columns)
      for (let index = 0; index < decoded.length; index++) {
        const row = decoded.at(index)
        for (const value of row.values) if (value instanceof JsonValue) JSON.parse(value.text)
        if (last !== undefined && compareVersions(last, row) >= 0) sorted = false
        last = row
        seen++
        count(series, row)
      }
    }
  } catch (error) {
    // The reader calls any failure unreadable; a lake out of reach is none of the file's.
    throw isVarveError(error, 'LAKE_UNREADABLE') && isVarveError(error.cause) ? error.cause : error
  }
  if (seen !== rows) throw new Error(`its footer says ${rows} rows, its row groups hold ${seen}`)
  const metadata = new Map(footer.key_value_metadata?.map(({ key, value }) => [key, value ?? '']))
  return { rows, series, metadata, sorted }
}

function count(series: Map<string, Found>, row: StoredRow): void {
  const entry = series.get(row.symbol)
  if (entry === undefined) {
    series.set(row.symbol, { rows: 1, timeMin: row.time, timeMax: row.time })
    return
  }
  entry.rows++
  entry.timeMin = Math.min(entry.timeMin, row.time)
  entry.timeMax = Math.max(entry.timeMax, row.time)
}
