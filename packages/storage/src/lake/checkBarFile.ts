import { errorMessage, isVarveError } from '@varve/core'
import { createHash } from 'node:crypto'
import type { LakeFiles } from './LakeFiles.ts'
import { COLUMN_NAMES } from './parquetSchema.ts'
import { type ScannedBarFile, scanBarFile } from './scanBarFile.ts'

/**
 * What is wrong with a file of the lake.
 *
 * - `missing`: it is not there
 * - `truncated`, `size`: shorter or longer than it was written, and no Parquet file any more
 * - `damaged`: of the right size, with other bytes
 * - `replaced`: another Parquet file, with other rows
 * - `unreadable`: the bytes that were registered, which are no bar file
 * - `catalog`: whole, but the catalog says something else of it
 * - `duplicate`: another live file has the same content
 * - `unreferenced`: no series refers to it
 * - `manifest`: the manifest is damaged, or says something else than the catalog
 */
export type LakeProblemKind =
  | 'missing'
  | 'truncated'
  | 'size'
  | 'damaged'
  | 'replaced'
  | 'unreadable'
  | 'catalog'
  | 'duplicate'
  | 'unreferenced'
  | 'manifest'

export interface LakeProblem {
  readonly path: string
  readonly kind: LakeProblemKind
  /** What was found, for a person. */
  readonly problem: string
}

/** What the catalog says of a bar file. */
export interface CatalogedBarFile {
  readonly path: string
  readonly bytes: number
  readonly rows: number
  readonly sha256: string
  readonly symbolMin: string
  readonly symbolMax: string
  readonly timeMin: number
  readonly timeMax: number
  /** What the footer repeats: `varve.interval`, `varve.provider`, `varve.feed`, `varve.adjustment`. */
  readonly labels: ReadonlyMap<string, string>
  /** By symbol. */
  readonly series: ReadonlyMap<
    string,
    { readonly rows: number; readonly timeMin: number; readonly timeMax: number }
  >
}

/**
 * Reads a file in full and compares it with what the catalog says.
 *
 * @returns what is wrong; nothing when all is well
 * @throws `LAKE_UNREACHABLE`, `LAKE_ACCESS_DENIED` and the like: a lake that does not answer is no damaged file
 */
export async function checkBarFile(
  lake: LakeFiles,
  file: CatalogedBarFile,
  blockBytes: number,
): Promise<Omit<LakeProblem, 'path'> | undefined> {
  const size = await lake.size(file.path)
  if (size === undefined) return { kind: 'missing', problem: 'the file is missing' }
  if (size !== file.bytes) {
    const problem = `${size} bytes where ${file.bytes} were written`
    if ((await decoded(lake, file.path, size)) !== undefined)
      return { kind: 'replaced', problem: `${problem}; it is another Parquet file` }
    return { kind: size < file.bytes ? 'truncated' : 'size', problem }
  }
  let sha256: string
  try {
    sha256 = await hashOf(lake, file.path, size, blockBytes)
  } catch (error) {
    throwFaultOfLake(error)
    return { kind: 'unreadable', problem: errorMessage(error) }
  }
  if (sha256 !== file.sha256) {
    // Files are named after their content: the name settles who is wrong.
    if (file.path.includes(sha256))
      return {
        kind: 'catalog',
        problem: `the catalog says SHA-256 ${file.sha256}, the file has the one of its name`,
      }
    const found = await decoded(lake, file.path, size)
    return found !== undefined && differenceOf(file, found) !== undefined
      ? { kind: 'replaced', problem: 'it is another Parquet file than was written' }
      : { kind: 'damaged', problem: 'its content has changed since it was written' }
  }
  let scanned: ScannedBarFile
  try {
    scanned = await scanBarFile(lake, file.path, size)
  } catch (error) {
    throwFaultOfLake(error)
    return { kind: 'unreadable', problem: `it is no bar file: ${errorMessage(error)}` }
  }
  const difference = differenceOf(file, scanned)
  return difference === undefined ? undefined : { kind: 'catalog', problem: difference }
}

async function hashOf(lake: LakeFiles, path: string, size: number, blockBytes: number): Promise<string> {
  const hash = createHash('sha256')
  for (let start = 0; start < size; start += blockBytes)
    hash.update(await lake.read(path, start, Math.min(size, start + blockBytes)))
  return hash.digest('hex')
}

/** What a file holds whose every page decodes. */
async function decoded(lake: LakeFiles, path: string, size: number): Promise<ScannedBarFile | undefined> {
  try {
    return await scanBarFile(lake, path, size, COLUMN_NAMES)
  } catch (error) {
    throwFaultOfLake(error)
    return undefined
  }
}

function throwFaultOfLake(error: unknown): void {
  if (isVarveError(error) && error.code !== 'LAKE_UNREADABLE') throw error
}

function differenceOf(file: CatalogedBarFile, scanned: ScannedBarFile): string | undefined {
  if (scanned.rows !== file.rows) return `${scanned.rows} rows where the catalog says ${file.rows}`
  if (!scanned.sorted) return 'its rows are not in order, or one comes twice'
  for (const [label, value] of file.labels) {
    const found = scanned.metadata.get(label)
    if (found !== value) return `${label} is "${found ?? 'missing'}" where the catalog says "${value}"`
  }
  for (const [symbol, found] of scanned.series) {
    const known = file.series.get(symbol)
    if (known === undefined)
      return `it holds ${found.rows} rows of ${symbol}, of which the catalog knows nothing`
    if (known.rows !== found.rows)
      return `${found.rows} rows of ${symbol} where the catalog says ${known.rows}`
    if (known.timeMin !== found.timeMin || known.timeMax !== found.timeMax)
      return `${symbol} reaches from ${day(found.timeMin)} to ${day(found.timeMax)} where the catalog says ${day(known.timeMin)} to ${day(known.timeMax)}`
  }
  for (const symbol of file.series.keys())
    if (!scanned.series.has(symbol)) return `it holds nothing of ${symbol}, which the catalog expects`
  const symbols = [...scanned.series.keys()]
  if (symbols[0] !== file.symbolMin || symbols.at(-1) !== file.symbolMax)
    return `symbols from ${symbols[0]} to ${symbols.at(-1)} where the catalog says ${file.symbolMin} to ${file.symbolMax}`
  const ranges = [...scanned.series.values()]
  const timeMin = ranges.reduce((least, { timeMin }) => Math.min(least, timeMin), Infinity)
  const timeMax = ranges.reduce((most, { timeMax }) => Math.max(most, timeMax), -Infinity)
  if (timeMin !== file.timeMin || timeMax !== file.timeMax)
    return `times from ${day(timeMin)} to ${day(timeMax)} where the catalog says ${day(file.timeMin)} to ${day(file.timeMax)}`
  return undefined
}

function day(time: number): string {
  return new Date(time).toISOString()
}
