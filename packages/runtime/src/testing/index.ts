export { describeLockContract } from './lockContract.ts'
export type { LockFixture } from './lockContract.ts'
export { describeStateStoreContract } from './stateStoreContract.ts'
export type { StateStoreFixture } from './stateStoreContract.ts'
