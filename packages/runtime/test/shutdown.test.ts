import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadCriticalState } from '../src/index.ts'

describe.skipIf(process.platform === 'win32')('real processes and real signals', () => {
  let folder = ''
  const children = new Set<ChildProcess>()
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'varve-shutdown-'))
  })
  afterAll(() => {
    for (const child of children) child.kill('SIGKILL')
    rmSync(folder, { recursive: true })
  })

  let files = 0
  const start = async (behaviour: string, exitAs = 'service') => {
    const path = join(folder, `state-${files++}.json`)
    const child = fork(join(import.meta.dirname, 'support/shutdownChild.ts'), [behaviour, exitAs, path], {
      execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'inherit', 'pipe', 'ipc'],
    })
    children.add(child)
    let text = ''
    child.stderr!.on('data', (chunk: Buffer) => (text += chunk.toString()))
    const heard: string[] = []
    child.on('message', (message: string) => heard.push(message))
    const ended = once(child, 'close').then(([code]) => code as number | null)
    await expect.poll(() => heard.includes('ready'), { timeout: 20_000 }).toBe(true)
    const stopping = () => expect.poll(() => heard.includes('stopping'), { timeout: 20_000 }).toBe(true)
    return { child, path, ended, stopping, text: () => text, heard }
  }

  it('SIGTERM and SIGINT at once stop a service in order, once', async () => {
    const { child, path, ended, text, heard } = await start('stops')
    child.kill('SIGTERM')
    child.kill('SIGINT')
    expect(await ended).toBe(0)
    expect(heard.filter((message) => message === 'stopping')).toHaveLength(1)
    expect(text()).toBe('')
    expect(loadCriticalState(path)).toBeUndefined()
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('%s ends a command with %i', async (signal, code) => {
    const { child, ended } = await start('stops', 'command')
    child.kill(signal)
    expect(await ended).toBe(code)
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)(
    '%s twice ends what does not stop with %i, says what is left and saves',
    async (signal, code) => {
      const { child, path, ended, stopping, text } = await start('hangs')
      child.kill(signal)
      await stopping()
      // Longer than what counts as the same wish.
      await pass(300)
      child.kill(signal)
      expect(await ended).toBe(code)
      expect(text()).toContain('did not stop: poller (data): exit was forced while it was stopping')
      expect(loadCriticalState(path)).toEqual({ reason: `forced by a second ${signal}`, open: ['a', 'b'] })
    },
  )

  it.each([
    ['throws', 'uncaught exception', 'a fault nobody caught'],
    ['rejects', 'unhandled rejection', 'a promise nobody watched'],
  ])('a process that %s saves its critical state and ends with 1', async (behaviour, reason, message) => {
    const { child, path, ended, text } = await start(behaviour)
    child.send('now')
    expect(await ended).toBe(1)
    expect(text()).toContain(message)
    expect(loadCriticalState(path)).toEqual({ reason, open: ['a', 'b'] })
  })
})
