/** Named JSON documents that survive a restart. */
export interface StateStore {
  /** The document, or `undefined` when there is none or its time has passed. */
  load(namespace: string, key: string): Promise<unknown>
  /** Stores a document; with `ttlMs` it is forgotten after that many milliseconds. */
  save(namespace: string, key: string, value: unknown, options?: { readonly ttlMs?: number }): Promise<void>
  /**
   * Replaces the document by what `change` makes of it; `undefined` stands for none, both ways. No concurrent update
   * is lost; `change` may run more than once. Returns the new document.
   */
  update(
    namespace: string,
    key: string,
    change: (current: unknown) => unknown,
    options?: { readonly ttlMs?: number },
  ): Promise<unknown>
  /** True when there was one. */
  remove(namespace: string, key: string): Promise<boolean>
  /** Keys in order; in `pattern` a `*` stands for any characters and `?` for one. */
  keys(namespace: string, pattern?: string): Promise<string[]>
}
