import {
  checkEnvironment,
  configHistory,
  ConfigError,
  type ConfigProblem,
  type ConfigWarning,
  defaultSecurityLevel,
  detectEnvironment,
  type Environment,
  ENVIRONMENTS,
  isChangeUnfinished,
  type EnvironmentName,
  loadConfig,
  type LoadedConfig,
  parseEnvironment,
  readYaml,
  type SecretSource,
  type SecurityLevel,
  warningsOf,
} from '@varve/config'
import { isVarveError, VarveError } from '@varve/core'
import { defaultFiles } from '../defaultFiles.ts'
import { environmentRulesOf } from '../settings/environmentRules.ts'
import { CROSS_CHECKS, DEPRECATED, RISKS } from '../settings/rules.ts'
import { SECTIONS, type Settings } from '../settings/sections.ts'
import { VARIABLES } from '../settings/variables.ts'

/** What may be set of `VARVE_…`: everything that holds two underscores in a row. */
const PREFIX = 'VARVE_'

/** The configuration of this installation, with where everything came from. */
export interface Configuration extends LoadedConfig<typeof SECTIONS> {
  readonly environment: EnvironmentName
  readonly level: SecurityLevel
}

export interface LoadConfigurationOptions {
  /** Folder of YAML files; `null` takes the built-in defaults. */
  readonly directory: string | null
  readonly env?: Environment
  /** Key to text, as given with `--set`. */
  readonly overrides?: Readonly<Record<string, string>> | undefined
  /** Long or short name; without it `VARVE_ENV`, or what the surroundings say. */
  readonly environment?: string | undefined
  /** Where secrets come from besides the environment and files. */
  readonly secretSources?: readonly SecretSource[]
  readonly signal?: AbortSignal
}

/**
 * Loads and checks everything: files, profile, environment variables and overrides, what must hold between files, and
 * what the environment asks for.
 *
 * @throws `CONFIG_INVALID` with every problem found; `OPTION_INVALID` for an unknown environment
 */
export async function loadConfiguration(options: LoadConfigurationOptions): Promise<Configuration> {
  const { env: given = process.env, directory, overrides = {}, secretSources = [] } = options
  // What a crash interrupted is finished before the files are read: no command sees a mixture of old and new.
  if (directory !== null) await finishInterruptedChange(directory)
  const environment = environmentOf(options.environment, given)
  const env = withoutBlank(given, environment)
  const loaded = await loadConfig({
    directory,
    sections: SECTIONS,
    defaults: builtInDefaults(),
    profile: environment,
    profiles: ENVIRONMENTS,
    env,
    envPrefix: PREFIX,
    overrides,
    variables: VARIABLES,
    secretSources,
    deprecated: DEPRECATED,
    crossChecks: CROSS_CHECKS,
    risks: RISKS,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  })
  const level = loaded.values.security.level ?? defaultSecurityLevel(environment)
  const findings = checkEnvironment({
    environment,
    level,
    rules: environmentRulesOf(loaded.values),
    valueOf: (key) => valueOf(loaded.values, key),
  })
  const placed = findings.map((finding) => ({ finding, place: placeOf(loaded, finding.key) }))
  const problems = placed
    .filter(({ finding }) => finding.severity === 'error')
    .map(({ finding, place }): ConfigProblem => ({
      ...place,
      code: 'CONFIG_ENVIRONMENT',
      key: finding.key,
      message: finding.message,
    }))
  const warnings = [
    ...loaded.warnings,
    ...warningsOf(findings).map((warning) => ({ ...warning, ...placeOf(loaded, warning.key) })),
  ]
  // A risk is worth a warning, and in a paranoid environment it is a reason not to start.
  const risky = level === 'paranoid' ? warnings.filter(({ code }) => code === 'CONFIG_RISKY') : []
  if (problems.length + risky.length > 0) throw new ConfigError([...problems, ...risky.map(asProblem)])
  return Object.freeze({ ...loaded, environment, level, warnings })
}

/** Values only. @throws `CONFIG_INVALID` */
export async function loadSettings(options: LoadConfigurationOptions): Promise<Settings> {
  return (await loadConfiguration(options)).values
}

async function finishInterruptedChange(directory: string): Promise<void> {
  if (!isChangeUnfinished(directory)) return
  try {
    await configHistory({ directory }).recover()
  } catch (error) {
    // Nobody crashed: another process is in the middle of its change, and ends it itself.
    if (!isVarveError(error, 'CONFIG_LOCKED')) throw error
  }
}

/**
 * Shells and container files unset a variable by leaving it blank, so that a blank `DATABASE_URL` means the embedded
 * database. Where money may be at stake it is taken for a secret that did not arrive, and refused.
 */
function withoutBlank(env: Environment, environment: EnvironmentName): Environment {
  if (environment === 'production' || environment === 'staging') return env
  return Object.fromEntries(
    Object.entries(env).filter(
      ([name, text]) => VARIABLES[name]?.setting === undefined || text === undefined || text.trim() !== '',
    ),
  )
}

function environmentOf(wish: string | undefined, env: Environment): EnvironmentName {
  if (wish === undefined) return detectEnvironment(env)
  const found = parseEnvironment(wish)
  if (found !== undefined) return found
  throw new VarveError(`"${wish}" is no environment; use ${ENVIRONMENTS.join(', ')}, or dev, stage, prod`, {
    code: 'OPTION_INVALID',
    details: { found: wish },
  })
}

function asProblem({ key, file, line, column, message }: ConfigWarning): ConfigProblem {
  return {
    file: file ?? 'environment',
    line: line ?? 1,
    column: column ?? 1,
    code: 'CONFIG_ENVIRONMENT',
    key,
    message: `${message} (refused because security.level is paranoid)`,
  }
}

function placeOf(
  loaded: LoadedConfig<typeof SECTIONS>,
  key: string,
): { readonly file: string; readonly line: number; readonly column: number } {
  const { file, line, column, variable, source } = loaded.explain(key).origin
  const section = `${key.split('.')[0]!}.yaml`
  return {
    file: file ?? source ?? (variable === undefined ? section : 'environment'),
    line: line ?? 1,
    column: column ?? 1,
  }
}

function valueOf(values: Settings, key: string): unknown {
  return key
    .split('.')
    .reduce<unknown>(
      (current, part) =>
        current !== null && typeof current === 'object'
          ? (current as Record<string, unknown>)[part]
          : undefined,
      values,
    )
}

let defaults: Readonly<Record<string, unknown>> | undefined

function builtInDefaults(): Readonly<Record<string, unknown>> {
  defaults ??= Object.fromEntries(
    Object.entries(defaultFiles()).map(([name, text]) => [name, readYaml(text)]),
  )
  return defaults
}
