import { Secret } from '@varve/core'
import { ConfigError, problem } from './ConfigError.ts'
import type { ConfigWarning, Environment } from './types.ts'

/** Where a process runs; also the name of the profile whose files lie over the others. */
export const ENVIRONMENTS = ['development', 'test', 'staging', 'production'] as const
export type EnvironmentName = (typeof ENVIRONMENTS)[number]

const SHORT: Readonly<Record<string, EnvironmentName>> = {
  dev: 'development',
  testing: 'test',
  stage: 'staging',
  prod: 'production',
}

/** An environment by its long or short name. */
export function parseEnvironment(text: string): EnvironmentName | undefined {
  const plain = text.trim().toLowerCase()
  return ENVIRONMENTS.find((name) => name === plain) ?? SHORT[plain]
}

/**
 * The environment that `VARVE_ENV` names; without it `test` under continuous integration, what `NODE_ENV` says, and
 * `development` otherwise.
 *
 * @throws `CONFIG_INVALID` when `VARVE_ENV` names none
 */
export function detectEnvironment(env: Environment, variable = 'VARVE_ENV'): EnvironmentName {
  const named = env[variable]
  if (named !== undefined && named.trim() !== '') {
    const found = parseEnvironment(named)
    if (found !== undefined) return found
    throw new ConfigError([
      problem(
        'CONFIG_VARIABLE_INVALID',
        { file: 'environment' },
        `${variable} is "${named}"; expected ${ENVIRONMENTS.join(', ')}, or dev, stage, prod`,
      ),
    ])
  }
  if (env.CI !== undefined && !/^(|0|false)$/i.test(env.CI.trim())) return 'test'
  const node = (env.NODE_ENV ?? '').toLowerCase()
  if (/prod/.test(node)) return 'production'
  if (/stag/.test(node)) return 'staging'
  return /^test/.test(node) ? 'test' : 'development'
}

/**
 * - `permissive`: findings are warnings.
 * - `strict`: faults stop the start, risks warn.
 * - `paranoid`: risks stop the start too.
 */
export const SECURITY_LEVELS = ['permissive', 'strict', 'paranoid'] as const
export type SecurityLevel = (typeof SECURITY_LEVELS)[number]

/** `paranoid` in production, `strict` elsewhere. */
export function defaultSecurityLevel(environment: EnvironmentName): SecurityLevel {
  return environment === 'production' ? 'paranoid' : 'strict'
}

/** What a setting must be in some environments. */
export interface EnvironmentRule {
  readonly key: string
  readonly environments: readonly EnvironmentName[]
  /** `fault` stops the start unless permissive; `risk` only when paranoid. */
  readonly severity: 'fault' | 'risk'
  /** What is wrong with the value, never quoting it; `undefined` for nothing, and for a setting that is not set. */
  readonly check: (value: unknown) => string | undefined
}

export interface EnvironmentFinding {
  readonly severity: 'error' | 'warning'
  readonly key: string
  readonly message: string
}

export interface CheckEnvironmentOptions {
  readonly environment: EnvironmentName
  readonly level: SecurityLevel
  readonly rules: readonly EnvironmentRule[]
  /** The value of a key, secrets as `Secret`. */
  readonly valueOf: (key: string) => unknown
}

/** Everything that is not fit for the environment. */
export function checkEnvironment(options: CheckEnvironmentOptions): EnvironmentFinding[] {
  const { environment, level, rules, valueOf } = options
  return rules.flatMap(({ key, environments, severity, check }) => {
    if (!environments.includes(environment)) return []
    const value = valueOf(key)
    const wrong = value === undefined || value === null ? undefined : check(value)
    if (wrong === undefined) return []
    const stops = level === 'paranoid' || (level === 'strict' && severity === 'fault')
    return [
      {
        severity: stops ? ('error' as const) : ('warning' as const),
        key,
        message: `${key}: ${wrong} (${environment}, ${level})`,
      },
    ]
  })
}

/** Findings that only warn, as warnings of a configuration. */
export function warningsOf(findings: readonly EnvironmentFinding[]): ConfigWarning[] {
  return findings
    .filter(({ severity }) => severity === 'warning')
    .map(({ key, message }) => ({ code: 'CONFIG_ENVIRONMENT', key, message }))
}

const textOf = (value: unknown): string => (value instanceof Secret ? value.reveal() : String(value))

