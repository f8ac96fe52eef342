import { z } from 'zod'

/** The pool's part of `createPostgresClient`'s options. */
export const poolOptionsSchema = z.object({
  maxConnections: z
    .int()
    .min(1)
    .max(1000)
    .default(10)
    .describe('Connections to Postgres at most, extra ones included; listening takes one more'),
  overflow: z
    .int()
    .min(0)
    .max(999)
    .default(0)
    .describe(
      'How many of maxConnections are extra: opened when the others are in use, closed as soon as nobody waits',
    ),
  waitTimeoutMs: z
    .int()
    .min(1)
    .default(10_000)
    .describe(
      'How long a caller waits for a free connection, or for a lost server to come back, milliseconds',
    ),
  maxAgeMs: z
    .int()
    .min(0)
    .default(1_800_000)
    .describe('A connection older than this is replaced when it is returned, milliseconds; 0 for never'),
  idleTimeoutMs: z
    .int()
    .min(0)
    .default(60_000)
    .describe('An unused connection is closed after this long, milliseconds; 0 for never'),
  pingAfterIdleMs: z
    .int()
    .min(0)
    .default(15_000)
    .describe('A connection unused for longer than this is tried before it is handed out, milliseconds'),
  pingTimeoutMs: z
    .int()
    .min(1)
    .default(2000)
    .describe('A connection that does not answer a trial within this is dropped, milliseconds'),
  outageRetryMs: z
    .int()
    .min(1)
    .default(250)
    .describe('Pause between attempts to reach a server that was lost, milliseconds'),
  heldWarningMs: z
    .int()
    .min(0)
    .default(60_000)
    .describe(
      'A connection held longer than this is reported once, with its holder, milliseconds; 0 for never',
    ),
  holderStacks: z.boolean().default(true).describe('Remember where in the program each connection was taken'),
  poolCheckMs: z
    .int()
    .min(1)
    .default(5000)
    .describe('Pause between looks for idle, old and long-held connections, milliseconds'),
  drainTimeoutMs: z
    .int()
    .min(0)
    .default(30_000)
    .describe('How long closing waits for connections in use before it cuts them, milliseconds'),
  healthyUsage: z
    .number()
    .gt(0)
    .max(1)
    .default(0.8)
    .describe('Share of maxConnections in use from which the pool does not count as healthy'),
  healthyInvalid: z
    .int()
    .min(1)
    .default(5)
    .describe('Connections found dead within invalidWindowMs from which the pool does not count as healthy'),
  invalidWindowMs: z
    .int()
    .min(1)
    .default(60_000)
    .describe('How long a connection found dead counts against the health of the pool, milliseconds'),
})

/** Options of the pool with every default filled in. */
export type PoolOptions = z.output<typeof poolOptionsSchema>

/** The part of the pool's options a caller gives. */
export type PoolSettings = z.input<typeof poolOptionsSchema>
