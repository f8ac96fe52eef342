import type { z } from 'zod'
import type { ConfigLimits } from './limits.ts'
import type { ValueKind } from './valueKinds.ts'

/**
 * - **Section**: the settings of one file, `storage` for `storage.yaml`; the first part of every key.
 * - **Key**: where a setting stands, `storage.hot.batchSize`.
 * - **Layer of precedence**: default < file < profile < environment < override; the highest that names a key wins.
 * - **Profile**: files in `profiles/NAME/` that lie over the others in one environment.
 * - **Origin**: who gave a value.
 */
export type ConfigSections = Readonly<Record<string, z.ZodType>>

export type ConfigValues<Sections extends ConfigSections> = {
  readonly [Name in keyof Sections]: z.output<Sections[Name]>
}

export type OriginKind = 'default' | 'file' | 'profile' | 'environment' | 'override'

/** Who gave a value. */
export interface Origin {
  readonly kind: OriginKind
  /** Relative to the configuration folder: `storage.yaml`, `profiles/production/storage.yaml`. */
  readonly file?: string
  /** Counted from 1. */
  readonly line?: number
  readonly column?: number
  /** Environment variable that gave the value, or was put into it. */
  readonly variable?: string
  /** `--set` for the command line; the name of a secret source. */
  readonly source?: string
}

/** Everything known of one setting. */
export interface Explanation {
  readonly key: string
  /** Secrets as `[secret]`. */
  readonly value: unknown
  readonly origin: Origin
  /** What lower layers of precedence said, highest first. */
  readonly overrode: readonly { readonly value: unknown; readonly origin: Origin }[]
  readonly type: string
  readonly range: string
  readonly default: unknown
  readonly description: string
  readonly secret: boolean
}

/** Something legal that an operator should know of. */
export interface ConfigWarning {
  readonly code: 'CONFIG_DEPRECATED' | 'CONFIG_RISKY' | 'CONFIG_ENVIRONMENT'
  readonly key: string
  readonly file?: string
  readonly line?: number
  readonly column?: number
  readonly message: string
}

/** A path of older files that still resolves, with a warning. */
export interface DeprecatedPath {
  /** `database.host`; its first part is the file. */
  readonly from: string
  readonly to: string
  /** Where to read how to change it. */
  readonly guide: string
  readonly convert?: (value: unknown) => unknown
}

/** A value that is legal and worth a second thought. */
export interface RiskRule {
  readonly key: string
  readonly when: (value: unknown) => boolean
  readonly message: string
}

/** What must hold between settings. Reports a key and what is wrong with it. */
export type CrossCheck<Values> = (values: Values, report: (key: string, message: string) => void) => void

/** An environment variable that files may name, or that sets something by itself. */
export interface VariableRule {
  readonly description: string
  /** Its value is only put into settings that are secret, and never shown. */
  readonly secret?: boolean
  /** Sets this key by itself, at the precedence of the environment. */
  readonly setting?: string
  /** Must be set: always, or in these environments (profiles). */
  readonly required?: boolean | readonly string[]
  readonly pattern?: RegExp
  readonly minLength?: number
  readonly kind?: ValueKind
  /** Refused besides the usual placeholders, in any case. */
  readonly forbidden?: readonly string[]
}

/** Somewhere else secrets come from: a secret manager, a vault, a keychain. */
export interface SecretSource {
  readonly name: string
  /** The secret of that name, or `undefined`. */
  get(
    name: string,
    options?: { readonly signal?: AbortSignal },
  ): Promise<string | undefined> | string | undefined
}

export type Environment = Readonly<Record<string, string | undefined>>

export interface LoadConfigOptions<Sections extends ConfigSections> {
  /** Folder of configuration files; `null` takes every default. */
  readonly directory: string | null
  readonly sections: Sections
  /** Values where no file says anything, by section; the lowest precedence above the schemas' own defaults. */
  readonly defaults?: { readonly [Name in keyof Sections]?: unknown }
  /** Folder below `profiles/` that lies over the files. */
  readonly profile?: string
  /** Profiles there may be; a folder of another name is an error. @defaultValue any */
  readonly profiles?: readonly string[]
  /** @defaultValue `process.env` */
  readonly env?: Environment
  /** `VARVE_` makes `VARVE_STORAGE__HOT__BATCH_SIZE` set `storage.hot.batchSize`. @defaultValue none do */
  readonly envPrefix?: string
  /** Key to text, as on a command line; the highest precedence. Secrets are refused. */
  readonly overrides?: Readonly<Record<string, string>>
  /** Names the files may refer to as `${NAME}`; no other is read. */
  readonly variables?: Readonly<Record<string, VariableRule>>
  /** Asked in order for secret variables that the environment does not have. */
  readonly secretSources?: readonly SecretSource[]
  readonly deprecated?: readonly DeprecatedPath[]
  readonly crossChecks?: readonly CrossCheck<ConfigValues<Sections>>[]
  readonly risks?: readonly RiskRule[]
  readonly limits?: Partial<ConfigLimits>
  readonly signal?: AbortSignal
}

/** A configuration that was found valid. It never changes. */
export interface LoadedConfig<Sections extends ConfigSections> {
  /** Frozen through and through; a lookup is a property read. */
  readonly values: ConfigValues<Sections>
  readonly profile: string | undefined
  /** Files read, in order of precedence and name. */
  readonly files: readonly string[]
  readonly warnings: readonly ConfigWarning[]
  /** @throws `CONFIG_KEY_UNKNOWN` with the nearest key */
  explain(key: string): Explanation
  /** Key to value, secrets redacted; lists are values. */
  flatten(): Readonly<Record<string, unknown>>
  /** Everything in force, secrets redacted, ready to be written as YAML or JSON. */
  redacted(): Readonly<Record<string, unknown>>
  /** Who gave each key of {@link flatten}. */
  origins(): ReadonlyMap<string, Origin>
}
