import { chmodSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errorMessage, isVarveError, sha256Hex } from '@varve/core'
import { z } from 'zod'
import { Disk, listNames, modeOf, readIfThere, type DiskObserver } from './disk.ts'
import { changeFailed, versionDamaged } from './errors.ts'
import { checkedConfigFile, configFiles, VERSIONS_FOLDER } from './files.ts'

/** Files of a configuration folder by name; `undefined` removes one. */
export type FileChanges = ReadonlyMap<string, Uint8Array | undefined>

const journalSchema = z.strictObject({
  format: z.literal(1),
  steps: z.array(
    z.strictObject({
      file: z.string(),
      /** Name inside the journal's folder; without it the file is removed. */
      staged: z.string().optional(),
      sha256: z.string().optional(),
      mode: z.int().optional(),
    }),
  ),
})
type Journal = z.output<typeof journalSchema>

const journalFolder = (directory: string) => join(directory, VERSIONS_FOLDER, 'journal')
const journalFile = (directory: string) => join(journalFolder(directory), 'journal.json')

const BY_HAND = 'put the files right by hand, from the newest version, then delete .versions/journal'

/** The journal's name once everything in it is done. */
const DONE = 'done.json'

/** What `recoverFolder` found to do. */
export type Recovery = 'nothing' | 'finished' | 'undone'

/**
 * Changes several files of a configuration folder as one. New contents are written beside the folder's files first;
 * a journal, put in place by one rename, then says what is to happen. A crash before that rename changes nothing, one
 * after it is finished by {@link recoverFolder}. The caller holds the folder's lock.
 *
 * Between that rename and the end a reader sees some files new and some old; the store's fingerprint, taken before
 * and after reading, is what keeps such a mixture out of a running process.
 *
 * @throws `CONFIG_CHANGE_FAILED`, `CONFIG_PATH_REFUSED`
 */
export function changeFiles(directory: string, changes: FileChanges, observer?: DiskObserver): void {
  if (changes.size === 0) return
  const disk = new Disk(observer)
  try {
    recoverFolder(directory, observer)
    const folder = journalFolder(directory)
    disk.makeFolder(folder)
    const steps: Journal['steps'] = []
    for (const [file, content] of changes) {
      checkedConfigFile(file)
      if (content === undefined) {
        steps.push({ file })
        continue
      }
      const staged = `${steps.length}.new`
      const mode = modeFor(directory, file)
      disk.writeNew(join(folder, staged), content)
      chmodSync(join(folder, staged), mode)
      steps.push({ file, staged, sha256: sha256Hex(content), mode })
    }
    const journal: Journal = { format: 1, steps }
    disk.writeNew(join(folder, 'draft.json'), JSON.stringify(journal))
    disk.syncFolder(folder)
    disk.syncFolder(dirname(folder))
    disk.rename(join(folder, 'draft.json'), journalFile(directory))
    finish(directory, journal, disk)
  } catch (cause) {
    throw isVarveError(cause) ? cause : changeFailed(directory, cause)
  }
}

/** Whether a change of the files was begun and not ended: reading them now may show a mixture of old and new. */
export function isChangeUnfinished(directory: string): boolean {
  return readIfThere(journalFile(directory)) !== undefined
}

/**
 * Finishes or undoes a change that a crash interrupted. To be called, under the lock, before the folder is read.
 *
 * @throws `CONFIG_VERSION_DAMAGED` when the journal is not what was written
 */
export function recoverFolder(directory: string, observer?: DiskObserver): Recovery {
  const disk = new Disk(observer)
  const text = readIfThere(journalFile(directory))
  if (text === undefined) {
    const left = listNames(journalFolder(directory))
    if (left === undefined) return 'nothing'
    disk.removeFolder(journalFolder(directory))
    return left.includes(DONE) ? 'finished' : left.length > 0 ? 'undone' : 'nothing'
  }
  let journal: Journal
  try {
    journal = journalSchema.parse(JSON.parse(text.toString('utf8')))
  } catch (error) {
    throw versionDamaged(journalFile(directory), errorMessage(error), BY_HAND)
  }
  finish(directory, journal, disk)
  return 'finished'
}

/** Does what is left of a journal's steps; each can be done again. */
function finish(directory: string, journal: Journal, disk: Disk): void {
  const folder = journalFolder(directory)
  for (const { file, staged, sha256 } of journal.steps) {
    const target = join(directory, checkedConfigFile(file))
    if (staged === undefined) {
      disk.remove(target)
      continue
    }
    const content = readIfThere(join(folder, staged))
    if (content === undefined) {
      // Moved before the crash: then the target must be what was staged.
      const there = readIfThere(target)
      if (there === undefined || sha256Hex(there) !== sha256)
        throw versionDamaged(
          journalFile(directory),
          `neither ${staged} nor ${file} is what was to be written`,
          BY_HAND,
        )
      continue
    }
    if (sha256Hex(content) !== sha256)
      throw versionDamaged(join(folder, staged), 'its content is not what was to be written', BY_HAND)
    disk.makeFolder(dirname(target), 0o755)
    disk.rename(join(folder, staged), target)
  }
  disk.rename(journalFile(directory), join(folder, DONE))
  disk.removeFolder(folder)
}

/** A file keeps its permissions; a new one gets those of its neighbours, or its owner's alone. */
function modeFor(directory: string, file: string): number {
  const own = modeOf(join(directory, file))
  if (own !== undefined) return own & 0o777
  const neighbour = configFiles(directory)[0]
  return ((neighbour === undefined ? undefined : modeOf(join(directory, neighbour))) ?? 0o600) & 0o777
}
