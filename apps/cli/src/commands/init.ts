import { writeDefaultConfig } from '@varve/application'
import { print, printJson } from '../output/print.ts'
import type { GlobalOptions } from '../program.ts'

export function init(options: GlobalOptions): void {
  const directory = options.config ?? 'config'
  const result = writeDefaultConfig(directory)
  if (options.json === true) {
    printJson({ directory, ...result })
    return
  }
  for (const name of result.written) print(`wrote ${directory}/${name}`)
  for (const name of result.kept) print(`kept  ${directory}/${name}`)
}
