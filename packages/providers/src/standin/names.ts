import { hash32 } from './noise.ts'

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ'

/** Spellings clients trip over: class shares with a dot, preferred shares with a lower-case p. */
const SPECIAL = ['BRK.A', 'BRK.B', 'KIMpL', 'A', 'ZVZZT.W']

/** Distinct ticker symbols of three or four letters. */
export function tickerNames(seed: number, count: number): string[] {
  const names: string[] = [...SPECIAL]
  const taken = new Set(names)
  for (let index = 0; names.length < count; index++) {
    const bits = hash32(seed, index, 71)
    const length = (bits & 3) === 0 ? 3 : 4
    let name = ''
    for (let letter = 0; letter < length; letter++) name += LETTERS[hash32(bits, letter, 72) % 26]!
    if (taken.has(name)) continue
    taken.add(name)
    names.push(name)
  }
  return names.slice(0, count)
}
