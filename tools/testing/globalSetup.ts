import { startPostgres } from './postgres.ts'
import { startRedis } from './redis.ts'
import { testDataDirectory } from './testData.ts'

/**
 * Starts one Postgres and, where a `redis-server` exists, one Redis for the whole run. Tests find them in
 * `VARVE_TEST_DATABASE_URL` and `VARVE_TEST_REDIS_URL`, and the real data in `VARVE_TEST_DATA`.
 */
export default async function setup(): Promise<() => Promise<void>> {
  const stops: (() => Promise<void>)[] = []
  process.env.VARVE_TEST_DATA ??= testDataDirectory() ?? ''
  if (process.env.VARVE_TEST_DATABASE_URL === undefined) {
    const postgres = await startPostgres()
    process.env.VARVE_TEST_DATABASE_URL = postgres.url
    stops.push(postgres.stop)
  }
  if (process.env.VARVE_TEST_REDIS_URL === undefined) {
    const redis = await startRedis()
    if (redis !== undefined) {
      process.env.VARVE_TEST_REDIS_URL = redis.url
      stops.push(redis.stop)
    }
  }
  return async () => {
    for (const stop of stops.reverse()) await stop()
  }
}
