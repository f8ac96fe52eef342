/**
 * One mapping between Postgres text and JavaScript values, used by both engines so that they cannot differ.
 */

type Parser = (text: string) => unknown

const identity: Parser = (text) => text

const TIMESTAMP =
  /^(\d{4,})-(\d\d)-(\d\d) (\d\d:\d\d:\d\d)(?:\.(\d+))?([+-]\d\d)?(?::?(\d\d))?(?::\d\d)?( BC)?$/

/** The ends of JavaScript's time stand for Postgres's `infinity` and `-infinity`. */
const LAST_INSTANT = 8_640_000_000_000_000

/** `timestamptz` text in ISO style to a `Date`; microseconds are cut to milliseconds. */
function parseTimestamptz(text: string): Date {
  if (text === 'infinity') return new Date(LAST_INSTANT)
  if (text === '-infinity') return new Date(-LAST_INSTANT)
  const match = TIMESTAMP.exec(text)
  if (match === null) return new Date(Number.NaN)
  const [, yearText, month, day, time, fraction = '', hours = '+00', minutes = '00', bc] = match
  const year = bc === undefined ? Number(yearText) : 1 - Number(yearText)
  const iso =
    year >= 0 && year <= 9999
      ? String(year).padStart(4, '0')
      : `${year < 0 ? '-' : '+'}${String(Math.abs(year)).padStart(6, '0')}`
  return new Date(`${iso}-${month}-${day}T${time}.${fraction.slice(0, 3).padEnd(3, '0')}${hours}:${minutes}`)
}

function parseBytea(text: string): Uint8Array {
  // Through Uint8Array.from so that callers never see a Buffer of the shared pool.
  return Uint8Array.from(Buffer.from(text.slice(2), 'hex'))
}

/** Reads an array literal such as `{1,NULL,"a \"b\""}`, nested ones included. */
export function parseArrayLiteral(text: string, element: Parser): unknown[] {
  let at = text.indexOf('{') // bounds such as [0:1]={…} come before it
  const read = (): unknown[] => {
    const items: unknown[] = []
    at++
    for (;;) {
      const char = text[at]
      if (char === undefined) return items
      if (char === '}') {
        at++
        return items
      }
      if (char === ',') at++
      else if (char === '{') items.push(read())
      else if (char === '"') {
        let value = ''
        at++
        while (at < text.length && text[at] !== '"') {
          if (text[at] === '\\') at++
          value += text[at] ?? ''
          at++
        }
        at++
        items.push(element(value))
      } else {
        let end = at
        while (end < text.length && text[end] !== ',' && text[end] !== '}') end++
        const value = text.slice(at, end)
        at = end
        items.push(value === 'NULL' ? null : element(value))
      }
    }
  }
  return at < 0 ? [] : read()
}

const SCALARS: readonly (readonly [type: number, array: number, parser: Parser])[] = [
  [16, 1000, (text) => text === 't'], // bool
  [17, 1001, parseBytea],
  [20, 1016, BigInt], // int8
  [21, 1005, Number], // int2
  [23, 1007, Number], // int4
  [26, 1028, Number], // oid
  [700, 1021, Number], // float4
  [701, 1022, Number], // float8
  [114, 199, (text) => JSON.parse(text) as unknown], // json
  [3802, 3807, (text) => JSON.parse(text) as unknown], // jsonb
  [1184, 1185, parseTimestamptz],
  [18, 1002, identity], // "char"
  [19, 1003, identity], // name
  [25, 1009, identity], // text
  [28, 1011, identity], // xid
  [1042, 1014, identity], // bpchar
  [1043, 1015, identity], // varchar
  [1082, 1182, identity], // date
  [1083, 1183, identity], // time
  [1114, 1115, identity], // timestamp
  [1186, 1187, identity], // interval
  [1700, 1231, identity], // numeric
  [2950, 2951, identity], // uuid
  [5069, 271, identity], // xid8
]

const PARSERS: ReadonlyMap<number, Parser> = new Map(
  SCALARS.flatMap(([type, array, parser]) => [
    [type, parser] as const,
    [array, ((text) => parseArrayLiteral(text, parser)) as Parser] as const,
  ]),
)

/** Parsers by type OID; types not listed stay text. */
export const SQL_PARSERS: Readonly<Record<number, Parser>> = Object.fromEntries(PARSERS)

/** The parser for one type. */
export function sqlParser(typeId: number): Parser {
  return PARSERS.get(typeId) ?? identity
}

/** A parameter as Postgres reads it: text, raw bytes, or null. */
export function encodeParameter(value: unknown): string | Uint8Array | null {
  if (value === null || value === undefined) return null
  if (value instanceof Uint8Array) return value
  return encodeText(value)
}

function encodeText(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return value
    case 'number':
    case 'bigint':
    case 'boolean':
      return String(value)
    default:
      if (value instanceof Date) return encodeDate(value)
      if (Array.isArray(value) && value.every(isScalar)) return encodeArray(value)
      return JSON.stringify(value)
  }
}

function encodeDate(value: Date): string {
  const time = value.getTime()
  if (time === LAST_INSTANT) return 'infinity'
  if (time === -LAST_INSTANT) return '-infinity'
  const iso = value.toISOString() // throws RangeError for an invalid date, before anything is sent
  const year = value.getUTCFullYear()
  if (year >= 1 && year <= 9999) return iso
  const rest = iso.slice(iso.indexOf('-', 1))
  return year > 0 ? `${year}${rest}` : `${String(1 - year).padStart(4, '0')}${rest} BC`
}

function isScalar(value: unknown): boolean {
  return (
    value === null ||
    value === undefined ||
    typeof value !== 'object' ||
    value instanceof Date ||
    value instanceof Uint8Array
  )
}

const PLAIN = /^[\w.:+/-]+$/

function encodeArray(values: readonly unknown[]): string {
  const parts = values.map((value) => {
    if (value === null || value === undefined) return 'NULL'
    const text = value instanceof Uint8Array ? `\\x${Buffer.from(value).toString('hex')}` : encodeText(value)
    return PLAIN.test(text) && text.toUpperCase() !== 'NULL' ? text : `"${text.replace(/["\\]/g, '\\$&')}"`
  })
  return `{${parts.join(',')}}`
}
