// Checks every package as a user would get it: packs it, lints the tarball (publint, are-the-types-wrong), installs
// all tarballs together in an empty project, imports every entry, type-checks against every entry, and runs the
// commands. Ends with `N passed, N failed, N skipped`.
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'

interface Manifest {
  readonly name: string
  readonly version: string
  readonly exports?: Readonly<Record<string, unknown>>
  readonly bin?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>
}

interface Packed {
  readonly manifest: Manifest
  readonly tarball: string
  readonly files: readonly string[]
}

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const ATTW = join(ROOT, 'node_modules/@arethetypeswrong/cli/dist/index.js')
const TSC = join(ROOT, 'node_modules/typescript/lib/tsc.js')
const NPM = process.platform === 'win32' ? 'npm.cmd' : 'npm'

/** What no tarball may hold. */
const FORBIDDEN = [
  /\.test\.[jt]s$/,
  /\.test\.d\.ts/,
  /^test\//,
  /^bench\//,
  /\.tsbuildinfo$/,
  /^tsconfig/,
  /(^|\/)\.env/,
  /^node_modules\//,
]

const totals = { passed: 0, failed: 0, skipped: 0 }

function report(title: string, problems: readonly string[]): void {
  if (problems.length === 0) {
    totals.passed++
    return
  }
  totals.failed++
  console.log(`FAILED  ${title}`)
  for (const problem of problems) console.log(`        ${problem}`)
}

function skip(title: string, why: string): void {
  totals.skipped++
  console.log(`skipped ${title}: ${why}`)
}

function call(
  command: string,
  args: readonly string[],
  cwd: string,
): { readonly ok: boolean; readonly text: string; readonly out: string } {
  const result = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
    shell: process.platform === 'win32',
    env: { ...process.env, NODE_OPTIONS: '', FORCE_COLOR: '0' },
  })
  const text = `${result.stdout}${result.stderr}${result.error?.message ?? ''}`
  return { ok: result.status === 0, text, out: result.stdout }
}

const tail = (text: string, lines = 15) => text.trim().split('\n').slice(-lines)

function pack(folder: string, into: string): Packed {
  const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')) as Manifest
  const result = call(NPM, ['pack', '--json', '--ignore-scripts', '--pack-destination', into], folder)
  if (!result.ok) throw new Error(`npm pack failed for ${manifest.name}:\n${result.text}`)
  const [entry] = Object.values(
    JSON.parse(result.out) as Record<string, { filename: string; files: { path: string }[] }>,
  )
  return { manifest, tarball: join(into, entry!.filename), files: entry!.files.map((file) => file.path) }
}

function checkContents({ manifest, files }: Packed): void {
  const problems = ['LICENSE', 'README.md', 'package.json']
    .filter((name) => !files.includes(name))
    .map((name) => `${name} is not in the tarball`)
  if (!files.some((file) => file.startsWith('dist/') && file.endsWith('.js')))
    problems.push('no dist/*.js in the tarball')
  for (const file of files)
    if (FORBIDDEN.some((pattern) => pattern.test(file)))
      problems.push(`${file} does not belong into the tarball`)
  for (const target of Object.values(manifest.bin ?? {}))
    if (!files.includes(target)) problems.push(`bin ${target} is missing`)
  report(`${manifest.name}: contents`, problems)
}

async function checkPublint({ manifest, tarball }: Packed): Promise<void> {
  const bytes = new Uint8Array(readFileSync(tarball)).buffer
  const { messages, pkg } = await publint({ pack: { tarball: bytes }, strict: true })
  report(
    `${manifest.name}: publint`,
    messages.map((message) => `${message.type} ${formatMessage(message, pkg) ?? message.code}`),
  )
}

function checkTypes({ manifest, tarball }: Packed): void {
  if (manifest.exports === undefined) return
  const result = call(
    process.execPath,
    [ATTW, tarball, '--profile', 'esm-only', '--no-emoji', '--no-color'],
    ROOT,
  )
  report(`${manifest.name}: are the types wrong`, result.ok ? [] : tail(result.text))
}

/** `@varve/core/testing` for the entry `./testing`. */
const entriesOf = ({ name, exports = {} }: Manifest) =>
  Object.keys(exports)
    .filter((entry) => entry !== './package.json')
    .map((entry) => name + entry.slice(1))

/** Test suites for users need a test runner around them and cannot be imported alone. */
function needsRunner(manifest: Manifest, specifier: string): boolean {
  return specifier.endsWith('/testing') && manifest.peerDependenciesMeta?.vitest?.optional === true
}

