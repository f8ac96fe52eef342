import { SECTIONS } from '@varve/application'
import { print, printJson } from '../output/print.ts'
import type { GlobalOptions } from '../program.ts'
import { settingsOf } from '../session.ts'

export function check(options: GlobalOptions): void {
  settingsOf(options)
  const sections = Object.keys(SECTIONS)
  if (options.json === true) printJson({ ok: true, sections })
  else print(`no fault found (${sections.join(', ')})`)
}
