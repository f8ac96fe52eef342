import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { readIfThere } from './disk.ts'
import { checkedConfigFile, configFiles, VERSIONS_FOLDER } from './files.ts'
import { isAlive } from './folderLock.ts'
import { type FileChanges } from './journal.ts'

/** True for the folder of a trial whose process is gone: a crash left it. */
export function isAbandonedTrial(name: string): boolean {
  const pid = /^trial-(\d+)-/.exec(name)?.[1]
  return pid !== undefined && !isAlive(Number(pid))
}

/** The configuration files of a folder and their contents at one moment. */
export function readFolder(directory: string): ReadonlyMap<string, Buffer> {
  const found = new Map<string, Buffer>()
  for (const file of configFiles(directory)) {
    const content = readIfThere(join(directory, file))
    if (content !== undefined) found.set(file, content)
  }
  return found
}

/**
 * Does some work on a copy of a configuration folder with changes in it. The copy lies in the folder's own `.versions`,
 * where nobody else can read it, and is gone afterwards.
 */
export async function withTrial<Result>(
  directory: string,
  changes: FileChanges,
  work: (copy: string) => Promise<Result>,
): Promise<Result> {
  const versions = join(directory, VERSIONS_FOLDER)
  mkdirSync(versions, { recursive: true, mode: 0o700 })
  const copy = mkdtempSync(join(versions, `trial-${process.pid}-`))
  try {
    for (const file of configFiles(directory)) {
      if (!changes.has(file)) cpSync(join(directory, file), place(copy, file), { dereference: true })
    }
    for (const [file, content] of changes) {
      if (content !== undefined) writeFileSync(place(copy, checkedConfigFile(file)), content, { mode: 0o600 })
    }
    return await work(copy)
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function place(copy: string, file: string): string {
  const path = join(copy, file)
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
  return path
}
