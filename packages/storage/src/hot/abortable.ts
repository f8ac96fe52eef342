/** Input of a COPY. A chunk must not be written to again once it was handed over. */
export type CopyChunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/** The chunks until the signal aborts; then its reason, even while a chunk is awaited. */
export async function* abortable(
  chunks: CopyChunks,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array> {
  if (signal === undefined) {
    yield* chunks
    return
  }
  let onAbort: () => void = () => undefined
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => {
      reject(signal.reason as Error)
    }
    signal.addEventListener('abort', onAbort, { once: true })
  })
  aborted.catch(() => undefined)
  const source = Symbol.asyncIterator in chunks ? chunks[Symbol.asyncIterator]() : chunks[Symbol.iterator]()
  try {
    for (;;) {
      signal.throwIfAborted()
      const next = await Promise.race([source.next(), aborted])
      if (next.done === true) return
      yield next.value
    }
  } finally {
    signal.removeEventListener('abort', onAbort)
    // Not awaited: a source stuck in its own wait would hold the caller up.
    void Promise.resolve(source.return?.()).catch(() => undefined)
  }
}
