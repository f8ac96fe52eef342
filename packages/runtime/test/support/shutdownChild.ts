/**
 * A process with signal handlers. Arguments: what its task does when it is to stop (`stops`, `hangs`) or what happens
 * instead (`throws`, `rejects`), `service` or `command`, and the file for critical state.
 */
import {
  createEmergency,
  createShutdown,
  createTaskRegistry,
  handleSignals,
  saveCriticalState,
} from '../../src/index.ts'

const [, , behaviour, exitAs, path] = process.argv as string[] as [
  string,
  string,
  'stops' | 'hangs' | 'throws' | 'rejects',
  'service' | 'command',
  string,
]
const tasks = createTaskRegistry()
const shutdown = createShutdown({ tasks, totalMs: 30_000 })
const emergency = createEmergency()
emergency.onEmergency('orders', ({ reason }) => saveCriticalState(path, { reason, open: ['a', 'b'] }))
handleSignals(process, { shutdown, emergency, exitAs, sameSignalMs: 200 })
tasks.run(
  { name: 'poller', group: 'data', critical: true },
  (signal) =>
    new Promise((resolve) => {
      const alive = setInterval(() => undefined, 1_000)
      signal.addEventListener('abort', () => {
        process.send!('stopping')
        if (behaviour !== 'stops') return
        // Long enough for a signal sent with the first one to arrive before the process is gone.
        setTimeout(() => {
          clearInterval(alive)
          resolve()
        }, 100)
      })
    }),
)
process.on('message', () => {
  if (behaviour === 'throws') throw new Error('a fault nobody caught')
  void Promise.reject(new Error('a promise nobody watched'))
})
process.send!('ready')
