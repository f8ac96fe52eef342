import { chmodSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SqlClient } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { credentialsCheck, diskSpaceCheck, memoryCheck, pathCheck, sqlCheck } from './checks.ts'
import {
  type StartupCheck,
  assertStartup,
  formatStartupReport,
  runStartupChecks,
} from './runStartupChecks.ts'

const ok: StartupCheck['run'] = () => ({ status: 'ok', message: 'fine' })
const one = async (check: StartupCheck, clock = createTestClock()) =>
  (await runStartupChecks([check], { clock })).results[0]!

describe('start-up checks', () => {
  it('all run, and every failure is listed with what to do', async () => {
    const report = await runStartupChecks([
      { name: 'a', run: () => ({ status: 'failed', message: 'broken', remedy: 'mend it' }) },
      { name: 'b', run: ok },
      { name: 'c', run: () => Promise.reject(new Error('exploded')) },
      { name: 'd', critical: false, run: () => ({ status: 'failed', message: 'meh' }) },
      { name: 'e', needs: ['a'], run: ok },
      { name: 'f', needs: ['b'], run: ok },
      { name: 'g', needs: ['later'], run: ok },
      { name: 'later', run: ok },
    ])
    expect(report.ok).toBe(false)
    expect(report.results.map(({ name, status }) => `${name} ${status}`)).toEqual([
      'a failed',
      'b ok',
      'c failed',
      'd warning',
      'e skipped',
      'f ok',
      'g skipped',
      'later ok',
    ])
    expect(formatStartupReport(report).split('\n')[0]).toBe('failed  a: broken; mend it')
    expect(() => assertStartup(report)).toThrow(
      expect.objectContaining({
        code: 'STARTUP_REFUSED',
        message: expect.stringMatching(
          /2 of 8 checks failed:\nfailed {2}a: broken; mend it\nfailed {2}c: exploded$/,
        ),
      }),
    )
    expect(() => assertStartup({ ok: true, results: [] })).not.toThrow()
  })

  it('do not wait for one that hangs, nor for one the caller gave up', async () => {
    const clock = createTestClock()
    const hangs: StartupCheck = { name: 'hangs', run: () => new Promise(() => undefined) }
    const report = runStartupChecks([hangs, { name: 'b', run: ok }], { clock, timeoutMs: 5_000 })
    await clock.advance(5_000)
    expect((await report).results).toMatchObject([
      { status: 'failed', message: 'no answer within 5000 ms', durationMs: 5_000 },
      { status: 'ok' },
    ])
    const controller = new AbortController()
    const given = runStartupChecks([hangs], { clock, signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(given).rejects.toThrow('enough')
  })

  it('need names of their own', async () => {
    const twice = [
      { name: 'a', run: ok },
      { name: 'a', run: ok },
    ]
    await expect(runStartupChecks(twice)).rejects.toMatchObject({ code: 'STARTUP_CHECK_DUPLICATE' })
  })

  it.each([
    [3_900_000_000, 3_000_000_000, 'failed'],
    [4_100_000_000, 3_000_000_000, 'warning'],
    [16_000_000_000, 100_000_000, 'warning'],
    [8_000_000_000, 600_000_000, 'ok'],
  ])('memory of %i bytes with %i free is %s', async (total, free, status) => {
    const check = memoryCheck({ totalBytes: () => total, freeBytes: () => free })
    expect((await one(check)).status).toBe(status)
  })

  it('memory of this machine can be asked', async () => {
    expect((await one(memoryCheck({ minimumBytes: 1, recommendedBytes: 1, cacheBytes: 1 }))).status).toBe(
      'ok',
    )
  })

  it('names credentials that are missing, never one that is there', async () => {
    const environment = { GOOD: 'secret-value', BLANK: ' ' }
    const result = await one(credentialsCheck({ variables: ['GOOD', 'BLANK', 'NONE'], environment }))
    expect(result).toMatchObject({ status: 'failed', message: 'not set: BLANK, NONE' })
    expect(JSON.stringify(result)).not.toContain('secret-value')
    expect((await one(credentialsCheck({ variables: ['GOOD'], environment }))).status).toBe('ok')
  })

  it('disk space is compared with what is needed', async () => {
    const free = (bytes: number) =>
      one(diskSpaceCheck({ path: '.', freeBytes: () => Promise.resolve(bytes) }))
    expect((await free(10)).status).toBe('failed')
    expect((await free(2_000_000_000)).status).toBe('warning')
    expect((await free(20_000_000_000)).status).toBe('ok')
    expect((await one(diskSpaceCheck({ path: '.', minimumBytes: 0, recommendedBytes: 0 }))).status).toBe('ok')
  })

  describe('of folders', () => {
    let folder = ''
    beforeAll(() => {
      folder = mkdtempSync(join(tmpdir(), 'varve-paths-'))
    })
    afterAll(() => rmSync(folder, { recursive: true }))

    it('creates a missing one, closed when it is to hold secrets', async () => {
      const path = join(folder, 'a', 'secrets')
      expect(await one(pathCheck({ path, secret: true }))).toMatchObject({ status: 'ok', message: 'created' })
      expect(statSync(path).mode & 0o777).toBe(0o700)
      expect(await one(pathCheck({ path, secret: true }))).toMatchObject({
        status: 'ok',
        message: 'writable',
      })
    })

    it.skipIf(process.platform === 'win32')('refuses secrets in a folder open to others', async () => {
      const path = join(folder, 'open')
      mkdirSync(path)
      chmodSync(path, 0o755)
      expect(await one(pathCheck({ path, secret: true }))).toMatchObject({
        status: 'failed',
        message: expect.stringContaining('mode 0755'),
        remedy: `chmod 700 ${path}`,
      })
      expect((await one(pathCheck({ path }))).status).toBe('ok')
    })

    it('fails where a file is in the way', async () => {
      const path = join(folder, 'file')
      writeFileSync(path, '')
      expect((await one(pathCheck({ path }))).status).toBe('failed')
    })
  })

  describe('of a database', () => {
    const sql = (row: object): SqlClient =>
      ({ query: () => Promise.resolve({ rows: [row], rowCount: 1 }) }) as unknown as SqlClient
    it.each([
      [{ version: 18, now: 1_000_000, creates: true }, 'ok', 'Postgres 18'],
      [{ version: 12, now: 1_000_000, creates: true }, 'failed', 'at least 15'],
      [{ version: 18, now: 1_000_000, creates: false }, 'failed', 'may not create'],
      [{ version: 18, now: 1_009_000, creates: true }, 'warning', '9000 ms'],
    ])('%o is %s', async (row, status, message) => {
      const result = await one(sqlCheck({ sql: sql(row) }), createTestClock(1_000_000))
      expect(result).toMatchObject({ status, message: expect.stringContaining(message) })
    })
  })
})
