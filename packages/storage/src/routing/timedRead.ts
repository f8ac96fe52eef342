import { type Clock, VarveError } from '@varve/core'
import type { ColdSlots } from './ColdSlots.ts'

/**
 * Yields what `open` yields, as long as waiting for it takes no more than `timeoutMs` in all. A permit is held while
 * an item is read, not while the consumer works on it: a slow consumer keeps nobody out, and one that begins
 * another read of the lake meanwhile cannot wait for itself. Neither its time nor waiting for a permit counts. On leaving early, by whatever way, the signal given to `open` is aborted.
 *
 * @throws `COLD_QUERY_TIMEOUT`
 * @throws the reason of `signal`
 */
export async function* timedRead<Item>(
  open: (signal: AbortSignal) => AsyncIterable<Item>,
  options: {
    readonly timeoutMs: number
    readonly clock: Clock
    readonly slots: Pick<ColdSlots, 'take'>
    readonly signal?: AbortSignal | undefined
  },
): AsyncGenerator<Item> {
  const { timeoutMs, clock, slots, signal } = options
  const stop = new AbortController()
  const inner = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
  const iterator = open(inner)[Symbol.asyncIterator]()
  let left = timeoutMs
  let finished = false
  try {
    for (;;) {
      signal?.throwIfAborted()
      const release = await slots.take(signal)
      const startedAt = clock.monotonicMs()
      const next = await within(iterator.next(), left, clock, timeoutMs, inner).finally(release)
      left -= clock.monotonicMs() - startedAt
      if (next.done === true) {
        finished = true
        return
      }
      yield next.value
    }
  } finally {
    if (!finished) {
      stop.abort(new DOMException('the read was given up', 'AbortError'))
      // A reader that ignores its signal must not hold up whoever gave up on it.
      void iterator.return?.().catch(() => undefined)
    }
  }
}

async function within<Value>(
  work: Promise<Value>,
  leftMs: number,
  clock: Clock,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Value> {
  const done = new AbortController()
  const timeout = clock.sleep(Math.max(0, leftMs), { signal: AbortSignal.any([done.signal, signal]) }).then(
    () => {
      throw new VarveError(
        `a query of the lake took longer than ${timeoutMs} ms; ask for a shorter range or fewer symbols, or raise coldTimeoutMs`,
        { code: 'COLD_QUERY_TIMEOUT', retryable: true, details: { timeoutMs } },
      )
    },
    (reason: unknown) => {
      // Ended early: because the work is done, or because the caller gave up.
      if (!done.signal.aborted) throw reason
      return work
    },
  )
  // Whichever loses the race is nobody's any more.
  work.catch(() => undefined)
  timeout.catch(() => undefined)
  try {
    return await Promise.race([work, timeout])
  } finally {
    done.abort()
  }
}
