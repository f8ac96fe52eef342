import { join, resolve } from 'node:path'
import { type Clock, errorMessage, isVarveError, systemClock } from '@varve/core'
import {
  alpacaCheck,
  checkCredentials,
  type CredentialCheck,
  type CredentialResult,
  polygonCheck,
} from '@varve/providers'
import { type CheckFinding, diskSpaceCheck, memoryCheck, sqlCheck, type StartupCheck } from '@varve/runtime'
import { createPostgresClient } from '@varve/storage'
import { rateLimitOf } from '../settings/derive.ts'
import type { Settings } from '../settings/sections.ts'
import { credentialCache } from './credentialCache.ts'
import { existingParent, folderCheck } from './folderCheck.ts'

const MEGABYTE = 1e6

export interface StartupOptions {
  readonly settings: Settings
  readonly dataDir: string
  /** Whether the configured provider will be asked for data; then its keys are checked. */
  readonly usesProvider: boolean
  readonly clock?: Clock
  readonly fetch?: typeof fetch
  readonly signal?: AbortSignal
}

/** Everything that must be right before anything runs: folders, memory, disk, database, quotas, keys, risk limits. */
export function startupChecks(options: StartupOptions): StartupCheck[] {
  const { settings, usesProvider } = options
  const dataDir = resolve(options.dataDir)
  const lake = resolve(settings.storage.lake.directory ?? join(dataDir, 'lake'))
  return [
    folderCheck('data directory', dataDir),
    folderCheck('lake', lake),
    memoryCheck({ ...settings.startup.memory, cacheBytes: settings.cache.memoryMb * MEGABYTE }),
    {
      ...diskSpaceCheck({ path: existingParent(dataDir), name: 'disk', ...settings.startup.disk }),
      needs: ['data directory'],
    },
    databaseCheck(settings),
    ...(usesProvider ? [quotaCheck(settings), ...credentialChecks(options, dataDir)] : []),
    riskCheck(settings),
  ]
}

function databaseCheck(settings: Settings): StartupCheck {
  const name = 'database'
  const { databaseUrl, postgres } = settings.connections
  if (databaseUrl === undefined)
    return { name, run: () => ({ status: 'ok', message: 'embedded Postgres in the data directory' }) }
  return {
    name,
    async run(context) {
      await using sql = createPostgresClient({
        ...postgres,
        connectTimeoutMs: settings.startup.timeoutMs,
        maxConnections: 1,
        connectionString: databaseUrl,
      })
      try {
        return await sqlCheck({ sql, name, ...settings.startup.database }).run(context)
      } catch (error) {
        return {
          status: 'failed',
          message: errorMessage(error),
          remedy: isVarveError(error, 'DATABASE_UNREACHABLE')
            ? 'check that the server runs, its address, and the password in DATABASE_URL'
            : 'see the message',
        }
      }
    },
  }
}

function quotaCheck(settings: Settings): StartupCheck {
  return {
    name: 'rate limits',
    run() {
      const plan = settings.providers.polygon?.plan
      if (plan === undefined) return { status: 'ok', message: 'no provider is configured' }
      const windows = rateLimitOf(settings, plan)
      const text = windows.map(({ limit, windowMs }) => `${limit} in ${windowMs / 1000} s`).join(', ')
      return { status: 'ok', message: `${plan}: ${text}` }
    },
  }
}

/** Keys of every configured account, each asked about once. */
function credentialChecks(options: StartupOptions, dataDir: string): StartupCheck[] {
  const { settings, clock = systemClock } = options
  const { polygon, alpaca } = settings.providers
  const checks: CredentialCheck[] = []
  if (polygon !== undefined) checks.push(polygonCheck({ apiKey: polygon.apiKey, baseUrl: polygon.baseUrl }))
  if (alpaca !== undefined) {
    const { keyId, secretKey, environment, baseUrl } = alpaca
    checks.push(
      alpacaCheck({
        keyId,
        secret: secretKey,
        environment,
        // What is not traded with only warns.
        critical: settings.risk.tradingEnabled,
        ...(baseUrl === undefined ? {} : { hosts: { paper: baseUrl, live: baseUrl } }),
      }),
    )
  }
  if (!settings.security.checkCredentials) return []
  return checks.map((check) => ({
    name: `key of ${check.name}`,
    critical: check.critical,
    needs: ['data directory'],
    async run({ signal }) {
      const { results } = await checkCredentials([check], {
        ...settings.security.credentials,
        startWithoutAnswer: settings.security.credentials.startWithoutAnswer && !settings.risk.tradingEnabled,
        userAgent: settings.network.userAgent,
        cache: credentialCache(dataDir),
        clock,
        signal,
        ...(options.fetch === undefined ? {} : { fetch: options.fetch }),
      })
      return findingOf(results[0]!)
    },
  }))
}

function findingOf({ outcome, message, remedy, warnings, blocks }: CredentialResult): CheckFinding {
  if (outcome === 'ok' && warnings.length === 0) return { status: 'ok', message }
  return {
    // A key nothing is known of may be right; the work itself will tell.
    status: blocks ? 'failed' : 'warning',
    message: [message, ...warnings].join('; '),
    ...(remedy === '' ? {} : { remedy }),
  }
}

function riskCheck({ risk, providers }: Settings): StartupCheck {
  return {
    name: 'risk limits',
    run() {
      if (!risk.tradingEnabled) return { status: 'ok', message: 'trading is off' }
      const faults = [
        ...(providers.alpaca === undefined ? ['trading needs an account in providers.yaml'] : []),
        ...(risk.positionPercent > risk.sectorPercent
          ? ['risk.positionPercent is above risk.sectorPercent: one position would break its sector limit']
          : []),
        ...(risk.utilisationPercent + risk.buyingPowerBufferPercent > 100
          ? ['risk.utilisationPercent and risk.buyingPowerBufferPercent add up to more than 100']
          : []),
      ]
      return faults.length === 0
        ? {
            status: 'ok',
            message: `position ${risk.positionPercent} %, daily loss ${risk.dailyLossPercent} %`,
          }
        : { status: 'failed', message: faults.join('; '), remedy: 'correct risk.yaml' }
    },
  }
}
