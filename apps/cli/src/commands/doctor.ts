import { doctor as diagnose, loadConfiguration } from '@varve/application'
import { print, printJson } from '../output/print.ts'
import type { GlobalOptions } from '../program.ts'
import { configurationOptionsOf, dataDirOf } from '../session.ts'

const SIGNS = { ok: 'ok', warning: 'warn', failed: 'FAIL', skipped: 'skip' } as const

/** `varve doctor`: one screen of what is right, what is wrong, and how to mend it. Exit code 1 when something failed. */
export async function doctor(options: GlobalOptions): Promise<void> {
  const configuration = await loadConfiguration(configurationOptionsOf(options)).catch((error: unknown) => ({
    error,
  }))
  const report = await diagnose({ configuration, dataDir: dataDirOf(options) })
  process.exitCode = report.ok ? 0 : 1
  if (options.json === true) {
    printJson(report)
    return
  }
  const width = Math.max(...report.results.map(({ name }) => name.length))
  for (const { name, status, message, remedy } of report.results) {
    const [first = '', ...more] = message.split('\n')
    print(`${SIGNS[status].padEnd(4)}  ${name.padEnd(width)}  ${first}`)
    for (const line of more) print(`${' '.repeat(width + 8)}${line}`)
    if (remedy !== undefined && status !== 'ok') print(`${' '.repeat(width + 8)}→ ${remedy}`)
  }
  const failed = report.results.filter(({ status }) => status === 'failed').length
  const warned = report.results.filter(({ status }) => status === 'warning').length
  print()
  print(
    failed === 0
      ? `ready to start${warned === 0 ? '' : `, with ${warned} warning${warned === 1 ? '' : 's'}`}`
      : `${failed} of ${report.results.length} checks failed; nothing will start until they are mended`,
  )
}
