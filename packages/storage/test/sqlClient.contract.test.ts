import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { createPgliteClient } from '../src/hot/PgliteClient.ts'
import { createPostgresClient } from '../src/hot/PostgresClient.ts'
import { describeSqlClientContract } from '../src/testing/sqlClientContract.ts'

const admin = process.env.VARVE_TEST_DATABASE_URL ?? ''

async function asAdmin(sql: string): Promise<void> {
  const client = new pg.Client(admin)
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

describeSqlClientContract('postgres', async () => {
  const database = `contract_${randomUUID().replaceAll('-', '')}`
  await asAdmin(`CREATE DATABASE ${database}`)
  const url = new URL(admin)
  url.pathname = `/${database}`
  return {
    client: createPostgresClient({ connectionString: url.href, maxConnections: 4 }),
    cleanUp: () => asAdmin(`DROP DATABASE ${database} WITH (FORCE)`),
  }
})

describeSqlClientContract('pglite', () => ({ client: createPgliteClient({ directory: ':memory:' }) }))
