import { type Clock, VarveError, checkedOptions, errorMessage, systemClock } from '@varve/core'
import { withDeadline } from '../deadline.ts'
import { type ResourceSettings, resourceOptionsSchema } from '../options.ts'

/** How a resource is closed: a function, a method of its own, or its dispose symbol. */
export type Closable =
  AsyncDisposable | Disposable | { close(): unknown } | { destroy(): unknown } | (() => unknown)

/** Whatever must be closed: sockets, files, timers, tasks. */
export interface ResourceRegistry extends AsyncDisposable {
  /**
   * Takes charge of a resource and gives it back. Its dispose symbol is preferred, then `close`, then `destroy`;
   * pass `close` where the resource has none of them.
   *
   * @throws `RESOURCES_CLOSED`, after closing the resource: it came too late
   */
  add<Resource extends Closable>(name: string, resource: Resource): Resource
  add<Resource>(name: string, resource: Resource, close: (resource: Resource) => unknown): Resource
  /** Closes one now, and forgets it; nothing happens for one that is not there. */
  release(resource: unknown): Promise<void>
  /** Names of what is open, oldest first. */
  list(): string[]
  /**
   * Closes everything, youngest first; a failing one does not keep the others open. Closing twice is fine.
   *
   * @throws `RESOURCE_CLOSE_FAILED` naming every one that did not close
   */
  close(): Promise<void>
}

/** Its data, with their defaults: {@link resourceOptionsSchema}. */
export interface ResourceRegistryOptions extends ResourceSettings {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

interface Entry {
  readonly name: string
  readonly close: () => unknown
}

export function createResourceRegistry(options: ResourceRegistryOptions = {}): ResourceRegistry {
  const { clock = systemClock, ...data } = options
  const { closeTimeoutMs } = checkedOptions(resourceOptionsSchema, data, 'the resource registry')
  const entries = new Map<unknown, Entry>()
  let closing: Promise<void> | undefined

  const closeOne = ({ close }: Entry): Promise<unknown> =>
    withDeadline(
      {
        clock,
        timeoutMs: closeTimeoutMs,
        expired: () => new Error(`did not close within ${closeTimeoutMs} ms`),
      },
      close,
    )

  const close = (): Promise<void> => {
    closing ??= (async () => {
      const failures: { readonly name: string; readonly message: string }[] = []
      const causes: unknown[] = []
      for (const [resource, entry] of [...entries].reverse()) {
        // Released meanwhile by somebody else.
        if (!entries.delete(resource)) continue
        try {
          await closeOne(entry)
        } catch (error) {
          failures.push({ name: entry.name, message: errorMessage(error) })
          causes.push(error)
        }
      }
      if (failures.length === 0) return
      throw new VarveError(
        `${failures.length} resources did not close: ${failures.map(({ name, message }) => `${name} (${message})`).join('; ')}`,
        {
          code: 'RESOURCE_CLOSE_FAILED',
          cause: new AggregateError(causes, 'resources that did not close'),
          details: { failures },
        },
      )
    })()
    return closing
  }

  return {
    add<Resource>(name: string, resource: Resource, own?: (resource: Resource) => unknown): Resource {
      const entry = { name, close: own === undefined ? closerOf(name, resource) : () => own(resource) }
      if (closing !== undefined) {
        closeOne(entry).catch(() => undefined)
        throw new VarveError(`${name} was opened after the registry had been closed; it is closed again`, {
          code: 'RESOURCES_CLOSED',
          details: { name },
        })
      }
      entries.set(resource, entry)
      return resource
    },
    async release(resource) {
      const entry = entries.get(resource)
      if (entry === undefined) return
      entries.delete(resource)
      await closeOne(entry)
    },
    list: () => [...entries.values()].map(({ name }) => name),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function closerOf(name: string, resource: unknown): () => unknown {
  if (typeof resource === 'function') return () => (resource as () => unknown)()
  const has = resource as Partial<
    AsyncDisposable & Disposable & { close(): unknown; destroy(): unknown }
  > | null
  if (has?.[Symbol.asyncDispose] !== undefined) return () => has[Symbol.asyncDispose]?.()
  if (has?.[Symbol.dispose] !== undefined) return () => has[Symbol.dispose]?.()
  if (typeof has?.close === 'function') return () => has.close?.()
  if (typeof has?.destroy === 'function') return () => has.destroy?.()
  throw new VarveError(
    `${name} cannot be closed: it has neither a dispose symbol nor close; pass a function that does`,
    {
      code: 'OPTION_INVALID',
      details: { name },
    },
  )
}
