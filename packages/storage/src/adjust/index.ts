export { adjustBars } from './adjustBars.ts'
export type { AdjustedBars, Adjustment } from './adjustBars.ts'
export { createAdjustedReader } from './AdjustedReader.ts'
export type { AdjustedBatch, AdjustedReader, AdjustedReaderOptions, BarReader } from './AdjustedReader.ts'
export { checkFactors } from './checkFactors.ts'
export type { FactorDisagreement, VendorFactor } from './checkFactors.ts'
export type {
  ActionQuery,
  AdjustWarning,
  AdjustWarningReason,
  CorporateAction,
  DividendAction,
  LoadActions,
  OtherAction,
  SessionClose,
  SessionCloses,
  SpinOffAction,
  SplitAction,
} from './CorporateAction.ts'
export { computeFactors } from './factors.ts'
export type { FactorStep, SymbolFactors } from './factors.ts'
export { adjustOptionsSchema } from './options.ts'
export type { AdjustOptions, AdjustSettings } from './options.ts'
export { formatRational } from './Rational.ts'
export type { Rational } from './Rational.ts'
export { recordActions } from './recordActions.ts'
export type { RecordActionsOptions } from './recordActions.ts'
export { closesOf } from './sessionCloses.ts'
