/** A process that backs up and says so at every part it has stored, to be killed. */
import { createBackup } from '../src/backup/index.ts'
import { createLocalLake, createPostgresClient } from '../src/index.ts'

const [connectionString, lakeDirectory, destinationDirectory] = process.argv.slice(2)
const destination = createLocalLake({ directory: destinationDirectory! })
const sql = createPostgresClient({ connectionString: connectionString! })
await createBackup({
  sql,
  lake: createLocalLake({ directory: lakeDirectory! }),
  destination: {
    ...destination,
    async write(path, content) {
      await destination.write(path, content)
      process.send!(path)
    },
  },
  partRows: 20,
})
await sql.close()
