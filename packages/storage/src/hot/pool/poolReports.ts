import { publish } from '@varve/core'
import { channel } from 'node:diagnostics_channel'
import { type PoolHolder, describeHolder } from './holders.ts'
import type { PoolStatus } from './PoolStatus.ts'

/**
 * Channel of `node:diagnostics_channel` on which every pool publishes its `PoolStatus` and its `target` each
 * `poolCheckMs` while it has connections.
 */
export const poolChannelName = 'varve:database.pool'

/** Publishes the pool's state when somebody listens. */
export function publishStatus(status: () => PoolStatus, target: string): void {
  const listeners = channel(poolChannelName)
  if (listeners.hasSubscribers) listeners.publish({ target, ...status() })
}

/** Says once that a connection has been held for long, and by whom. */
export function reportHeld(holder: PoolHolder, target: string): void {
  const message = `a connection to ${target} has not been returned: ${describeHolder(holder)}`
  publish('alert', () => ({ key: 'database.pool.held', severity: 'warning', message }))
  publish('log', () => ({ level: 'warn', component: 'storage', message, ...holder }))
}
