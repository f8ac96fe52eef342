import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import {
  existsSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { LOCK_FILE, acquireDirectoryLock } from '../src/hot/directoryLock.ts'
import { createPgliteClient } from '../src/hot/PgliteClient.ts'

const root = mkdtempSync(join(tmpdir(), 'varve-lock-'))
let made = 0
function folder(): string {
  return mkdtempSync(join(root, `d${made++}-`))
}

interface Child {
  readonly process: ChildProcess
  ask(command: string, directory: string): Promise<string>
  readonly heard: string[]
}

const children: ChildProcess[] = []

async function startChild(): Promise<Child> {
  const child = fork(join(import.meta.dirname, 'sqlClient.lockChild.ts'), {
    execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  children.push(child)
  const heard: string[] = []
  const answers: ((answer: string) => void)[] = []
  child.on('message', (message: string) => {
    heard.push(message)
    if (!message.startsWith('acknowledged')) answers.shift()?.(message)
  })
  await new Promise<string>((resolve) => answers.push(resolve))
  return {
    process: child,
    heard,
    ask(command, directory) {
      return new Promise((resolve) => {
        answers.push(resolve)
        child.send({ command, directory })
      })
    },
  }
}

async function kill(child: Child): Promise<void> {
  const ended = once(child.process, 'exit')
  child.process.kill('SIGKILL')
  await ended
}

afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

describe('directory lock', () => {
  let a: Child
  let b: Child
  let deadPid: number
  beforeAll(async () => {
    const [first, second, third] = await Promise.all([startChild(), startChild(), startChild()])
    a = first
    b = second
    deadPid = third.process.pid!
    await kill(third)
  })

  const leaveDeadLock = (directory: string, round: number, change: Record<string, unknown> = {}): void => {
    writeFileSync(
      join(directory, LOCK_FILE),
      JSON.stringify({ ...realOwner, pid: deadPid, processStart: '1', token: `dead-${round}`, ...change }),
    )
  }
  let realOwner: Record<string, unknown> = {}
  beforeAll(async () => {
    const directory = folder()
    const lock = await acquireDirectoryLock({ directory })
    realOwner = JSON.parse(readFileSync(join(directory, LOCK_FILE), 'utf8')) as Record<string, unknown>
    await lock.release()
    expect(readdirSync(directory)).toEqual([])
  })

  const race = async (
    command: string,
    prepare: (directory: string, round: number) => void,
    rounds: number,
  ) => {
    const wins: number[] = []
    for (let round = 0; round < rounds; round++) {
      const directory = folder()
      prepare(directory, round)
      const answers = await Promise.all([a.ask(command, directory), b.ask(command, directory)])
      wins.push(answers.filter((answer) => answer === 'won').length)
      if (command === 'take') {
        for (const answer of answers) expect(['won', 'refused DIRECTORY_LOCKED']).toContain(answer)
        expect(readdirSync(directory)).toEqual([LOCK_FILE])
        await Promise.all([a.ask('release', directory), b.ask('release', directory)])
        expect(readdirSync(directory)).toEqual([])
      }
    }
    return wins
  }

  it('has exactly one winner when two processes take a free directory, 150 rounds', async () => {
    expect(new Set(await race('take', () => undefined, 150))).toEqual(new Set([1]))
  })

  it('has exactly one winner when two processes take over from a dead owner, 150 rounds', async () => {
    expect(new Set(await race('take', leaveDeadLock, 150))).toEqual(new Set([1]))
  })

  it('control: look, remove, create has rounds with two winners', async () => {
    expect(Math.max(...(await race('take-naively', leaveDeadLock, 150)))).toBe(2)
  })

  it('always refuses a live owner, also one that sleeps, and names it', async () => {
    const directory = folder()
    expect(await a.ask('take', directory)).toBe('won')
    a.process.kill('SIGSTOP')
    utimesSync(join(directory, LOCK_FILE), 0, 0)
    for (let attempt = 0; attempt < 5; attempt++)
      expect(await b.ask('take', directory)).toBe('refused DIRECTORY_LOCKED')
    await expect(acquireDirectoryLock({ directory, heartbeatMs: 1, lockStaleMs: 1 })).rejects.toMatchObject({
      code: 'DIRECTORY_LOCKED',
      message: expect.stringContaining(`process ${a.process.pid}`) as string,
      details: { pid: a.process.pid, since: expect.stringMatching(/^\d{4}-/) as string },
    })
    a.process.kill('SIGCONT')
    expect(await a.ask('release', directory)).toBe('released')
    expect(await b.ask('take', directory)).toBe('won')
    await b.ask('release', directory)
  })

  it('refuses a second opener in the same process', async () => {
    const directory = folder()
    const lock = await acquireDirectoryLock({ directory })
    await expect(acquireDirectoryLock({ directory })).rejects.toThrow(/\(this one\)/)
    await lock.release()
    await lock.release()
    await (await acquireDirectoryLock({ directory })).release()
  })

  it('takes over at once from a pid that now belongs to another process', async () => {
    const directory = folder()
    leaveDeadLock(directory, 0, { pid: process.pid, processStart: '12345' })
    await (await acquireDirectoryLock({ directory })).release()
  })

  it('judges an owner elsewhere by its heartbeat', async () => {
    const directory = folder()
    const options = { directory, lockStaleMs: 500, heartbeatMs: 20 }
    leaveDeadLock(directory, 0, { host: 'another-machine' })
    await expect(acquireDirectoryLock(options)).rejects.toMatchObject({ code: 'DIRECTORY_LOCKED' })
    const path = join(directory, LOCK_FILE)
    utimesSync(path, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000))
    const awake = setTimeout(() => {
      utimesSync(path, new Date(), new Date()) // the machine had only been asleep
    }, 20)
    await expect(acquireDirectoryLock(options)).rejects.toMatchObject({ code: 'DIRECTORY_LOCKED' })
    clearTimeout(awake)
    utimesSync(path, new Date(Date.now() - 60_000), new Date(Date.now() - 60_000))
    await (await acquireDirectoryLock(options)).release()
  })

  it('takes over a lock file nobody can read once it is old', async () => {
    const directory = folder()
    const path = join(directory, LOCK_FILE)
    writeFileSync(path, '')
    const options = { directory, lockStaleMs: 500, heartbeatMs: 5 }
    await expect(acquireDirectoryLock(options)).rejects.toMatchObject({ code: 'DIRECTORY_LOCKED' })
    utimesSync(path, 0, 0)
    await (await acquireDirectoryLock(options)).release()
  })

  it('notices that its lock was taken away', async () => {
    const directory = folder()
    const lock = await acquireDirectoryLock({ directory, heartbeatMs: 5 })
    rmSync(join(directory, LOCK_FILE))
    await expect.poll(() => lock.lost.aborted).toBe(true)
    expect(lock.lost.reason).toMatchObject({ code: 'DIRECTORY_LOCK_LOST' })
    await lock.release()
  })
})

describe('embedded database after kill -9', () => {
  it('takes the directory over in less than a second and holds every acknowledged row', async () => {
    const directory = join(folder(), 'data')
    for (let round = 0; round < 3; round++) {
      const child = await startChild()
      expect(await child.ask('open', directory)).toBe('opened')
      await expect.poll(() => child.heard.length, { timeout: 10_000 }).toBeGreaterThan(30)
      const refused = createPgliteClient({ directory })
      await expect(refused.query('SELECT 1')).rejects.toMatchObject({
        code: 'DIRECTORY_LOCKED',
        details: { pid: child.process.pid },
      })
      await refused.close()
      await kill(child)
      const acknowledged = Number(
        child.heard
          .filter((line) => line.startsWith('acknowledged'))
          .at(-1)!
          .split(' ')[1],
      )
      const lockStart = performance.now()
      await (await acquireDirectoryLock({ directory })).release()
      expect(performance.now() - lockStart).toBeLessThan(1_000)
      const client = createPgliteClient({ directory })
      const { rows } = await client.query<{ n: number }>('SELECT max(n)::int4 AS n FROM acknowledged')
      expect(rows[0]!.n).toBeGreaterThanOrEqual(acknowledged)
      await client.exec('TRUNCATE acknowledged')
      await client.close()
      expect(existsSync(join(directory, LOCK_FILE))).toBe(false)
    }
  })
})
