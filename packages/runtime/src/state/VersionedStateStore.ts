/** One stored document. */
export interface StateEntry {
  readonly key: string
  /** JSON. */
  readonly text: string
  /** Different after every write, also after a deletion. */
  readonly version: number
  /** Milliseconds until it is forgotten; `undefined` for never. */
  readonly remainingMs: number | undefined
}

export interface PutOptions {
  /** Write only over this version; 0 stands for "nothing there". Without it whatever is there is replaced. */
  readonly expectedVersion?: number
  readonly ttlMs?: number
}

/** What a restore writes. */
export interface StateRecord {
  readonly key: string
  readonly text: string
  readonly ttlMs?: number
}

/**
 * Where a state manager keeps its documents. Each call is one atomic step, judged by the store's own clock; none sees
 * an entry whose time has passed.
 */
export interface VersionedStateStore extends AsyncDisposable {
  get(namespace: string, key: string): Promise<StateEntry | undefined>
  /** The new version, or `undefined` when another than the expected one was found. */
  put(namespace: string, key: string, text: string, options?: PutOptions): Promise<number | undefined>
  /** True when something was deleted. */
  delete(namespace: string, key: string, options?: { readonly expectedVersion?: number }): Promise<boolean>
  /** Everything in these namespaces at one moment, by key. */
  snapshot(namespaces: readonly string[]): Promise<Map<string, StateEntry[]>>
  /** Makes these namespaces hold exactly these records, all at once. */
  replace(content: ReadonlyMap<string, readonly StateRecord[]>): Promise<void>
  /** Namespaces that hold something, in order. */
  namespaces(): Promise<string[]>
  close(): Promise<void>
}

/** Order of keys everywhere: by code unit, whatever the collation of a database. */
export function byKey(a: { readonly key: string }, b: { readonly key: string }): number {
  return a.key < b.key ? -1 : a.key > b.key ? 1 : 0
}
