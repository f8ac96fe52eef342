import {
  type Clock,
  type NotificationHandler,
  type SqlClient,
  type SqlTx,
  checkedOptions,
  errorMessage,
  publish,
} from '@varve/core'
import { resolve } from 'node:path'
import { type CopyChunks, abortable } from './abortable.ts'
import { copySegments } from './copySegments.ts'
import { type DirectoryLock, acquireDirectoryLock } from './directoryLock.ts'
import { type PgliteSettings, pgliteOptionsSchema } from '../options.ts'
import { beginFormat, databaseFolder, finishFormat, prepareDirectory, readFormat } from './formatVersion.ts'
import type { WorkerAnswer } from './pgliteProtocol.ts'
import { type PgliteThread, startPgliteThread } from './pgliteThread.ts'
import { abortedTxError, closedError, queryError, txEndedError } from './sqlErrors.ts'
import { encodeParameter } from './sqlValues.ts'

/** Its data, with their defaults: {@link pgliteOptionsSchema}. */
export interface PgliteClientOptions extends PgliteSettings {
  /** Folder of the database, made when missing; `':memory:'` keeps everything in memory. */
  readonly directory: string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

interface Opened {
  readonly thread: PgliteThread
  readonly lock: DirectoryLock | undefined
}

/**
 * Postgres inside this process (PGlite in a worker thread), for one process at a time.
 *
 * There is one connection: transactions run one after another and a call on the client waits while one is open.
 * Kill-safe, not power-loss-safe: PGlite runs without fsync. `copyOut` holds its whole output in memory.
 *
 * The first call opens, and fails with `DIRECTORY_LOCKED`, `DIRECTORY_NEWER`, `DIRECTORY_FOREIGN` or
 * `DIRECTORY_NOT_WRITABLE`; it can be tried again. Later ones fail with `DATABASE_QUERY_FAILED`
 * (`details.sqlState`), `DATABASE_CRASHED`, `DIRECTORY_LOCK_LOST`, `DATABASE_CLOSED` or `DATABASE_TX_ENDED`.
 */
export function createPgliteClient(options: PgliteClientOptions): SqlClient {
  const { copyRows, copyBytes, copyAhead, youngGenerationMb } = checkedOptions(
    pgliteOptionsSchema,
    options,
    'the embedded database',
  )
  const handlers = new Map<string, Set<NotificationHandler>>()
  let opening: Promise<Opened> | undefined
  let closing: Promise<void> | undefined
  let queue: Promise<void> = Promise.resolve()

  const notify = (channel: string, payload: string): void => {
    for (const handler of [...(handlers.get(channel) ?? [])]) {
      try {
        handler(payload)
      } catch (error) {
        publish('log', () => ({
          level: 'error',
          component: 'storage',
          message: `handler of channel ${channel} threw: ${errorMessage(error)}`,
        }))
      }
    }
  }

  const thread = async (): Promise<PgliteThread> => {
    if (closing !== undefined) throw closedError()
    if (opening === undefined) {
      const attempt = open(options, youngGenerationMb, notify)
      opening = attempt
      attempt.catch(() => {
        if (opening === attempt) opening = undefined
      })
    }
    return (await opening).thread
  }

  /** Runs `work` when everything asked for earlier is done. */
  const exclusive = async <T>(work: (thread: PgliteThread) => Promise<T>): Promise<T> => {
    const before = queue
    let leave: () => void = () => undefined
    queue = new Promise((done) => {
      leave = done
    })
    await before
    try {
      return await work(await thread())
    } finally {
      leave()
    }
  }

  const copyIn = async (
    target: PgliteThread,
    text: string,
    chunks: CopyChunks,
    signal?: AbortSignal,
  ): Promise<number> => {
    signal?.throwIfAborted()
    const flying: Promise<number>[] = []
    let rows = 0
    try {
      for await (const data of copySegments(text, abortable(chunks, signal), {
        maxRows: copyRows,
        maxBytes: copyBytes,
      })) {
        const sent = target
          .call({ op: 'copyIn', text, data }, [data.buffer])
          .then((answer) => answer.rowCount ?? 0)
        sent.catch(() => undefined)
        flying.push(sent)
        if (flying.length >= copyAhead) rows += await flying.shift()!
      }
      while (flying.length > 0) rows += await flying.shift()!
      return rows
    } catch (error) {
      await Promise.allSettled(flying)
      // Earlier segments went in. As a broken COPY does on a server, this leaves the transaction fit for
      // rollback only.
      await target.call({ op: 'exec', text: FAIL }).catch(() => undefined)
      throw queryError(error, text)
    }
  }

  const tx = <T>(work: (tx: SqlTx) => Promise<T>): Promise<T> =>
    exclusive(async (target) => {
      await target.call({ op: 'exec', text: 'BEGIN' })
      let open = true
      const check = (): void => {
        if (!open) throw txEndedError()
      }
      const guarded: SqlTx = {
        async query<Row>(text: string, params?: readonly unknown[]) {
          check()
          return runQuery<Row>(target, text, params)
        },
        async exec(text) {
          check()
          await run(target, text)
        },
        async copyIn(text, chunks, { signal } = {}) {
          check()
          return copyIn(target, text, chunks, signal)
        },
        async *copyOut(text) {
          check()
          yield* await readOut(target, text)
        },
      }
      let result: T
      try {
        result = await work(guarded)
      } catch (error) {
        open = false
        // When even this fails the engine is gone, and what was open is undone when it starts again.
        await target.call({ op: 'exec', text: 'ROLLBACK' }).catch(() => undefined)
        throw error
      }
      open = false
      const { command } = await run(target, 'COMMIT')
      if (command !== 'COMMIT') throw abortedTxError()
      return result
    })

  const close = (): Promise<void> => {
    closing ??= (async () => {
      const current = opening
      await queue // a transaction under way ends first; those behind it are refused
      const { thread: target, lock } = (await current?.catch(() => undefined)) ?? {}
      handlers.clear()
      await target?.call({ op: 'close' }).catch(() => undefined)
      await target?.terminate(closedError())
      await lock?.release()
    })()
    return closing
  }

  return {
    engine: 'pglite',
    tx,
    query: <Row>(text: string, params?: readonly unknown[]) =>
      exclusive((target) => runQuery<Row>(target, text, params)),
    exec: (text) =>
      exclusive(async (target) => {
        let left: boolean | undefined
        try {
          left = (await run(target, text)).inTransaction
        } catch (error) {
          left = true
          throw error
        } finally {
          // The text may have begun a transaction of its own; whoever comes next must not find it.
          if (left) await target.call({ op: 'exec', text: 'ROLLBACK' }).catch(() => undefined)
        }
      }),
    copyIn: (text, chunks, { signal } = {}) => tx((inside) => inside.copyIn(text, chunks, { signal })),
    async *copyOut(text) {
      yield* await exclusive((target) => readOut(target, text))
    },
    async listen(channel, handler) {
      const entry: NotificationHandler = (payload) => {
        handler(payload)
      }
      await exclusive(async (target) => {
        await run(target, `LISTEN ${quoteName(channel)}`)
        const set = handlers.get(channel) ?? new Set()
        handlers.set(channel, set.add(entry))
      })
      return async () => {
        const set = handlers.get(channel)
        if (set === undefined || !set.delete(entry) || set.size > 0) return
        handlers.delete(channel)
        await exclusive(async (target) => {
          if (!handlers.has(channel)) await run(target, `UNLISTEN ${quoteName(channel)}`)
        }).catch(() => undefined) // closed meanwhile: nothing listens any more
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

const FAIL = "DO $$ BEGIN RAISE EXCEPTION 'copy was interrupted' USING ERRCODE = '57014'; END $$"

async function open(
  options: PgliteClientOptions,
  youngGenerationMb: number,
  onNotification: (channel: string, payload: string) => void,
): Promise<Opened> {
  if (options.directory === ':memory:')
    return { thread: await openThread(undefined, youngGenerationMb, onNotification), lock: undefined }
  const directory = resolve(options.directory)
  await readFormat(directory) // refuses before anything is written into somebody else's folder
  await prepareDirectory(directory)
  const lock = await acquireDirectoryLock({ ...options, directory })
  try {
    const fresh = (await readFormat(directory)) === 'empty'
    if (fresh) await beginFormat(directory)
    const thread = await openThread(databaseFolder(directory), youngGenerationMb, onNotification)
    if (fresh) await finishFormat(directory)
    lock.lost.addEventListener('abort', () => void thread.terminate(lock.lost.reason), { once: true })
    return { thread, lock }
  } catch (error) {
    await lock.release()
    throw error
  }
}

async function openThread(
  folder: string | undefined,
  youngGenerationMb: number,
  onNotification: (channel: string, payload: string) => void,
): Promise<PgliteThread> {
  const thread = startPgliteThread({
    folder,
    youngGenerationMb,
    onNotification,
    onCrash: (error) => {
      publish('log', () => ({ level: 'error', component: 'storage', message: error.message }))
    },
  })
  try {
    await thread.call({ op: 'open' })
    return thread
  } catch (error) {
    await thread.terminate(error)
    throw error
  }
}

async function run(thread: PgliteThread, text: string): Promise<WorkerAnswer> {
  try {
    return await thread.call({ op: 'exec', text })
  } catch (error) {
    throw queryError(error, text)
  }
}

async function runQuery<Row>(
  thread: PgliteThread,
  text: string,
  params: readonly unknown[] = [],
): Promise<{ rows: Row[]; rowCount: number }> {
  let answer: WorkerAnswer
  try {
    answer = await thread.call({ op: 'query', text, params: params.map(encodeParameter) })
  } catch (error) {
    throw queryError(error, text)
  }
  const { columns = [], rows = [], rowCount = 0 } = answer
  return { rows: rows.map((values) => toRow<Row>(columns, values)), rowCount }
}

function toRow<Row>(columns: readonly string[], values: readonly unknown[]): Row {
  const row: Record<string, unknown> = {}
  for (let index = 0; index < columns.length; index++) row[columns[index]!] = values[index]
  return row as Row
}

async function readOut(thread: PgliteThread, text: string): Promise<readonly Uint8Array[]> {
  try {
    return (await thread.call({ op: 'copyOut', text })).data ?? []
  } catch (error) {
    throw queryError(error, text)
  }
}

function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}
