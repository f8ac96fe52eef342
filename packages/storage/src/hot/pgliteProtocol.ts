/** Messages between `PgliteClient` and its worker thread. Requests are answered one after another. */

export interface WorkerSettings {
  /** Folder of the database's own files; `undefined` keeps it in memory. */
  readonly folder: string | undefined
}

export type SqlValue = string | Uint8Array | null

export type WorkerRequest =
  | { readonly id: number; readonly op: 'open' }
  | { readonly id: number; readonly op: 'query'; readonly text: string; readonly params: readonly SqlValue[] }
  | { readonly id: number; readonly op: 'exec'; readonly text: string }
  | { readonly id: number; readonly op: 'copyIn'; readonly text: string; readonly data: Uint8Array }
  | { readonly id: number; readonly op: 'copyOut'; readonly text: string }
  | { readonly id: number; readonly op: 'close' }

/** The part of a request that its caller writes. */
export type WorkerCall = WorkerRequest extends infer Request
  ? Request extends { id: number }
    ? Omit<Request, 'id'>
    : never
  : never

export interface WorkerAnswer {
  /** Names of the columns, for `query`. */
  readonly columns?: readonly string[]
  readonly rows?: readonly (readonly unknown[])[]
  readonly rowCount?: number
  /** Command tag of the last statement, such as `COMMIT`. */
  readonly command?: string
  /** Whether a transaction is open after an `exec`. */
  readonly inTransaction?: boolean
  /** Output of `copyOut`. */
  readonly data?: readonly Uint8Array[]
}

export interface WorkerFailure {
  readonly name: string
  readonly message: string
  readonly stack?: string
  /** SQLSTATE and what goes with it, when Postgres refused. */
  readonly severity?: string
  readonly code?: string
  readonly constraint?: string
  readonly table?: string
  readonly column?: string
}

export type WorkerMessage =
  | { readonly kind: 'answer'; readonly id: number; readonly answer: WorkerAnswer }
  | { readonly kind: 'failure'; readonly id: number; readonly failure: WorkerFailure }
  | { readonly kind: 'notification'; readonly channel: string; readonly payload: string }
