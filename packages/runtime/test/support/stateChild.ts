/** Counts in a state file, and tells every number that was stored. Argument: the path of the file. */
import { createFileStateStore, createStateManager } from '../../src/index.ts'

const state = createStateManager({ store: createFileStateStore({ path: process.argv[2]! }) })
process.on('disconnect', () => process.exit(0))
for (;;) {
  process.send!(await state.update('counters', 'all', (count) => ((count as number | undefined) ?? 0) + 1))
}
