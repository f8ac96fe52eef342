import { type Layer, LAYERS, type SessionDate, type SessionCalendar, VarveError } from '@varve/core'
import type { Company, CompanyUpdate } from './Company.ts'
import type { Criterion, LayerDefinition, Universe } from './definitions.ts'
import { liquidityScore } from './metrics.ts'
import type { MetricName, MetricValues } from './metricNames.ts'

/** How one criterion came out for one symbol. */
export interface CriterionOutcome {
  readonly metric: MetricName
  readonly test: 'atLeast' | 'atMost' | 'is' | 'in' | 'notIn'
  readonly value: number | string | boolean | null
  readonly threshold: number | string | boolean | readonly string[]
  readonly outcome: 'pass' | 'fail' | 'unknown'
  /** How far the value is on the passing side of the threshold, in the metric's unit; negative when it fails. */
  readonly margin: number | null
}

/** How the criteria of one layer came out. */
export interface LayerOutcome {
  readonly layer: Layer
  readonly outcome: 'pass' | 'fail' | 'unknown'
  readonly criteria: readonly CriterionOutcome[]
}

/** Why a symbol is in its layer: kept with the company as plain JSON. */
export interface Reasons {
  readonly layers: readonly LayerOutcome[]
  /** Why the layer differs from what the criteria alone would give. */
  readonly held: 'minimum_stay' | 'unknown_grace' | 'maximum_step' | null
  /** First session at which a metric the layer needs was unknown, while it still is. */
  readonly unknownSince: SessionDate | null
  /** What stood before this session; judging the session again starts from it, not from its own outcome. */
  readonly basis: EvaluationBasis
}

/** The state a company was in when a session was first judged. */
export interface EvaluationBasis {
  readonly layer: Layer | null
  readonly layerSince: SessionDate | null
  readonly evaluatedOn: SessionDate | null
  readonly unknownSince: SessionDate | null
}

export interface LayerChange {
  readonly symbol: string
  readonly kind: 'qualified' | 'promoted' | 'demoted'
  readonly from: Layer | null
  readonly to: Layer | null
  readonly liquidityScore: number | null
  readonly reasons: Reasons
}

export interface Evaluation {
  readonly session: SessionDate
  readonly updates: readonly CompanyUpdate[]
  /** Only symbols whose layer changed, by symbol. */
  readonly changes: readonly LayerChange[]
  /** Set when more symbols would be demoted than the universe allows at once. */
  readonly heldForConfirmation: { readonly demotions: number; readonly layered: number } | null
}

/**
 * Decides every symbol's layer at a session. Pure: the same input gives the same output, in code-unit order of
 * symbols whatever the order of the input, and a second evaluation of the same session changes nothing.
 *
 * @throws `EVALUATION_METRICS_MISSING` when a company has no metrics
 */
export function evaluate(input: {
  readonly session: SessionDate
  readonly universe: Universe
  readonly companies: readonly Company[]
  readonly metrics: ReadonlyMap<string, MetricValues>
  readonly calendar: SessionCalendar
}): Evaluation {
  const { session, universe, calendar } = input
  const companies = [...input.companies].sort((a, b) =>
    a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0,
  )
  const updates: CompanyUpdate[] = []
  const changes: LayerChange[] = []
  let layered = 0
  let demotions = 0
  for (const company of companies) {
    const values = input.metrics.get(company.symbol)
    if (values === undefined) {
      throw new VarveError(`no metrics for ${company.symbol} at ${session}`, {
        code: 'EVALUATION_METRICS_MISSING',
        details: { symbol: company.symbol, session },
      })
    }
    const basis = basisOf(company, session)
    const decided = decide(basis, company.active, values, universe, session, calendar)
    const changed = decided.layer !== company.layer
    if (company.layer !== null) layered++
    if (changed && rank(decided.layer) < rank(company.layer)) demotions++
    const score = liquidityScore(values)
    updates.push({
      symbol: company.symbol,
      layer: decided.layer,
      liquidityScore: score,
      layerSince: decided.layer === basis.layer ? basis.layerSince : session,
      evaluatedOn: session,
      reasons: decided.reasons,
    })
    if (changed) {
      changes.push({
        symbol: company.symbol,
        kind:
          company.layer === null
            ? 'qualified'
            : rank(decided.layer) > rank(company.layer)
              ? 'promoted'
              : 'demoted',
        from: company.layer,
        to: decided.layer,
        liquidityScore: score,
        reasons: decided.reasons,
      })
    }
  }
  return {
    session,
    updates,
    changes,
    heldForConfirmation:
      layered > 0 && demotions > universe.holdAboveShare * layered ? { demotions, layered } : null,
  }
}

function rank(layer: Layer | null): number {
  return layer ?? -1
}

