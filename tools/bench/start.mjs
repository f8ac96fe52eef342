// npm run bench -- NAME [--quick] [--json]: makes the workspace and the peers ready, then runs. Plain JavaScript
// without imports of its own, because it runs before anything is installed.
import { spawnSync } from 'node:child_process'
import { existsSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const root = join(here, '..', '..')

/** Everything but the result goes to standard error, so that --json prints one document only. */
function step(command, args, cwd) {
  const { status } = spawnSync(command, args, {
    cwd,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status !== 0) process.exit(status || 1)
}

step(process.execPath, [join(root, 'tools', 'setup', 'ensure.mjs'), '--build'], root)
const lock = join(here, 'package-lock.json')
const installed = join(here, 'node_modules', '.package-lock.json')
if (!existsSync(installed) || statSync(installed).mtimeMs < statSync(lock).mtimeMs) {
  step('npm', ['ci', '--no-audit', '--no-fund'], here)
}
const bundled = join(root, 'node_modules', '.bin', 'node')
const node = existsSync(bundled) ? bundled : process.execPath
const { status } = spawnSync(node, [join(here, 'run.ts'), ...process.argv.slice(2)], {
  cwd: root,
  stdio: 'inherit',
})
process.exit(status ?? 1)
