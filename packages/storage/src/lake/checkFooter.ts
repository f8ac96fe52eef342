import { type FileMetaData, parquetMetadataAsync } from 'hyparquet'
import type { CatalogedLakeFile } from './checkFile.ts'
import type { LakeFiles } from './LakeFiles.ts'

/**
 * The footer of a file whose pages are not to be trusted: damaged ones can keep a decoder busy without end.
 *
 * @param size - bytes of the file
 * @param fetchBytes - fetched from its end to find the footer
 * @throws an ordinary error when it has none; errors of the lake pass untouched
 */
export function readFooter(
  lake: LakeFiles,
  path: string,
  size: number,
  fetchBytes: number,
): Promise<FileMetaData> {
  const file = {
    byteLength: size,
    slice: async (start: number, end = size) => (await lake.read(path, start, end)).buffer,
  }
  return parquetMetadataAsync(file, { initialFetchSize: Math.min(fetchBytes, size), geoparquet: false })
}

/** Whether a footer tells of other rows than the catalog, by their number, labels, and bounds of its first columns. */
export function footerDiffers(footer: FileMetaData, file: CatalogedLakeFile): boolean {
  if (Number(footer.num_rows) !== file.rows) return true
  const labels = new Map(footer.key_value_metadata?.map(({ key, value }) => [key, value]))
  for (const [label, value] of file.labels) if (labels.get(label) !== value) return true
  const statistics = (column: number) =>
    footer.row_groups.map((group) => group.columns[column]?.meta_data?.statistics)
  const [symbols, times] = [statistics(0), statistics(1)]
  const timeMin = times.reduce((least, bounds) => Math.min(least, Number(bounds?.min_value)), Infinity)
  const timeMax = times.reduce((most, bounds) => Math.max(most, Number(bounds?.max_value)), -Infinity)
  return (
    symbols[0]?.min_value !== file.symbolMin ||
    symbols.at(-1)?.max_value !== file.symbolMax ||
    timeMin !== file.timeMin ||
    timeMax !== file.timeMax
  )
}
