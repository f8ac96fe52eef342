import { checkedOptions, REDACTED, VarveError } from '@varve/core'
import { ConfigError, type ConfigProblem, problem } from './ConfigError.ts'
import { describeSection, descriptionOf, type SettingDescription } from './describe.ts'
import { filePieces, parseFiles } from './filePieces.ts'
import { problemsOf } from './issues.ts'
import { nearestKey, type Target, targetOf } from './keys.ts'
import { configLimitsSchema } from './limits.ts'
import { environmentPieces, overridePieces } from './outside.ts'
import type { Path } from './parseFile.ts'
import { merge, overlaps, type Piece, sayings } from './pieces.ts'
import { readFolder } from './readFolder.ts'
import { isSecret, schemasAt, valueAt } from './schema.ts'
import { covered, escaped, freeze, leavesOf } from './show.ts'
import type {
  ConfigSections,
  ConfigValues,
  ConfigWarning,
  Explanation,
  LoadConfigOptions,
  LoadedConfig,
  Origin,
} from './types.ts'
import { createVariables } from './variables.ts'

/**
 * Reads and checks a configuration: defaults, a folder of single-purpose files, the files of a profile over them,
 * environment variables, and what the command line sets; each over the one before. Every problem of every source is
 * found before anything is returned.
 *
 * @throws `CONFIG_INVALID` ({@link ConfigError}) with every problem, each with file, line and column; `OPTION_INVALID`
 */
export async function loadConfig<Sections extends ConfigSections>(
  options: LoadConfigOptions<Sections>,
): Promise<LoadedConfig<Sections>> {
  const { directory, sections, profile, env = process.env, variables: rules = {} } = options
  const limits = checkedOptions(configLimitsSchema, options.limits ?? {}, 'loadConfig: limits')
  checkKeys(options)
  const problems: ConfigProblem[] = []
  const warnings: ConfigWarning[] = []
  const raw =
    directory === null
      ? []
      : readFolder(
          { directory, profile, profiles: options.profiles, sections: Object.keys(sections), limits },
          problems,
        )
  const variables = createVariables({
    rules,
    env,
    sources: options.secretSources ?? [],
    signal: options.signal,
    maxFileBytes: limits.maxFileBytes,
    maxValueLength: limits.maxValueLength,
  })
  const context = {
    sections,
    deprecated: options.deprecated ?? [],
    limits,
    problems,
    warnings,
    broken: new Set<string>(),
  }
  const parsed = parseFiles(raw, context)
  await variables.prepare(parsed.flatMap(({ references }) => references.map(({ text }) => text)))
  const outside = {
    sections,
    env,
    envPrefix: options.envPrefix,
    rules,
    variables,
    profile,
    overrides: options.overrides ?? {},
  }
  const pieces = [
    ...defaultPieces(options.defaults ?? {}),
    ...filePieces(parsed, variables, context),
    ...(await environmentPieces(outside, problems)),
    ...overridePieces(outside, problems),
  ]
  const bySection = new Map(
    Object.keys(sections).map((name) => [name, pieces.filter((piece) => piece.section === name)]),
  )
  const described = new Map<string, SettingDescription[]>()
  const descriptionsOf = (section: string): SettingDescription[] => {
    const known = described.get(section) ?? describeSection(section, sections[section]!)
    described.set(section, known)
    return known
  }
  const originOf = (section: string, path: Path, of?: 'key' | 'value'): Origin =>
    placeIn(bySection.get(section) ?? [], path, of)

  const values: Record<string, unknown> = {}
  for (const [section, schema] of Object.entries(sections)) {
    const own = bySection.get(section)!
    const input = own.reduce<unknown>((base, piece) => merge(base, piece.tree, [schema]), {}) ?? {}
    const result = schema.safeParse(input)
    if (result.success) values[section] = freeze(result.data)
    else if (!context.broken.has(section)) {
      const refused = parsed.flatMap((file) => (file.section === section ? file.refused : []))
      problems.push(
        ...problemsOf(result.error.issues, {
          section,
          schema,
          input,
          descriptions: () => descriptionsOf(section),
          limit: limits.maxProblems,
          refused: (path) => refused.some((item) => overlaps(item, path)),
          placeOf: (path, of) => originOf(section, path, of),
        }).slice(0, limits.maxProblems),
      )
    }
  }

  const placeOfKey = (key: string) => {
    const [name] = key.split('.')
    const { section, path } = targetOf(sections, key) ?? { section: name!, path: [] }
    const { file, line, column, variable, source } = originOf(section, path)
    const outsideName = variable === undefined ? `${section}.yaml` : 'environment'
    return { file: file ?? (variable === undefined ? source : undefined) ?? outsideName, line, column }
  }
  if (problems.length === 0) {
    for (const check of options.crossChecks ?? []) {
      check(values as ConfigValues<Sections>, (key, message) =>
        problems.push(problem('CONFIG_CROSS_FIELD', placeOfKey(key), `${key}: ${message}`, key)),
      )
    }
  }
  if (problems.length > 0) throw new ConfigError(sorted(problems))

  for (const { key, when, message } of options.risks ?? []) {
    const { section, path } = targetOf(sections, key)!
    const value = valueAt(values[section], path)
    if (value === undefined || !when(value)) continue
    const shown = JSON.stringify(covered(value, sections[section]!, path))
    warnings.push({ code: 'CONFIG_RISKY', key, ...placeOfKey(key), message: `${key} = ${shown}: ${message}` })
  }

  let leaves: ReadonlyMap<string, { readonly value: unknown; readonly target: Target }> | undefined
  const allLeaves = () =>
    (leaves ??= new Map(
      leavesOf(values).map(({ path: [section, ...path], value }) => [
        [section, ...path].join('.'),
        { value: covered(value, sections[section!]!, path), target: { section: section!, path } },
      ]),
    ))

  const explain = (key: string): Explanation => {
    const target = allLeaves().get(key)?.target ?? targetOf(sections, key)
    if (target === undefined) throw keyUnknown(key, nearestKey(sections, key))
    const { section, path } = target
    const schema = sections[section]!
    const secret = schemasAt(schema, path).some(isSecret)
    const [winner, ...overrode] = sayings(bySection.get(section)!, path, schema)
    const description = descriptionOf(descriptionsOf(section), [section, ...path])
    return {
      key,
      value: covered(valueAt(values[section], path), schema, path),
      origin: winner?.origin ?? { kind: 'default' },
      overrode: overrode.map(({ value, origin }) => ({ value: covered(value, schema, path), origin })),
      type: description?.type ?? 'map',
      range: description?.range ?? '',
      default: secret && description?.default !== undefined ? REDACTED : description?.default,
      description: description?.description ?? '',
      secret,
    }
  }

  let flat: Readonly<Record<string, unknown>> | undefined
  return Object.freeze({
    // A copy, because V8 keeps an object that grew key by key as a slow table.
    values: Object.freeze({ ...values }) as ConfigValues<Sections>,
    profile,
    files: Object.freeze(raw.map(({ file }) => file)),
    warnings: Object.freeze(warnings),
    explain,
    flatten: () =>
      (flat ??= Object.freeze(
        Object.fromEntries([...allLeaves()].map(([key, { value }]) => [key, freeze(value)])),
      )),
    redacted: () =>
      Object.fromEntries(
        Object.entries(values).map(([name, value]) => [name, escaped(covered(value, sections[name]!))]),
      ),
    origins: () =>
      new Map(
        [...allLeaves()].map(([key, { target }]) => {
          const [winner] = sayings(bySection.get(target.section)!, target.path, sections[target.section]!)
          return [key, winner?.origin ?? { kind: 'default' as const }]
        }),
      ),
  })
}

