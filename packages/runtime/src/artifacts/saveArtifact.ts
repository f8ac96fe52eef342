import { type Clock, checkedOptions, sha256Hex, systemClock } from '@varve/core'
import { type KeyObject, sign } from 'node:crypto'
import { chmod, mkdir } from 'node:fs/promises'
import { basename, extname, join } from 'node:path'
import { writeFileDurably } from '../durableFile.ts'
import { type ArtifactSettings, artifactOptionsSchema } from '../options.ts'
import { type ArtifactMetadata, artifactRefused, metadataPath, signedBytes } from './metadata.ts'

/** Its data, with their defaults: {@link artifactOptionsSchema}. */
export interface SaveArtifactOptions extends ArtifactSettings {
  /** Made if missing; its mode becomes 0700. */
  readonly folder: string
  /** Name of the file, without a path. */
  readonly name: string
  readonly bytes: Uint8Array
  readonly metadata: Pick<ArtifactMetadata, 'id' | 'version' | 'creator' | 'type'>
  /** Signs the metadata, and through its checksum the file. */
  readonly signWith?: { readonly signer: string; readonly privateKey: KeyObject }
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/**
 * Writes an artifact and its metadata, each as a whole and mode 0600. A crash between the two leaves a file that does
 * not fit its metadata and is refused when loaded; save it again.
 *
 * @returns the metadata with the SHA-256 of the file
 * @throws `ARTIFACT_REFUSED` for what `loadArtifact` would not let in either
 */
export async function saveArtifact(options: SaveArtifactOptions): Promise<ArtifactMetadata> {
  const { folder, name, bytes, metadata, signWith, clock = systemClock, ...data } = options
  const settings = checkedOptions(artifactOptionsSchema, data, 'saving an artifact')
  const path = join(folder, name)
  if (name !== basename(name) || name === '.' || name === '..' || name.includes('\\')) {
    throw artifactRefused(path, 'outside its folder', 'its name has to be a plain file name')
  }
  if (!settings.extensions.includes(extname(name))) {
    throw artifactRefused(path, 'extension', `its name has to end in one of ${settings.extensions.join(' ')}`)
  }
  if (bytes.length === 0) throw artifactRefused(path, 'empty', 'there is nothing in it')
  if (bytes.length > settings.limitBytes) {
    throw artifactRefused(
      path,
      'too large',
      `it has ${bytes.length} bytes, at most ${settings.limitBytes} are allowed`,
    )
  }
  const unsigned: ArtifactMetadata = {
    id: metadata.id,
    version: metadata.version,
    creator: metadata.creator,
    type: metadata.type,
    createdAt: new Date(clock.now()).toISOString(),
    checksum: sha256Hex(bytes),
    sizeBytes: bytes.length,
    ...(signWith === undefined ? {} : { signer: signWith.signer }),
  }
  const complete: ArtifactMetadata =
    signWith === undefined
      ? unsigned
      : { ...unsigned, signature: sign(null, signedBytes(unsigned), signWith.privateKey).toString('base64') }
  await mkdir(folder, { recursive: true, mode: 0o700 })
  await chmod(folder, 0o700)
  await writeFileDurably(path, bytes)
  await writeFileDurably(metadataPath(path), `${JSON.stringify(complete, null, 2)}\n`)
  return complete
}
