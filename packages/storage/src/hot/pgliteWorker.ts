/** Runs PGlite in a thread of its own, so that a long statement never blocks the program's event loop. */
import { PGlite, type Results } from '@electric-sql/pglite'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parentPort, workerData } from 'node:worker_threads'
import { readEmptyDatabase, unpackEmptyDatabase } from './emptyDatabase.ts'
import type {
  SqlValue,
  WorkerAnswer,
  WorkerFailure,
  WorkerMessage,
  WorkerRequest,
  WorkerSettings,
} from './pgliteProtocol.ts'
import { SQL_PARSERS } from './sqlValues.ts'

const port = parentPort
if (port === null) throw new Error('pgliteWorker runs in a worker thread only')
const { folder } = workerData as WorkerSettings

/** Parameters arrive as Postgres text or raw bytes; whatever the type, they go through unchanged. */
const UNCHANGED = new Proxy({} as Record<number, (value: unknown) => string>, {
  get: () => (value: unknown) => value as string,
})
const PIECE_BYTES = 1 << 20

let database: PGlite | undefined

async function open(): Promise<WorkerAnswer> {
  const loadDataDir = folder === undefined ? await readEmptyDatabase() : undefined
  // The directory's FORMAT file says whether the database was made whole, so this need not wait for the disk.
  if (folder !== undefined && !existsSync(join(folder, 'PG_VERSION'))) await unpackEmptyDatabase(folder)
  const opened = await PGlite.create(folder, {
    initDbStartParams: ['--no-sync'],
    parsers: SQL_PARSERS,
    ...(loadDataDir === undefined ? {} : { loadDataDir }),
  })
  // PGlite adds parsers for the array types it finds; every value must go through ours.
  for (const key of Object.keys(opened.parsers)) {
    if (/^\d+$/.test(key) && !(key in SQL_PARSERS)) Reflect.deleteProperty(opened.parsers, key)
  }
  Object.assign(opened.parsers, SQL_PARSERS)
  await opened.exec("SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET bytea_output = 'hex'")
  opened.onNotification((channel, payload) => {
    send({ kind: 'notification', channel, payload })
  })
  database = opened
  return {}
}

function opened(): PGlite {
  if (database === undefined) throw new Error('the embedded database is not open')
  return database
}

async function query(text: string, params: readonly SqlValue[]): Promise<WorkerAnswer> {
  const result = await opened().query<unknown[]>(text, [...params], {
    rowMode: 'array',
    serializers: UNCHANGED,
  })
  return toAnswer(result)
}

async function exec(text: string): Promise<WorkerAnswer> {
  const results = await opened().exec(text, { rowMode: 'array' })
  const last = results.at(-1)
  const inTransaction = opened().isInTransaction()
  return last?.command === undefined ? { inTransaction } : { inTransaction, command: last.command }
}

async function copyIn(text: string, data: Uint8Array): Promise<WorkerAnswer> {
  const blob = new Blob([data as Uint8Array<ArrayBuffer>])
  const result = await opened().query(text.replace(/\bFROM\s+STDIN\b/i, "FROM '/dev/blob'"), [], { blob })
  return { rowCount: result.affectedRows ?? 0 }
}

async function copyOut(text: string): Promise<WorkerAnswer> {
  const db = opened()
  const at = [...text.matchAll(/\bTO\s+STDOUT\b/gi)].at(-1)
  const statement =
    at === undefined ? text : `${text.slice(0, at.index)}TO '/dev/blob'${text.slice(at.index + at[0].length)}`
  let result: Results
  try {
    result = await db.query(statement)
  } catch (error) {
    // Otherwise the part written before the failure would lead the next copy's output.
    await db._getWrittenBlob()
    throw error
  }
  const whole = result.blob === undefined ? new Uint8Array() : new Uint8Array(await result.blob.arrayBuffer())
  const data: Uint8Array[] = []
  for (let at = 0; at < whole.length; at += PIECE_BYTES) data.push(whole.slice(at, at + PIECE_BYTES))
  return { data }
}

function toAnswer(result: Results<unknown[]>): WorkerAnswer {
  return {
    columns: result.fields.map((field) => field.name),
    rows: result.rows,
    rowCount: result.rowCount ?? 0,
    ...(result.command === undefined ? {} : { command: result.command }),
  }
}

async function answer(request: WorkerRequest): Promise<WorkerAnswer> {
  switch (request.op) {
    case 'open':
      return open()
    case 'query':
      return query(request.text, request.params)
    case 'exec':
      return exec(request.text)
    case 'copyIn':
      return copyIn(request.text, request.data)
    case 'copyOut':
      return copyOut(request.text)
    case 'close':
      await database?.close()
      return {}
    default:
      // Not from our own client: the two sides do not match, and nothing that follows can be trusted.
      process.exit(1)
  }
}

function toFailure(error: unknown): WorkerFailure {
  if (!(error instanceof Error)) return { name: 'Error', message: String(error) }
  const source = error as Error &
    Partial<Record<'severity' | 'code' | 'constraint' | 'table' | 'column', unknown>>
  const text = (value: unknown): string | undefined => (typeof value === 'string' ? value : undefined)
  return {
    name: error.name,
    message: error.message,
    stack: error.stack,
    severity: text(source.severity),
    code: text(source.code),
    constraint: text(source.constraint),
    table: text(source.table),
    column: text(source.column),
  }
}

function send(message: WorkerMessage): void {
  const pieces = message.kind === 'answer' ? (message.answer.data ?? []) : []
  port!.postMessage(
    message,
    pieces.map((piece) => piece.buffer as ArrayBuffer),
  )
}

let tail: Promise<void> = Promise.resolve()
port.on('message', (request: WorkerRequest) => {
  tail = tail.then(async () => {
    try {
      send({ kind: 'answer', id: request.id, answer: await answer(request) })
    } catch (error) {
      send({ kind: 'failure', id: request.id, failure: toFailure(error) })
    }
  })
})
