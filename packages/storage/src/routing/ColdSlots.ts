/** Permits for queries of the lake, handed out first come, first served. */
export interface ColdSlots {
  /** Waits for a permit; the function returned gives it back, once. Rejects with the signal's reason while waiting. */
  take(signal?: AbortSignal): Promise<() => void>
  readonly taken: number
  readonly waiting: number
}

/** @param limit - permits there are */
export function createColdSlots(limit: number): ColdSlots {
  const queue = new Set<() => void>()
  let taken = 0
  const permit = () => {
    let returned = false
    return () => {
      if (returned) return
      returned = true
      const next = queue.values().next()
      if (next.done === true) {
        taken--
        return
      }
      // The permit goes to the next in line without becoming free, so that no newcomer overtakes.
      queue.delete(next.value)
      next.value()
    }
  }
  return {
    get taken() {
      return taken
    },
    get waiting() {
      return queue.size
    },
    take(signal) {
      if (signal?.aborted) return Promise.reject(signal.reason as Error)
      if (taken < limit) {
        taken++
        return Promise.resolve(permit())
      }
      return new Promise((resolve, reject) => {
        const onAbort = () => {
          queue.delete(grant)
          reject(signal?.reason as Error)
        }
        const grant = () => {
          signal?.removeEventListener('abort', onAbort)
          resolve(permit())
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        queue.add(grant)
      })
    },
  }
}
