import { describeChanges, isBelow, type ConfigChange, type PathChange } from './changes.ts'
import { type ConfigWatcher, type Ending } from './ConfigStore.ts'
import { watcherFailed } from './errors.ts'

interface Watch<Values extends object> {
  readonly prefixes: readonly string[]
  readonly handler: ConfigWatcher<Values>
}

/** Hands changes to those who asked for them; one that fails does not stop the others. */
export class Watchers<Values extends object> {
  readonly #watches = new Set<Watch<Values>>()
  readonly #waiting: { readonly changes: readonly ConfigChange[]; readonly next: Values }[] = []
  readonly #onFailure: (error: unknown) => void
  #telling = false

  constructor(onFailure: (error: unknown) => void) {
    this.#onFailure = onFailure
  }

  add(prefixes: readonly string[], handler: ConfigWatcher<Values>): Ending {
    const watch = { prefixes: [...prefixes], handler }
    this.#watches.add(watch)
    return ending(() => this.#watches.delete(watch))
  }

  /** A change made by a watcher is told after the one it was told of, so that everyone sees them in order. */
  tell(changes: readonly PathChange[], next: Values): readonly ConfigChange[] {
    const described = Object.freeze(describeChanges(changes))
    if (described.length > 0) this.#waiting.push({ changes: described, next })
    if (this.#telling) return described
    this.#telling = true
    try {
      for (let item = this.#waiting.shift(); item !== undefined; item = this.#waiting.shift()) {
        for (const watch of [...this.#watches]) this.#tellOne(watch, item.changes, item.next)
      }
    } finally {
      this.#telling = false
    }
    return described
  }

  #tellOne({ prefixes, handler }: Watch<Values>, all: readonly ConfigChange[], next: Values): void {
    // A branch that became a single value concerns those who watched something in it.
    const changes = all.filter(({ key }) =>
      prefixes.some((prefix) => isBelow(key, prefix) || isBelow(prefix, key)),
    )
    if (changes.length === 0) return
    const fail = (cause: unknown) => this.#onFailure(watcherFailed(prefixes, cause))
    try {
      Promise.resolve(handler(changes, next)).catch(fail)
    } catch (error) {
      fail(error)
    }
  }
}

/** Runs `work` at the first call only. */
export function ending(work: () => unknown): Ending {
  let ended = false
  const end = () => {
    if (ended) return
    ended = true
    work()
  }
  return { end, [Symbol.dispose]: end }
}
