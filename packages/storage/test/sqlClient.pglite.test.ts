import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { createPgliteClient } from '../src/hot/PgliteClient.ts'
import { startPgliteThread } from '../src/hot/pgliteThread.ts'

const root = mkdtempSync(join(tmpdir(), 'varve-pglite-'))
afterAll(() => {
  rmSync(root, { recursive: true, force: true })
})

describe('embedded directory', () => {
  const home = join(root, 'data')

  it('is made on the first call, marked with its format, and keeps its rows', async () => {
    const client = createPgliteClient({ directory: home })
    expect(existsSync(home)).toBe(false)
    await client.exec('CREATE TABLE kept (n int8); INSERT INTO kept VALUES (42)')
    expect(readFileSync(join(home, 'FORMAT'), 'utf8')).toBe('1\n')
    await expect(createPgliteClient({ directory: home }).query('SELECT 1')).rejects.toMatchObject({
      code: 'DIRECTORY_LOCKED',
    })
    await client.close()
    const again = createPgliteClient({ directory: home })
    expect((await again.query('SELECT n FROM kept')).rows).toEqual([{ n: 42n }])
    await again.close()
    expect(readdirSync(home).sort()).toEqual(['FORMAT', 'pg'])
  })

  it('refuses a newer format and leaves it alone', async () => {
    const directory = join(root, 'newer')
    mkdirSync(directory)
    writeFileSync(join(directory, 'FORMAT'), '2\n')
    const client = createPgliteClient({ directory })
    await expect(client.query('SELECT 1')).rejects.toMatchObject({
      code: 'DIRECTORY_NEWER',
      details: { found: 2, supported: 1 },
    })
    expect(readdirSync(directory)).toEqual(['FORMAT'])
    await client.close()
  })

  it.each([
    ['a stranger', { 'holiday.jpg': 'x' }],
    ['a plain Postgres directory', { PG_VERSION: '18', pg: 'x' }],
    ['an unreadable FORMAT', { FORMAT: 'hello' }],
  ])('refuses %s and leaves it alone', async (_name, files) => {
    const directory = mkdtempSync(join(root, 'foreign-'))
    for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text)
    const client = createPgliteClient({ directory })
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'DIRECTORY_FOREIGN' })
    expect(readdirSync(directory).sort()).toEqual(Object.keys(files).sort())
    await client.close()
  })

  it('says when the directory cannot be written', async () => {
    writeFileSync(join(root, 'plain-file'), '')
    const client = createPgliteClient({ directory: join(root, 'plain-file', 'below') })
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'DIRECTORY_NOT_WRITABLE' })
    await client.close()
  })

  it('can be tried again after a refusal', async () => {
    const directory = mkdtempSync(join(root, 'retry-'))
    writeFileSync(join(directory, 'stranger'), '')
    const client = createPgliteClient({ directory })
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'DIRECTORY_FOREIGN' })
    rmSync(join(directory, 'stranger'))
    expect((await client.query('SELECT 1 AS v')).rows).toEqual([{ v: 1 }])
    await client.close()
  })

  it('starts over what an interrupted first opening left', async () => {
    const directory = mkdtempSync(join(root, 'torn-'))
    writeFileSync(join(directory, 'FORMAT.new'), '1\n')
    mkdirSync(join(directory, 'pg'))
    writeFileSync(join(directory, 'pg', 'PG_VERSION'), '18\n')
    const client = createPgliteClient({ directory })
    expect((await client.query('SELECT 1 AS v')).rows).toEqual([{ v: 1 }])
    await client.close()
  })

  it('stops answering once its lock is gone', async () => {
    const client = createPgliteClient({ directory: home, heartbeatMs: 5 })
    await client.query('SELECT 1')
    rmSync(join(home, 'varve.lock'))
    await expect
      .poll(() =>
        client.query('SELECT 1').then(
          () => 'answered',
          (error: { code: string }) => error.code,
        ),
      )
      .toBe('DIRECTORY_LOCK_LOST')
    await client.close()
  })
})

describe('worker thread', () => {
  it('rejects everything with a clear error when it crashes', async () => {
    const crashes: string[] = []
    const thread = startPgliteThread({
      folder: undefined,
      youngGenerationMb: 24,
      onNotification: () => undefined,
      onCrash: (error) => crashes.push(error.code),
    })
    await thread.call({ op: 'open' })
    const waiting = thread.call({ op: 'query', text: 'SELECT pg_sleep(0.2)', params: [] })
    // Something that is no request at all ends the thread.
    const calls = [
      waiting,
      thread.call({ op: 'crash' } as unknown as { op: 'close' }),
      thread.call({ op: 'close' }),
    ]
    const ends = await Promise.allSettled(calls)
    expect(ends.slice(1)).toMatchObject([
      { status: 'rejected', reason: { code: 'DATABASE_CRASHED' } },
      { status: 'rejected', reason: { code: 'DATABASE_CRASHED' } },
    ])
    await expect(thread.call({ op: 'close' })).rejects.toMatchObject({ code: 'DATABASE_CRASHED' })
    expect(crashes).toEqual(['DATABASE_CRASHED'])
    await thread.terminate(new Error('terminated'))
  })

  it('lets the process end after close', () => {
    const script = `
      import { createPgliteClient } from ${JSON.stringify(join(import.meta.dirname, '../src/hot/PgliteClient.ts'))}
      const client = createPgliteClient({ directory: ':memory:' })
      await client.listen('x', () => undefined)
      await client.close()
      console.log('closed')`
    const run = spawnSync(
      process.execPath,
      [
        '--conditions=@varve/source',
        '--disable-warning=ExperimentalWarning',
        '--input-type=module',
        '-e',
        script,
      ],
      { encoding: 'utf8', timeout: 30_000 },
    )
    expect(run).toMatchObject({ status: 0, stdout: 'closed\n' })
  })

  it('leaves the event loop free while a large COPY runs', async () => {
    const client = createPgliteClient({ directory: ':memory:' })
    await client.exec('CREATE TABLE big (n int8, a numeric(18,6), t text)')
    const rows = 200_000
    const source = function* () {
      for (let at = 0; at < rows; at += 5_000) {
        yield Buffer.from(
          Array.from({ length: 5_000 }, (_, i) => `${at + i}\t${at + i}.123456\tAAPL\n`).join(''),
        )
      }
    }
    let last = performance.now()
    let longest = 0
    let turns = 0
    const timer = setInterval(() => {
      turns++
      const now = performance.now()
      longest = Math.max(longest, now - last)
      last = now
    }, 2)
    const start = performance.now()
    expect(await client.copyIn('COPY big FROM STDIN', source())).toBe(rows)
    const seconds = (performance.now() - start) / 1_000
    clearInterval(timer)
    console.log(
      `PGlite copyIn: ${Math.round(rows / seconds)} rows/s, longest gap of the event loop ${Math.round(longest)} ms`,
    )
    // A blocked loop would hardly turn before the COPY ends.
    expect(turns).toBeGreaterThan(20)
    await client.close()
  })
})