function install(packed: readonly Packed[], project: string): boolean {
  mkdirSync(project)
  const dependencies: Record<string, string> = {}
  for (const { manifest, tarball } of packed) {
    dependencies[manifest.name] = `file:${tarball}`
    for (const [peer, range] of Object.entries(manifest.peerDependencies ?? {})) {
      // Optional peers belong to entries of their own, which are checked too; a test runner only runs suites.
      if (peer !== 'vitest') dependencies[peer] = range
    }
  }
  writeFileSync(
    join(project, 'package.json'),
    JSON.stringify({ name: 'consumer', private: true, type: 'module', dependencies }, null, 2),
  )
  const result = call(
    NPM,
    ['install', '--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts'],
    project,
  )
  report('installing every tarball together', result.ok ? [] : tail(result.text))
  return result.ok
}

function checkImports(packed: readonly Packed[], project: string): void {
  for (const { manifest } of packed) {
    for (const specifier of entriesOf(manifest)) {
      if (needsRunner(manifest, specifier)) {
        skip(`import ${specifier}`, 'a suite to run inside vitest; only its resolution is checked')
        continue
      }
      const code = `const names = Object.keys(await import(${JSON.stringify(specifier)})); if (names.length === 0) throw new Error('exports nothing')`
      const result = call(process.execPath, ['--input-type=module', '-e', code], project)
      report(`import ${specifier}`, result.ok ? [] : tail(result.text, 8))
    }
  }
}

/** Type-checks a program that uses every entry, declarations of ours included, under both ways to resolve modules. */
function checkConsumerTypes(packed: readonly Packed[], project: string): void {
  const specifiers = packed.flatMap(({ manifest }) =>
    entriesOf(manifest).filter((specifier) => !needsRunner(manifest, specifier)),
  )
  const lines = specifiers.map((specifier, index) => `import * as m${index} from '${specifier}'`)
  // A module that silently became `any` would be assignable to a number.
  for (const index of specifiers.keys()) {
    lines.push('// @ts-expect-error a module is no number', `export const n${index}: number = m${index}`)
  }
  writeFileSync(join(project, 'consumer.ts'), `${lines.join('\n')}\n`)
  for (const [module, resolution] of [
    ['nodenext', 'nodenext'],
    ['esnext', 'bundler'],
  ] as const) {
    const options = [
      '--noEmit',
      '--strict',
      '--target',
      'es2024',
      '--lib',
      'es2024,esnext.disposable,dom',
      '--types',
      'node',
    ]
    const roots = [
      '--typeRoots',
      join(ROOT, 'node_modules/@types'),
      '--module',
      module,
      '--moduleResolution',
      resolution,
    ]
    const result = call(process.execPath, [TSC, ...options, ...roots, 'consumer.ts'], project)
    // Faults inside third-party declarations are not ours to answer for; those of the compiler's options are.
    const ours = result.text
      .split('\n')
      .filter((line) => /error TS/.test(line) && /^error|consumer\.ts|@varve/.test(line.split('(')[0] ?? ''))
    if (result.text.trim() !== '' && !/error TS/.test(result.text)) ours.push(...tail(result.text))
    report(`types for a consumer (${resolution})`, ours.slice(0, 15))
  }
}

function checkCommands(packed: readonly Packed[], project: string): void {
  for (const { manifest } of packed) {
    for (const [name, file] of Object.entries(manifest.bin ?? {})) {
      // A service has no options: that it can be parsed is all that can be asked of it here.
      if (name !== 'varve') {
        const parsed = call(process.execPath, ['--check', join('node_modules', manifest.name, file)], project)
        report(`${name}: syntax`, parsed.ok ? [] : tail(parsed.text, 5))
        continue
      }
      const result = call('npx', ['--no-install', name, '--version'], project)
      const found = result.out.trim()
      report(
        `${name} --version`,
        result.ok && found === manifest.version
          ? []
          : [`expected ${manifest.version}, found "${found}"`, ...tail(result.text, 5)],
      )
    }
  }
}

const work = mkdtempSync(join(tmpdir(), 'varve-packages-'))
try {
  const folders = ['packages', 'apps']
    .flatMap((group) => readdirSync(join(ROOT, group)).map((name) => join(ROOT, group, name)))
    .filter((folder) => existsSync(join(folder, 'package.json')))
  const packed = folders.map((folder) => pack(folder, work))
  for (const item of packed) {
    checkContents(item)
    await checkPublint(item)
    checkTypes(item)
  }
  const project = join(work, 'consumer')
  if (install(packed, project)) {
    checkImports(packed, project)
    checkConsumerTypes(packed, project)
    checkCommands(packed, project)
  }
} finally {
  if (process.env.VARVE_KEEP === undefined) rmSync(work, { recursive: true, force: true })
  else console.log(`kept ${work}`)
}
console.log(`${totals.passed} passed, ${totals.failed} failed, ${totals.skipped} skipped`)
process.exitCode = totals.failed === 0 ? 0 : 1