/** Judged before at this very session, a company is judged again from what it was before it. */
function basisOf(company: Company, session: SessionDate): EvaluationBasis {
  const before = readReasons(company.reasons)
  if (company.evaluatedOn === session && before?.basis !== undefined) return before.basis
  const { layer, layerSince, evaluatedOn } = company
  return { layer, layerSince, evaluatedOn, unknownSince: before?.unknownSince ?? null }
}

function decide(
  basis: EvaluationBasis,
  active: boolean,
  values: MetricValues,
  universe: Universe,
  session: SessionDate,
  calendar: SessionCalendar,
): { layer: Layer | null; reasons: Reasons } {
  const standing = rank(basis.layer)
  const outcomes = universe.layers.map((definition) => judgeLayer(definition, values, standing))
  const unknownSince = outcomes.some((outcome) => outcome.layer <= standing && outcome.outcome === 'unknown')
    ? (basis.unknownSince ?? session)
    : null
  // Held layers survive an unknown metric for their grace; a symbol that is no longer tradable never does.
  let earned: Layer | null = null
  let unknownHeld = false
  for (const outcome of outcomes) {
    if (outcome.outcome === 'pass') {
      earned = outcome.layer
      continue
    }
    const grace = universe.layers[outcome.layer]!.unknownGraceSessions
    const graced = unknownSince !== null && sessionsSince(calendar, unknownSince, session) <= grace
    if (outcome.outcome === 'unknown' && outcome.layer <= standing && graced) {
      earned = outcome.layer
      unknownHeld = true
      continue
    }
    break
  }
  let layer = earned
  let held: Reasons['held'] = unknownHeld && rank(earned) >= standing ? 'unknown_grace' : null
  const first = basis.evaluatedOn === null || basis.layer === null
  if (!first && rank(earned) - standing > universe.maximumStep) {
    layer = LAYERS[standing + universe.maximumStep] ?? earned
    held = 'maximum_step'
  }
  if (basis.layer !== null && rank(earned) < basis.layer && active && basis.layerSince !== null) {
    const stay = universe.layers[basis.layer]!.minimumStaySessions
    if (sessionsSince(calendar, basis.layerSince, session) < stay && outcomes[0]?.outcome !== 'fail') {
      layer = basis.layer
      held = 'minimum_stay'
    }
  }
  return { layer, reasons: { layers: outcomes, held, unknownSince, basis } }
}

/** Sessions after `from` up to and including `to`. */
function sessionsSince(calendar: SessionCalendar, from: SessionDate, to: SessionDate): number {
  if (from >= to) return 0
  const sessions = calendar.sessionsInRange(from, to).length
  return calendar.isSession(from) ? sessions - 1 : sessions
}

/** Reasons are our own JSON, read back; ones written before a field existed lack it. */
function readReasons(reasons: unknown): Partial<Pick<Reasons, 'unknownSince' | 'basis'>> | null {
  return reasons === null || typeof reasons !== 'object' ? null : (reasons as Partial<Reasons>)
}

function judgeLayer(definition: LayerDefinition, values: MetricValues, heldRank: number): LayerOutcome {
  const criteria = definition.criteria.map((criterion) =>
    judge(criterion, values[criterion.metric], heldRank >= definition.layer),
  )
  const outcome = criteria.some((item) => item.outcome === 'fail')
    ? 'fail'
    : criteria.some((item) => item.outcome === 'unknown')
      ? 'unknown'
      : 'pass'
  return { layer: definition.layer, outcome, criteria }
}

function judge(
  criterion: Criterion,
  value: number | string | boolean | null,
  held: boolean,
): CriterionOutcome {
  const { metric } = criterion
  const unknown = criterion.whenUnknown === 'pass' ? 'pass' : 'unknown'
  if (criterion.atLeast !== undefined || criterion.atMost !== undefined) {
    const test = criterion.atLeast !== undefined ? 'atLeast' : 'atMost'
    const threshold =
      held && criterion.exit !== undefined ? criterion.exit : (criterion.atLeast ?? criterion.atMost)!
    if (typeof value !== 'number') return { metric, test, value, threshold, outcome: unknown, margin: null }
    const margin = Math.round((test === 'atLeast' ? value - threshold : threshold - value) * 1e6) / 1e6
    return { metric, test, value, threshold, outcome: margin >= 0 ? 'pass' : 'fail', margin }
  }
  const test = criterion.is !== undefined ? 'is' : criterion.in !== undefined ? 'in' : 'notIn'
  const threshold = (criterion.is ?? criterion.in ?? criterion.notIn)!
  if (value === null) return { metric, test, value, threshold, outcome: unknown, margin: null }
  const listed = Array.isArray(threshold) && threshold.includes(String(value))
  const passes = test === 'is' ? value === threshold : test === 'in' ? listed : !listed
  return { metric, test, value, threshold, outcome: passes ? 'pass' : 'fail', margin: null }
}
