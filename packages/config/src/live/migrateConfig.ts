import { errorMessage, REDACTED, Secret } from '@varve/core'
import { isMap, isScalar, parseDocument, visit } from 'yaml'
import { isBranch } from './changes.ts'
import { type ConfigHistory } from './configHistory.ts'
import { migrationFailed } from './errors.ts'
import { type FileChanges } from './journal.ts'
import { lineDiff } from './lineDiff.ts'
import { MigrationState, type Unplaced } from './migrationState.ts'
import { wordsOf, type MigrationStep } from './migrationSteps.ts'
import { readFolder, withTrial } from './trial.ts'

export interface MigrateConfigOptions {
  readonly directory: string
  readonly steps: readonly MigrationStep[]
  /** Loads a folder, which is a copy while the result is tried. What it throws stops the migration. */
  readonly load: (directory: string) => Promise<{ readonly values: object }>
  readonly history: ConfigHistory
  /** Writes nothing and tells what would be done. @defaultValue `false` */
  readonly dryRun?: boolean
}

/** What a migration did, or would do. */
export interface MigrationReport {
  /** False when the files were of the present form already. */
  readonly changed: boolean
  /** Whether the files were written. */
  readonly written: boolean
  /** What was done, in words, in order. */
  readonly actions: readonly string[]
  /** What the steps do not know where to put. */
  readonly unplaced: readonly Unplaced[]
  /** Why the result does not load; `undefined` when it does. */
  readonly problem: string | undefined
  /** Difference of the files, line by line, secrets left out. */
  readonly diff: string
  /** The version that holds the state before; `undefined` when nothing was written. */
  readonly savedAs: number | undefined
}

/**
 * Converts the files of an older configuration. Nothing is dropped: what has no place is reported, and then nothing is
 * written. Nothing is written either unless the whole result loads; the present files are saved as a version first.
 * Doing it again changes nothing.
 *
 * @throws `CONFIG_MIGRATION_FAILED` with everything that stands in the way (a dry run reports it instead),
 *   `CONFIG_LOCKED`, `CONFIG_CHANGED_MEANWHILE`
 */
export async function migrateConfig(options: MigrateConfigOptions): Promise<MigrationReport> {
  const { directory, steps, load, history, dryRun = false } = options
  if (!dryRun) await history.recover()
  const before = readFolder(directory)
  const state = new MigrationState(before)
  for (const step of steps) state.apply(step)
  const changes = state.changes()
  const tried = await withTrial(directory, changes, load).then(
    ({ values }) => ({ values, problem: undefined, unplaced: [] }),
    (error: unknown) => ({ values: {}, problem: errorMessage(error), unplaced: unknownIn(error) }),
  )
  const unplaced = [...state.unplaced, ...tried.unplaced]
  const report = {
    changed: changes.size > 0,
    actions: state.actions,
    unplaced,
    problem: tried.problem,
    diff: diffOf(before, changes, secretsIn(tried.values)),
  }
  if (dryRun) return { ...report, written: false, savedAs: undefined }
  const obstacles = [
    ...state.unplaced.map(({ file, line, key, why }) => `${file}:${line} ${key}: ${why}`),
    ...(tried.problem === undefined ? [] : [tried.problem]),
  ]
  if (obstacles.length > 0) throw migrationFailed(obstacles.join('\n'), { unplaced })
  if (changes.size === 0) return { ...report, written: false, savedAs: undefined }
  const saved = await history.change(changes, { reason: 'migration', basedOn: before })
  return { ...report, written: true, savedAs: saved.version }
}

/** Settings and files the loader does not know: what the steps should have placed. */
function unknownIn(error: unknown): readonly Unplaced[] {
  const problems: unknown = (error as { problems?: unknown }).problems
  if (!Array.isArray(problems)) return []
  return (problems as readonly Record<string, unknown>[])
    .filter(({ code }) => code === 'CONFIG_UNKNOWN_KEY' || code === 'CONFIG_UNKNOWN_FILE')
    .map(({ file, line, key, message }) => ({
      file: String(file),
      line: Number(line),
      key: String(key ?? ''),
      why: String(message),
    }))
}

function diffOf(
  before: ReadonlyMap<string, Uint8Array>,
  changes: FileChanges,
  secrets: ReadonlySet<string>,
): string {
  return [...changes]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, after]) => {
      const shown = (content: Uint8Array | undefined) =>
        content === undefined ? '' : withoutSecrets(Buffer.from(content).toString('utf8'), secrets)
      const what = after === undefined ? 'removed' : before.has(file) ? 'changed' : 'new'
      return `${file} (${what})\n${lineDiff(shown(before.get(file)), shown(after))}\n`
    })
    .join('\n')
}

/** Words that name a secret. Old files are not described by a schema: their secrets are known by name. */
const SECRET_WORDS = new Set([
  'key',
  'secret',
  'token',
  'password',
  'passphrase',
  'credential',
  'credentials',
])

/** The text with `[secret]` for values that must not be seen; a reference such as `${NAME}` may be. */
function withoutSecrets(text: string, secrets: ReadonlySet<string>): string {
  const spans: [start: number, end: number][] = []
  const document = parseDocument(text)
  visit(document, {
    Pair(_position, pair) {
      const name = isScalar(pair.key) ? String(pair.key.value) : ''
      const { value } = pair
      if (isMap(value) || !isScalar(value) || !value.range || value.value === null) return
      const found = String(value.value)
      const named =
        wordsOf(name).some((word) => SECRET_WORDS.has(word)) || /:\/\/[^/\s]*:[^/\s]*@/.test(found)
      if ((named || secrets.has(found)) && !/^\$\{\w+\}$/.test(found))
        spans.push([value.range[0], value.range[1]])
    },
  })
  return spans.reduceRight((shown, [start, end]) => shown.slice(0, start) + REDACTED + shown.slice(end), text)
}

function secretsIn(value: unknown): ReadonlySet<string> {
  if (value instanceof Secret) return new Set([value.reveal()])
  const inner = Array.isArray(value)
    ? (value as readonly unknown[])
    : isBranch(value)
      ? Object.values(value)
      : []
  return new Set(inner.flatMap((item) => [...secretsIn(item)]))
}
