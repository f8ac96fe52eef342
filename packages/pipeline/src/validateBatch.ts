import { type BarBatch, concatBarBatches } from '@varve/core'
import type { RejectedRow } from '@varve/providers'
import type { QuarantineRow } from '@varve/storage'
import type { PipelineContext } from './context.ts'
import { BarValidator } from './validate.ts'

export interface ValidatedBatch {
  readonly accepted: BarBatch
  readonly findings: readonly QuarantineRow[]
  readonly quarantined: number
}

/** Validates a batch that holds all rows there are to judge. */
export function validateBatch(
  ctx: Pick<PipelineContext, 'calendar' | 'options' | 'clock'>,
  batch: BarBatch,
  rejected: readonly RejectedRow[],
): ValidatedBatch {
  const validator = new BarValidator({
    calendar: ctx.calendar,
    jumpRatio: ctx.options.jumpRatio,
    spikeReturnRatio: ctx.options.spikeReturnRatio,
    origin: (row) => (row >= 0 ? `${batch.source.feed}#${row}` : batch.source.provider),
    detectedAt: ctx.clock.now(),
  })
  const judged = validator.push(batch, rejected)
  const rest = validator.flush(batch)
  return {
    accepted: concatBarBatches(batch.interval, batch.source, [judged.accepted, rest.accepted]),
    findings: [...judged.findings, ...rest.findings],
    quarantined: judged.quarantined + rest.quarantined,
  }
}
