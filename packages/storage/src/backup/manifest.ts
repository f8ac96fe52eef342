import { VarveError, canonicalJson, errorMessage, sha256Hex } from '@varve/core'
import { z } from 'zod'
import type { EncryptionKey, EncryptionKeys } from '../encryption/EncryptionKeys.ts'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { backupContents, backupKinds } from './options.ts'

/** Version of the manifest and of everything it describes. */
export const BACKUP_FORMAT = 1

const hash = z.string().regex(/^[0-9a-f]{64}$/)
const size = z.int().nonnegative()
const instant = z.iso.datetime()

const partSchema = z.strictObject({
  /** Of the content before compression and encryption. */
  sha256: hash,
  bytes: size,
  /** Where it lies in the destination, and how many bytes it has there. */
  stored: z.string(),
  storedBytes: size,
})
/** One stored piece of a table or of the state. */
export type BackupPart = z.output<typeof partSchema>

const tableSchema = z.strictObject({
  schema: z.string(),
  name: z.string(),
  columns: z.array(z.strictObject({ name: z.string(), type: z.string() })),
  rows: size,
  /** Over the rows in binary COPY format, in order of the key. */
  sha256: hash,
  partition: z.nullable(z.strictObject({ schema: z.string(), of: z.string(), bound: z.string() })),
  parts: z.array(partSchema),
})
export type BackupTable = z.output<typeof tableSchema>

const sequenceSchema = z.strictObject({
  schema: z.string(),
  name: z.string(),
  lastValue: z.string().regex(/^-?\d+$/),
  isCalled: z.boolean(),
})
export type BackupSequence = z.output<typeof sequenceSchema>

const lakeFileSchema = z.strictObject({ path: z.string(), catalog: z.string(), ...partSchema.shape })
export type BackupLakeFile = z.output<typeof lakeFileSchema>

const manifestSchema = z.strictObject({
  format: z.literal(BACKUP_FORMAT),
  id: z.string(),
  job: z.nullable(z.string()),
  kind: z.enum(backupKinds),
  contents: z.array(z.enum(backupContents)),
  startedAt: instant,
  /** The moment that a restore brings back. */
  snapshotAt: instant,
  finishedAt: instant,
  encryption: z.nullable(
    z.strictObject({
      keyId: z.string(),
      derivation: z.nullable(
        z.strictObject({ salt: z.string(), logCost: z.int(), blockSize: z.int(), parallelism: z.int() }),
      ),
    }),
  ),
  compression: z.enum(['zstd', 'gzip', 'none']),
  database: z.nullable(
    z.strictObject({
      dump: z.literal('logical'),
      engine: z.enum(['postgres', 'pglite']),
      postgresVersion: z.string(),
      migrations: z.array(z.strictObject({ id: z.string(), checksum: z.string() })),
      tables: z.array(tableSchema),
      sequences: z.array(sequenceSchema),
    }),
  ),
  lake: z.nullable(z.strictObject({ files: z.array(lakeFileSchema) })),
  state: z.array(z.strictObject({ name: z.string(), bytes: size, sha256: hash, parts: z.array(partSchema) })),
  written: z.strictObject({ files: size, bytes: size }),
  reused: z.strictObject({ files: size, bytes: size }),
})
/** What a backup consists of, with the hash of every part. Written last: without it there is no backup. */
export type BackupManifest = z.output<typeof manifestSchema>

const envelopeSchema = z.strictObject({ manifest: z.unknown(), sha256: hash, seal: z.nullable(hash) })

/** Folder of the manifests. */
export const MANIFESTS = 'backups'

/** Where the manifest of a backup lies. */
export function manifestPath(id: string): string {
  return `${MANIFESTS}/${id}/manifest.json`
}

/** The id in a manifest's path; `undefined` for other files. */
export function backupIdOf(path: string): string | undefined {
  return /^backups\/([0-9A-Za-z-]+)\/manifest\.json$/.exec(path)?.[1]
}

/** Every stored piece a backup refers to. */
export function* storedParts(manifest: BackupManifest): Generator<BackupPart> {
  for (const table of manifest.database?.tables ?? []) yield* table.parts
  yield* manifest.lake?.files ?? []
  for (const component of manifest.state) yield* component.parts
}

/** Writes a manifest, sealed when there is a key. From here on the backup exists. */
export async function writeManifest(
  destination: LakeFiles,
  manifest: BackupManifest,
  key: EncryptionKey | undefined,
): Promise<void> {
  const text = canonicalJson(manifest)
  const envelope = { manifest, sha256: sha256Hex(text), seal: key?.seal(text) ?? null }
  await destination.write(manifestPath(manifest.id), Buffer.from(`${JSON.stringify(envelope, null, 1)}\n`))
}

/**
 * Reads and checks a manifest.
 *
 * @param keys - proves that nobody without the key has changed an encrypted backup's manifest; leave it out for lists
 * @throws `BACKUP_NOT_FOUND`, `BACKUP_NEWER`, `BACKUP_DAMAGED`, `ENCRYPTION_KEY_WRONG`
 */
export async function readManifest(
  source: LakeFiles,
  id: string,
  keys?: EncryptionKeys,
): Promise<BackupManifest> {
  const path = manifestPath(id)
  const size = backupIdOf(path) === undefined ? undefined : await source.size(path)
  if (size === undefined) {
    throw new VarveError(
      `there is no backup "${id}" in ${source.location}; list the backups to see which there are`,
      {
        code: 'BACKUP_NOT_FOUND',
        details: { id, location: source.location },
      },
    )
  }
  const { manifest, text, seal } = parseEnvelope(path, await source.read(path, 0, size))
  if (manifest.id !== id) throw damagedBackup(path, `it is the manifest of ${manifest.id}`)
  if (keys !== undefined && manifest.encryption !== null) {
    const key = await keys.find(manifest.encryption.keyId, manifest.encryption.derivation ?? undefined)
    if (seal !== key.seal(text))
      throw damagedBackup(path, 'its seal does not fit, so it was changed by somebody else')
  }
  return manifest
}

function parseEnvelope(
  path: string,
  bytes: Uint8Array,
): { manifest: BackupManifest; text: string; seal: string | null } {
  let json: unknown
  try {
    json = JSON.parse(Buffer.from(bytes).toString('utf8'))
  } catch (error) {
    throw damagedBackup(path, errorMessage(error))
  }
  const envelope = envelopeSchema.safeParse(json)
  if (!envelope.success) throw damagedBackup(path, 'it is no manifest')
  const { manifest: body, sha256, seal } = envelope.data
  const text = canonicalJson(body)
  if (sha256Hex(text) !== sha256) throw damagedBackup(path, 'its hash does not fit')
  const format = z.object({ format: z.int() }).safeParse(body)
  if (format.success && format.data.format > BACKUP_FORMAT) {
    throw new VarveError(
      `the backup ${path} has format ${format.data.format}, this version reads up to ${BACKUP_FORMAT}; update Varve`,
      { code: 'BACKUP_NEWER', details: { path, found: format.data.format, supported: BACKUP_FORMAT } },
    )
  }
  const manifest = manifestSchema.safeParse(body)
  if (!manifest.success) throw damagedBackup(path, z.prettifyError(manifest.error))
  return { manifest: manifest.data, text, seal }
}

/** A part of a backup is not what was written. */
export function damagedBackup(path: string, what: string, cause?: unknown): VarveError {
  return new VarveError(
    `the backup file ${path} is damaged: ${what}; nothing of it was used. Restore another backup`,
    {
      code: 'BACKUP_DAMAGED',
      cause,
      details: { path },
    },
  )
}
