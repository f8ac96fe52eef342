import { type Secret } from '@varve/core'

/**
 * What a key of a provider looks like. No provider promises a form, so only what no key can be is refused; a form that
 * is unusual is told and tried.
 */
export interface KeyFormat {
  /** As the provider's own pages call it. */
  readonly name: string
  /** A shorter one was cut off when it was copied. */
  readonly minLength: number
  /** Forms seen in use. */
  readonly usual: RegExp
  /** The usual form in words. */
  readonly usually: string
}

/** Forms by provider. The lengths of both generations of Alpaca keys occur side by side. */
export const KEY_FORMATS = {
  // Key ids as public set-up guides show them: PK or AK, and 18 or, lately, 24 capitals and digits.
  alpacaKeyId: {
    name: 'API key ID',
    minLength: 16,
    usual: /^(?:PK|AK)(?:[A-Z0-9]{18}|[A-Z0-9]{24})$/,
    usually: '20 or 26 capitals and digits that begin with PK (paper) or AK (live)',
  },
  // Secrets of the same guides: 40 letters and digits, 44 with the newer ids.
  alpacaSecret: {
    name: 'API secret key',
    minLength: 32,
    usual: /^(?:[A-Za-z0-9/+]{40}|[A-Za-z0-9/+]{44})$/,
    usually: '40 or 44 letters and digits',
  },
  // The dashboard's keys: 32 letters, digits and underscores; the vendor's documentation promises nothing.
  polygonKey: {
    name: 'API key',
    minLength: 8,
    usual: /^[A-Za-z0-9_]{32}$/,
    usually: '32 letters, digits and underscores',
  },
} as const satisfies Readonly<Record<string, KeyFormat>>

const PLACEHOLDER =
  /^(?:replace_?me|your[_-].*|todo|change_?me|default|placeholder|example|test_?key|x+|<.*>|\$\{.*\})$/i

/** Why a key cannot be one, without showing it; `undefined` when it may be. */
export function formatFault(format: KeyFormat, key: Secret): string | undefined {
  const text = key.reveal()
  if (text.trim() === '') return `the ${format.name} is blank`
  if (PLACEHOLDER.test(text.trim())) return `the ${format.name} is a placeholder, not a key`
  if (/^\s|\s$/.test(text)) return `the ${format.name} begins or ends with white space`
  if (/^(["']).*\1$/.test(text)) return `the ${format.name} has quotes around it that are not part of it`
  // Anything else could not stand in a header either.
  if (!/^[\x21-\x7e]+$/.test(text))
    return `the ${format.name} holds white space or characters that no key holds`
  if (text.length < format.minLength)
    return `the ${format.name} has ${text.length} characters; usual are ${format.usually}: part of it is missing`
  return undefined
}

/** A remark on a key of an unusual form; `undefined` for a usual one. */
export function formatRemark(format: KeyFormat, key: Secret): string | undefined {
  const text = key.reveal()
  return format.usual.test(text)
    ? undefined
    : `the ${format.name} has an unusual form (${text.length} characters; usual are ${format.usually})`
}

export type AlpacaEnvironment = 'paper' | 'live'

/** The environment an Alpaca key id names itself for: `PK…` paper, `AK…` live; `undefined` for any other. */
export function environmentOf(keyId: Secret): AlpacaEnvironment | undefined {
  const prefix = keyId.reveal().slice(0, 2)
  return prefix === 'PK' ? 'paper' : prefix === 'AK' ? 'live' : undefined
}
