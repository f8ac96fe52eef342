import { type Secret } from '@varve/core'
import { classifyAnswer } from '../polygon/classify.ts'
import { accepted, byStatus, hostOf } from './findings.ts'
import { formatFault, formatRemark, KEY_FORMATS } from './keyFormats.ts'
import { type CredentialCheck, type CredentialFinding, type ProviderAnswer } from './model.ts'
import { polygonOptionsSchema } from '../schema.ts'

const DEFAULT_HOST = polygonOptionsSchema.shape.baseUrl.parse(undefined)

export interface PolygonCheckOptions {
  readonly apiKey: Secret
  /** @defaultValue `https://api.massive.com` */
  readonly baseUrl?: string
  /** @defaultValue `true` for bars, `false` for news */
  readonly critical?: boolean
}

/** Checks market data by one request for the bar of the previous day, which every plan includes. */
export function polygonCheck(options: PolygonCheckOptions): CredentialCheck {
  return check('polygon', '/v2/aggs/ticker/AAPL/prev', true, options)
}

/** Checks that the plan includes news. */
export function polygonNewsCheck(options: PolygonCheckOptions): CredentialCheck {
  return check('polygon news', '/v2/reference/news?limit=1', false, options)
}

function check(
  name: string,
  path: string,
  criticalByDefault: boolean,
  { apiKey, baseUrl = DEFAULT_HOST, critical = criticalByDefault }: PolygonCheckOptions,
): CredentialCheck {
  const base = baseUrl.replace(/\/+$/, '')
  return {
    name,
    critical,
    scope: `${name} ${base}`,
    secrets: [apiKey],
    inspect() {
      const fault = formatFault(KEY_FORMATS.polygonKey, apiKey)
      return fault === undefined
        ? undefined
        : {
            outcome: 'format_invalid',
            message: `${name}: ${fault}`,
            remedy: 'copy the key again from the dashboard',
            warnings: [],
          }
    },
    // In the header, never in the URL, where proxies and logs would keep it.
    ask: async (ask) =>
      judge(
        name,
        hostOf(base),
        await ask(base + path, { authorization: `Bearer ${apiKey.reveal()}` }),
        formatRemark(KEY_FORMATS.polygonKey, apiKey),
      ),
  }
}

function judge(
  name: string,
  host: string,
  answer: ProviderAnswer,
  remark: string | undefined,
): CredentialFinding {
  // Who may not ask gets 401 first; a stand-in or a gateway may not serve this very path.
  if (answer.status === 404)
    return accepted(name, [`${host} does not serve what was asked for; it did not refuse the key`])
  const early = byStatus(name, host, answer)
  if (early !== undefined) return early
  if (answer.status === undefined) return accepted(name, [])
  const text = (field: string) => {
    const value = answer.body?.[field]
    return typeof value === 'string' ? value : undefined
  }
  const code = classifyAnswer({
    status: answer.status,
    bodyStatus: text('status'),
    message: text('error') ?? text('message'),
  })
  if (code === undefined) return accepted(name, remark === undefined ? [] : [remark])
  if (code === 'PROVIDER_ENTITLEMENT')
    return {
      outcome: 'permission_missing',
      message: `${name}: the key is accepted, the plan does not include this`,
      remedy: 'choose another plan, or turn this source off',
      warnings: [],
    }
  if (code === 'PROVIDER_AUTH')
    return {
      outcome: 'key_rejected',
      message: `${name}: ${host} does not accept the key (${answer.status})`,
      remedy: 'make a new key on the dashboard',
      warnings: [],
    }
  // Older endpoints answer 200 with an error inside: the provider is not well, and says nothing about the key.
  const limited = code === 'PROVIDER_RATE_LIMITED'
  const again = byStatus(name, host, { status: limited ? 429 : 500, body: undefined })
  return again ?? accepted(name, [])
}
