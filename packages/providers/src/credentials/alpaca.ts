import { type Secret } from '@varve/core'
import { accepted, byStatus, hostOf } from './findings.ts'
import {
  environmentOf,
  formatFault,
  formatRemark,
  KEY_FORMATS,
  type AlpacaEnvironment,
} from './keyFormats.ts'
import {
  type AskProvider,
  type CredentialCheck,
  type CredentialFinding,
  type ProviderAnswer,
} from './model.ts'
import { alpacaHostsSchema } from './schema.ts'

const { data: DATA_HOST, ...TRADING_HOSTS } = alpacaHostsSchema.parse({})

export interface AlpacaKeys {
  readonly keyId: Secret
  readonly secret: Secret
}

export interface AlpacaCheckOptions extends AlpacaKeys {
  readonly environment: AlpacaEnvironment
  /** @defaultValue `true` */
  readonly critical?: boolean
  /** Where both environments answer. @defaultValue the vendor's hosts */
  readonly hosts?: Readonly<Record<AlpacaEnvironment, string>>
}

/**
 * Checks a trading account by `GET /v2/account`: the key, that it belongs to the environment configured, that stocks
 * may be traded (required) and crypto (a warning otherwise).
 */
export function alpacaCheck(options: AlpacaCheckOptions): CredentialCheck {
  const { keyId, secret, environment, critical = true, hosts = TRADING_HOSTS } = options
  const host = hosts[environment]
  return {
    name: 'alpaca',
    critical,
    scope: `account ${environment} ${host}`,
    secrets: [keyId, secret],
    inspect() {
      const fault = inspectKeys({ keyId, secret })
      if (fault !== undefined) return fault
      const other = otherOf(environment)
      if (environmentOf(keyId) === other) return wrongEnvironment(other, environment, 'its key ID says so')
      return hostOf(host) === hostOf(TRADING_HOSTS[other])
        ? wrongEnvironment(other, environment, `${hostOf(host)} is the host of ${other} trading`)
        : undefined
    },
    async ask(ask) {
      const answer = await askAccount(ask, host, { keyId, secret })
      const early = byStatus('alpaca', hostOf(host), answer)
      if (early !== undefined) return early
      if (answer.status !== 200) return rejected(ask, options, hosts, answer)
      return judgeAccount(answer.body ?? {}, environment, remarks({ keyId, secret }))
    },
  }
}

/** Checks that an account's keys may read news on the market data host. Not critical unless said so. */
export function alpacaNewsCheck(
  options: AlpacaKeys & { readonly critical?: boolean; readonly host?: string },
): CredentialCheck {
  const { keyId, secret, critical = false, host = DATA_HOST } = options
  return {
    name: 'alpaca news',
    critical,
    scope: `news ${host}`,
    secrets: [keyId, secret],
    inspect: () => inspectKeys({ keyId, secret }),
    async ask(ask) {
      const answer = await ask(`${trimmed(host)}/v1beta1/news?limit=1`, headersOf({ keyId, secret }))
      const early = byStatus('alpaca news', hostOf(host), answer)
      if (early !== undefined) return early
      if (answer.status === 200) return accepted('alpaca news', remarks({ keyId, secret }))
      const message = messageOf(answer)
      return /subscription|permit|entitle/i.test(message)
        ? {
            outcome: 'permission_missing',
            message: 'alpaca news: the key is accepted, the subscription does not include news',
            remedy: 'change the subscription, or turn news off',
            warnings: [],
          }
        : keyRejected('alpaca news', hostOf(host), answer.status ?? 0)
    },
  }
}

function inspectKeys({ keyId, secret }: AlpacaKeys): CredentialFinding | undefined {
  const swapped = KEY_FORMATS.alpacaKeyId.usual.test(secret.reveal())
  const fault = swapped
    ? 'the API secret key looks like an API key ID; the two may be swapped'
    : (formatFault(KEY_FORMATS.alpacaKeyId, keyId) ?? formatFault(KEY_FORMATS.alpacaSecret, secret))
  return fault === undefined
    ? undefined
    : {
        outcome: 'format_invalid',
        message: `alpaca: ${fault}`,
        remedy: 'copy both parts again from the dashboard; the secret is shown once, when the key is made',
        warnings: [],
      }
}

