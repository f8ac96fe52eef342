import pg from 'pg'
import { connectError } from '../sqlErrors.ts'
import type { PoolDriver } from './ConnectionPool.ts'

/**
 * Connections to one Postgres server.
 *
 * @param sessionSettings - `SET` statements every new connection begins with
 * @param target - host, port and database, without credentials
 */
export function postgresConnections(
  config: pg.ClientConfig,
  sessionSettings: string,
  target: string,
): PoolDriver<pg.Client> {
  return {
    async open() {
      const client = new pg.Client(config)
      // Before anybody else listens, an error must not end the process; the promises below tell of it.
      client.on('error', () => undefined)
      try {
        await client.connect()
        await client.query(sessionSettings)
        return client
      } catch (error) {
        destroy(client)
        throw connectError(error, target)
      }
    },
    async ping(client) {
      await client.query('SELECT 1')
    },
    close: (client) => client.end(),
    destroy,
    onLost(client, handler) {
      client.once('error', handler)
      client.once('end', () => {
        handler(new Error('the server closed the connection'))
      })
    },
  }
}

function destroy(client: pg.Client): void {
  // `end` waits for a statement's answer or the server's goodbye; the socket itself does not.
  const { stream } = (client as unknown as { connection: { stream: { destroy(): void } } }).connection
  void client.end().catch(() => undefined)
  stream.destroy()
}
