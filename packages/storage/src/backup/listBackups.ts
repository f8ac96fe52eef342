import { errorMessage } from '@varve/core'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { type BackupManifest, MANIFESTS, backupIdOf, readManifest } from './manifest.ts'

/** A folder that should be a backup and cannot be read as one. */
export interface UnreadableBackup {
  readonly id: string
  readonly problem: string
}

export interface BackupList {
  /** Newest first. */
  readonly backups: readonly BackupManifest[]
  readonly unreadable: readonly UnreadableBackup[]
}

/** All complete backups of a destination. Needs no key; parts are not looked at. */
export async function listBackups(source: LakeFiles): Promise<BackupList> {
  const ids: string[] = []
  for await (const file of source.list(MANIFESTS)) {
    const id = backupIdOf(file.path)
    if (id !== undefined) ids.push(id)
  }
  const backups: BackupManifest[] = []
  const unreadable: UnreadableBackup[] = []
  for (const id of ids) {
    try {
      backups.push(await readManifest(source, id))
    } catch (error) {
      unreadable.push({ id, problem: errorMessage(error) })
    }
  }
  backups.sort((a, b) => (a.snapshotAt === b.snapshotAt ? 0 : a.snapshotAt < b.snapshotAt ? 1 : -1))
  return { backups, unreadable }
}

/** A physical base backup of a server, kept beside its archived WAL. */
export interface BaseBackup {
  readonly name: string
  /** When it ended, milliseconds since 1970-01-01T00:00Z: the first moment it can be recovered to. */
  readonly finishedAt: number
}

export interface BackupsForTimeOptions {
  readonly source: LakeFiles
  /** The moment wanted, milliseconds since 1970-01-01T00:00Z. */
  readonly at: number
  /** What the server's own archive holds, where there is one. */
  readonly walArchive?: { readonly baseBackups: readonly BaseBackup[]; readonly archivedTo: number }
}

/** A way back, and how far from the moment wanted it ends. */
export interface RecoveryChoice {
  readonly kind: 'restore-point' | 'point-in-time'
  /** Id of the backup, or name of the base backup. */
  readonly id: string
  /** The moment it brings back, milliseconds since 1970-01-01T00:00Z. */
  readonly restoresTo: number
  /** Before the moment wanted this many milliseconds; negative after it, and then what was to be undone is in it. */
  readonly lostMs: number
  readonly contents: BackupManifest['contents']
}

export interface RecoveryAdvice {
  /** Nearest to the moment first; of two equally near the earlier. */
  readonly choices: readonly RecoveryChoice[]
  /** The nearest that holds a database and ends at or before the moment; `undefined` when there is none. */
  readonly recommended: RecoveryChoice | undefined
  /** The recommendation as a sentence. */
  readonly advice: string
}

/** Backups to get back to a moment, nearest first, with a recommendation. */
export async function backupsForTime(options: BackupsForTimeOptions): Promise<RecoveryAdvice> {
  const { source, at, walArchive } = options
  const choices: RecoveryChoice[] = []
  for (const backup of (await listBackups(source)).backups) {
    const restoresTo = Date.parse(backup.snapshotAt)
    choices.push({
      kind: 'restore-point',
      id: backup.id,
      restoresTo,
      lostMs: at - restoresTo,
      contents: backup.contents,
    })
  }
  for (const base of walArchive?.baseBackups ?? []) {
    const restoresTo = Math.max(base.finishedAt, Math.min(at, walArchive!.archivedTo))
    choices.push({
      kind: 'point-in-time',
      id: base.name,
      restoresTo,
      lostMs: at - restoresTo,
      contents: ['database'],
    })
  }
  const started = new Map(walArchive?.baseBackups.map((base) => [base.name, base.finishedAt]))
  choices.sort(
    (a, b) =>
      Math.abs(a.lostMs) - Math.abs(b.lostMs) ||
      b.lostMs - a.lostMs ||
      // Of two base backups the later has less WAL to replay.
      (started.get(b.id) ?? 0) - (started.get(a.id) ?? 0),
  )
  const recommended = choices.find((choice) => choice.lostMs >= 0 && choice.contents.includes('database'))
  return { choices, recommended, advice: adviceOf(at, choices, recommended) }
}

function adviceOf(
  at: number,
  choices: readonly RecoveryChoice[],
  recommended: RecoveryChoice | undefined,
): string {
  const when = (time: number) => new Date(time).toISOString()
  if (recommended === undefined) {
    return choices.length === 0
      ? 'There is no backup.'
      : `No backup of the database ends at or before ${when(at)}; the nearest brings back ${when(choices[0]!.restoresTo)}.`
  }
  const loss =
    recommended.lostMs === 0
      ? 'Nothing before that moment is lost'
      : `Changes of the ${Math.ceil(recommended.lostMs / 1000)} s before ${when(at)} are lost`
  return recommended.kind === 'restore-point'
    ? `Restore ${recommended.id}, which brings back ${when(recommended.restoresTo)}. ${loss}.`
    : `Recover base backup ${recommended.id} with the archived WAL to ${when(recommended.restoresTo)}. ${loss}. Take the lake from the restore points: its files never change.`
}
