import { basename, join } from 'node:path'
import {
  canonicalJson,
  checkedOptions,
  errorMessage,
  isVarveError,
  sha256Hex,
  systemClock,
  type Clock,
} from '@varve/core'
import { z } from 'zod'
import { Disk, listNames, modeOf, readIfThere, type DiskObserver } from './disk.ts'
import { changedMeanwhile, changeFailed, versionDamaged, versionUnknown } from './errors.ts'
import { checkedConfigFile, VERSIONS_FOLDER } from './files.ts'
import { isAbandonedTrial, readFolder } from './trial.ts'
import { lockFolder } from './folderLock.ts'
import { changeFiles, recoverFolder, type FileChanges, type Recovery } from './journal.ts'

/** The numbers of a configuration history, with their defaults. */
export const configHistoryOptionsSchema = z.strictObject({
  importLimitBytes: z
    .int()
    .min(1)
    .default(64 * 1024 * 1024)
    .describe('Largest document `import` reads, bytes'),
})

export interface ConfigHistoryOptions extends z.input<typeof configHistoryOptionsSchema> {
  /** The configuration folder; versions lie in `.versions` inside it. */
  readonly directory: string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** Called before each operation that changes the disk; for crash tests. */
  readonly observer?: DiskObserver
}

const fileSchema = z.strictObject({ file: z.string(), sha256: z.string(), sizeBytes: z.int().min(0) })

const versionSchema = z.strictObject({
  version: z.int().min(1),
  at: z.iso.datetime(),
  reason: z.string(),
  files: z.array(fileSchema).readonly(),
})

/** One saved state of a configuration folder: its number, instant, reason, and the SHA-256 of each file. */
export type ConfigVersion = z.output<typeof versionSchema>

const documentSchema = z.strictObject({
  format: z.literal('varve-config'),
  formatVersion: z.literal(1),
  exportedAt: z.iso.datetime(),
  reason: z.string(),
  files: z.array(fileSchema.extend({ contentBase64: z.string() })),
  sha256: z.string(),
})

export interface ChangeOptions {
  readonly reason: string
  /** The files the change was made for; when they are others by now, nothing is changed. */
  readonly basedOn?: ReadonlyMap<string, Uint8Array>
}

/** Saved states of a configuration folder, and the way back to each of them. */
export interface ConfigHistory {
  /** Keeps the present files as a new version. @throws `CONFIG_LOCKED`, `CONFIG_CHANGE_FAILED` */
  save(options: { readonly reason: string }): Promise<ConfigVersion>
  /** All versions, the oldest first. @throws `CONFIG_VERSION_DAMAGED` */
  list(): Promise<readonly ConfigVersion[]>
  /**
   * Puts the files of a version back, after saving the present ones. Every checksum is verified first.
   *
   * @returns the version the present state was saved as
   * @throws `CONFIG_VERSION_UNKNOWN`, `CONFIG_VERSION_DAMAGED`, `CONFIG_LOCKED`, `CONFIG_CHANGE_FAILED`
   */
  restore(version: number): Promise<ConfigVersion>
  /** Writes every present file with its metadata into one document, readable by its owner only. */
  export(file: string, options?: { readonly reason?: string }): Promise<void>
  /** Replaces the present files by those of a document, after saving them. @throws like `restore` */
  import(file: string): Promise<ConfigVersion>
  /**
   * Replaces or removes (`undefined`) some files as one, after saving the present ones.
   *
   * @throws like `restore`, and `CONFIG_CHANGED_MEANWHILE`
   */
  change(files: FileChanges, options: ChangeOptions): Promise<ConfigVersion>
  /** Finishes or undoes what a crash interrupted. Call it before the folder is read at start. @throws `CONFIG_LOCKED` */
  recover(): Promise<Recovery>
}

/**
 * History of one configuration folder. Folders are made with mode 0700 and files 0600, since settings may hold keys.
 *
 * @throws `OPTION_INVALID`
 */
