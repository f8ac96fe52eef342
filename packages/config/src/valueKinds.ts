import { REDACTED } from '@varve/core'

/** Kinds of values that come from outside and are checked before use. */
export type ValueKind =
  | 'apiKey'
  | 'oauthToken'
  | 'connectionString'
  | 'webhookUrl'
  | 'databaseUrl'
  | 'redisUrl'
  | 'httpUrl'
  | 'databaseHost'
  | 'databasePort'
  | 'databaseName'

/** Shortest key, secret or token. */
const SHORTEST_SECRET = 8

const PLACEHOLDERS = new Set([
  // What stands in place of a secret in a configuration that was written out.
  REDACTED,
  'replace_me',
  'replaceme',
  'your_api_key',
  'your_secret',
  'your_key',
  'todo',
  'fixme',
  'changeme',
  'change_me',
  'default',
  'placeholder',
  'example',
  'test_key',
  'secret',
  'password',
  'xxx',
])

/** Whether a value is one of those that stand in example files: `REPLACE_ME`, `<your key>`, `xxxxxxxx`. */
export function isPlaceholder(text: string, forbidden: readonly string[] = []): boolean {
  const plain = text.trim().toLowerCase().replaceAll('-', '_')
  return (
    PLACEHOLDERS.has(plain) ||
    /^<.*>$/.test(plain) ||
    /^(x|\*|\.)+$/.test(plain) ||
    /^your_[a-z_]*(key|secret|token|password)[a-z_]*$/.test(plain) ||
    forbidden.some((item) => item.toLowerCase() === text.trim().toLowerCase())
  )
}

/** What is wrong with a value of some kind, without the value itself; `undefined` when nothing is. */
export function checkValue(kind: ValueKind, text: string): string | undefined {
  return CHECKS[kind](text)
}

const CHECKS: Readonly<Record<ValueKind, (text: string) => string | undefined>> = {
  apiKey: (text) => token(text, 'a key'),
  oauthToken: (text) => token(text.replace(/^bearer /i, ''), 'a token'),
  connectionString: (text) =>
    /^[a-z][a-z0-9+.-]*:\/\/\S+$/i.test(text) || /^(\w+=\S+)(\s+\w+=\S+)*$/.test(text)
      ? undefined
      : 'expected a URL or key=value pairs',
  webhookUrl: (text) => url(text, ['https:'], 'a webhook'),
  databaseUrl: (text) => databaseUrl(text),
  redisUrl: (text) => url(text, ['redis:', 'rediss:'], 'Redis'),
  httpUrl: (text) => url(text, ['http:', 'https:'], 'an HTTP service'),
  databaseHost: (text) =>
    /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(text)
      ? undefined
      : 'expected a host of letters, digits, dots and hyphens',
  databasePort: (text) =>
    /^\d{1,5}$/.test(text) && Number(text) >= 1 && Number(text) <= 65_535
      ? undefined
      : 'expected a port from 1 to 65535',
  databaseName: (text) =>
    /^[A-Za-z0-9_]{1,63}$/.test(text) ? undefined : 'expected a name of letters, digits and underscores',
}

function token(text: string, what: string): string | undefined {
  if (text.length < SHORTEST_SECRET) return `expected ${what} of at least ${SHORTEST_SECRET} characters`
  return /^[\x21-\x7e]+$/.test(text) ? undefined : `${what} holds no blanks or control characters`
}

function url(text: string, schemes: readonly string[], what: string): string | undefined {
  const expected = `expected a URL of ${what} that starts with ${schemes.map((scheme) => `${scheme}//`).join(' or ')}`
  if (!URL.canParse(text)) return expected
  const { protocol, hostname } = new URL(text)
  return schemes.includes(protocol) && hostname !== '' ? undefined : expected
}

function databaseUrl(text: string): string | undefined {
  const expected = 'expected a URL that starts with postgres://'
  if (!URL.canParse(text)) return expected
  const { protocol, hostname, port, pathname, searchParams } = new URL(text)
  if (protocol !== 'postgres:' && protocol !== 'postgresql:') return expected
  // A socket's folder stands in the query: postgres:///name?host=/run/postgresql
  if (hostname === '' && !searchParams.has('host')) return 'expected a host in the URL of the database'
  // Encoded characters are refused with the rest of what neither a host nor a name may hold.
  const wrongHost = hostname === '' || hostname.startsWith('[') ? undefined : CHECKS.databaseHost(hostname)
  const wrongPort = port === '' ? undefined : CHECKS.databasePort(port)
  const name = pathname.slice(1)
  return wrongHost ?? wrongPort ?? (name === '' ? undefined : CHECKS.databaseName(name))
}
