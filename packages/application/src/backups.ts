import { join, resolve } from 'node:path'
import {
  type EncryptionKeys,
  type LakeFiles,
  type StateComponent,
  createDirectoryComponent,
  createEncryptionKeys,
  createLocalLake,
} from '@varve/storage'
import { createS3Lake } from '@varve/storage/s3'
import type { S3Settings } from './settings/s3.ts'
import type { Settings } from './settings/sections.ts'

/** Folder of the data directory that backups go to where nothing else is configured. */
const DEFAULT_FOLDER = 'backups'
/** What lies beside configuration files and is made again by itself. */
const IGNORED = ['.versions', '.schema']

/** Files of a bucket; the AWS SDK is loaded by the first request. */
export function openBucket(
  settings: S3Settings,
  prefix: string,
): { readonly files: LakeFiles; close(): Promise<void> } {
  const { accessKeyId, secretAccessKey, ...options } = settings
  const bucket = createS3Lake({
    ...options,
    prefix,
    ...(accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : { credentials: { accessKeyId, secretAccessKey } }),
  })
  return { files: bucket, close: () => bucket.close() }
}

/**
 * Where backups lie: the folder asked for, else the bucket or folder of the settings.
 *
 * @param folder - overrides the settings
 */
export function openBackups(
  { backup, connections }: Pick<Settings, 'backup' | 'connections'>,
  dataDir: string,
  folder?: string,
): { readonly files: LakeFiles; close(): Promise<void> } {
  const { backupPrefix } = backup
  if (folder === undefined && backupPrefix !== undefined && connections.s3 !== undefined)
    return openBucket(connections.s3, backupPrefix)
  const directory = resolve(folder ?? backup.directory ?? join(dataDir, DEFAULT_FOLDER))
  return { files: createLocalLake({ directory }), close: () => Promise.resolve() }
}

/** Keys of encrypted backups, where there is one. */
export function backupKeys({ backup }: Pick<Settings, 'backup'>): EncryptionKeys | undefined {
  const { encryptionKey, previousKeys } = backup
  return encryptionKey === undefined
    ? undefined
    : createEncryptionKeys({ secret: encryptionKey, previous: previousKeys })
}

/** What besides database and lake belongs to a restore point: the configuration's files. */
export function stateComponents(configDirectory: string | null | undefined): StateComponent[] {
  return configDirectory === null || configDirectory === undefined
    ? []
    : [createDirectoryComponent({ name: 'configuration', directory: configDirectory, ignored: IGNORED })]
}
