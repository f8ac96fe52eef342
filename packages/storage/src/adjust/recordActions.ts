import { type BarSource, formatScaled } from '@varve/core'
import type { RecordRow, RecordStore } from '../records/RecordStore.ts'
import type { CorporateAction, LoadActions } from './CorporateAction.ts'

/** What {@link recordActions} needs. */
export interface RecordActionsOptions {
  readonly records: Pick<RecordStore, 'read'>
  /** Whose actions count. One source: two that report the same split would apply it twice. */
  readonly source: BarSource | string
}

/**
 * Corporate actions from the dataset `corporate_actions`, as they were known at an instant. Changes of symbol,
 * mergers and delistings have no factor and are left out. What a spin-off leaves is read from `extra.kept`.
 *
 * @throws `LAKE_UNREADABLE` from the read
 */
export function recordActions({ records, source }: RecordActionsOptions): LoadActions {
  return async ({ symbols, asOf, knownAt, signal }) => {
    const found: CorporateAction[] = []
    for await (const page of records.read({
      dataset: 'corporate_actions',
      symbols,
      source,
      knownAt,
      signal,
    })) {
      for (const row of page.rows) {
        const action = toAction(row)
        if (action !== undefined && action.exDate <= asOf) found.push(action)
      }
    }
    return found
  }
}

function toAction({
  symbol,
  values,
  recordedAt,
}: RecordRow<'corporate_actions'>): CorporateAction | undefined {
  const { kind, ex_date: exDate } = values
  const of = { symbol, exDate, knownAt: recordedAt }
  switch (kind) {
    case 'split':
      // Stored splits have both numbers; one without is reported as unusable, not skipped.
      return { ...of, kind, from: decimal(values.split_from), to: decimal(values.split_to) }
    case 'dividend':
      return { ...of, kind, cash: values.cash_amount ?? '', currency: values.currency ?? undefined }
    case 'spin_off': {
      const { extra } = values
      const kept = typeof extra === 'object' && extra !== null && 'kept' in extra ? extra.kept : undefined
      return { ...of, kind, kept: typeof kept === 'string' ? kept : undefined }
    }
    case 'rights':
      return { ...of, kind }
    default:
      return undefined
  }
}

function decimal(value: bigint | null): string {
  return value === null ? '' : formatScaled(value)
}