/** @throws `OPTION_INVALID` where an option names a setting there is not */
function checkKeys(
  options: Pick<LoadConfigOptions<ConfigSections>, 'sections' | 'variables' | 'risks' | 'deprecated'>,
): void {
  const named = [
    ...Object.entries(options.variables ?? {}).map(([name, { setting }]) => [`variables.${name}`, setting]),
    ...(options.risks ?? []).map(({ key }, index) => [`risks.${index}`, key]),
    ...(options.deprecated ?? []).map(({ to }, index) => [`deprecated.${index}`, to]),
  ] as const
  const faults = named.flatMap(([option, key]) =>
    key === undefined || targetOf(options.sections, key) !== undefined
      ? []
      : [`${option} names "${key}", which no section has`],
  )
  if (faults.length === 0) return
  throw new VarveError(`options of loadConfig: ${faults.join('; ')}`, {
    code: 'OPTION_INVALID',
    details: { of: 'loadConfig', faults },
  })
}

function defaultPieces(defaults: Readonly<Record<string, unknown>>): Piece[] {
  return Object.entries(defaults).map(([section, tree]) => ({
    section,
    tree,
    origin: () => ({ kind: 'default' as const }),
  }))
}

/** Where the highest piece that says anything of a path, or of its nearest parent, says it. */
function placeIn(pieces: readonly Piece[], path: Path, of?: 'key' | 'value'): Origin {
  for (let length = path.length; length >= 0; length--) {
    const part = path.slice(0, length)
    const piece = [...pieces]
      .reverse()
      .find((item) => valueAt(item.tree, part) !== undefined && item.origin(part).kind !== 'default')
    if (piece !== undefined) return piece.origin(length === path.length ? path : part, of)
  }
  return { kind: 'default' }
}

function sorted(problems: readonly ConfigProblem[]): ConfigProblem[] {
  return [...problems].sort((a, b) =>
    a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || a.column - b.column,
  )
}

function keyUnknown(key: string, guess: string | undefined): VarveError {
  return new VarveError(
    `there is no setting "${key}"${guess === undefined ? '; "varve config show --flat" lists all' : `; did you mean "${guess}"?`}`,
    { code: 'CONFIG_KEY_UNKNOWN', details: { key, nearest: guess ?? null } },
  )
}
