import { type DateRange, errorMessage, type Layer, publish, type SessionDate, VarveError } from '@varve/core'
import { lookbackSessions } from '@varve/layers'
import type { PipelineContext } from './context.ts'
import { coverageSource, coveredRanges, type CoverageNote, noteCoverage } from './cover.ts'
import type { FetchNeed } from './fetchBars.ts'
import { fetchTwice } from './fetchTwice.ts'
import { commitBars } from './loadBars.ts'
import { lookbackStart } from './policy.ts'
import { subtractRanges, trimToSessions } from './ranges.ts'
import { requireProvider } from './requireProvider.ts'
import type { Tally } from './tally.ts'
import { validateBatch } from './validateBatch.ts'

/**
 * Brings the daily bars that the criteria look back on up to the session, for every active company. What is held
 * is not fetched again.
 *
 * @returns symbols for which something is still missing after the configured attempts
 * @throws `REFRESH_INCOMPLETE` when that is more than `missingListingShare` of them: layers judged on so little
 * would be wrong
 */
export async function refreshDaily(
  ctx: PipelineContext,
  asOf: SessionDate,
  tally: Tally,
  signal?: AbortSignal,
): Promise<number> {
  const provider = requireProvider(ctx)
  const source = coverageSource(provider.source)
  const range: DateRange = {
    from: lookbackStart(asOf, lookbackSessions(ctx.universe), ctx.calendar),
    to: asOf,
  }
  let missing = 0
  let active = 0
  let lastError: unknown
  for (let attempt = 1; attempt <= ctx.options.refreshAttempts; attempt++) {
    const companies = (await ctx.companies.load(ctx.sql)).filter((company) => company.active)
    active = companies.length
    const layers = new Map<string, Layer | null>(companies.map((company) => [company.symbol, company.layer]))
    const held = await coveredRanges(ctx, '1d', source)
    const needs: FetchNeed[] = []
    for (const { symbol } of companies) {
      for (const part of subtractRanges(range, held.get(symbol) ?? [])) {
        const trimmed = trimToSessions(part, ctx.calendar)
        if (trimmed !== undefined) needs.push({ symbol, range: trimmed })
      }
    }
    missing = new Set(needs.map((need) => need.symbol)).size
    if (needs.length === 0) return 0
    const fetched = await fetchTwice({
      provider,
      calendar: ctx.calendar,
      interval: '1d',
      needs,
      concurrency: ctx.options.fetchConcurrency,
      signal,
      stage: 'refresh',
      asOf,
      // Where nothing was ever held, an empty answer for a listed symbol proves nothing.
      lookAgain: (symbol, isEmpty) => !isEmpty || held.has(symbol),
    })
    tally.calls += fetched.calls
    tally.bars.offered += fetched.batch.length + fetched.rejected.length
    const validated = validateBatch(ctx, fetched.batch, fetched.rejected)
    tally.bars.accepted += validated.accepted.length
    tally.bars.quarantined += validated.quarantined
    tally.findings(validated.findings)
    const notes: CoverageNote[] = fetched.proofs
      .filter((proof) => !fetched.empty.has(proof.symbol) || held.has(proof.symbol))
      .map((proof) => ({ ...proof, interval: '1d', proof: { by: 'refresh' } }))
    const counts = await commitBars(
      ctx,
      { batch: validated.accepted, findings: validated.findings, layers, asOf, signal },
      (tx) => noteCoverage(ctx, tx, source, notes, validated.accepted),
    )
    tally.load(counts)
    missing = new Set([...fetched.failed.keys(), ...fetched.empty]).size
    if (fetched.failed.size === 0) break
    lastError = fetched.failed.values().next().value
    publish('log', () => ({
      level: 'warn',
      component: 'pipeline',
      message: 'the daily refresh is not complete yet',
      attempt,
      failed: fetched.failed.size,
    }))
  }
  if (missing > ctx.options.missingListingShare * active) {
    throw new VarveError(
      `daily bars of ${missing} of ${active} symbols are missing up to ${asOf}; nothing was judged${lastError === undefined ? '' : `. The first reason: ${errorMessage(lastError)}`}`,
      { code: 'REFRESH_INCOMPLETE', retryable: true, cause: lastError, details: { missing, active, asOf } },
    )
  }
  return missing
}