function remarks({ keyId, secret }: AlpacaKeys): readonly string[] {
  return [
    formatRemark(KEY_FORMATS.alpacaKeyId, keyId),
    formatRemark(KEY_FORMATS.alpacaSecret, secret),
  ].filter((remark) => remark !== undefined)
}

/** A key that its host refuses may belong to the other one: both are asked before it is called invalid. */
async function rejected(
  ask: AskProvider,
  { keyId, secret, environment }: AlpacaCheckOptions,
  hosts: Readonly<Record<AlpacaEnvironment, string>>,
  answer: ProviderAnswer,
): Promise<CredentialFinding> {
  const other = otherOf(environment)
  const second = await askAccount(ask, hosts[other], { keyId, secret })
  if (second.status === 200 && second.body !== undefined)
    return wrongEnvironment(other, environment, `${hostOf(hosts[other])} accepts it`)
  return keyRejected('alpaca', hostOf(hosts[environment]), answer.status ?? 0)
}

/**
 * `status` is about stocks, `crypto_status` about crypto.
 *
 * @see https://alpaca.markets/docs/accounts-statuses
 */
function judgeAccount(
  body: Readonly<Record<string, unknown>>,
  environment: AlpacaEnvironment,
  remarksOnForm: readonly string[],
): CredentialFinding {
  // Numbers of paper accounts have been seen to begin with PA: a live configuration whose address leads to a paper account is found.
  const number = body['account_number']
  if (environment === 'live' && typeof number === 'string' && number.startsWith('PA'))
    return wrongEnvironment('paper', 'live', 'its account is a paper account')
  const status = typeof body['status'] === 'string' ? body['status'] : 'unknown'
  const blocks = ['account_blocked', 'trading_blocked', 'trade_suspended_by_user'].filter(
    (field) => body[field] === true,
  )
  // Fails closed: an answer that does not say that trading is open does not open it.
  if (body['trading_blocked'] !== false && blocks.length === 0) blocks.push('trading_blocked is not said')
  if (status !== 'ACTIVE' || blocks.length > 0) {
    const why = [...(status === 'ACTIVE' ? [] : [`its status is ${status}`]), ...blocks]
    return {
      outcome: 'permission_missing',
      message: `alpaca: the key is accepted, but the ${environment} account may not trade stocks: ${why.join(', ')}`,
      remedy: "see the account's page on the dashboard; the broker's support lifts blocks",
      warnings: [],
    }
  }
  const crypto = typeof body['crypto_status'] === 'string' ? body['crypto_status'] : 'not given'
  return accepted('alpaca', [
    ...remarksOnForm,
    ...(crypto === 'ACTIVE' ? [] : [`the account may not trade crypto (status ${crypto})`]),
  ])
}

function wrongEnvironment(
  found: AlpacaEnvironment,
  configured: AlpacaEnvironment,
  because: string,
): CredentialFinding {
  return {
    outcome: 'wrong_environment',
    message: `alpaca: this is for ${found} trading, and ${configured} trading is configured (${because})`,
    remedy:
      found === 'live'
        ? 'give a paper key, or configure live trading if real money is meant'
        : 'give a live key, or configure paper trading',
    warnings: [],
  }
}

function keyRejected(provider: string, host: string, status: number): CredentialFinding {
  return {
    outcome: 'key_rejected',
    message: `${provider}: ${host} does not accept the key (${status})`,
    remedy: 'make a new key on the dashboard; an older one may have been revoked when another was made',
    warnings: [],
  }
}

function askAccount(ask: AskProvider, host: string, keys: AlpacaKeys): Promise<ProviderAnswer> {
  return ask(`${trimmed(host)}/v2/account`, headersOf(keys))
}

function headersOf({ keyId, secret }: AlpacaKeys): Readonly<Record<string, string>> {
  return { 'apca-api-key-id': keyId.reveal(), 'apca-api-secret-key': secret.reveal() }
}

function messageOf(answer: ProviderAnswer): string {
  const message = answer.status === undefined ? undefined : answer.body?.['message']
  return typeof message === 'string' ? message : ''
}

function otherOf(environment: AlpacaEnvironment): AlpacaEnvironment {
  return environment === 'paper' ? 'live' : 'paper'
}

function trimmed(host: string): string {
  return host.replace(/\/+$/, '')
}
