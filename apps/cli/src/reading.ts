import { type Application, openApplication, type Settings } from '@varve/application'

/** Opens a store that must exist already, reads, and closes it. */
export async function openForReading<T>(
  settings: Settings,
  dataDir: string,
  work: (app: Application) => Promise<T>,
): Promise<T> {
  await using app = await openApplication({ settings, dataDir, mustExist: true })
  return await work(app)
}
