import { exchangeSessions } from '@varve/application'
import { parseSessionDate } from '@varve/core'
import { print, printJson } from '../output/print.ts'
import type { GlobalOptions } from '../program.ts'

export function sessions(
  options: GlobalOptions & { readonly from: string; readonly to: string; readonly exchange: string },
): void {
  const rows = exchangeSessions(
    options.exchange,
    parseSessionDate(options.from),
    parseSessionDate(options.to),
  )
  if (options.json === true) {
    printJson(rows)
    return
  }
  for (const row of rows)
    print(`${row.session}  ${row.openUtc}  ${row.closeUtc}${row.early ? '  early close' : ''}`)
}
