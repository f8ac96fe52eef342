import { type ConfigProblem, problem } from './ConfigError.ts'
import { leftovers, movedPieces, unknownFile } from './deprecated.ts'
import { type Target, targetOf, valueOfText } from './keys.ts'
import type { ConfigLimits } from './limits.ts'
import { type ParsedFile, parseFile, type Path, type Reference } from './parseFile.ts'
import { leafPaths, overlaps, type Piece } from './pieces.ts'
import type { RawFile } from './readFolder.ts'
import { variableAt } from './references.ts'
import { hasType, isSecret, schemasAt, takesText } from './schema.ts'
import type { ConfigSections, ConfigWarning, DeprecatedPath } from './types.ts'
import type { Variables } from './variables.ts'

export interface FileContext {
  readonly sections: ConfigSections
  readonly deprecated: readonly DeprecatedPath[]
  readonly limits: ConfigLimits
  readonly problems: ConfigProblem[]
  readonly warnings: ConfigWarning[]
  /** Sections of which a file could not be used at all: what else is wrong there would mislead. */
  readonly broken: Set<string>
}

/** Parses every file that a section, or an older path, knows. */
export function parseFiles(files: readonly RawFile[], context: FileContext): ParsedFile[] {
  const { sections, deprecated, limits, problems, broken } = context
  const taken = new Map<string, string>()
  return files.flatMap((raw) => {
    const { file, section, profile } = raw
    const schema = Object.hasOwn(sections, section) ? sections[section] : undefined
    if (schema === undefined && !deprecated.some(({ from }) => from.split('.')[0] === section)) {
      problems.push(unknownFile(file, section, sections))
      return []
    }
    const place = `${profile ?? ''}/${section}`
    const other = taken.get(place)
    if (other !== undefined) {
      broken.add(section)
      const message = `the settings of ${section} stand in ${other} already; keep one of the two files`
      problems.push(problem('CONFIG_DUPLICATE_KEY', { file }, message, section))
      return []
    }
    taken.set(place, file)
    const parsed = parseFile(raw, schema, limits, problems)
    if (parsed === undefined) broken.add(section)
    return parsed ?? []
  })
}

/** What the files say, the files of the profile last. All variables they name must have been prepared. */
export function filePieces(
  parsed: readonly ParsedFile[],
  variables: Variables,
  context: FileContext,
): Piece[] {
  const { sections, deprecated, problems, warnings } = context
  const moved: Piece[] = []
  const pieces: Piece[] = []
  for (const file of parsed) {
    for (const reference of file.references) {
      if (!fill(reference, file, variables, context)) file.refused.push(reference.path)
    }
    moved.push(...movedPieces(file, sections, deprecated, warnings))
    if (Object.hasOwn(sections, file.section)) pieces.push(pieceOf(file))
    else leftovers(file, sections, problems)
  }
  const all = [...pieces, ...moved]
  if (moved.length > 0) reportTwice(all, problems)
  return all.sort((a, b) => rank(a) - rank(b))
}

const rank = (piece: Piece) => (piece.origin([]).kind === 'profile' ? 1 : 0)

function pieceOf(parsed: ParsedFile): Piece {
  const kind = parsed.profile === undefined ? ('file' as const) : ('profile' as const)
  return {
    section: parsed.section,
    tree: parsed.tree,
    origin: (path, of) => ({
      kind,
      file: parsed.file,
      ...parsed.placeOf(path, of),
      ...variableAt(parsed.references, path),
    }),
  }
}

/** A setting under its old and its new name, or under two old ones, is set twice like any other. */
function reportTwice(pieces: readonly Piece[], problems: ConfigProblem[]): void {
  const claimed: { readonly piece: Piece; readonly path: Path }[] = []
  for (const piece of pieces) {
    for (const { path, value } of leafPaths(piece.tree)) {
      if (value === null || value === undefined || path.length === 0) continue
      const other = claimed.find(
        (item) =>
          item.piece !== piece &&
          item.piece.section === piece.section &&
          rank(item.piece) === rank(piece) &&
          overlaps(item.path, path),
      )
      if (other === undefined) {
        claimed.push({ piece, path })
        continue
      }
      const first = other.piece.origin(other.path, 'key')
      const second = piece.origin(path, 'key')
      const key = [piece.section, ...path].join('.')
      const message = `this is an older name of ${key}, which ${first.file}:${first.line} sets too; keep one of the two`
      const { line, column } = second
      problems.push(problem('CONFIG_DUPLICATE_KEY', { file: second.file!, line, column }, message, key))
    }
  }
}

/** Puts variables in. Returns whether all could be. */
function fill(
  reference: Reference,
  { file, section }: ParsedFile,
  variables: Variables,
  { sections, deprecated, problems }: FileContext,
): boolean {
  const { path, line, column, text, whole, quoted } = reference
  const key = [section, ...path].join('.')
  const name = path.join('.')
  const target = currentTarget({ section, path }, sections, deprecated)
  const schemas = target === undefined ? [] : schemasAt(sections[target.section]!, target.path)
  const hidden = schemas.some(isSecret)
  const fail = (code: ConfigProblem['code'], message: string): false => {
    problems.push(problem(code, { file, line, column }, `${name}: ${message}`, key))
    return false
  }
  const result = variables.substitute(text, hidden)
  if (!result.ok) {
    for (const { code, message } of result.faults) fail(code, message)
    return false
  }
  if (result.secret && !hidden) {
    return fail(
      'CONFIG_VARIABLE_FORBIDDEN',
      `${result.names.join(', ')} is a secret, and ${key} is shown in logs and reports; use it only in settings that are secret`,
    )
  }
  // Between quotes it stays a text where a text is allowed; JSON knows no other way to write a reference.
  const asText = quoted && schemas.some((schema) => hasType(schema, 'string', 'template_literal'))
  const read = whole && target !== undefined && !takesText(schemas) && !asText
  reference.set(read ? valueOfText(sections, target, result.text) : result.text)
  return true
}

/** A path under its new name where it has one; `undefined` where nothing can stand. */
function currentTarget(
  { section, path }: Target,
  sections: ConfigSections,
  deprecated: readonly DeprecatedPath[],
): Target | undefined {
  const current = Object.hasOwn(sections, section) ? sections[section] : undefined
  if (current !== undefined && schemasAt(current, path).length > 0) return { section, path }
  const key = [section, ...path].join('.')
  const move = deprecated.find(({ from }) => key === from || key.startsWith(`${from}.`))
  return move === undefined ? undefined : targetOf(sections, move.to + key.slice(move.from.length))
}
