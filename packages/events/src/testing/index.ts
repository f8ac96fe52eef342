export { describeEventStoreContract, sampleEvent } from './eventStoreContract.ts'
export type { EventStoreFixture } from './eventStoreContract.ts'