export function configHistory(options: ConfigHistoryOptions): ConfigHistory {
  const { directory, clock = systemClock, observer } = options
  const { importLimitBytes } = checkedOptions(
    configHistoryOptionsSchema,
    { importLimitBytes: options.importLimitBytes },
    'configHistory',
  )
  const versions = join(directory, VERSIONS_FOLDER)
  const disk = new Disk(observer)
  const folderOf = (version: number) => join(versions, String(version).padStart(6, '0'))

  const numbers = (): number[] =>
    (listNames(versions) ?? [])
      .filter((name) => /^\d{6,}$/.test(name))
      .map(Number)
      .sort((a, b) => a - b)

  const readMetadata = (version: number): ConfigVersion => {
    const text = readIfThere(join(folderOf(version), 'version.json'))
    if (text === undefined) throw versionDamaged(`version ${version}`, 'its version.json is missing')
    try {
      return versionSchema.parse(JSON.parse(text.toString('utf8')))
    } catch (error) {
      throw versionDamaged(`version ${version}`, errorMessage(error))
    }
  }

  const describe = (files: ReadonlyMap<string, Uint8Array>) =>
    [...files].map(([file, content]) => ({ file, sha256: sha256Hex(content), sizeBytes: content.byteLength }))

  /** A version is written aside and appears by one rename. */
  const saveNow = (reason: string): ConfigVersion => {
    const files = readFolder(directory)
    const version = (numbers().at(-1) ?? 0) + 1
    const metadata: ConfigVersion = {
      version,
      at: new Date(clock.now()).toISOString(),
      reason,
      files: describe(files),
    }
    const draft = join(versions, 'saving')
    disk.removeFolder(draft)
    disk.makeFolder(draft)
    for (const [index, content] of [...files.values()].entries())
      disk.writeNew(join(draft, `${index}.file`), content)
    disk.writeNew(join(draft, 'version.json'), `${JSON.stringify(metadata, null, 2)}\n`)
    disk.syncFolder(draft)
    disk.rename(draft, folderOf(version))
    return metadata
  }

  const contentsOf = (metadata: ConfigVersion): Map<string, Buffer> => {
    const { version } = metadata
    const contents = new Map<string, Buffer>()
    for (const [index, { file, sha256 }] of metadata.files.entries()) {
      const content = readIfThere(join(folderOf(version), `${index}.file`))
      if (content === undefined) throw versionDamaged(`version ${version}`, `${file} is missing from it`)
      if (sha256Hex(content) !== sha256)
        throw versionDamaged(`version ${version}`, `${file} does not match its checksum`)
      contents.set(checkedConfigFile(file), content)
    }
    return contents
  }

  /** The whole folder becomes `next`: files it does not have are removed. */
  const replaceAll = (next: ReadonlyMap<string, Uint8Array>): FileChanges => {
    const now = readFolder(directory)
    const changes = new Map<string, Uint8Array | undefined>()
    for (const [file, content] of next) if (!now.get(file)?.equals(content)) changes.set(file, content)
    for (const file of now.keys()) if (!next.has(file)) changes.set(file, undefined)
    return changes
  }

  const locked = <Result>(work: () => Result): Promise<Result> =>
    // Inside a promise, so that every fault is a rejection.
    Promise.resolve().then(() => {
      using _lock = lockFolder(directory)
      try {
        recoverFolder(directory, observer)
        return work()
      } catch (error) {
        throw isVarveError(error) ? error : changeFailed(directory, error)
      }
    })

  return {
    save: ({ reason }) => locked(() => saveNow(reason)),
    list: () => Promise.resolve().then(() => numbers().map(readMetadata)),
    restore: (version) =>
      locked(() => {
        const known = numbers()
        if (!known.includes(version)) throw versionUnknown(version, known)
        const next = contentsOf(readMetadata(version))
        const saved = saveNow(`before the return to version ${version}`)
        changeFiles(directory, replaceAll(next), observer)
        return saved
      }),
    export: (file, { reason = 'export' } = {}) =>
      locked(() => {
        const files = readFolder(directory)
        const body = {
          format: 'varve-config',
          formatVersion: 1,
          exportedAt: new Date(clock.now()).toISOString(),
          reason,
          files: describe(files).map((entry) => ({
            ...entry,
            contentBase64: files.get(entry.file)!.toString('base64'),
          })),
        }
        const text = JSON.stringify({ ...body, sha256: sha256Hex(canonicalJson(body)) }, null, 2)
        disk.writeNew(`${file}.part`, `${text}\n`)
        disk.rename(`${file}.part`, file)
      }),
    import: (file) =>
      locked(() => {
        const next = readDocument(file, importLimitBytes)
        const saved = saveNow(`before the import of ${basename(file)}`)
        changeFiles(directory, replaceAll(next), observer)
        return saved
      }),
    change: (files, { reason, basedOn }) =>
      locked(() => {
        if (basedOn !== undefined && !isSame(basedOn, readFolder(directory)))
          throw changedMeanwhile(directory)
        const saved = saveNow(`before: ${reason}`)
        changeFiles(directory, files, observer)
        return saved
      }),
    recover: () =>
      Promise.resolve().then(() => {
        if (modeOf(versions) === undefined) return 'nothing'
        using _lock = lockFolder(directory)
        for (const name of listNames(versions) ?? []) {
          if (name === 'saving' || isAbandonedTrial(name)) disk.removeFolder(join(versions, name))
        }
        return recoverFolder(directory, observer)
      }),
  }
}

function readDocument(file: string, limitBytes: number): Map<string, Buffer> {
  const name = basename(file)
  const text = readIfThere(file)
  if (text === undefined) throw versionDamaged(name, 'there is no such file')
  if (text.byteLength > limitBytes)
    throw versionDamaged(name, `it has ${text.byteLength} bytes, more than the ${limitBytes} allowed`)
  let parsed: z.output<typeof documentSchema>
  try {
    parsed = documentSchema.parse(JSON.parse(text.toString('utf8')))
  } catch (error) {
    throw versionDamaged(name, `it is no exported configuration: ${errorMessage(error)}`)
  }
  const { sha256, ...body } = parsed
  if (sha256Hex(canonicalJson(body)) !== sha256) throw versionDamaged(name, 'it does not match its checksum')
  const contents = new Map<string, Buffer>()
  for (const entry of parsed.files) {
    const content = Buffer.from(entry.contentBase64, 'base64')
    if (sha256Hex(content) !== entry.sha256)
      throw versionDamaged(name, `${entry.file} does not match its checksum`)
    contents.set(checkedConfigFile(entry.file), content)
  }
  return contents
}

function isSame(a: ReadonlyMap<string, Uint8Array>, b: ReadonlyMap<string, Uint8Array>): boolean {
  return (
    a.size === b.size &&
    [...a].every(([file, content]) => {
      const other = b.get(file)
      return other !== undefined && Buffer.compare(content, other) === 0
    })
  )
}
