import type { SqlTx } from '@varve/core'

/** The smallest transaction id Postgres ever assigns: below every one to come. */
const FIRST_TRANSACTION = '3'

/**
 * To be run once after events were restored from a logical dump into another database cluster. There transaction
 * ids start anew: restored events would hide until the new cluster had caught up, and be ordered after new ones.
 * Keeps the order of the events and every subscription's place in it.
 */
export async function rebaseEvents(tx: SqlTx): Promise<void> {
  await tx.exec('LOCK TABLE events, event_subscriptions IN ACCESS EXCLUSIVE MODE')
  await tx.query(
    `UPDATE event_subscriptions s SET transaction_id = $1::xid8,
       position = (SELECT count(*) FROM events e WHERE (e.transaction_id, e.position) <= (s.transaction_id, s.position))`,
    [FIRST_TRANSACTION],
  )
  await tx.query(
    `UPDATE events e SET transaction_id = $1::xid8, position = ranked.place
     FROM (SELECT id, row_number() OVER (ORDER BY transaction_id, position) AS place FROM events) ranked
     WHERE ranked.id = e.id`,
    [FIRST_TRANSACTION],
  )
  await tx.query(
    `SELECT setval(pg_get_serial_sequence('events', 'position'), greatest(coalesce(max(position), 0), 1), max(position) IS NOT NULL) FROM events`,
  )
}
