export { describeSqlClientContract } from './sqlClientContract.ts'
export type { SqlClientFixture } from './sqlClientContract.ts'
