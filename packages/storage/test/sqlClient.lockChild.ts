/**
 * A process that takes a directory's lock when told to. Messages in: `take`, `take-naively`, `release`, `open`;
 * out: `won`, `refused <code>`, `released`, `opened`.
 */
import { readFile, unlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isVarveError } from '@varve/core'
import { type DirectoryLock, LOCK_FILE, acquireDirectoryLock } from '../src/hot/directoryLock.ts'
import { createPgliteClient } from '../src/hot/PgliteClient.ts'

let lock: DirectoryLock | undefined

async function handle(command: string, directory: string): Promise<string> {
  if (command === 'take') {
    lock = await acquireDirectoryLock({ directory })
    return 'won'
  }
  if (command === 'take-naively') return takeNaively(join(directory, LOCK_FILE))
  if (command === 'open') {
    const client = createPgliteClient({ directory })
    await client.exec('CREATE TABLE IF NOT EXISTS acknowledged (n int)')
    const write = async (): Promise<void> => {
      for (let n = 1; ; n++) {
        await client.query('INSERT INTO acknowledged VALUES ($1)', [n])
        process.send!(`acknowledged ${n}`)
      }
    }
    void write()
    return 'opened'
  }
  await lock?.release()
  lock = undefined
  return 'released'
}

/** What everybody writes first: look, remove what is dead, create. Two takers can both win. */
async function takeNaively(path: string): Promise<string> {
  const owner = JSON.parse(await readFile(path, 'utf8')) as { pid: number }
  try {
    process.kill(owner.pid, 0)
    return 'refused DIRECTORY_LOCKED'
  } catch {
    await sleep(Math.random() * 4)
    await unlink(path).catch(() => undefined)
    await writeFile(path, JSON.stringify({ pid: process.pid }), { flag: 'wx' }).catch(() => undefined)
    const now = await readFile(path, 'utf8').catch(() => '{}')
    return (JSON.parse(now) as { pid?: number }).pid === process.pid ? 'won' : 'refused DIRECTORY_LOCKED'
  }
}

process.on('message', (message: { command: string; directory: string }) => {
  handle(message.command, message.directory).then(
    (answer) => process.send!(answer),
    (error: unknown) => process.send!(`refused ${isVarveError(error) ? error.code : String(error)}`),
  )
})
process.on('disconnect', () => process.exit(0))
process.send!('ready')
