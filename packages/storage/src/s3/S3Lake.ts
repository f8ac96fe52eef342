import { type Clock, type Secret, VarveError, checkedOptions, systemClock } from '@varve/core'
import type { LakeFileInfo, LakeFiles } from '../lake/LakeFiles.ts'
import { createS3Requests } from './S3Requests.ts'
import { type S3LakeSettings, s3LakeOptionsSchema } from './options.ts'
import { lakeError } from './requestFailure.ts'

/** Keys of an account that may read, write, list and delete below the prefix. */
export interface S3Credentials {
  readonly accessKeyId: Secret
  readonly secretAccessKey: Secret
  /** Of temporary credentials. */
  readonly sessionToken?: Secret
}

/** Its data, with their defaults: {@link s3LakeOptionsSchema}. */
export interface S3LakeOptions extends S3LakeSettings {
  /** @defaultValue what the AWS SDK finds: environment, profile, role of the machine */
  readonly credentials?: S3Credentials
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** A lake in a bucket. Closing lets go of its connections. */
export interface S3Lake extends LakeFiles, AsyncDisposable {
  close(): Promise<void>
}

/**
 * A lake in a bucket of S3, or of a store that speaks its protocol. Creating it does no I/O; the first request loads
 * `@aws-sdk/client-s3`, an optional peer.
 *
 * A file is one object, sent whole and at once under its SHA-256: it appears complete or not at all. Whether a file
 * exists is asked of the object, never of a listing.
 *
 * @throws `OPTION_INVALID`; its methods `LAKE_UNREACHABLE` (retryable), `LAKE_ACCESS_DENIED`, `LAKE_BUCKET_MISSING`,
 * `LAKE_REQUEST_REJECTED`, `LAKE_UNREADABLE`, `LAKE_PATH_INVALID`, `LAKE_DRIVER_MISSING`, `LAKE_CLOSED`
 */
export function createS3Lake(options: S3LakeOptions): S3Lake {
  const { credentials, clock = systemClock, ...data } = options
  const settings = checkedOptions(s3LakeOptionsSchema, data, 'the S3 lake')
  const root =
    settings.prefix === '' || settings.prefix.endsWith('/') ? settings.prefix : `${settings.prefix}/`
  const location = `s3://${settings.bucket}/${root}`
  const requests = createS3Requests({ settings, credentials, clock, location })
  const keyOf = (path: string) => root + checkedPath(path, location)

  return {
    location,
    async write(path, content) {
      const key = keyOf(path)
      const first = await requests.put(key, content, true)
      if (first.ok) return
      if (first.failure.kind !== 'exists')
        throw lakeError(first.failure, location, `write ${path}`, first.attempts)
      // Already there: the same bytes only need a new date, so that a sweep under way leaves them alone.
      if (await requests.renew(key, content)) return
      const second = await requests.put(key, content, false)
      if (!second.ok) throw lakeError(second.failure, location, `write ${path}`, second.attempts)
    },
    async size(path) {
      const sent = await requests.head(keyOf(path))
      if (sent.ok) return sent.answer.bytes
      if (sent.failure.kind === 'missing') return undefined
      throw lakeError(sent.failure, location, `look for ${path}`, sent.attempts)
    },
    async read(path, start, end) {
      const key = keyOf(path)
      if (end <= start) return new Uint8Array(0)
      const sent = await requests.get(key, start, end)
      if (!sent.ok) {
        if (sent.failure.status === 416) throw tooShort(path, location, start, end)
        throw lakeError(sent.failure, location, `read ${path}`, sent.attempts)
      }
      if (sent.answer.length !== end - start) throw tooShort(path, location, start, end)
      return sent.answer
    },
    async *list(prefix = ''): AsyncGenerator<LakeFileInfo> {
      const folder = prefix === '' ? root : `${keyOf(prefix.replace(/\/$/, ''))}/`
      let token: string | undefined
      do {
        const sent = await requests.list(folder, token)
        if (!sent.ok) throw lakeError(sent.failure, location, `list ${prefix || 'its files'}`, sent.attempts)
        for (const { key, bytes, modifiedAt } of sent.answer.files) {
          // Consoles mark a folder by an empty object of its name.
          if (!key.endsWith('/')) yield { path: key.slice(root.length), bytes, modifiedAt }
        }
        token = sent.answer.next
      } while (token !== undefined)
    },
    async delete(path) {
      const sent = await requests.remove(keyOf(path))
      if (!sent.ok && sent.failure.kind !== 'missing')
        throw lakeError(sent.failure, location, `delete ${path}`, sent.attempts)
    },
    close: () => requests.close(),
    [Symbol.asyncDispose]: () => requests.close(),
  }
}

/** A key is a name, not a path: what a directory would resolve must not become part of one. */
function checkedPath(path: string, location: string): string {
  const parts = path.split('/')
  if (
    path === '' ||
    path.includes('\0') ||
    parts.some((part) => part === '' || part === '.' || part === '..')
  ) {
    throw new VarveError(`the lake path "${path}" does not name a file below ${location}`, {
      code: 'LAKE_PATH_INVALID',
      details: { path },
    })
  }
  return path
}

function tooShort(path: string, location: string, start: number, end: number): VarveError {
  return new VarveError(
    `cannot read bytes ${start} to ${end} of ${path}: the file in ${location} is shorter; restore it from a backup`,
    { code: 'LAKE_UNREADABLE', details: { path, location, start, end } },
  )
}
