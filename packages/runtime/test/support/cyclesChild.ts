/**
 * Starts and stops a whole context again and again, in a process of its own with `--expose-gc`. Arguments: cycles,
 * bytes to leak in each. Prints JSON: used heap at every tenth part, open handles before and after.
 */
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { systemClock } from '@varve/core'
import {
  component,
  createApplicationContext,
  createLock,
  createMemoryLockStore,
  createMemoryStateStore,
  createResourceRegistry,
  createShutdown,
  createStateManager,
  createTaskRegistry,
} from '../../src/index.ts'

const cycles = Number(process.argv[2])
const leakBytes = Number(process.argv[3])
const leaked: unknown[] = []
const { gc } = globalThis as { readonly gc?: () => void }

async function cycle(): Promise<void> {
  const context = createApplicationContext({
    components: {
      resources: component({
        async start() {
          const resources = createResourceRegistry()
          resources.add('file', await open(import.meta.filename))
          const server = createServer()
          await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
          resources.add('server', server)
          resources.add(
            'timer',
            setInterval(() => undefined, 60_000),
          )
          return resources
        },
      }),
      tasks: component({
        dependsOn: ['resources'],
        start() {
          const tasks = createTaskRegistry()
          tasks.run({ name: 'sleeper', group: 'data' }, (signal) => systemClock.sleep(60_000, { signal }))
          return tasks
        },
      }),
      state: component({
        async start() {
          const state = createStateManager({ store: createMemoryStateStore() })
          await state.update('counters', 'starts', () => 1)
          return state
        },
      }),
      lock: component({
        start: () => createLock({ store: createMemoryLockStore() }).acquire('leader'),
      }),
    },
  })
  await context.start()
  const shutdown = createShutdown()
  shutdown.add({ name: 'context', group: 'system', stop: () => context.close() })
  const result = await shutdown.run('end of cycle')
  if (!result.ok) throw new Error(JSON.stringify(result))
  if (leakBytes > 0) leaked.push(Array.from({ length: leakBytes / 8 }, (_, index) => index + 0.5))
}

for (let warm = 0; warm < 20; warm++) await cycle()
await new Promise(setImmediate)
const before = process.getActiveResourcesInfo().sort()
const heap: number[] = []
for (let done = 1; done <= cycles; done++) {
  await cycle()
  if (done % (cycles / 10) === 0) {
    // Twice, because what the first one frees may hold more.
    gc?.()
    await new Promise(setImmediate)
    gc?.()
    heap.push(process.memoryUsage().heapUsed)
  }
}
// After the heap was measured, so that the bytes alone have to show.
if (leakBytes > 0) setInterval(() => undefined, 60_000)
await new Promise(setImmediate)
console.log(JSON.stringify({ heap, before, after: process.getActiveResourcesInfo().sort() }))
process.exit()
