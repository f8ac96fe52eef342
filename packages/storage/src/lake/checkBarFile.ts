import { type CatalogedLakeFile, type LakeProblem, checkLakeFile } from './checkFile.ts'
import type { LakeFiles } from './LakeFiles.ts'
import { scanBarFile } from './scanBarFile.ts'

export type { LakeProblem, LakeProblemKind } from './checkFile.ts'

/** What the catalog says of a bar file; its labels are those of the footer, `varve.interval` among them. */
export type CatalogedBarFile = CatalogedLakeFile

/** As much as `scanBarFile` fetches. */
const FOOTER_BYTES = 65_536

/**
 * Reads a bar file in full and compares it with what the catalog says. When its hash is right, only symbols and times
 * are decoded: the prices are then the bytes that were verified when it was written.
 *
 * @returns what is wrong; nothing when all is well
 * @throws `LAKE_UNREACHABLE`, `LAKE_ACCESS_DENIED` and the like: a lake that does not answer is no damaged file
 */
export function checkBarFile(
  lake: LakeFiles,
  file: CatalogedBarFile,
  blockBytes: number,
): Promise<Omit<LakeProblem, 'path'> | undefined> {
  const kind = {
    what: 'bar file',
    footerBytes: FOOTER_BYTES,
    scan: (path: string, size: number) => scanBarFile(lake, path, size),
  }
  return checkLakeFile(lake, file, kind, blockBytes)
}
