import { type ConfigProblem, problem } from './ConfigError.ts'
import { keyOfVariable, nearestKey, type Target, targetOf, valueOfText, variableNameOf } from './keys.ts'
import { nearest } from './nearest.ts'
import type { Path } from './parseFile.ts'
import { leafPaths, overlaps, type Piece, treeOf } from './pieces.ts'
import { holdsSecret, schemasAt } from './schema.ts'
import { describeSettings } from './describe.ts'
import type { ConfigSections, Environment, Origin, VariableRule } from './types.ts'
import type { Variables } from './variables.ts'

const ENVIRONMENT = { file: 'environment' }

export interface OutsideOptions {
  readonly sections: ConfigSections
  readonly env: Environment
  readonly envPrefix: string | undefined
  readonly rules: Readonly<Record<string, VariableRule>>
  readonly variables: Variables
  readonly profile: string | undefined
  readonly overrides: Readonly<Record<string, string>>
}

/** Remembers who set what; of two that set the same, the second is a problem. */
function createClaims(problems: ConfigProblem[]) {
  const claims: { readonly by: string; readonly path: Path }[] = []
  return (by: string, section: string, tree: unknown, place: { readonly file: string }): boolean => {
    const paths = leafPaths(tree).map(({ path }) => [section, ...path])
    for (const path of paths) {
      const other = claims.find((item) => overlaps(item.path, path))
      if (other === undefined) continue
      const key = path.join('.')
      problems.push(
        problem('CONFIG_DUPLICATE_KEY', place, `${other.by} and ${by} both set ${key}; keep one`, key),
      )
      return false
    }
    claims.push(...paths.map((path) => ({ by, path })))
    return true
  }
}

/** What environment variables set by themselves. */
export async function environmentPieces(
  options: OutsideOptions,
  problems: ConfigProblem[],
): Promise<Piece[]> {
  const { sections, env, envPrefix, rules, variables, profile } = options
  const pieces: Piece[] = []
  const claim = createClaims(problems)
  const add = (variable: string, target: Target, text: string, source?: string): void => {
    const origin: Origin = { kind: 'environment', variable, ...(source === undefined ? {} : { source }) }
    const tree = treeOf(target.path, valueOfText(sections, target, text))
    if (claim(variable, target.section, tree, ENVIRONMENT))
      pieces.push({ section: target.section, tree, origin: () => origin })
  }

  for (const [name, rule] of Object.entries(rules)) {
    const needed = rule.required === true || (Array.isArray(rule.required) && rule.required.includes(profile))
    if (rule.setting === undefined && !needed) continue
    const found = await variables.bound(name)
    if (found === undefined) {
      if (needed) {
        problems.push(
          problem(
            rule.secret === true ? 'CONFIG_SECRET_MISSING' : 'CONFIG_VARIABLE_MISSING',
            ENVIRONMENT,
            `environment variable ${name} is not set (${rule.description}); set it before starting`,
            rule.setting,
          ),
        )
      }
    } else if (!found.ok) {
      for (const { code, message } of found.faults)
        problems.push(problem(code, ENVIRONMENT, message, rule.setting))
    } else if (rule.setting !== undefined) {
      const target = targetOf(sections, rule.setting)
      if (target !== undefined) add(name, target, found.text, found.source)
    }
  }

  if (envPrefix === undefined) return pieces
  for (const [name, text] of Object.entries(env).sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (text === undefined || !name.startsWith(envPrefix) || !name.slice(envPrefix.length).includes('__'))
      continue
    const target = keyOfVariable(sections, envPrefix, name)
    if (target === undefined) {
      const known = describeSettings(sections)
        .filter((item) => !item.key.includes('[]') && !item.key.split('.').includes('NAME'))
        .map((item) => variableNameOf(envPrefix, item.key))
      const guess = nearest(name, known)
      problems.push(
        problem(
          'CONFIG_UNKNOWN_KEY',
          ENVIRONMENT,
          `environment variable ${name} sets nothing that exists${guess === undefined ? '' : `; did you mean ${guess}?`}`,
        ),
      )
    } else if (text.trim() === '') {
      problems.push(
        problem(
          holdsSecretAt(sections, target) ? 'CONFIG_SECRET_BLANK' : 'CONFIG_VARIABLE_BLANK',
          ENVIRONMENT,
          `environment variable ${name} is set but blank; give it a value, or unset it`,
          [target.section, ...target.path].join('.'),
        ),
      )
    } else add(name, target, text)
  }
  return pieces
}

/** What the command line sets. */
export function overridePieces(options: OutsideOptions, problems: ConfigProblem[]): Piece[] {
  const { sections, overrides } = options
  const place = { file: '--set' }
  const origin: Origin = { kind: 'override', source: '--set' }
  const claim = createClaims(problems)
  return Object.entries(overrides).flatMap(([key, text]) => {
    const target = targetOf(sections, key)
    if (target === undefined || target.path.length === 0) {
      const guess = nearestKey(sections, key)
      problems.push(
        problem(
          'CONFIG_UNKNOWN_KEY',
          place,
          `there is no setting "${key}"${guess === undefined ? '' : `; did you mean "${guess}"?`}`,
          key,
        ),
      )
      return []
    }
    if (holdsSecretAt(sections, target)) {
      problems.push(
        problem(
          'CONFIG_VARIABLE_FORBIDDEN',
          place,
          `${key} is or holds a secret, and a command line is seen by every user of the machine; use an environment variable or a file`,
          key,
        ),
      )
      return []
    }
    const tree = treeOf(target.path, valueOfText(sections, target, text))
    return claim(key, target.section, tree, place)
      ? [{ section: target.section, tree, origin: () => origin }]
      : []
  })
}

function holdsSecretAt(sections: ConfigSections, { section, path }: Target): boolean {
  return schemasAt(sections[section]!, path).some((schema) => holdsSecret(schema))
}
