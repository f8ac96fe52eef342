import { type ConfigProblem, problem } from './ConfigError.ts'
import { nearest } from './nearest.ts'
import type { ParsedFile, Path } from './parseFile.ts'
import { type Piece, treeOf } from './pieces.ts'
import { variableAt } from './references.ts'
import { isMap, schemasAt, valueAt } from './schema.ts'
import type { ConfigSections, ConfigWarning, DeprecatedPath, Origin } from './types.ts'

/**
 * Takes what stands under an older path out of a file and hands it on as if it stood under the new one, with one
 * warning for each. Where both are set, that is a duplicate.
 */
export function movedPieces(
  parsed: ParsedFile,
  sections: ConfigSections,
  deprecated: readonly DeprecatedPath[],
  warnings: ConfigWarning[],
): Piece[] {
  const pieces: Piece[] = []
  const kind = parsed.profile === undefined ? 'file' : 'profile'
  for (const { from, to, guide, convert = (value: unknown) => value } of deprecated) {
    const [section, ...path] = from.split('.')
    const [newSection, ...newPath] = to.split('.')
    if (section !== parsed.section || newSection === undefined) continue
    const current = sections[section]
    if (current !== undefined && schemasAt(current, path).length > 0) continue // it means something today
    const value = valueAt(parsed.tree, path)
    if (value === undefined) continue
    remove(parsed.tree, path)
    const place = { file: parsed.file, ...parsed.placeOf(path, 'key') }
    const message = `${from} is now ${to}; "varve config migrate" rewrites it, and ${guide} says why`
    // Once for a path, however many files use it.
    if (!warnings.some((warning) => warning.message === message))
      warnings.push({ code: 'CONFIG_DEPRECATED', key: to, ...place, message })
    pieces.push({
      section: newSection,
      tree: treeOf(newPath, convert(value)),
      origin(asked, of): Origin {
        const old = [...path, ...asked.slice(newPath.length)]
        return {
          kind,
          file: parsed.file,
          ...parsed.placeOf(old, of),
          ...variableAt(parsed.references, old),
        }
      },
    })
  }
  return pieces
}

/** What is left of a file that has no section any more. */
export function leftovers(parsed: ParsedFile, sections: ConfigSections, problems: ConfigProblem[]): void {
  const walk = (tree: unknown, path: Path): void => {
    if (isMap(tree) && (Object.keys(tree).length > 0 || path.length === 0)) {
      for (const [key, value] of Object.entries(tree)) walk(value, [...path, key])
      return
    }
    const key = path.join('.')
    problems.push(
      problem(
        'CONFIG_UNKNOWN_KEY',
        { file: parsed.file, ...parsed.placeOf(path, 'key') },
        `nothing takes "${key}" any more; known files: ${Object.keys(sections)
          .map((name) => `${name}.yaml`)
          .join(', ')}`,
        `${parsed.section}.${key}`,
      ),
    )
  }
  walk(parsed.tree, [])
}

/** A file nothing lives in. */
export function unknownFile(file: string, section: string, sections: ConfigSections): ConfigProblem {
  const known = Object.keys(sections)
  const guess = nearest(section, known)
  return problem(
    'CONFIG_UNKNOWN_FILE',
    { file },
    `no setting lives in this file; ${guess === undefined ? `known files: ${known.map((name) => `${name}.yaml`).join(', ')}` : `did you mean ${guess}.yaml?`}`,
  )
}

function remove(tree: unknown, path: Path): void {
  const parent = valueAt(tree, path.slice(0, -1))
  if (isMap(parent)) Reflect.deleteProperty(parent, String(path.at(-1)))
}
