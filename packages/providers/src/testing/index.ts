export { createStandInMarket } from '../standin/StandInMarket.ts'
export type {
  RawBar,
  RawMinute,
  StandInListing,
  StandInMarket,
  StandInMarketOptions,
} from '../standin/StandInMarket.ts'
export type { StandInCompany, StandInSplit } from '../standin/companies.ts'
export { startStandInServer } from '../standin/StandInServer.ts'
export type { StandInLogEntry, StandInServer, StandInServerOptions } from '../standin/StandInServer.ts'
export type { CannedAnswer, FaultKind, FaultRates, FaultRule, Faults } from '../standin/faults.ts'
export { startStandInAccounts } from '../standin/StandInAccounts.ts'
export type {
  StandInAccount,
  StandInAccountFault,
  StandInAccounts,
  StandInAccountsLogEntry,
  StandInAccountsOptions,
  StandInAccountState,
  StandInDataKey,
} from '../standin/StandInAccounts.ts'
