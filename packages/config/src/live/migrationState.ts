import {
  Document,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  Scalar,
  type Node,
  type Pair,
  type YAMLMap,
} from 'yaml'
import { sameValue } from './changes.ts'
import { type FileChanges } from './journal.ts'
import { replaceWords, wordsOf, type MigrationStep } from './migrationSteps.ts'

/** Something of the old files that has no place in the new ones. */
export interface Unplaced {
  readonly file: string
  readonly line: number
  readonly key: string
  readonly why: string
}

interface Source {
  readonly file: string
  readonly text: string
  readonly document: Document
  readonly lines: LineCounter
}

/** Files of one folder (the base, or a profile) by section. */
type Place = Map<string, Source>

/** The files of a configuration while steps are applied to them. */
export class MigrationState {
  readonly #before: ReadonlyMap<string, Uint8Array>
  readonly #places = new Map<string, Place>()
  /** Files that were understood; the others are not touched. */
  readonly #parsed = new Set<string>()
  readonly unplaced: Unplaced[] = []
  /** What was done, in words, in order. */
  readonly actions: string[] = []

  /** Files that are not YAML are left as they are: loading the result says what is wrong with them. */
  constructor(files: ReadonlyMap<string, Uint8Array>) {
    this.#before = files
    for (const [file, content] of files) {
      const text = Buffer.from(content).toString('utf8')
      const lines = new LineCounter()
      const document = parseDocument(text, { lineCounter: lines })
      const empty = isScalar(document.contents) && document.contents.value === null
      if (document.errors.length > 0 || !(document.contents === null || empty || isMap(document.contents)))
        continue
      const slash = file.lastIndexOf('/') + 1
      const folder = file.slice(0, slash)
      const place = this.#places.get(folder) ?? (new Map() as Place)
      this.#places.set(folder, place)
      this.#parsed.add(file)
      place.set(sectionOf(file), { file, text, document, lines })
    }
  }

  apply(step: MigrationStep): void {
    for (const [folder, place] of this.#places) {
      if (step.kind === 'moveSetting')
        this.#move(folder, place, step.from.split('.'), step.to.split('.'), step.convert)
      else if (step.kind === 'renameFile') this.#renameFile(folder, place, step.from, step.to)
      else {
        if (step.kind === 'renameWords') {
          for (const section of [...place.keys()])
            this.#renameFile(folder, place, section, replaceWords(section, step.words))
        }
        for (const [section, source] of place) this.#walk(source, rootOf(source.document), section, step)
      }
    }
  }

  /** What to write; `undefined` removes a file. Documents that say what they said before keep their bytes. */
  changes(): FileChanges {
    const changes = new Map<string, Uint8Array | undefined>()
    for (const file of this.#parsed) changes.set(file, undefined)
    for (const place of this.#places.values()) {
      for (const { file, text, document } of place.values()) {
        const content = Buffer.from(this.#render(file, text, document))
        const before = this.#before.get(file)
        if (before === undefined || Buffer.compare(before, content) !== 0) changes.set(file, content)
        else changes.delete(file)
      }
    }
    return changes
  }

  #render(file: string, text: string, document: Document): string {
    if (text !== '' && sameValue(parseDocument(text).toJS() as unknown, document.toJS() as unknown))
      return text
    return file.endsWith('.json')
      ? `${JSON.stringify(document.toJS(), null, 2)}\n`
      : document.toString({ lineWidth: 0 })
  }

  #report(source: Source, key: string, node: Node | null | undefined, why: string): void {
    const line = node?.range ? source.lines.linePos(node.range[0]).line : 1
    this.unplaced.push({ file: source.file, line, key, why })
  }

