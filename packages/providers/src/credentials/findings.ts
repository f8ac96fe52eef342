import { type CredentialFinding, type ProviderAnswer } from './model.ts'

/** An answer without a verdict on the key. */
export function notReached(provider: string, host: string, why: string): CredentialFinding {
  return {
    outcome: 'unreachable',
    message: `${provider}: ${host} ${why}; nothing is known of the key`,
    remedy: 'check the network, the proxy and the address; the key need not be changed',
    warnings: [],
  }
}

/** What the status of an answer says before its content is looked at; `undefined` when that must decide. */
export function byStatus(
  provider: string,
  host: string,
  answer: ProviderAnswer,
): CredentialFinding | undefined {
  if (answer.status === undefined) return notReached(provider, host, answer.why)
  const { status } = answer
  if (status === 429)
    return {
      outcome: 'rate_limited',
      message: `${provider}: ${host} answered 429, too many requests; most likely it knows the key`,
      remedy: 'wait a minute, and see that no other process uses the same key',
      warnings: [],
    }
  if (status === 401 || status === 403) return undefined
  if (status === 200)
    return answer.body === undefined
      ? notReached(provider, host, 'answered something that is not its API, such as a page of a proxy')
      : undefined
  return notReached(provider, host, `answered ${status}`)
}

export function accepted(provider: string, warnings: readonly string[]): CredentialFinding {
  return { outcome: 'ok', message: `${provider}: the key is accepted`, remedy: '', warnings }
}

/** The host of a URL, for messages. */
export function hostOf(url: string): string {
  return new URL(url).host
}
