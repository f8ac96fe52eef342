// Loads a year of bars into a lake that may not grow: started under a limit on the size of files.
import { subscribe } from 'node:diagnostics_channel'
import { channelNames } from '@varve/core'
import { createBarStore, createLocalLake, createPostgresClient } from '../src/index.ts'
import { batchOf, day } from './support.ts'

const [url, directory] = process.argv.slice(2) as [string, string]
process.on('SIGXFSZ', () => undefined)
const alerts: string[] = []
subscribe(channelNames.alert, (message) => alerts.push((message as { key: string }).key))
const sql = createPostgresClient({ connectionString: url, maxConnections: 1 })
const store = createBarStore({ sql, lake: createLocalLake({ directory }) })
const rows = Array.from({ length: 20_000 }, (_, row) => {
  const symbol = `S${String(row % 80).padStart(2, '0')}`
  return [symbol, day(Math.floor(row / 80)), (row * 7_919) % 1_000_003] as const
})
const staged = await store.stage(batchOf(rows), { hotFrom: () => day(400), initialWatermark: day(400) })
const counts = await sql.tx((tx) => store.commit(tx, staged))
await sql.close()
console.log(JSON.stringify({ counts, alerts, lakePath: staged.lakePath ?? null }))