  #move(
    folder: string,
    place: Place,
    fromPathInFull: readonly string[],
    toPathInFull: readonly string[],
    convert?: (value: unknown) => unknown,
  ): void {
    const [from, to] = [fromPathInFull.join('.'), toPathInFull.join('.')]
    const [fromSection, ...fromPath] = fromPathInFull
    const [toSection, ...toPath] = toPathInFull
    const source = place.get(fromSection!)
    if (source === undefined || fromPath.length === 0 || toPath.length === 0) return
    const parent = mapAt(source.document, fromPath.slice(0, -1))
    const index = parent?.items.findIndex((pair) => nameOf(pair) === fromPath.at(-1)) ?? -1
    const pair = parent?.items[index]
    if (parent === undefined || pair === undefined) return
    if (from === to) {
      this.#convertInPlace(source, pair, from, convert)
      return
    }
    // A setting that became a group of that name: once it is one, there is nothing left to move.
    const grows = to.startsWith(`${from}.`)
    if (grows && isMap(pair.value)) return
    const target = place.get(toSection!) ?? newSource(`${folder}${toSection!}.yaml`)
    const converted = convertNode(target.document, pair.value as Node | null, convert)
    if (grows) source.document.deleteIn(fromPath)
    const there = target.document.getIn(toPath, true) as Node | undefined
    if (there !== undefined) {
      if (!sameValue(plain(there, target.document), plain(converted, target.document))) {
        this.#report(source, from, pair.key as Node, `${to} is set already, to something else; remove one`)
        return
      }
    } else if (!insert(target.document, toPath, pair.key as Node, converted)) {
      this.#report(source, from, pair.key as Node, `${to} cannot hold it: what is there is not a group`)
      return
    }
    if (!grows) source.document.deleteIn(fromPath)
    removeEmptyGroups(source.document, fromPath.slice(0, -1))
    place.set(toSection!, target)
    this.actions.push(`${folder}${from} → ${to}`)
    this.#dropEmptied(place, fromSection!, source)
  }

  #convertInPlace(
    source: Source,
    pair: Pair,
    key: string,
    convert: ((value: unknown) => unknown) | undefined,
  ): void {
    const before = plain(pair.value as Node | null, source.document)
    const after = convert === undefined ? before : convert(before)
    if (sameValue(before, after)) return
    pair.value = source.document.createNode(after)
    this.actions.push(`${key}: converted`)
  }

  /** A file all of whose settings went elsewhere goes too; its comments stay in the saved version. */
  #dropEmptied(place: Place, section: string, source: Source): void {
    if (rootOf(source.document)?.items.length !== 0) return
    place.delete(section)
    this.actions.push(`${source.file} is empty and removed`)
  }

  #renameFile(folder: string, place: Place, from: string, to: string): void {
    const source = place.get(from)
    if (source === undefined || from === to) return
    const target = place.get(to)
    if (target === undefined) {
      const extension = source.file.slice(source.file.lastIndexOf('.'))
      place.delete(from)
      place.set(to, { ...source, file: `${folder}${to}${extension}` })
      this.actions.push(`${source.file} → ${to}${extension}`)
      return
    }
    const root = rootOf(source.document)
    for (const key of root?.items.map(nameOf) ?? []) this.#move(folder, place, [from, key], [to, key])
  }

  #walk(source: Source, node: unknown, around: string, step: MigrationStep): void {
    if (isSeq(node)) {
      for (const [index, item] of node.items.entries()) {
        if (isScalar(item)) this.#mapScalar(source, item, around, step, `${around}.${index}`)
        else this.#walk(source, item, around, step)
      }
    }
    if (!isMap(node)) return
    for (const pair of node.items) {
      const name = nameOf(pair)
      const next = this.#newName(name, around, step)
      if (next !== name) {
        if (node.items.some((other) => other !== pair && nameOf(other) === next))
          this.#report(source, name, pair.key as Node, `"${next}" is there already; remove one`)
        else if (isScalar(pair.key)) {
          pair.key.value = /^\d+$/.test(next) ? Number(next) : next
          pair.key.type = undefined
          this.actions.push(`${source.file}: key ${name} → ${next}`)
        }
      }
      const key = isScalar(pair.key) ? String(pair.key.value) : name
      if (isScalar(pair.value)) this.#mapScalar(source, pair.value, key, step, key)
      else this.#walk(source, pair.value, key, step)
    }
  }

  #newName(name: string, around: string, step: MigrationStep): string {
    if (step.kind === 'renameKeys') return Object.hasOwn(step.keys, name) ? step.keys[name]! : name
    if (step.kind === 'renameWords') return replaceWords(name, step.words)
    if (step.kind === 'mapValues' && holdsWord(around, step.keyWords)) {
      const mapped = mappedValue(name, step.values)
      return mapped === undefined ? name : String(mapped)
    }
    return name
  }

  #mapScalar(source: Source, scalar: Scalar, key: string, step: MigrationStep, shown: string): void {
    if (step.kind !== 'mapValues' || !holdsWord(key, step.keyWords) || typeof scalar.value !== 'string')
      return
    const mapped = mappedValue(scalar.value, step.values)
    if (mapped === undefined) return
    this.actions.push(`${source.file}: ${shown}: ${scalar.value} → ${String(mapped)}`)
    scalar.value = mapped
    scalar.type = undefined
    delete scalar.source
  }
}

