// What the recovery needs of the storage package, by its sources.
export {
  createBarStore,
  createLocalLake,
  createPostgresClient,
  storageMigrations,
} from '../../packages/storage/src/index.ts'
export { backupsForTime, createBackup } from '../../packages/storage/src/backup/index.ts'
