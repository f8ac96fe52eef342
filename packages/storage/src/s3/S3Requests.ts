import type * as S3Driver from '@aws-sdk/client-s3'
import { type Clock, VarveError, sha256Hex } from '@varve/core'
import type { S3Credentials } from './S3Lake.ts'
import type { S3LakeOptionsChecked } from './options.ts'
import { DamagedAnswer } from './requestFailure.ts'
import { type SendOptions, type Sent, sendWithRetries } from './sendWithRetries.ts'

export interface S3RequestsOptions {
  readonly settings: S3LakeOptionsChecked
  readonly credentials: S3Credentials | undefined
  readonly clock: Clock
  readonly location: string
}

export interface ListedPage {
  readonly files: readonly { readonly key: string; readonly bytes: number; readonly modifiedAt: number }[]
  readonly next: string | undefined
}

/** The requests a lake makes, each with its retries. Keys are whole keys of the bucket. */
export interface S3Requests {
  /** @param onlyNew - fails with kind `exists` where there is an object already */
  put(key: string, content: Uint8Array, onlyNew: boolean): Promise<Sent<void>>
  /** Gives an object a new date without sending it again; `false` when it is not these bytes, or cannot be renewed. */
  renew(key: string, content: Uint8Array): Promise<boolean>
  head(key: string): Promise<Sent<{ readonly bytes: number }>>
  /** Fewer bytes than asked for when the object ends before `end`. */
  get(key: string, start: number, end: number): Promise<Sent<Uint8Array<ArrayBuffer>>>
  list(folder: string, token: string | undefined): Promise<Sent<ListedPage>>
  remove(key: string): Promise<Sent<void>>
  close(): Promise<void>
}

type Driver = typeof S3Driver

export function createS3Requests(options: S3RequestsOptions): S3Requests {
  const { settings, credentials, clock, location } = options
  const { bucket: Bucket } = settings
  let opened: Promise<{ readonly sdk: Driver; readonly client: S3Driver.S3Client }> | undefined
  let closed = false

  const connection = () => {
    if (closed) {
      throw new VarveError(`the lake ${location} has been closed; open another`, { code: 'LAKE_CLOSED' })
    }
    opened ??= open(settings, credentials)
    // A failed attempt may be repeated.
    opened.catch(() => (opened = undefined))
    return opened
  }
  const sending: SendOptions = {
    ...settings,
    clock,
    hidden: () =>
      credentials === undefined
        ? []
        : [credentials.accessKeyId, credentials.secretAccessKey, credentials.sessionToken].map(
            (secret) => secret?.reveal() ?? '',
          ),
  }
  const send = async <Answer>(
    name: string,
    one: (sdk: Driver, client: S3Driver.S3Client, abortSignal: AbortSignal) => Promise<Answer>,
  ): Promise<Sent<Answer>> => {
    const { sdk, client } = await connection()
    return sendWithRetries(sending, `lake.${name}`, (signal) => one(sdk, client, signal))
  }

  return {
    async put(Key, content, onlyNew) {
      const ChecksumSHA256 = base64Of(sha256Hex(content))
      return send('put', async (sdk, client, abortSignal) => {
        const answer = await client.send(
          new sdk.PutObjectCommand({
            Bucket,
            Key,
            Body: content,
            ContentLength: content.length,
            ContentType: 'application/vnd.apache.parquet',
            ChecksumSHA256,
            ...(onlyNew ? { IfNoneMatch: '*' } : {}),
          }),
          { abortSignal },
        )
        // The ETag says nothing: it is the MD5 only of some objects. Stores that know SHA-256 repeat it.
        if (answer.ChecksumSHA256 !== undefined && answer.ChecksumSHA256 !== ChecksumSHA256)
          throw new DamagedAnswer('the store confirms another SHA-256 than was sent')
      })
    },
    async renew(Key, content) {
      const found = await send('head', (sdk, client, abortSignal) =>
        client.send(new sdk.HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }), { abortSignal }),
      )
      if (!found.ok || found.answer.ContentLength !== content.length) return false
      if (found.answer.ChecksumSHA256 !== base64Of(sha256Hex(content))) return false
      const { ETag } = found.answer
      const copied = await send('renew', (sdk, client, abortSignal) =>
        client.send(
          new sdk.CopyObjectCommand({
            Bucket,
            Key,
            CopySource: `${Bucket}/${encodeURIComponent(Key).replaceAll('%2F', '/')}`,
            // The store refuses to copy an object onto itself unless something is said to change.
            MetadataDirective: 'REPLACE',
            ContentType: 'application/vnd.apache.parquet',
            ChecksumAlgorithm: 'SHA256',
            ...(ETag === undefined ? {} : { CopySourceIfMatch: ETag }),
          }),
          { abortSignal },
        ),
      )
      return copied.ok
    },
    head: (Key) =>
      send('head', async (sdk, client, abortSignal) => {
        const answer = await client.send(new sdk.HeadObjectCommand({ Bucket, Key }), { abortSignal })
        if (answer.ContentLength === undefined) throw new DamagedAnswer('the answer names no length')
        return { bytes: answer.ContentLength }
      }),
    get: (Key, start, end) =>
      send('get', async (sdk, client, abortSignal) => {
        const answer = await client.send(
          new sdk.GetObjectCommand({ Bucket, Key, Range: `bytes=${start}-${end - 1}` }),
          { abortSignal },
        )
        return rangeOf(answer, start, end, abortSignal)
      }),
    list: (Prefix, ContinuationToken) =>
      send('list', async (sdk, client, abortSignal) => {
        const answer = await client.send(
          new sdk.ListObjectsV2Command({
            Bucket,
            Prefix,
            MaxKeys: settings.listPageKeys,
            ...(ContinuationToken === undefined ? {} : { ContinuationToken }),
          }),
          { abortSignal },
        )
        const files = (answer.Contents ?? []).map((entry) => ({
          key: entry.Key ?? '',
          bytes: entry.Size ?? 0,
          modifiedAt: entry.LastModified?.getTime() ?? clock.now(),
        }))
        if (answer.IsTruncated === true && answer.NextContinuationToken === undefined)
          throw new DamagedAnswer('a page of the listing says there is more, but not where')
        return { files, next: answer.IsTruncated === true ? answer.NextContinuationToken : undefined }
      }),
    remove: (Key) =>
      send('delete', async (sdk, client, abortSignal) => {
        await client.send(new sdk.DeleteObjectCommand({ Bucket, Key }), { abortSignal })
      }),
    async close() {
      closed = true
      const held = await opened?.catch(() => undefined)
      held?.client.destroy()
    },
  }
}

