import {
  changeSetting,
  configurationSchemas,
  configurationVersions,
  exportConfiguration,
  migrateConfiguration,
  rollBackConfiguration,
  SECTIONS,
  writeSchemas,
} from '@varve/application'
import { VarveError } from '@varve/core'
import { print, printJson, table } from '../output/print.ts'
import { toYaml } from '../output/yaml.ts'
import type { GlobalOptions } from '../program.ts'
import { configDirectoryOf, configurationOf, configurationOptionsOf } from '../session.ts'

/** `varve config check`: every fault of every file, or that there is none. */
export async function check(options: GlobalOptions): Promise<void> {
  const { warnings, files, profile } = await configurationOf(options)
  const sections = Object.keys(SECTIONS)
  if (options.json === true) printJson({ ok: true, sections, files, environment: profile, warnings })
  else
    print(
      `no fault found (${files.length === 0 ? 'built-in defaults' : `${files.length} files`}, environment ${profile}, ${warnings.length} warnings)`,
    )
}

/** `varve config show [PREFIX]`: what is in force, secrets redacted. */
export async function show(
  prefix: string | undefined,
  options: GlobalOptions & { readonly flat?: boolean; readonly origin?: boolean },
): Promise<void> {
  const configuration = await configurationOf(options)
  const under = (key: string) => prefix === undefined || key === prefix || key.startsWith(`${prefix}.`)
  const flat = Object.fromEntries(Object.entries(configuration.flatten()).filter(([key]) => under(key)))
  if (Object.keys(flat).length === 0 && prefix !== undefined) configuration.explain(prefix) // says what is near
  if (options.origin === true) {
    const rows = Object.keys(flat).map((key) => {
      const { value, origin } = configuration.explain(key)
      return [key, shortened(JSON.stringify(value)), place(origin)] as const
    })
    if (options.json === true)
      printJson(rows.map(([key, , from]) => ({ key, value: flat[key], origin: from })))
    else for (const line of table([['setting', 'value', 'from'], ...rows])) print(line)
    return
  }
  if (options.flat === true) {
    if (options.json === true) printJson(flat)
    else for (const [key, value] of Object.entries(flat)) print(`${key}: ${JSON.stringify(value)}`)
    return
  }
  const whole = configuration.redacted()
  const part = prefix === undefined ? whole : partOf(whole, prefix.split('.'))
  if (options.json === true) printJson(part)
  else process.stdout.write(toYaml(part))
}

/** `varve config explain KEY`: the value, who set it, what it overrode, and what it may be. */
export async function explain(key: string, options: GlobalOptions): Promise<void> {
  const explanation = (await configurationOf(options)).explain(key)
  if (options.json === true) {
    printJson(explanation)
    return
  }
  const { value, origin, overrode, type, range, description, secret } = explanation
  print(`${explanation.key}: ${JSON.stringify(value)}`)
  print()
  if (description !== '') print(`  ${description}`)
  print(`  from      ${place(origin)}`)
  for (const item of overrode) print(`  overrode  ${JSON.stringify(item.value)} from ${place(item.origin)}`)
  print(`  type      ${type}${range === '' ? '' : `, ${range}`}${secret ? ', secret' : ''}`)
  print(`  default   ${explanation.default === undefined ? 'none' : JSON.stringify(explanation.default)}`)
}

const LONGEST = 60

