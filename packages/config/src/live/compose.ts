import { isBranch, own, type PathChange } from './changes.ts'

/**
 * A tree with some settings replaced. What is not touched is shared with the tree given, which stays as it was.
 *
 * @returns frozen through and through, when the tree and the values were
 */
export function withValues<Tree>(tree: Tree, changes: readonly PathChange[]): Tree {
  let result: unknown = tree
  for (const { path, to } of changes) result = withValue(result, path, to)
  return result as Tree
}

function withValue(tree: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  const branch = isBranch(tree) ? tree : {}
  const next = withValue(own(branch, key), rest, value)
  const copy: Record<string, unknown> = Object.assign(
    Object.create(Object.getPrototypeOf(branch) as object | null) as Record<string, unknown>,
    branch,
  )
  if (next === undefined) Reflect.deleteProperty(copy, key)
  else Object.defineProperty(copy, key, { value: next, enumerable: true, configurable: true, writable: true })
  return Object.freeze(copy)
}

/** The value at a path; `undefined` where there is none. */
export function valueAt(tree: unknown, path: readonly string[]): unknown {
  let current = tree
  for (const key of path) {
    if (!isBranch(current)) return undefined
    current = own(current, key)
  }
  return current
}

/** Freezes branches and lists, and leaves objects with a class of their own alone. */
export function freezeTree<Tree>(tree: Tree): Tree {
  if (Array.isArray(tree)) for (const item of tree as readonly unknown[]) freezeTree(item)
  else if (isBranch(tree)) for (const item of Object.values(tree)) freezeTree(item)
  else return tree
  return Object.freeze(tree)
}

/**
 * The path a dotted key means in a tree. A name that holds dots itself (a symbol such as `BRK.B`) is found whole
 * where the tree has it.
 */
export function pathOf(tree: unknown, key: string): readonly string[] {
  const parts = key.split('.')
  const path: string[] = []
  let current = tree
  while (parts.length > 0) {
    const branch = isBranch(current) ? current : {}
    let taken = 1
    while (taken < parts.length && !Object.hasOwn(branch, parts.slice(0, taken).join('.'))) taken++
    if (!Object.hasOwn(branch, parts.slice(0, taken).join('.'))) taken = 1
    const name = parts.splice(0, taken).join('.')
    path.push(name)
    current = own(branch, name)
  }
  return path
}
