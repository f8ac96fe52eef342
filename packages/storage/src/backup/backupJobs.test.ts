import { type StateStore, DAY_MS, HOUR_MS, MINUTE_MS } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import { type BackupJobsOptions, createBackupJobs } from './backupJobs.ts'
import { backupJobsOptionsSchema } from './options.ts'

const NOON = Date.UTC(2026, 0, 10, 12)
const job = { id: 'database', contents: ['database' as const], kind: 'full' as const, schedule: '0 2 * * *' }

function memoryState(): StateStore {
  const documents = new Map<string, unknown>()
  return {
    load: (namespace, key) => Promise.resolve(documents.get(`${namespace}/${key}`)),
    save: async (namespace, key, value) => void documents.set(`${namespace}/${key}`, value),
    async update(namespace, key, change) {
      const value = change(documents.get(`${namespace}/${key}`))
      documents.set(`${namespace}/${key}`, value)
      return value
    },
    remove: (namespace, key) => Promise.resolve(documents.delete(`${namespace}/${key}`)),
    keys: () => Promise.resolve([]),
  }
}

function setUp(options: Partial<BackupJobsOptions> = {}) {
  const clock = createTestClock(NOON)
  const store = memoryState()
  const runs: string[] = []
  const make = () =>
    createBackupJobs({
      jobs: [job],
      clock,
      store,
      run: async ({ id }) => {
        runs.push(`${id} ${new Date(clock.now()).toISOString().slice(0, 16)}`)
        return { id: `b${runs.length}`, written: { files: 1, bytes: 10 } }
      },
      ...options,
    })
  return { clock, store, runs, make, jobs: make() }
}

describe('backup jobs', () => {
  it('run when their time comes, looking every minute', async () => {
    const { clock, runs, jobs } = setUp()
    jobs.start()
    for (let minute = 0; minute <= 14 * 60; minute++) await clock.advance(MINUTE_MS)
    expect(runs).toEqual(['database 2026-01-11T02:00'])
    expect(await jobs.status()).toMatchObject({
      running: true,
      jobs: [{ id: 'database', running: false, nextRunAt: Date.UTC(2026, 0, 12, 2) }],
      last: [{ id: 'b1', job: 'database', status: 'succeeded', path: 'backups/b1', bytes: 10, error: null }],
    })
    await jobs.close()
    expect(clock.sleeping).toBe(0)
    expect((await jobs.status()).running).toBe(false)
  })

  it('run once for all the runs that were missed while nothing was up, and nothing at the very first start', async () => {
    const { clock, runs, jobs, make } = setUp()
    await jobs.runDue()
    expect(runs).toEqual([])
    await clock.advance(5 * DAY_MS)
    const restarted = make()
    await restarted.runDue()
    await restarted.runDue()
    expect(runs).toEqual(['database 2026-01-15T12:00'])
  })

  it('report and record a failure, go on with the others, and try again at the next time only', async () => {
    const failures: string[] = []
    const { clock, jobs } = setUp({
      jobs: [job, { ...job, id: 'other' }],
      run: async ({ id }) => {
        if (id === 'database') throw new Error('the disk is full')
        return { id: 'good', written: { files: 0, bytes: 0 } }
      },
      onFailure: ({ id }, error) => failures.push(`${id}: ${String(error)}`),
    })
    await jobs.status()
    await clock.advance(DAY_MS)
    expect(await jobs.runDue()).toMatchObject([{ job: 'other', status: 'succeeded' }])
    expect(failures).toEqual(['database: Error: the disk is full'])
    await clock.advance(HOUR_MS)
    expect(await jobs.runDue()).toEqual([])
    await expect(jobs.runNow('database')).rejects.toThrow('the disk is full')
    const { last } = await jobs.status()
    expect(last.map(({ job: of, status, error }) => [of, status, error])).toEqual([
      ['database', 'failed', 'the disk is full'],
      ['other', 'succeeded', null],
      ['database', 'failed', 'the disk is full'],
    ])
    await expect(jobs.runNow('none')).rejects.toMatchObject({ code: 'BACKUP_JOB_UNKNOWN' })
  })

  it('do not run twice at once, and stop a run when they are closed', async () => {
    const { jobs } = setUp({
      run: (_job, { signal }) =>
        new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => {
            reject(signal.reason as Error)
          })
        }),
    })
    const running = jobs.runNow('database').catch((error: unknown) => error)
    await expect(jobs.runNow('database')).rejects.toMatchObject({ code: 'BACKUP_BUSY' })
    await jobs.close()
    expect(await running).toMatchObject({ code: 'BACKUP_STOPPED' })
  })

  it('are by default the database every night, trading data every six hours and the state every Sunday', () => {
    const { jobs } = backupJobsOptionsSchema.parse({})
    expect(
      jobs.map(({ id, kind, schedule, retention, encryption }) => [
        id,
        kind,
        schedule,
        retention.keepDays,
        encryption,
      ]),
    ).toEqual([
      ['database', 'full', '0 2 * * *', 30, true],
      ['trading-data', 'incremental', '0 */6 * * *', 7, false],
      ['state', 'full', '0 1 * * 0', 90, true],
    ])
    expect(() => backupJobsOptionsSchema.parse({ jobs: [{ ...job, schedule: '0 0 30 2 *' }] })).toThrow(
      'cron',
    )
  })
})
