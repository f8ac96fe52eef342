import { VarveError, errorMessage } from '@varve/core'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Worker } from 'node:worker_threads'
import type {
  WorkerAnswer,
  WorkerCall,
  WorkerFailure,
  WorkerMessage,
  WorkerRequest,
  WorkerSettings,
} from './pgliteProtocol.ts'

/** The worker thread, seen from the program: one promise per request. */
export interface PgliteThread {
  call(request: WorkerCall, transfer?: readonly ArrayBuffer[]): Promise<WorkerAnswer>
  /** Ends the thread; whatever waits is rejected with `reason`. */
  terminate(reason: unknown): Promise<void>
}

export interface PgliteThreadOptions extends WorkerSettings {
  readonly youngGenerationMb: number
  readonly onNotification: (channel: string, payload: string) => void
  /** The thread ended by itself; it answers nothing any more. */
  readonly onCrash: (error: VarveError) => void
}

interface Waiting {
  readonly resolve: (answer: WorkerAnswer) => void
  readonly reject: (error: unknown) => void
}

/** Starts the thread. */
export function startPgliteThread(options: PgliteThreadOptions): PgliteThread {
  const { folder, onNotification, onCrash } = options
  const url = workerUrl()
  const settings: WorkerSettings = { folder }
  const worker = new Worker(url, {
    workerData: settings,
    // The thread does not inherit test runners' loaders; from source it needs our own condition only.
    execArgv: url.pathname.endsWith('.ts')
      ? ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning']
      : [],
    // What passes through lives briefly or outside the heap; without a bound V8 keeps 128 MB for newcomers.
    resourceLimits: { maxYoungGenerationSizeMb: options.youngGenerationMb },
    name: 'varve-pglite',
  })
  const waiting = new Map<number, Waiting>()
  let lastId = 0
  let ended: { readonly reason: unknown } | undefined

  const end = (reason: unknown): void => {
    if (ended !== undefined) return
    ended = { reason }
    for (const { reject } of waiting.values()) reject(reason)
    waiting.clear()
  }
  const crash = (what: string, cause?: unknown): void => {
    if (ended !== undefined) return
    const error = new VarveError(
      `the embedded database stopped: ${what}; what was committed is safe. Close this client and open the directory again`,
      { code: 'DATABASE_CRASHED', cause },
    )
    end(error)
    onCrash(error)
  }

  worker.on('message', (message: WorkerMessage) => {
    if (message.kind === 'notification') {
      onNotification(message.channel, message.payload)
      return
    }
    const entry = waiting.get(message.id)
    waiting.delete(message.id)
    if (message.kind === 'answer') entry?.resolve(message.answer)
    else entry?.reject(toError(message.failure))
  })
  worker.on('error', (error) => {
    crash(errorMessage(error), error)
  })
  worker.on('messageerror', (error) => {
    crash(errorMessage(error), error)
    void worker.terminate()
  })
  worker.on('exit', (code) => {
    crash(`its thread ended with code ${code}`)
  })

  return {
    call(request, transfer = []) {
      return new Promise((resolve, reject) => {
        if (ended !== undefined) {
          reject(ended.reason as Error)
          return
        }
        const message: WorkerRequest = { ...request, id: ++lastId }
        waiting.set(message.id, { resolve, reject })
        worker.postMessage(message, transfer)
      })
    },
    async terminate(reason) {
      end(reason)
      await worker.terminate()
    },
  }
}

/** The worker beside this file: TypeScript in the sources, JavaScript in `dist`, also when this file was bundled. */
function workerUrl(): URL {
  const beside = new URL(
    import.meta.url.endsWith('.ts') ? './pgliteWorker.ts' : './pgliteWorker.js',
    import.meta.url,
  )
  if (existsSync(fileURLToPath(beside))) return beside
  const home = dirname(createRequire(import.meta.url).resolve('@varve/storage/package.json'))
  return pathToFileURL(join(home, 'dist', 'pgliteWorker.js'))
}

function toError(failure: WorkerFailure): Error {
  const { message, stack, ...fields } = failure
  const error = new Error(message)
  if (stack !== undefined) error.stack = stack
  return Object.assign(
    error,
    Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
  )
}
