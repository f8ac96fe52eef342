import type { Interval, SessionDate } from '@varve/core'
import { buildReport, importFile, type RunReport, Tally } from '@varve/pipeline'
import { fileProvider, sourceNameOf } from '../market.ts'
import type { Application } from '../openApplication.ts'

export interface ImportOptions {
  readonly files: readonly string[]
  readonly interval: Interval
  /** Name of the source; by default each file's own name. */
  readonly sourceName?: string
  /** Session that is "now"; by default each file's last. */
  readonly asOf?: SessionDate
  /** Since when the values are known, milliseconds UTC. @defaultValue now */
  readonly recordedAt?: number
  readonly signal?: AbortSignal
}

/** Loads files whatever the layer policy, one after another, and detects gaps. */
export async function importFiles(app: Application, options: ImportOptions): Promise<RunReport> {
  const { context, settings } = app
  const startedMs = context.clock.monotonicMs()
  const tally = new Tally()
  let asOf = options.asOf ?? app.asOf
  const symbols = new Set<string>()
  for (const path of options.files) {
    const sourceName = options.sourceName ?? sourceNameOf(path)
    const file = fileProvider([path], settings, { interval: options.interval, name: sourceName })({
      calendar: context.calendar,
      clock: context.clock,
    })
    try {
      const result = await importFile(
        context,
        {
          file,
          sourceName,
          interval: options.interval,
          asOf: options.asOf,
          recordedAt: options.recordedAt,
          signal: options.signal,
        },
        tally,
      )
      asOf = result.asOf
      for (const symbol of result.symbols) symbols.add(symbol)
    } finally {
      await file.close()
    }
  }
  return buildReport(context, { asOf, tally, startedMs, listed: symbols.size })
}
