import { createHash } from 'node:crypto'

/** An object of the double's bucket. */
export interface StoredObject {
  readonly content: Uint8Array
  /** Milliseconds since 1970-01-01T00:00Z. */
  readonly modifiedAt: number
  /** When listings begin to show it, milliseconds since 1970-01-01T00:00Z. */
  readonly listedFrom: number
}

/** What an `ETag` looks like; real ones are an MD5, which nobody may rely on. */
export function etagOf(content: Uint8Array): string {
  return `"${createHash('sha256').update(content).digest('hex').slice(0, 32)}"`
}

/** The value of `x-amz-checksum-sha256`. */
export function checksumOf(content: Uint8Array | string): string {
  return createHash('sha256').update(content).digest('base64')
}

/** The body of a refusal. */
export function errorXml(code: string, message: string): string {
  return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${escaped(message)}</Message></Error>`
}

/** One page of ListObjectsV2; the token is the last key of the page before. */
export function listXml(
  bucket: string,
  objects: ReadonlyMap<string, StoredObject>,
  url: URL,
  now: number,
): string {
  const prefix = url.searchParams.get('prefix') ?? ''
  const after = Buffer.from(url.searchParams.get('continuation-token') ?? '', 'base64').toString()
  const most = Number(url.searchParams.get('max-keys') ?? 1000)
  const keys = [...objects.entries()]
    .filter(([key, object]) => key.startsWith(prefix) && key > after && object.listedFrom <= now)
    .sort(([a], [b]) => (a < b ? -1 : 1))
  const page = keys.slice(0, most)
  const truncated = keys.length > page.length
  const contents = page.map(
    ([key, object]) =>
      `<Contents><Key>${escaped(key)}</Key><LastModified>${new Date(object.modifiedAt).toISOString()}</LastModified><ETag>${escaped(etagOf(object.content))}</ETag><Size>${object.content.length}</Size><StorageClass>STANDARD</StorageClass></Contents>`,
  )
  const next = truncated
    ? `<NextContinuationToken>${Buffer.from(page.at(-1)![0]).toString('base64')}</NextContinuationToken>`
    : ''
  return `<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${escaped(bucket)}</Name><Prefix>${escaped(prefix)}</Prefix><KeyCount>${page.length}</KeyCount><MaxKeys>${most}</MaxKeys><IsTruncated>${truncated}</IsTruncated>${next}${contents.join('')}</ListBucketResult>`
}

function escaped(text: string): string {
  return text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
}
