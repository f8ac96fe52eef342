import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { type CopyChunks, abortable } from './abortable.ts'
import { copyOutStream } from './copyOutStream.ts'
import { queryError } from './sqlErrors.ts'

/**
 * `COPY … FROM STDIN` on one connection. On abort or when the source throws, the server is told (CopyFail) and
 * the reason is thrown untouched; the connection stays usable.
 */
export async function copyRows(
  client: pg.ClientBase,
  text: string,
  chunks: CopyChunks,
  signal?: AbortSignal,
): Promise<number> {
  signal?.throwIfAborted()
  const stream = client.query(copyFrom(text))
  let sourceError: { readonly error: unknown } | undefined
  const source = async function* () {
    try {
      yield* abortable(chunks, signal)
    } catch (error) {
      sourceError = { error }
      throw error
    }
  }
  try {
    await pipeline(Readable.from(source(), { objectMode: true, highWaterMark: 2 }), stream, { signal })
  } catch (error) {
    if (signal?.aborted) throw signal.reason
    if (sourceError !== undefined) throw sourceError.error
    throw queryError(error, text)
  }
  return stream.rowCount
}

/**
 * `COPY … TO STDOUT` on one connection.
 *
 * @param options - `drain: true` reads the rest when the reader stops early, so that the connection stays usable
 */
export async function* readRows(
  client: pg.ClientBase,
  text: string,
  { drain = false }: { readonly drain?: boolean } = {},
): AsyncGenerator<Uint8Array> {
  const stream = client.query(copyOutStream(text))
  let ended = false
  try {
    for await (const chunk of stream.iterator({ destroyOnReturn: false })) yield chunk as Uint8Array
    ended = true
  } catch (error) {
    ended = true
    throw queryError(error, text)
  } finally {
    // The connection may be thrown away next; that must not surface as an unhandled error of this stream.
    if (!ended) stream.on('error', () => undefined)
    if (!ended && drain) {
      const finished = new Promise<void>((resolve) => {
        stream.once('end', resolve)
        stream.once('error', () => {
          resolve()
        })
      })
      stream.resume()
      await finished
    }
  }
}
