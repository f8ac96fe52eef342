import { ENVIRONMENTS, type EnvironmentName, type EnvironmentRule, environmentRules } from '@varve/config'
import type { Settings } from './sections.ts'

const PRODUCTION: readonly EnvironmentName[] = ['production']
const EVERYWHERE: readonly EnvironmentName[] = ENVIRONMENTS
const OUTSIDE_PRODUCTION = ENVIRONMENTS.filter((name) => name !== 'production')

/** What settings must be in which environment. Lengths are those of `security.yaml`. */
export function environmentRulesOf(settings: Settings): EnvironmentRule[] {
  const { databasePasswordLength, productionPasswordLength, productionKeyLength } = settings.security
  const database = 'connections.databaseUrl'
  const keys = ['providers.polygon.apiKey', 'providers.alpaca.secretKey']
  return [
    environmentRules.noLocalhost(database, PRODUCTION),
    environmentRules.noDevelopmentDatabase(database, PRODUCTION),
    environmentRules.databaseTls(database, PRODUCTION),
    environmentRules.passwordLength(database, productionPasswordLength, PRODUCTION),
    environmentRules.passwordLength(database, databasePasswordLength, OUTSIDE_PRODUCTION, 'risk'),
    environmentRules.tlsOnly('providers.polygon.baseUrl', EVERYWHERE),
    environmentRules.noLocalhost('providers.polygon.baseUrl', PRODUCTION),
    environmentRules.tlsOnly('providers.alpaca.baseUrl', EVERYWHERE),
    ...keys.map((key) => environmentRules.minimumLength(key, productionKeyLength, PRODUCTION)),
    environmentRules.mustNotBe(
      'monitoring.logLevel',
      'debug',
      'debug lines are many and detailed; use info',
      PRODUCTION,
    ),
    environmentRules.mustNotBe(
      'security.checkCredentials',
      false,
      'keys are not checked at start; a wrong one is found only when it is needed',
      PRODUCTION,
    ),
  ]
}
