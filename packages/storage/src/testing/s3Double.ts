import { type Clock, sha256Hex, systemClock } from '@varve/core'
import { type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type StoredObject, checksumOf, errorXml, etagOf, listXml } from './s3DoubleProtocol.ts'

/** What can go wrong with a request. */
export type S3FaultKind =
  /** 500 InternalError. */
  | 'error500'
  /** 503 SlowDown. */
  | 'slowDown'
  /** 403 AccessDenied. */
  | 'accessDenied'
  /** Nothing is said for `delayMs` of the clock; then it goes on. */
  | 'slowFirstByte'
  /** The connection breaks before anything happens. */
  | 'reset'
  /** It happens, and the connection breaks before the answer. */
  | 'lostAnswer'
  /** Half of the promised body comes, then the connection breaks. */
  | 'truncatedBody'
  /** Half of the range comes as if it were all of it. */
  | 'shortBody'
  /** A range is answered by the whole object. */
  | 'ignoredRange'
  /** An ETag that is not the hash of the object. */
  | 'wrongETag'
  /** A confirmation of other content than was sent. */
  | 'wrongChecksum'

export interface S3Fault {
  readonly kind: S3FaultKind
  /** @defaultValue any method; `LIST` is a GET of the bucket */
  readonly method?: S3Method
  /** Part of the key. @defaultValue any key */
  readonly key?: string
  /** Requests it happens to. @defaultValue 1 */
  readonly times?: number
  /** For `slowFirstByte`, milliseconds. */
  readonly delayMs?: number
}

export type S3Method = 'GET' | 'HEAD' | 'PUT' | 'DELETE' | 'LIST' | 'COPY'

/** One request the double saw; nothing of its headers but the range. */
export interface S3LoggedRequest {
  readonly method: S3Method
  readonly key: string
  readonly range: string | undefined
  readonly status: number
  /** Bytes of the body received. */
  readonly bytesIn: number
  /** Bytes of the body sent. */
  readonly bytesOut: number
}