function sectionOf(file: string): string {
  return file.slice(file.lastIndexOf('/') + 1).replace(/\.(ya?ml|json)$/, '')
}

function newSource(file: string): Source {
  return { file, text: '', document: new Document({}), lines: new LineCounter() }
}

function rootOf(document: Document): YAMLMap | undefined {
  return isMap(document.contents) ? document.contents : undefined
}

function nameOf(pair: Pair): string {
  return isScalar(pair.key) ? String(pair.key.value) : ''
}

function mapAt(document: Document, path: readonly string[]): YAMLMap | undefined {
  const node = path.length === 0 ? document.contents : document.getIn(path, true)
  return isMap(node) ? node : undefined
}

function plain(node: Node | null, document: Document): unknown {
  return node === null ? null : (node.toJS(document) as unknown)
}

function convertNode(
  document: Document,
  node: Node | null,
  convert: ((value: unknown) => unknown) | undefined,
): Node | null {
  return convert === undefined ? node : document.createNode(convert(plain(node, document)))
}

/** Puts a value where it belongs, its comment with it. @returns false when a single value is in the way */
function insert(document: Document, path: readonly string[], key: Node, value: Node | null): boolean {
  let map: YAMLMap | undefined = rootOf(document)
  if (map === undefined) {
    map = document.createNode({}) as YAMLMap
    document.contents = map as never
  }
  for (const name of path.slice(0, -1)) {
    const next: unknown = map.get(name, true)
    if (next !== undefined && !isMap(next) && !(isScalar(next) && next.value === null)) return false
    if (isMap(next)) map = next
    else {
      const made = document.createNode({}) as YAMLMap
      made.flow = false
      map.set(name, made)
      map = made
    }
  }
  const name = new Scalar(path.at(-1)!)
  name.commentBefore = key.commentBefore
  map.flow = false
  map.items.push(document.createPair(name, value))
  return true
}

function removeEmptyGroups(document: Document, path: readonly string[]): void {
  for (let depth = path.length; depth > 0; depth--) {
    const map = mapAt(document, path.slice(0, depth))
    if (map === undefined || map.items.length > 0) return
    document.deleteIn(path.slice(0, depth))
  }
}

function holdsWord(key: string, words: readonly string[]): boolean {
  return wordsOf(key).some((word) => words.includes(word))
}

/** Whatever the case: `priority` in a file means what `PRIORITY` does. */
function mappedValue<Value>(text: string, values: Readonly<Record<string, Value>>): Value | undefined {
  const found = Object.keys(values).find((word) => word.toLowerCase() === text.toLowerCase())
  return found === undefined ? undefined : values[found]
}