function shortened(text: string): string {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}…` : text
}

interface Place {
  readonly kind: string
  readonly file?: string | undefined
  readonly line?: number | undefined
  readonly column?: number | undefined
  readonly variable?: string | undefined
  readonly source?: string | undefined
}

function place(origin: Place): string {
  const { kind, file, line, column, variable, source } = origin
  const where = file === undefined ? '' : `${file}${line === undefined ? '' : `:${line}:${column ?? 1}`}`
  if (kind === 'default') return where === '' ? 'default' : `default (${where})`
  if (kind === 'override') return source ?? 'command line'
  if (kind === 'environment') return `environment variable ${variable ?? source ?? ''}`.trimEnd()
  return `${where}${variable === undefined ? '' : ` (\${${variable}})`}`
}

function partOf(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>(
    (current, part) =>
      current !== null && typeof current === 'object'
        ? (current as Record<string, unknown>)[part]
        : undefined,
    value,
  )
}

/** `varve config schema [SECTION] [--write]`: JSON Schema for editors. */
export async function schema(
  section: string | undefined,
  options: GlobalOptions & { readonly write?: boolean },
): Promise<void> {
  if (options.write === true) {
    const directory = requireDirectory(options)
    const written = writeSchemas(directory)
    if (options.json === true) printJson({ directory, written })
    else for (const name of written) print(`wrote ${directory}/${name}`)
    return
  }
  const schemas = configurationSchemas()
  if (section === undefined) {
    printJson(schemas)
    return
  }
  const found = schemas[section]
  if (found === undefined) {
    throw new VarveError(`there is no file ${section}.yaml; known: ${Object.keys(schemas).join(', ')}`, {
      code: 'OPTION_INVALID',
      details: { section },
    })
  }
  printJson(found)
}

/** `varve config set KEY VALUE`: changes one file after a backup, if the whole stays valid. */
export async function set(key: string, value: string, options: GlobalOptions): Promise<void> {
  const { file, changed, savedAs, shadowedBy } = await changeSetting({
    ...configurationOptionsOf(options),
    directory: requireDirectory(options),
    key,
    value,
  })
  const by = shadowedBy === undefined ? null : place(shadowedBy)
  if (options.json === true) {
    printJson({ file, changed, savedAs: savedAs ?? null, shadowedBy: by })
    return
  }
  print(
    changed
      ? `${file}: ${key} is now ${value}; the state before is version ${savedAs}`
      : `${file} said so already; nothing was changed`,
  )
  if (by !== null) print(`it has no effect at the moment: ${by} sets the same and wins`)
}

/** `varve config versions`: backups, newest last. */
export async function versions(options: GlobalOptions): Promise<void> {
  const list = await configurationVersions(requireDirectory(options))
  if (options.json === true) {
    printJson(list)
    return
  }
  if (list.length === 0) {
    print('no version yet; varve config set, rollback and migrate make one before they change anything')
    return
  }
  for (const line of table([
    ['version', 'at', 'files', 'reason'],
    ...list.map((item) => [String(item.version), item.at, String(item.files.length), item.reason]),
  ]))
    print(line)
}

/** `varve config rollback VERSION`. */
export async function rollback(text: string, options: GlobalOptions): Promise<void> {
  const version = Number(text)
  if (!Number.isInteger(version) || version < 1) {
    throw new VarveError(`"${text}" is no version; varve config versions lists them`, {
      code: 'OPTION_INVALID',
      details: { found: text },
    })
  }
  const result = await rollBackConfiguration(requireDirectory(options), version)
  if (options.json === true) printJson(result)
  else print(`version ${version} is in force again; the state before is version ${result.version}`)
}

/** `varve config export FILE`. */
export async function exportTo(file: string, options: GlobalOptions): Promise<void> {
  await exportConfiguration(requireDirectory(options), file)
  if (options.json === true) printJson({ file })
  else print(`wrote ${file}`)
}

/** `varve config migrate [--dry-run]`: rewrites older files; nothing is written unless the result is valid. */
export async function migrate(options: GlobalOptions & { readonly dryRun?: boolean }): Promise<void> {
  const result = await migrateConfiguration({
    ...configurationOptionsOf(options),
    directory: requireDirectory(options),
    dryRun: options.dryRun === true,
  })
  if (options.json === true) {
    printJson(result)
    return
  }
  for (const action of result.actions) print(action)
  if (result.diff !== '') print(`\n${result.diff}`)
  for (const { file, line, key, why } of result.unplaced) print(`not placed: ${file}:${line} ${key}: ${why}`)
  if (result.problem !== undefined) print(`the result would not load:\n${result.problem}`)
  if (!result.changed) print('nothing to migrate: every file is of the present form')
  else if (result.written) print(`written; the state before is version ${result.savedAs}`)
  else if (result.unplaced.length > 0 || result.problem !== undefined)
    print('nothing was written; what stands in the way has to be mended by hand first')
  else print('nothing was written; run without --dry-run to do it')
}

function requireDirectory(options: GlobalOptions): string {
  const directory = configDirectoryOf(options)
  if (directory !== null) return directory
  throw new VarveError(
    'there is no configuration folder; "varve init" writes one, or name it with --config',
    {
      code: 'CONFIG_NOT_FOUND',
    },
  )
}
