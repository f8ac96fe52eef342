import { setTimeout as pass } from 'node:timers/promises'
import { systemClock } from '@varve/core'
import { afterAll, describe, expect, it } from 'vitest'
import { createLock, createPostgresLockStore, runStartupChecks, sqlCheck } from '../src/index.ts'
import { describeLockContract, describeStateStoreContract } from '../src/testing/index.ts'
import { createTestDatabase } from './support/databases.ts'
import { protectedInPostgres } from './support/protectedValue.ts'
import { stateInPostgres } from './support/stateInPostgres.ts'

describe('embedded Postgres', async () => {
  // One for all: opening it takes longer than all that is done with it.
  const { sql, drop } = await createTestDatabase('pglite')
  afterAll(drop)
  const cleanUp = async (): Promise<void> => undefined

  describeLockContract('pglite', async () => {
    const store = createPostgresLockStore({ sql })
    return {
      createLock: (options) => createLock({ store, ...options }),
      pass: (ms) => pass(ms),
      ...protectedInPostgres(sql),
      cleanUp,
    }
  })
  describeStateStoreContract('pglite', async () => stateInPostgres(sql, cleanUp))

  it('passes the start-up check', async () => {
    const report = await runStartupChecks([sqlCheck({ sql })], { clock: systemClock })
    expect(report.results).toMatchObject([{ status: 'ok' }])
  })
})
