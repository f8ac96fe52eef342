import { Secret, isVarveError } from '@varve/core'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { type LakeFiles } from '../src/lake/LakeFiles.ts'
import { createLocalLake } from '../src/lake/localLake.ts'
import { type S3LakeOptions, createS3Lake } from '../src/s3/index.ts'
import { describeLakeFiles } from '../src/testing/lakeFilesContract.ts'
import { type S3Double, startS3Double } from '../src/testing/s3Double.ts'

const SECRET = 'canary-secret-hunter2'
const TOKEN = 'canary-session-token'

async function pathsOf(lake: LakeFiles, prefix?: string): Promise<string[]> {
  const paths: string[] = []
  for await (const file of lake.list(prefix)) paths.push(file.path)
  return paths
}

function openS3(double: S3Double, options: Partial<S3LakeOptions> = {}) {
  return createS3Lake({
    bucket: double.bucket,
    prefix: 'varve/lake',
    endpoint: double.endpoint,
    credentials: {
      accessKeyId: new Secret(double.accessKeyId),
      secretAccessKey: new Secret(SECRET),
      sessionToken: new Secret(TOKEN),
    },
    retryDelayMs: 1,
    retryDelayMaxMs: 2,
    ...options,
  })
}

describeLakeFiles('a directory', () => {
  const directory = mkdtempSync(join(tmpdir(), 'varve-lake-'))
  return Promise.resolve({
    lake: createLocalLake({ directory }),
    cleanUp: () => Promise.resolve(rmSync(directory, { recursive: true, force: true })),
  })
})

describeLakeFiles('S3', async () => {
  const double = await startS3Double()
  const lake = openS3(double, { listPageKeys: 2 })
  return {
    lake,
    async cleanUp() {
      await lake.close()
      await double.close()
    },
  }
})

