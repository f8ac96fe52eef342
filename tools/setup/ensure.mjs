// Makes a checkout ready: installs dependencies when they are missing or stale and, with --build, builds every
// package through the cache. Plain JavaScript without imports of its own, because it runs before anything is installed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = join(dirname(fileURLToPath(import.meta.url)), '..', '..')
const modules = join(root, 'node_modules')
const stamp = join(modules, '.varve-lock')
const lock = join(root, 'package-lock.json')

const lockHash = createHash('sha256').update(readFileSync(lock)).digest('hex')

function installed() {
  if (existsSync(stamp)) return readFileSync(stamp, 'utf8') === lockHash
  // Installed by hand: npm leaves its own lock, newer than ours when it is up to date.
  const hidden = join(modules, '.package-lock.json')
  return existsSync(hidden) && statSync(hidden).mtimeMs >= statSync(lock).mtimeMs
}

function step(title, command, args) {
  const began = Date.now()
  console.error(`${title} …`)
  const result = spawnSync(command, args, {
    cwd: root,
    stdio: ['ignore', 'pipe', 'pipe'],
    encoding: 'utf8',
    maxBuffer: 256 * 1024 * 1024,
    shell: process.platform === 'win32',
    env: { ...process.env, NX_DAEMON: 'false', NX_TUI: 'false', NX_NO_CLOUD: 'true', FORCE_COLOR: '0' },
  })
  if (result.error !== undefined || result.status !== 0) {
    process.stderr.write(result.stdout ?? '')
    process.stderr.write(result.stderr ?? '')
    console.error(`${title} failed${result.error ? `: ${result.error.message}` : ''}`)
    process.exit(result.status || 1)
  }
  console.error(`${title} done in ${((Date.now() - began) / 1000).toFixed(1)} s`)
}

if (!installed()) step('installing dependencies', 'npm', ['ci', '--no-audit', '--no-fund'])
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lockHash) writeFileSync(stamp, lockHash)
if (process.argv.includes('--build')) {
  const nx = join(modules, '.bin', process.platform === 'win32' ? 'nx.cmd' : 'nx')
  step('building', nx, ['run-many', '-t', 'build', '--outputStyle=static', '--parallel=2'])
}
