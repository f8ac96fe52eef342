import {
  type BarFileReader,
  type LakeFiles,
  createBarFileReader,
  createEncryptedLake,
  createEncryptionKeys,
  createLocalLake,
} from '@varve/storage'
import { openBarFileReader } from '@varve/storage/duckdb'
import { openBucket } from './backups.ts'
import type { Settings } from './settings/sections.ts'

/** The lake of an installation, and what reads its bar files. */
export interface OpenLake {
  readonly files: LakeFiles
  readonly reader: BarFileReader
  close(): Promise<void>
}

/**
 * Opens the lake the settings name: a folder or a bucket, encrypted or not. Engines that are not needed are not
 * loaded.
 *
 * @param directory - the folder, for a lake that is one
 */
export async function openLake(
  { storage, connections }: Pick<Settings, 'storage' | 'connections'>,
  directory: string,
): Promise<OpenLake> {
  const { lakePrefix, encryptionKey, engine, duckdb, footerCacheFiles, footerBytes } = storage.lake
  const closers: (() => Promise<void>)[] = []
  let files: LakeFiles
  const place = lakePrefix === undefined ? undefined : connections.s3
  if (place === undefined) {
    files = createLocalLake({ directory })
  } else {
    const bucket = openBucket(place, lakePrefix!)
    closers.push(() => bucket.close())
    files = bucket.files
  }
  if (encryptionKey !== undefined)
    files = createEncryptedLake(files, createEncryptionKeys({ secret: encryptionKey }))
  const readable = { lake: files, footerCacheFiles, footerBytes }
  // DuckDB reads plain files of this machine only.
  if (engine === 'hyparquet' || (engine === 'auto' && (place !== undefined || encryptionKey !== undefined))) {
    return { files, reader: createBarFileReader(readable), close: () => closeAll(closers) }
  }
  const reader = await openBarFileReader({ ...readable, engine, duckdb, directory })
  closers.push(() => reader.close())
  return { files, reader, close: () => closeAll(closers) }
}

async function closeAll(closers: readonly (() => Promise<void>)[]): Promise<void> {
  for (const close of [...closers].reverse()) await close()
}
