/**
 * A worker process of the crash test: takes jobs, pauses as a fetch would, then writes its effects and completes the
 * jobs in one transaction. Arguments: connection string or folder of an embedded database, name.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { isVarveError, uuidFromName } from '@varve/core'
import { createJobEngine } from '../../src/index.ts'
import { sqlOverPg } from './sqlOverPg.ts'
import { sqlOverPglite } from './sqlOverPglite.ts'

const [, , url, name] = process.argv as [string, string, string, string]
const embedded = !url.startsWith('postgres')
const sql = embedded ? await sqlOverPglite(url) : sqlOverPg(url)
const jobs = createJobEngine({
  sql,
  queues: [{ name: 'work', retryLimit: 3, retryDelayMs: 1 }],
  heartbeatSeconds: 1,
  superviseSeconds: 0.2,
  pollMs: 100,
  exclusive: embedded,
})
await jobs.start()
if (embedded) {
  await sql.exec(
    'CREATE TABLE IF NOT EXISTS effects (key text, by text); CREATE TABLE IF NOT EXISTS unfenced (key text)',
  )
  await sql.tx(async (tx) => {
    // The ids are fixed, so a restarted process enqueues nothing twice.
    const list = Array.from({ length: 600 }, (_, n) => ({
      id: uuidFromName(`job ${n}`),
      key: `e${n}`,
      priority: 0,
      data: {},
    }))
    await jobs.enqueue(tx, 'work', list)
  })
}
jobs.process('work', { batchSize: 5, concurrency: 3 }, async (batch) => {
  process.send!('holding')
  await sleep(name === 'zombie' ? 300 : Math.random() * 40)
  // What everybody writes first: the effect by itself, the completion after it.
  await sql.query('INSERT INTO unfenced SELECT unnest($1::text[])', [batch.map((job) => job.key)])
  try {
    await sql.tx(async (tx) => {
      await tx.query('INSERT INTO effects SELECT unnest($1::text[]), $2', [batch.map((job) => job.key), name])
      await sleep(Math.random() * 10)
      await jobs.complete(tx, 'work', batch)
    })
  } catch (error) {
    process.send!(isVarveError(error) ? error.code : String(error))
    throw error
  }
})
process.send!('ready')
process.on('disconnect', () => process.exit(0))
