/** A small durable map. */
export interface KeyValue {
  get(key: string): Promise<Uint8Array | undefined>
  /** Stores `value`; with `ttlMs` it is forgotten after that many milliseconds. */
  set(key: string, value: Uint8Array, options?: { readonly ttlMs?: number }): Promise<void>
  delete(key: string): Promise<boolean>
}
