import { randomUUID } from 'node:crypto'
import { type SqlClient, applyMigrations } from '@varve/core'
import pg from 'pg'
import { runtimeMigrations } from '../../src/index.ts'
import { sqlOverPg } from './sqlOverPg.ts'
import { sqlOverPglite } from './sqlOverPglite.ts'

export interface TestDatabase {
  readonly sql: SqlClient
  /** Connection string, for other processes; Postgres only. */
  readonly url: string
  drop(): Promise<void>
}

/** A database of its own with the tables of this package and one to protect. */
export async function createTestDatabase(engine: 'postgres' | 'pglite'): Promise<TestDatabase> {
  const fill = async (sql: SqlClient): Promise<void> => {
    await applyMigrations(sql, runtimeMigrations)
    await sql.exec('CREATE TABLE protected (name text PRIMARY KEY, value text NOT NULL)')
  }
  if (engine === 'pglite') {
    const sql = await sqlOverPglite()
    await fill(sql)
    return { sql, url: '', drop: () => sql.close() }
  }
  const admin = process.env.VARVE_TEST_DATABASE_URL ?? ''
  const name = `runtime_${randomUUID().replaceAll('-', '')}`
  const asAdmin = async (text: string): Promise<void> => {
    const client = new pg.Client(admin)
    await client.connect()
    try {
      await client.query(text)
    } finally {
      await client.end()
    }
  }
  await asAdmin(`CREATE DATABASE ${name}`)
  const url = new URL(admin)
  url.pathname = `/${name}`
  const sql = sqlOverPg(url.href)
  await fill(sql)
  return {
    sql,
    url: url.href,
    async drop() {
      await sql.close()
      await asAdmin(`DROP DATABASE ${name} WITH (FORCE)`)
    },
  }
}
