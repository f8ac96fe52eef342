import {
  type Bar,
  type BarBatch,
  BarBatchBuilder,
  barAt,
  dayOf,
  formatScaled,
  type SessionCalendar,
  sortBars,
  tryParseScaled,
  VarveError,
  DAY_MS,
} from '@varve/core'
import type { RejectedRow } from '@varve/providers'
import type { QuarantineRow } from '@varve/storage'
import { BAR_RULES } from './rules.ts'

export interface ValidatorOptions {
  readonly calendar: SessionCalendar
  /** See `pipelineOptionsSchema.jumpRatio`. */
  readonly jumpRatio: number
  readonly spikeReturnRatio: number
  /** What source rows are called: `origin(row)` gives `bars.csv#17`. */
  readonly origin: (sourceRow: number) => string
  readonly detectedAt: number
}

export interface Validated {
  readonly accepted: BarBatch
  /** Rows kept out (severity `error`) and rows stored but marked (`warning`). */
  readonly findings: readonly QuarantineRow[]
  /** Rows kept out. */
  readonly quarantined: number
}

interface Held {
  readonly bar: Bar
  /** Close of the last accepted bar before it, or `null`. */
  readonly previous: bigint | null
}

/**
 * Judges bars row by row and in sequence. A row is held back until its successor in the same series is seen,
 * because a one-bar spike shows only then; `flush` gives out what is still held.
 */
export class BarValidator {
  readonly #options: ValidatorOptions
  readonly #held = new Map<string, Held>()

  constructor(options: ValidatorOptions) {
    if (!(options.jumpRatio > 1 && options.spikeReturnRatio > 1)) {
      throw new VarveError(
        `expected ratios above 1, found ${options.jumpRatio} and ${options.spikeReturnRatio}`,
        {
          code: 'VALIDATION_OPTION_INVALID',
        },
      )
    }
    this.#options = options
  }

  /** Takes the next rows, in any order; rows of one series must not be older than those pushed before. */
  push(batch: BarBatch, rejected: readonly RejectedRow[] = []): Validated {
    const sorted = sortBars(batch)
    const accepted = new BarBatchBuilder(batch.interval, batch.source, Math.max(1, batch.length))
    const findings = rejected.map((row) => this.#fromRejected(row, batch))
    let quarantined = rejected.length
    for (let row = 0; row < sorted.length; row++) {
      const bar = barAt(sorted, row)
      const broken = BAR_RULES.find(
        (rule) => rule.severity === 'error' && rule.breaks(bar, this.#context(sorted)),
      )
      if (broken !== undefined) {
        findings.push(this.#finding(bar, sorted, broken.rule, 'error', broken.message(bar)))
        quarantined++
        continue
      }
      const held = this.#held.get(bar.symbol)
      let previous: bigint | null = null
      if (held !== undefined) {
        const spike = this.#release(held, bar, sorted, accepted, findings)
        if (spike) quarantined++
        // After a spike the next row is judged against the last sound close.
        previous = spike ? held.previous : held.bar.close
      }
      this.#held.set(bar.symbol, { bar, previous })
    }
    return { accepted: accepted.build(), findings, quarantined }
  }

  /** Rows still held back; call once, at the end. */
  flush(like: Pick<BarBatch, 'interval' | 'source'>): Validated {
    const accepted = new BarBatchBuilder(like.interval, like.source, Math.max(1, this.#held.size))
    const findings: QuarantineRow[] = []
    for (const held of this.#held.values()) this.#release(held, undefined, like, accepted, findings)
    this.#held.clear()
    return { accepted: accepted.build(), findings, quarantined: 0 }
  }

  #context(like: Pick<BarBatch, 'interval'>) {
    return { interval: like.interval, calendar: this.#options.calendar }
  }

  /** Accepts a held row, or quarantines it as a spike and returns true. */
  #release(
    held: Held,
    next: Bar | undefined,
    like: Pick<BarBatch, 'interval' | 'source'>,
    accepted: BarBatchBuilder,
    findings: QuarantineRow[],
  ): boolean {
    const { bar, previous } = held
    const { jumpRatio, spikeReturnRatio } = this.#options
    if (previous !== null && apart(previous, bar.close, jumpRatio)) {
      const undone =
        next !== undefined &&
        apart(bar.close, next.close, jumpRatio) &&
        !apart(previous, next.close, spikeReturnRatio)
      if (undone) {
        const text = `close ${formatScaled(bar.close)} between ${formatScaled(previous)} and ${formatScaled(next.close)}`
        findings.push(this.#finding(bar, like, 'price_spike', 'error', text))
        return true
      }
      const text = `close ${formatScaled(bar.close)} after ${formatScaled(previous)}`
      findings.push(this.#finding(bar, like, 'price_jump', 'warning', text))
    }
    for (const rule of BAR_RULES) {
      if (rule.severity === 'warning' && rule.breaks(bar, this.#context(like))) {
        findings.push(this.#finding(bar, like, rule.rule, 'warning', rule.message(bar)))
      }
    }
    accepted.addBar(bar)
    return false
  }

  #finding(
    bar: Bar,
    like: Pick<BarBatch, 'interval' | 'source'>,
    rule: string,
    severity: QuarantineRow['severity'],
    message: string,
  ): QuarantineRow {
    const date = like.interval === '1d' ? dayOf(bar.time / DAY_MS) : this.#options.calendar.dateOf(bar.time)
    const { symbol, time, open, high, low, close, volume } = bar
    return {
      symbol,
      dataType: 'bars',
      interval: like.interval,
      time,
      session: date,
      rule,
      severity,
      message,
      origin: this.#options.origin(bar.sourceRow),
      raw: {
        symbol,
        time: like.interval === '1d' ? date : new Date(time).toISOString(),
        open: formatScaled(open),
        high: formatScaled(high),
        low: formatScaled(low),
        close: formatScaled(close),
        volume: formatScaled(volume),
      },
      open,
      high,
      low,
      close,
      volume,
      source: like.source,
      detectedAt: this.#options.detectedAt,
    }
  }

  #fromRejected(row: RejectedRow, batch: BarBatch): QuarantineRow {
    const value = (name: string) => scaledOrNull(row.raw[name])
    return {
      symbol: row.symbol ?? '',
      dataType: 'bars',
      interval: batch.interval,
      time: row.time,
      session:
        row.time === null
          ? null
          : batch.interval === '1d'
            ? dayOf(row.time / DAY_MS)
            : this.#options.calendar.dateOf(row.time),
      rule: row.rule,
      severity: 'error',
      message: row.message,
      origin: row.sourceRow >= 0 ? this.#options.origin(row.sourceRow) : row.origin,
      raw: row.raw,
      open: value('open'),
      high: value('high'),
      low: value('low'),
      close: value('close'),
      volume: value('volume'),
      source: batch.source,
      detectedAt: this.#options.detectedAt,
    }
  }
}

/** Whether two closes differ by more than a ratio, either way. A statistic: compared as numbers on purpose. */
function apart(a: bigint, b: bigint, ratio: number): boolean {
  const quotient = Number(a) / Number(b)
  return quotient >= ratio || quotient <= 1 / ratio
}

function scaledOrNull(text: string | null | undefined): bigint | null {
  if (text === null || text === undefined) return null
  const parsed = tryParseScaled(text)
  return parsed.ok ? parsed.value : null
}
