export { createTestClock } from './TestClock.ts'
export type { TestClock } from './TestClock.ts'
