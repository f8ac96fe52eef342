/** Named JSON documents that survive a restart. */
export interface StateStore {
  load(namespace: string, key: string): Promise<unknown>
  save(namespace: string, key: string, value: unknown): Promise<void>
}
