import type { Path, Reference } from './parseFile.ts'
import { overlaps } from './pieces.ts'

/** The variable that was put into a value, for its origin. */
export function variableAt(references: readonly Reference[], path: Path): { readonly variable?: string } {
  const found = references.find((item) => item.path.length === path.length && overlaps(item.path, path))
  const name = /(?<!\$)\$\{(\w+)\}/.exec(found?.text ?? '')?.[1]
  return name === undefined ? {} : { variable: name }
}
