import { configNotLoaded } from './errors.ts'

/** One instance for the whole process, to be put back between tests. */
export interface ProcessInstance<Instance extends object> {
  /** The instance; made at the first call. @throws `CONFIG_NOT_LOADED` when there is none and nothing to make it with */
  get(create?: () => Instance): Instance
  /** Forgets the instance and returns it, so that the caller can close it. */
  reset(): Instance | undefined
}

/**
 * A place for the one configuration store of a process. It is found by name, so that two copies of this package in
 * one process share it. Libraries take plain options instead; this is for programs.
 */
export function processInstance<Instance extends object>(name: string): ProcessInstance<Instance> {
  const key = Symbol.for(`varve.process.${name}`)
  const places = globalThis as unknown as Record<symbol, Instance | undefined>
  return {
    get(create) {
      const found = places[key] ?? create?.()
      if (found === undefined) throw configNotLoaded()
      places[key] = found
      return found
    },
    reset() {
      const found = places[key]
      Reflect.deleteProperty(places, key)
      return found
    },
  }
}
