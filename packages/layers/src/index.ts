export type { Company, CompanyStore, CompanyUpdate } from './Company.ts'
export { METRIC_NAMES, METRICS } from './metricNames.ts'
export type { MetricName, MetricValues } from './metricNames.ts'
export {
  criterionSchema,
  layerDefinitionSchema,
  lookbackSessions,
  metricOptionsSchema,
  backfillPriority,
  universeSchema,
} from './definitions.ts'
export type { Criterion, LayerDefinition, MetricOptions, Universe } from './definitions.ts'
export { computeMetrics, liquidityScore, roundStatistic, seriesOf } from './metrics.ts'
export { evaluate } from './evaluate.ts'
export type {
  CriterionOutcome,
  Evaluation,
  EvaluationBasis,
  LayerChange,
  LayerOutcome,
  Reasons,
} from './evaluate.ts'
