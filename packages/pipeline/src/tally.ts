/** What a run did, counted as it goes. */
export class Tally {
  readonly events: Record<string, number> = {}
  readonly bars = { offered: 0, accepted: 0, quarantined: 0, inserted: 0, updated: 0, unchanged: 0 }
  readonly quarantine: Record<string, number> = {}
  readonly warnings: Record<string, number> = {}
  readonly gaps = { detected: 0, healed: 0, confirmedEmpty: 0 }
  readonly jobs = { completed: 0, failed: 0, retried: 0 }
  /** Symbols with a missing session in a pass of this run. */
  readonly gapSymbols = new Set<string>()
  /** Data wanted that nobody serves. */
  readonly notices = new Set<string>()
  calls = 0

  event(type: string, count = 1): void {
    this.events[type] = (this.events[type] ?? 0) + count
  }

  load(counts: { readonly inserted: number; readonly updated: number; readonly unchanged: number }): void {
    this.bars.inserted += counts.inserted
    this.bars.updated += counts.updated
    this.bars.unchanged += counts.unchanged
  }

  findings(rows: readonly { readonly rule: string; readonly severity: 'error' | 'warning' }[]): void {
    for (const row of rows) {
      const target = row.severity === 'error' ? this.quarantine : this.warnings
      target[row.rule] = (target[row.rule] ?? 0) + 1
    }
  }
}