export interface S3DoubleOptions {
  /** @defaultValue `lake` */
  readonly bucket?: string
  /** The only key that may sign requests. @defaultValue `test-access-key` */
  readonly accessKeyId?: string
  /** New keys appear in listings only after this long of the clock, milliseconds. @defaultValue 0 */
  readonly listingDelayMs?: number
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** A server on this machine that answers the requests a lake makes of S3. */
export interface S3Double extends AsyncDisposable {
  readonly endpoint: string
  readonly bucket: string
  readonly accessKeyId: string
  /** Objects by key; tests may change them behind the lake's back. */
  readonly objects: Map<string, StoredObject>
  /** Requests so far; may be emptied. */
  readonly requests: S3LoggedRequest[]
  /** Makes the next requests that fit go wrong. */
  fail(fault: S3Fault): void
  /** Forgets the faults that are still to happen. */
  heal(): void
  close(): Promise<void>
}

/** Starts a double of S3: path style, signed requests, conditional and checksummed writes, ranges, paged listings. */
export async function startS3Double(options: S3DoubleOptions = {}): Promise<S3Double> {
  const {
    bucket = 'lake',
    accessKeyId = 'test-access-key',
    listingDelayMs = 0,
    clock = systemClock,
  } = options
  const objects = new Map<string, StoredObject>()
  const requests: S3LoggedRequest[] = []
  const faults: { fault: S3Fault; left: number }[] = []
  const takeFault = (method: S3Method, key: string): S3Fault | undefined => {
    const found = faults.find(
      ({ fault, left }) =>
        left > 0 &&
        (fault.method === undefined || fault.method === method) &&
        (fault.key === undefined || key.includes(fault.key)),
    )
    if (found !== undefined) found.left--
    return found?.fault
  }

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const chunks: Uint8Array[] = []
    for await (const chunk of request) chunks.push(chunk as Uint8Array)
    const body = Buffer.concat(chunks)
    const url = new URL(request.url ?? '/', 'http://localhost')
    const [, name = '', ...rest] = url.pathname.split('/').map(decodeURIComponent)
    const key = rest.join('/')
    const headers = request.headers
    const method = methodOf(request, key)
    const fault = takeFault(method, key)
    const log = (status: number, bytesOut: number) => {
      requests.push({ method, key, range: headers.range, status, bytesIn: body.length, bytesOut })
    }
    const refuse = (status: number, code: string, message: string) => {
      const text = method === 'HEAD' ? '' : errorXml(code, message)
      log(status, text.length)
      response.writeHead(status, { 'content-type': 'application/xml' }).end(text)
    }
    const drop = () => {
      log(0, 0)
      request.socket.destroy()
    }

    if (fault?.kind === 'reset') return drop()
    if (fault?.kind === 'slowFirstByte') {
      const gone = new AbortController()
      response.once('close', () => gone.abort())
      await clock.sleep(fault.delayMs ?? 0, { signal: gone.signal }).catch(() => undefined)
      if (response.destroyed) return log(0, 0)
    }
    if (fault?.kind === 'error500') return refuse(500, 'InternalError', 'We encountered an internal error.')
    if (fault?.kind === 'slowDown') return refuse(503, 'SlowDown', 'Please reduce your request rate.')
    if (fault?.kind === 'accessDenied') return refuse(403, 'AccessDenied', 'Access Denied')
    const signed = /^AWS4-HMAC-SHA256 Credential=([^/]+)\/.*SignedHeaders=[^,]*host.*Signature=[0-9a-f]{64}$/
    const signer = signed.exec(headers.authorization ?? '')?.[1]
    if (signer === undefined) return refuse(403, 'AccessDenied', 'The request is not signed.')
    if (signer !== accessKeyId) return refuse(403, 'InvalidAccessKeyId', `The key ${signer} does not exist.`)
    if (name !== bucket) return refuse(404, 'NoSuchBucket', 'The specified bucket does not exist')

    const send = (status: number, extra: OutgoingHttpHeaders, content: Uint8Array | string = '') => {
      if (fault?.kind === 'lostAnswer') return drop()
      log(status, method === 'HEAD' ? 0 : content.length)
      response.writeHead(status, { 'x-amz-request-id': String(requests.length), ...extra })
      if (method === 'HEAD') response.end()
      else if (fault?.kind === 'truncatedBody') {
        response.write(content.slice(0, content.length >> 1), () => request.socket.destroy())
      } else response.end(content)
    }
    const describe = (object: StoredObject) => ({
      etag: fault?.kind === 'wrongETag' ? '"00000000000000000000000000000000"' : etagOf(object.content),
      'last-modified': new Date(object.modifiedAt).toUTCString(),
      'accept-ranges': 'bytes',
    })

    switch (method) {
      case 'LIST':
        return send(200, { 'content-type': 'application/xml' }, listXml(bucket, objects, url, clock.now()))
      case 'PUT': {
        if (headers['if-none-match'] === '*' && objects.has(key))
          return refuse(
            412,
            'PreconditionFailed',
            'At least one of the pre-conditions you specified did not hold',
          )
        const sent = headers['x-amz-checksum-sha256']
        if (sent !== undefined && sent !== checksumOf(body))
          return refuse(400, 'BadDigest', 'The SHA256 you specified did not match what we received.')
        const now = clock.now()
        const stored = {
          content: body,
          modifiedAt: now,
          listedFrom: objects.get(key)?.listedFrom ?? now + listingDelayMs,
        }
        objects.set(key, stored)
        const confirmed = fault?.kind === 'wrongChecksum' ? checksumOf(sha256Hex(body)) : checksumOf(body)
        return send(200, { ...describe(stored), 'x-amz-checksum-sha256': confirmed })
      }
      case 'COPY': {
        const source = decodeURIComponent(String(headers['x-amz-copy-source'])).replace(/^\/?[^/]+\//, '')
        const object = objects.get(source)
        if (object === undefined) return refuse(404, 'NoSuchKey', 'The specified key does not exist.')
        const match = headers['x-amz-copy-source-if-match']
        if (match !== undefined && match !== etagOf(object.content))
          return refuse(412, 'PreconditionFailed', 'The source has changed')
        objects.set(key, { ...object, modifiedAt: clock.now() })
        return send(
          200,
          { 'content-type': 'application/xml' },
          `<?xml version="1.0"?><CopyObjectResult><ETag>${etagOf(object.content)}</ETag><LastModified>${new Date(clock.now()).toISOString()}</LastModified></CopyObjectResult>`,
        )
      }
      case 'DELETE':
        objects.delete(key)
        return send(204, {})
      case 'HEAD':
      case 'GET': {
        const object = objects.get(key)
        if (object === undefined) return refuse(404, 'NoSuchKey', 'The specified key does not exist.')
        const { content } = object
        const checksum =
          headers['x-amz-checksum-mode'] === 'ENABLED' && headers.range === undefined
            ? { 'x-amz-checksum-sha256': checksumOf(content) }
            : {}
        const range = /^bytes=(\d+)-(\d+)$/.exec(headers.range ?? '')
        if (range === null || fault?.kind === 'ignoredRange')
          return send(200, { ...describe(object), ...checksum, 'content-length': content.length }, content)
        const start = Number(range[1])
        const end = Math.min(content.length, Number(range[2]) + 1)
        if (start >= content.length)
          return refuse(416, 'InvalidRange', 'The requested range is not satisfiable')
        const part = content.subarray(start, fault?.kind === 'shortBody' ? start + ((end - start) >> 1) : end)
        return send(
          206,
          {
            ...describe(object),
            'content-length': part.length,
            'content-range': `bytes ${start}-${end - 1}/${content.length}`,
          },
          part,
        )
      }
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch(() => request.socket.destroy())
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  const close = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    })
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    bucket,
    accessKeyId,
    objects,
    requests,
    fail(fault) {
      faults.push({ fault, left: fault.times ?? 1 })
    },
    heal() {
      faults.length = 0
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function methodOf(request: IncomingMessage, key: string): S3Method {
  if (request.method === 'GET' && key === '') return 'LIST'
  if (request.method === 'PUT' && request.headers['x-amz-copy-source'] !== undefined) return 'COPY'
  return request.method as S3Method
}
