import { type Clock, type NotificationHandler, errorMessage, publish } from '@varve/core'
import pg from 'pg'
import { connectError, queryError } from './sqlErrors.ts'

interface PostgresListenerOptions {
  readonly config: pg.ClientConfig
  readonly target: string
  readonly reconnectDelayMs: number
  readonly reconnectDelayMaxMs: number
  readonly clock: Clock
}

interface PostgresListener {
  listen(channel: string, handler: NotificationHandler): Promise<() => Promise<void>>
  close(): Promise<void>
}

/**
 * One connection for every LISTEN, opened at the first and opened again when it breaks. What is notified in
 * between is lost, so a reader polls as well.
 */
export function createPostgresListener(options: PostgresListenerOptions): PostgresListener {
  const { config, target, reconnectDelayMs, reconnectDelayMaxMs, clock } = options
  const handlers = new Map<string, Set<NotificationHandler>>()
  const ended = new AbortController()
  let current: Promise<pg.Client> | undefined

  const open = async (): Promise<pg.Client> => {
    const client = new pg.Client(config)
    let ready = false
    client.on('error', () => undefined) // 'end' follows and starts the reconnection
    client.on('notification', ({ channel, payload }) => {
      for (const handler of [...(handlers.get(channel) ?? [])]) {
        try {
          handler(payload ?? '')
        } catch (error) {
          publish('log', () => ({
            level: 'error',
            component: 'storage',
            message: `handler of channel ${channel} threw: ${errorMessage(error)}`,
          }))
        }
      }
    })
    client.on('end', () => {
      if (ready && !ended.signal.aborted) {
        current = undefined
        void reconnect()
      }
    })
    try {
      await client.connect()
      for (const channel of handlers.keys()) await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
      if (ended.signal.aborted) throw new Error('closed')
    } catch (error) {
      await client.end().catch(() => undefined)
      throw connectError(error, target)
    }
    ready = true
    return client
  }

  const client = (): Promise<pg.Client> => {
    if (current === undefined) {
      const attempt = open()
      current = attempt
      attempt.catch(() => {
        if (current === attempt) current = undefined
      })
    }
    return current
  }

  const reconnect = async (): Promise<void> => {
    for (
      let delayMs = reconnectDelayMs;
      !ended.signal.aborted && handlers.size > 0;
      delayMs = Math.min(delayMs * 2, reconnectDelayMaxMs)
    ) {
      try {
        await client()
        return
      } catch (error) {
        publish('log', () => ({
          level: 'warn',
          component: 'storage',
          message: `LISTEN is down: ${errorMessage(error)}`,
        }))
        await clock.sleep(delayMs, { signal: ended.signal }).catch(() => undefined)
      }
    }
  }

  return {
    async listen(channel, handler) {
      const known = handlers.get(channel)
      const set = known ?? new Set()
      // A wrapper, so that the same function listening twice is two listeners.
      const entry: NotificationHandler = (payload) => {
        handler(payload)
      }
      set.add(entry)
      if (known === undefined) handlers.set(channel, set)
      const remove = () => {
        set.delete(entry)
        if (set.size === 0 && handlers.get(channel) === set) handlers.delete(channel)
      }
      try {
        await (await client()).query(`LISTEN ${pg.escapeIdentifier(channel)}`)
      } catch (error) {
        remove()
        throw queryError(error, `LISTEN ${channel}`)
      }
      return async () => {
        if (!set.has(entry)) return
        remove()
        if (handlers.has(channel) || current === undefined || ended.signal.aborted) return
        // A connection that breaks here has stopped listening anyway.
        await current
          .then((open) => open.query(`UNLISTEN ${pg.escapeIdentifier(channel)}`))
          .catch(() => undefined)
      }
    },
    async close() {
      ended.abort()
      handlers.clear()
      const open = await current?.catch(() => undefined)
      await open?.end().catch(() => undefined)
    },
  }
}
