/** A caller waiting for a permit. */
export interface Waiter {
  readonly cost: number
  /** Its request will report its end. */
  readonly reports: boolean
  /** When it joined, monotonic milliseconds. */
  readonly since: number
  /** Smaller is served first. */
  readonly rank: number
  /** Order of arrival: settles equal ranks. */
  readonly order: number
  readonly grant: () => void
  readonly refuse: (error: unknown) => void
  /** Served or gone; a heap entry with this set is skipped. */
  done: boolean
}

const before = (a: Waiter, b: Waiter): boolean => a.rank < b.rank || (a.rank === b.rank && a.order < b.order)

/**
 * Waiters in the order of their rank. The rank is `arrival + priority × ageing`: all waiters age at the same pace, so
 * their order never changes while they wait, and a heap with fixed keys gives priorities without starvation.
 * Cancelled waiters stay in the heap until they surface or make up half of it: cancelling 10,000 costs O(n).
 */
export class WaitQueue {
  #heap: Waiter[] = []
  #live = 0

  /** Callers still waiting. */
  get size(): number {
    return this.#live
  }

  push(waiter: Waiter): void {
    this.#live++
    this.#heap.push(waiter)
    this.#up(this.#heap.length - 1)
  }

  /** The next to be served. */
  peek(): Waiter | undefined {
    while (this.#heap[0]?.done === true) this.#removeTop()
    return this.#heap[0]
  }

  /** Takes the waiter `peek` gave. */
  shift(): Waiter | undefined {
    const top = this.peek()
    if (top === undefined) return undefined
    top.done = true
    this.#live--
    this.#removeTop()
    return top
  }

  /** A waiter that will not be served. */
  cancel(waiter: Waiter): void {
    if (waiter.done) return
    waiter.done = true
    this.#live--
    if (this.#heap.length > 32 && this.#live * 2 < this.#heap.length) this.#compact()
  }

  /** Removes everybody and gives them back in order. */
  drain(): Waiter[] {
    const rest: Waiter[] = []
    for (let waiter = this.shift(); waiter !== undefined; waiter = this.shift()) rest.push(waiter)
    return rest
  }

  #compact(): void {
    this.#heap = this.#heap.filter((waiter) => !waiter.done)
    for (let index = (this.#heap.length >> 1) - 1; index >= 0; index--) this.#down(index)
  }

  #removeTop(): void {
    const last = this.#heap.pop()
    if (this.#heap.length === 0 || last === undefined) return
    this.#heap[0] = last
    this.#down(0)
  }

  #up(start: number): void {
    const heap = this.#heap
    let index = start
    while (index > 0) {
      const parent = (index - 1) >> 1
      if (!before(heap[index]!, heap[parent]!)) return
      ;[heap[index], heap[parent]] = [heap[parent]!, heap[index]!]
      index = parent
    }
  }

  #down(start: number): void {
    const heap = this.#heap
    let index = start
    for (;;) {
      let best = index
      for (const child of [2 * index + 1, 2 * index + 2]) {
        if (child < heap.length && before(heap[child]!, heap[best]!)) best = child
      }
      if (best === index) return
      ;[heap[index], heap[best]] = [heap[best]!, heap[index]!]
      index = best
    }
  }
}
