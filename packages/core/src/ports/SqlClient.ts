/** Postgres over a connection pool, or Postgres embedded in this process. */
export type SqlEngine = 'postgres' | 'pglite'

export interface ColumnInfo {
  readonly name: string
  /** Postgres type OID. */
  readonly typeId: number
}

export interface QueryResult<Row> {
  readonly rows: Row[]
  /** Rows inserted, updated, deleted or returned. */
  readonly rowCount: number
}

export interface CopyInOptions {
  readonly signal?: AbortSignal
}

export type NotificationHandler = (payload: string) => void

/**
 * What runs inside one transaction, or outside any.
 *
 * Values come back alike on both engines: `int8` as `bigint`, `numeric` as `string`, `int2`/`int4`/`float8` as
 * `number`, `timestamptz` as `Date`, `date` as `string` (`YYYY-MM-DD`), `jsonb` parsed, arrays as arrays,
 * `bytea` as `Uint8Array`, `xid8` as `string`.
 */
export interface SqlTx {
  /** One statement with `$1` parameters. A `bigint`, `Date`, `string`, `number`, `boolean`, `null`, `Uint8Array` or array of those is a legal parameter; anything else is sent as JSON. */
  query<Row = Record<string, unknown>>(text: string, params?: readonly unknown[]): Promise<QueryResult<Row>>
  /** Several statements without parameters. */
  exec(text: string): Promise<void>
  /** Feeds `COPY … FROM STDIN`; returns the number of rows. */
  copyIn(
    text: string,
    chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
    options?: CopyInOptions,
  ): Promise<number>
  /** Streams the output of `COPY … TO STDOUT`. Must be read to its end or returned from. */
  copyOut(text: string): AsyncIterable<Uint8Array>
}

/** The database, by the few methods Varve uses. Creating one does no I/O; the first call connects. */
export interface SqlClient extends SqlTx, AsyncDisposable {
  readonly engine: SqlEngine
  /**
   * Runs `work` in one transaction: commits when it returns, rolls back when it throws.
   * On `pglite` there is one connection, so transactions run one after another, and a call on the client itself
   * waits while one is open: inside `work` use only the `tx` handed in.
   */
  tx<T>(work: (tx: SqlTx) => Promise<T>): Promise<T>
  /** Listens to a Postgres channel; resolves to a function that stops listening. */
  listen(channel: string, handler: NotificationHandler): Promise<() => Promise<void>>
  /** Closes every connection; the embedded engine is flushed and its directory released. Closing twice is fine. */
  close(): Promise<void>
}
