import { VarveError } from '@varve/core'

/**
 * Passes plain data that JSON gives back unchanged.
 *
 * @throws `STATE_NOT_JSON` naming the place of the first thing that is not: `undefined`, a function, a bigint, NaN,
 * a date, an instance of a class, a circle
 */
export function assertJson(value: unknown): void {
  check(value, '$', new Set())
}

function check(value: unknown, path: string, parents: Set<object>): void {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') return
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw notJson(path, String(value))
    return
  }
  if (typeof value !== 'object') throw notJson(path, `a value of type ${typeof value}`)
  if (parents.has(value)) throw notJson(path, 'a circle')
  parents.add(value)
  if (Array.isArray(value)) {
    // By index: holes count as `undefined`.
    for (let index = 0; index < value.length; index++) check(value[index], `${path}[${index}]`, parents)
  } else {
    const prototype = Object.getPrototypeOf(value) as unknown
    if (prototype !== null && prototype !== Object.prototype) throw notJson(path, 'an instance of a class')
    if ('toJSON' in value && typeof value.toJSON === 'function') throw notJson(path, 'an object with toJSON')
    for (const [key, item] of Object.entries(value)) check(item, `${path}.${key}`, parents)
  }
  parents.delete(value)
}

function notJson(path: string, found: string): VarveError {
  return new VarveError(
    `expected plain JSON data, found ${found} at ${path}; store numbers, strings, booleans, null, arrays and objects of these`,
    { code: 'STATE_NOT_JSON', details: { path } },
  )
}
