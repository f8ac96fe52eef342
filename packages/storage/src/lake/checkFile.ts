import { errorMessage, isVarveError } from '@varve/core'
import type { FileMetaData } from 'hyparquet'
import { createHash } from 'node:crypto'
import { footerDiffers, readFooter } from './checkFooter.ts'
import type { LakeFiles } from './LakeFiles.ts'

/**
 * What is wrong with a file of the lake.
 *
 * - `missing`: it is not there
 * - `truncated`, `size`: shorter or longer than it was written, and no Parquet file any more
 * - `damaged`: of the right size, with other bytes
 * - `replaced`: another Parquet file by its footer, with other rows
 * - `unreadable`: the bytes that were registered, which are no file of its kind
 * - `catalog`: whole, but the catalog says something else of it
 * - `duplicate`: another live file has the same content
 * - `unreferenced`: no series or symbol of the catalog refers to it
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

/** Rows of one symbol. */
export interface SymbolRows {
  readonly rows: number
  readonly timeMin: number
  readonly timeMax: number
}

/** What the catalog says of a file. */
export interface CatalogedLakeFile {
  readonly path: string
  readonly bytes: number
  readonly rows: number
  readonly sha256: string
  readonly symbolMin: string
  readonly symbolMax: string
  readonly timeMin: number
  readonly timeMax: number
  /** What the footer repeats, such as `varve.provider`. */
  readonly labels: ReadonlyMap<string, string>
  /** By symbol. */
  readonly series: ReadonlyMap<string, SymbolRows>
}

/** What a file holds, taken from its rows, not from its statistics. */
export interface ScannedLakeFile {
  readonly rows: number
  /** By symbol, in the order of the file. */
  readonly series: ReadonlyMap<string, SymbolRows>
  /** Key-value pairs of the footer. */
  readonly metadata: ReadonlyMap<string, string>
  /** Whether rows come in the order of their kind, each once. */
  readonly sorted: boolean
}

/** How files of one kind are read. */
export interface LakeFileKind {
  /** For messages: `bar file`, `record file`. */
  readonly what: string
  /** Bytes fetched from the end of a file to find its footer. */
  readonly footerBytes: number
  /**
   * Says what rows there are. Asked only of bytes that were registered: damaged pages are not decoded.
   *
   * @throws an ordinary error or `LAKE_UNREADABLE` when it is no such file or does not decode; errors of the lake
   * pass untouched
   */
  scan(path: string, size: number): Promise<ScannedLakeFile>
}

/**
 * Reads a file in full and compares it with what the catalog says.
 *
 * @returns what is wrong; nothing when all is well
 * @throws `LAKE_UNREACHABLE`, `LAKE_ACCESS_DENIED` and the like: a lake that does not answer is no damaged file
 */
export async function checkLakeFile(
  lake: LakeFiles,
  file: CatalogedLakeFile,
  kind: LakeFileKind,
  blockBytes: number,
): Promise<Omit<LakeProblem, 'path'> | undefined> {
  const { what } = kind
  const size = await lake.size(file.path)
  if (size === undefined) return { kind: 'missing', problem: 'the file is missing' }
  if (size !== file.bytes) {
    const problem = `${size} bytes where ${file.bytes} were written`
    if ((await footerOf(lake, kind, file.path, size)) !== undefined) {
      if ((await hashOf(lake, file.path, size, blockBytes)) === file.sha256)
        return { kind: 'catalog', problem: `${problem}, by the catalog; its SHA-256 is the right one` }
      return { kind: 'replaced', problem: `${problem}; it is another Parquet file` }
    }
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
    const found = await footerOf(lake, kind, file.path, size)
    return found !== undefined && footerDiffers(found, file)
      ? { kind: 'replaced', problem: 'its footer is that of another Parquet file than was written' }
      : { kind: 'damaged', problem: 'its content has changed since it was written' }
  }
  let scanned: ScannedLakeFile
  try {
    scanned = await kind.scan(file.path, size)
  } catch (error) {
    throwFaultOfLake(error)
    return { kind: 'unreadable', problem: `it is no ${what}: ${errorMessage(error)}` }
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

/** The footer of what may be a Parquet file. */
async function footerOf(
  lake: LakeFiles,
  kind: LakeFileKind,
  path: string,
  size: number,
): Promise<FileMetaData | undefined> {
  try {
    return await readFooter(lake, path, size, kind.footerBytes)
  } catch (error) {
    throwFaultOfLake(error)
    return undefined
  }
}

function throwFaultOfLake(error: unknown): void {
  if (isVarveError(error) && error.code !== 'LAKE_UNREADABLE') throw error
}

function differenceOf(file: CatalogedLakeFile, scanned: ScannedLakeFile): string | undefined {
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
