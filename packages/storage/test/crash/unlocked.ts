// The control of the directory lock: two engines on one directory, both acknowledge every row.
import { PGlite } from '@electric-sql/pglite'

const ROWS = 200

const directory = process.argv[2]!
const first = await PGlite.create(directory)
await first.exec('CREATE TABLE kept (id int PRIMARY KEY); CHECKPOINT')
const second = await PGlite.create(directory)
for (let id = 0; id < ROWS; id++) {
  await first.query('INSERT INTO kept VALUES ($1)', [2 * id])
  await second.query('INSERT INTO kept VALUES ($1)', [2 * id + 1])
}
await first.close().catch(() => undefined)
await second.close().catch(() => undefined)
let held = 0
try {
  const after = await PGlite.create(directory)
  held = (await after.query<{ count: number }>('SELECT count(*)::int AS count FROM kept')).rows[0]!.count
} catch {
  // The directory cannot even be opened any more.
}
console.log(`${2 * ROWS - held} lost`)
process.exit(0)
