export { loadConfig } from './loadConfig.ts'
export type {
  ConfigSections,
  ConfigValues,
  ConfigWarning,
  CrossCheck,
  DeprecatedPath,
  Environment,
  Explanation,
  LoadConfigOptions,
  LoadedConfig,
  Origin,
  OriginKind,
  RiskRule,
  SecretSource,
  VariableRule,
} from './types.ts'
export { ConfigError, formatProblem } from './ConfigError.ts'
export type { ConfigProblem, ConfigProblemCode } from './ConfigError.ts'
export { configLimitsSchema } from './limits.ts'
export type { ConfigLimits } from './limits.ts'
export { secret } from './secret.ts'
export type { SecretOptions } from './secret.ts'
export { checkValue, isPlaceholder } from './valueKinds.ts'
export type { ValueKind } from './valueKinds.ts'
export {
  checkEnvironment,
  defaultSecurityLevel,
  detectEnvironment,
  ENVIRONMENTS,
  environmentRules,
  isLoopback,
  parseEnvironment,
  SECURITY_LEVELS,
  warningsOf,
} from './environment.ts'
export type {
  CheckEnvironmentOptions,
  EnvironmentFinding,
  EnvironmentName,
  EnvironmentRule,
  SecurityLevel,
} from './environment.ts'
export { allowedOf, describeSettings, duplicateSettings } from './describe.ts'
export type { SettingDescription } from './describe.ts'
export { jsonSchema } from './jsonSchema.ts'
export { schemaLine, template } from './template.ts'
export type { TemplateOptions } from './template.ts'
export { variableNameOf } from './keys.ts'
export { nearest } from './nearest.ts'
export { readYaml, toYaml } from './yamlText.ts'
export * from './live/index.ts'