const urlOf = (value: unknown): URL | undefined => {
  const text = textOf(value)
  return URL.canParse(text) ? new URL(text) : undefined
}

/** This machine by any of its names. */
export function isLoopback(host: string): boolean {
  const plain = host
    .trim()
    .toLowerCase()
    .replace(/^\[|\]$/g, '')
    .replace(/\.$/, '')
  return (
    plain === 'localhost' ||
    plain.endsWith('.localhost') ||
    /^(::ffff:)?127(\.\d+){1,3}$/.test(plain) ||
    /^::ffff:7f[0-9a-f]{2}:/.test(plain) ||
    ['::1', '0:0:0:0:0:0:0:1', '0.0.0.0', '::'].includes(plain)
  )
}

/** Hosts that a URL leads to; of Postgres also the ones that stand in its query, and folders of sockets. */
function hostsOf(value: unknown): readonly string[] {
  const url = urlOf(value)
  if (url === undefined) return [textOf(value)]
  const named = /^postgres(ql)?:$/.test(url.protocol) ? url.searchParams.getAll('host') : []
  return [url.hostname, ...named].filter((host) => host !== '')
}

/** The text behind `%20` and the like; as it stands where that is broken. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

/** Builders of rules that most systems need. */
export const environmentRules = {
  /** The URL or host must not be this machine. */
  noLocalhost: (key: string, environments: readonly EnvironmentName[]): EnvironmentRule => ({
    key,
    environments,
    severity: 'fault',
    check(value) {
      const here = hostsOf(value).some((host) => isLoopback(host) || host.startsWith('/'))
      return here ? 'points at this machine; name the host of the service' : undefined
    },
  }),
  /** The database's name must not say that it is for development or tests. */
  noDevelopmentDatabase: (key: string, environments: readonly EnvironmentName[]): EnvironmentRule => ({
    key,
    environments,
    severity: 'fault',
    check(value) {
      const name = decoded(urlOf(value)?.pathname.slice(1) ?? '')
      return /(^|[_-])(dev|development|test|testing|tmp|sandbox)(db)?\d*([_-]|$)/i.test(name)
        ? 'the name of the database says that it is for development or tests'
        : undefined
    },
  }),
  /** A URL's password has at least so many characters. */
  passwordLength: (
    key: string,
    least: number,
    environments: readonly EnvironmentName[],
    severity: 'fault' | 'risk' = 'fault',
  ): EnvironmentRule => ({
    key,
    environments,
    severity,
    check(value) {
      const password = decoded(urlOf(value)?.password ?? '')
      return password.length < least
        ? `the password has ${password.length === 0 ? 'no' : 'too few'} characters; use at least ${least}`
        : undefined
    },
  }),
  /** A secret has at least so many characters. */
  minimumLength: (
    key: string,
    least: number,
    environments: readonly EnvironmentName[],
    severity: 'fault' | 'risk' = 'fault',
  ): EnvironmentRule => ({
    key,
    environments,
    severity,
    check: (value) =>
      textOf(value).length < least ? `too short; at least ${least} characters are expected` : undefined,
  }),
  /** The setting must not have this value. */
  mustNotBe: (
    key: string,
    refused: unknown,
    why: string,
    environments: readonly EnvironmentName[],
    severity: 'fault' | 'risk' = 'risk',
  ): EnvironmentRule => ({
    key,
    environments,
    severity,
    check: (value) => (value === refused ? why : undefined),
  }),
  /** An HTTP(S) URL that leaves this machine is encrypted. */
  tlsOnly: (key: string, environments: readonly EnvironmentName[]): EnvironmentRule => ({
    key,
    environments,
    severity: 'fault',
    check(value) {
      const url = urlOf(value)
      return url?.protocol === 'http:' && !isLoopback(url.hostname)
        ? 'is not encrypted; use https://'
        : undefined
    },
  }),
  /** A Postgres URL that leaves this machine verifies the server's certificate. */
  databaseTls: (key: string, environments: readonly EnvironmentName[]): EnvironmentRule => ({
    key,
    environments,
    severity: 'fault',
    check(value) {
      const url = urlOf(value)
      if (url === undefined || hostsOf(value).every((host) => isLoopback(host) || host.startsWith('/')))
        return undefined
      const mode = url.searchParams.get('sslmode')
      return mode === 'verify-full' || mode === 'verify-ca'
        ? undefined
        : "the server's certificate is not verified; add ?sslmode=verify-full to the URL"
    },
  }),
} as const