async function open(settings: S3LakeOptionsChecked, credentials: S3Credentials | undefined) {
  const sdk = await import('@aws-sdk/client-s3').catch((cause: unknown) => {
    throw new VarveError('a lake on S3 needs the package "@aws-sdk/client-s3"; install it', {
      code: 'LAKE_DRIVER_MISSING',
      cause,
      details: { package: '@aws-sdk/client-s3' },
    })
  })
  const client = new sdk.S3Client({
    region: settings.region,
    // Attempts are counted here, with one deadline over all of them.
    maxAttempts: 1,
    forcePathStyle: settings.pathStyle ?? settings.endpoint !== undefined,
    // Checksums are given where they matter; those the SDK adds by itself are unknown to older stores.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    ...(settings.endpoint === undefined ? {} : { endpoint: settings.endpoint }),
    ...(credentials === undefined
      ? {}
      : {
          credentials: () =>
            Promise.resolve({
              accessKeyId: credentials.accessKeyId.reveal(),
              secretAccessKey: credentials.secretAccessKey.reveal(),
              ...(credentials.sessionToken === undefined
                ? {}
                : { sessionToken: credentials.sessionToken.reveal() }),
            }),
        }),
  })
  return { sdk, client }
}

/** Takes a body as it comes, never more of it than was asked for. */
async function rangeOf(
  answer: S3Driver.GetObjectCommandOutput,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> {
  const body = answer.Body as (AsyncIterable<Uint8Array> & { destroy?(): void }) | undefined
  if (body === undefined) throw new DamagedAnswer('the answer has no body')
  try {
    const range = /^bytes (\d+)-(\d+)\//.exec(answer.ContentRange ?? '')
    if (range === null || Number(range[1]) !== start)
      throw new DamagedAnswer('the answer is not the range that was asked for')
    const bytes = new Uint8Array(Math.min(end, Number(range[2]) + 1) - start)
    let filled = 0
    for await (const chunk of body) {
      signal.throwIfAborted()
      if (filled + chunk.length > bytes.length) throw new DamagedAnswer('more bytes came than were asked for')
      bytes.set(chunk, filled)
      filled += chunk.length
    }
    if (filled !== bytes.length) throw new DamagedAnswer(`${filled} of ${bytes.length} bytes came`)
    return bytes
  } finally {
    body.destroy?.()
  }
}

function base64Of(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64')
}