describe('a lake on S3', () => {
  const content = Uint8Array.from({ length: 40_000 }, (_, at) => at % 251)
  let double: S3Double
  let lake: ReturnType<typeof openS3>
  let now = Date.UTC(2024, 0, 1)
  beforeAll(async () => {
    const clock = {
      now: () => now,
      monotonicMs: () => performance.now(),
      // Only a slow answer sleeps, and only until the client has gone.
      sleep: (_ms: number, { signal }: { readonly signal?: AbortSignal } = {}) =>
        new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve(), { once: true })),
    }
    double = await startS3Double({ clock, listingDelayMs: 60_000 })
    lake = openS3(double)
  })
  afterEach(() => {
    double.heal()
    double.requests.length = 0
  })
  afterAll(async () => {
    await lake.close()
    await double.close()
  })
  const methods = () => double.requests.map((request) => `${request.method} ${request.status}`)
  const caught = (action: Promise<unknown>) => action.then(() => undefined).catch((error: unknown) => error)

  it('sends a file once, whole, conditionally and under its checksum', async () => {
    await lake.write('bars/once', content)
    expect(methods()).toEqual(['PUT 200'])
    expect(Buffer.compare(double.objects.get('varve/lake/bars/once')!.content, content)).toBe(0)
  })

  it('renews the date of a file that is there without sending it again', async () => {
    await lake.write('bars/renewed', content)
    const before = double.objects.get('varve/lake/bars/renewed')!.modifiedAt
    now += 5000
    await lake.write('bars/renewed', content)
    expect(methods()).toEqual(['PUT 200', 'PUT 412', 'HEAD 200', 'COPY 200'])
    expect(double.objects.get('varve/lake/bars/renewed')!.modifiedAt).toBe(before + 5000)
  })

  it('replaces an object that is not what its name promises', async () => {
    await lake.write('bars/damaged', content)
    const damaged = content.slice()
    damaged[7]! ^= 1
    double.objects.set('varve/lake/bars/damaged', { content: damaged, modifiedAt: now, listedFrom: now })
    await lake.write('bars/damaged', content)
    expect(methods().slice(1)).toEqual(['PUT 412', 'HEAD 200', 'PUT 200'])
    expect(await lake.read('bars/damaged', 7, 8)).toEqual(content.slice(7, 8))
  })

  it.each([
    ['error500', 'PUT'],
    ['slowDown', 'PUT'],
    ['reset', 'PUT'],
    ['wrongChecksum', 'PUT'],
    ['lostAnswer', 'PUT'],
  ] as const)('writes through %s', async (kind, method) => {
    double.fail({ kind, method, times: 2 })
    await lake.write(`bars/through-${kind}`, content)
    expect(Buffer.compare(await lake.read(`bars/through-${kind}`, 0, content.length), content)).toBe(0)
  })

  it.each([
    'error500',
    'slowDown',
    'reset',
    'lostAnswer',
    'truncatedBody',
    'shortBody',
    'ignoredRange',
  ] as const)('reads through %s, never fewer bytes', async (kind) => {
    await lake.write('bars/read', content)
    double.fail({ kind, method: 'GET', times: 3 })
    expect(await lake.read('bars/read', 100, 30_000)).toEqual(content.slice(100, 30_000))
    expect(double.requests.filter((request) => request.method === 'GET')).toHaveLength(4)
  })

  it('needs no ETag to be right', async () => {
    double.fail({ kind: 'wrongETag', times: 10 })
    await lake.write('bars/etag', content)
    await lake.write('bars/etag', content)
    expect(await lake.read('bars/etag', 0, 10)).toEqual(content.slice(0, 10))
  })

  it('gives up an attempt that takes too long and tries again', async () => {
    const impatient = openS3(double, { requestTimeoutMs: 40 })
    await impatient.write('bars/slow', content)
    double.fail({ kind: 'slowFirstByte', method: 'GET', delayMs: 3_600_000 })
    expect(await impatient.read('bars/slow', 0, 3)).toEqual(content.slice(0, 3))
    double.fail({ kind: 'slowFirstByte', method: 'GET', delayMs: 3_600_000, times: 2 })
    const hasty = openS3(double, { requestTimeoutMs: 40, attempts: 2 })
    expect(await caught(hasty.read('bars/slow', 0, 3))).toMatchObject({
      code: 'LAKE_UNREACHABLE',
      retryable: true,
      details: { reason: 'AttemptTimeout', attempts: 2 },
    })
    await impatient.close()
    await hasty.close()
  })

  it('gives up at the deadline or after the last attempt, as something that may pass', async () => {
    double.fail({ kind: 'slowDown', times: 100 })
    const error = await caught(lake.size('bars/once'))
    expect(error).toMatchObject({
      code: 'LAKE_UNREACHABLE',
      retryable: true,
      details: { status: 503, attempts: 6 },
    })
    const brief = openS3(double, { deadlineMs: 1, retryDelayMs: 1000, retryDelayMaxMs: 1000, attempts: 50 })
    expect(await caught(brief.size('bars/once'))).toMatchObject({ code: 'LAKE_UNREACHABLE' })
    await brief.close()
    const nobody = openS3(double, { endpoint: 'http://127.0.0.1:1' })
    expect(await caught(nobody.size('bars/once'))).toMatchObject({
      code: 'LAKE_UNREACHABLE',
      details: { reason: 'ECONNREFUSED', status: 0 },
    })
    await nobody.close()
  })

  it('does not knock again where it was refused', async () => {
    double.fail({ kind: 'accessDenied', times: 100 })
    for (const action of [
      () => lake.size('bars/once'),
      () => lake.read('bars/once', 0, 1),
      () => lake.write('bars/new', content),
      () => lake.delete('bars/once'),
      () => pathsOf(lake),
    ]) {
      expect(await caught(action())).toMatchObject({ code: 'LAKE_ACCESS_DENIED', retryable: false })
    }
    expect(double.requests).toHaveLength(5)
  })

  it('tells a missing bucket from a missing file', async () => {
    const elsewhere = openS3(double, { bucket: 'nobodys' })
    expect(await caught(pathsOf(elsewhere))).toMatchObject({ code: 'LAKE_BUCKET_MISSING' })
    expect(await caught(elsewhere.write('bars/x', content))).toMatchObject({ code: 'LAKE_BUCKET_MISSING' })
    expect(await caught(lake.read('bars/none', 0, 1))).toMatchObject({ code: 'LAKE_UNREADABLE' })
    await elsewhere.close()
  })

  it('finds a file that listings do not show yet', async () => {
    await lake.write('fresh/file', content)
    const listed = () => pathsOf(lake, 'fresh')
    expect(await listed()).toEqual([])
    expect(await lake.size('fresh/file')).toBe(content.length)
    expect(await lake.read('fresh/file', 1, 3)).toEqual(content.slice(1, 3))
    now += 60_001
    expect(await listed()).toEqual(['fresh/file'])
  })

  it('never shows a key, whatever goes wrong and however it is printed', async () => {
    const strangers = openS3(double, {
      credentials: {
        accessKeyId: new Secret('canary-access-key'),
        secretAccessKey: new Secret(SECRET),
        sessionToken: new Secret(TOKEN),
      },
    })
    const denied = await caught(strangers.size('bars/once'))
    const listing = await caught(pathsOf(strangers))
    double.fail({ kind: 'reset', times: 100 })
    const broken = await caught(lake.read('bars/once', 0, 1))
    expect(isVarveError(denied, 'LAKE_ACCESS_DENIED')).toBe(true)
    expect(isVarveError(listing, 'LAKE_ACCESS_DENIED')).toBe(true)
    expect(isVarveError(broken, 'LAKE_UNREACHABLE')).toBe(true)
    const shown = [denied, listing, broken, strangers, lake, double.requests]
      .map((value) => inspect(value, { depth: Infinity, showHidden: true }) + JSON.stringify(value))
      .join('\n')
    for (const canary of ['canary-access-key', SECRET, TOKEN, 'AWS4-HMAC', 'Signature='])
      expect(shown).not.toContain(canary)
    // Control: the double does name the key in its answer, and the error it makes is printed above.
    expect(shown).toContain('The key [secret] does not exist')
    await strangers.close()
  })

  it('does nothing after it was closed, and closes twice', async () => {
    const other = openS3(double)
    await other.close()
    await other.close()
    expect(await caught(other.size('bars/once'))).toMatchObject({ code: 'LAKE_CLOSED' })
  })

  it.each([
    { bucket: 'Not A Bucket' },
    { prefix: '/absolute' },
    { prefix: 'a//b' },
    { endpoint: 'ftp://example' },
    { attempts: 0 },
    { acces: 'x' } as object,
  ])('refuses %o', (wrong) => {
    expect(() => createS3Lake({ bucket: 'lake', ...wrong })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    )
  })
})
