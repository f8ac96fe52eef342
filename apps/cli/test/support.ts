import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, globSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createExchangeCalendar } from '@varve/calendar'

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
  /** What was written to standard error so far. */
  stderr(): string
}

/** Last session of the market that {@link writeMarket} writes. */
export const AS_OF = '2015-06-30'
const FIRST_DATE = '2015-04-01'
const POLL_MS = 20
const PATIENCE_MS = 40_000
const ROOT = join(import.meta.dirname, '../../..')
const BUILT = join(ROOT, 'apps/cli/bin/varve.js')
const SOURCE = join(ROOT, 'apps/cli/src/main.ts')

/**
 * The built command starts in a quarter of the time, so it is taken when every package was built after its last
 * change; otherwise the source is run.
 */
function commandLine(): readonly string[] {
  const newest = (pattern: string) =>
    Math.max(0, ...globSync(pattern, { cwd: ROOT }).map((path) => statSync(join(ROOT, path)).mtimeMs))
  const isBuilt = globSync('{packages,apps}/*/src', { cwd: ROOT }).every((source) => {
    const home = join(source, '..')
    const output = ['dist/index.js', 'dist/main.js']
      .map((path) => join(ROOT, home, path))
      .find((path) => existsSync(path))
    return output !== undefined && statSync(output).mtimeMs > newest(`${source}/**/*.ts`)
  })
  return isBuilt ? [BUILT] : ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning', SOURCE]
}
const COMMAND = commandLine()

/** Starts `varve` as a process of its own, without settings of the environment but those given. */
export function start(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Running {
  const child = spawn(process.execPath, [...COMMAND, ...args], {
    cwd,
    env: { ...process.env, DATABASE_URL: '', POLYGON_API_KEY: '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()))
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()))
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
  return { child, ended, stderr: () => stderr }
}

/** Runs `varve` to its end. */
export function varve(
  args: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<Ended> {
  return start(args, cwd, env).ended
}

/** Waits until `look` finds something. */
export async function until<T>(look: () => T | undefined | Promise<T | undefined>, what: string): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS
  while (Date.now() < deadline) {
    const found = await look()
    if (found !== undefined) return found
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
  throw new Error(`waited ${PATIENCE_MS} ms for ${what}`)
}

/** A quiet market of `count` symbols `SA0`, `SA1`, … with a bar at every session up to {@link AS_OF}. */
export function writeMarket(path: string, count: number): void {
  const sessions = createExchangeCalendar().sessionsInRange(FIRST_DATE, AS_OF)
  const rows = ['symbol,date,open,high,low,close,volume']
  for (let symbol = 0; symbol < count; symbol++) {
    sessions.forEach(({ date }, day) => {
      const cents = 1000 + symbol + (day % 3)
      const price = (offset: number) => ((cents + offset) / 100).toFixed(2)
      rows.push(
        `SA${symbol},${date},${price(0)},${price(50)},${price(-50)},${price(0)},${2_000_000 + 97 * day}`,
      )
    })
  }
  writeFileSync(path, `${rows.join('\n')}\n`)
}
