/** Lines around a change that are shown with it. */
const CONTEXT_LINES = 2

type Line = readonly [mark: ' ' | '-' | '+', text: string]

/**
 * The difference of two texts, line by line, as people read it: `-` gone, `+` new, two lines of what stays around
 * them, `…` for what is left out. Empty when they are equal.
 */
export function lineDiff(before: string, after: string): string {
  if (before === after) return ''
  const lines = compare(split(before), split(after))
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1).some(([mark]) => mark !== ' '),
  )
  const shown: string[] = []
  for (const [index, [mark, text]] of lines.entries()) {
    if (near[index]) shown.push(`${mark}${text}`)
    else if (index === 0 || near[index - 1]) shown.push('…')
  }
  return shown.join('\n')
}

function split(text: string): string[] {
  return text === '' ? [] : text.replace(/\r?\n$/, '').split(/\r?\n/)
}

/** Longest common subsequence by dynamic programming; equal beginnings and ends are cut off first. */
function compare(a: readonly string[], b: readonly string[]): readonly Line[] {
  let start = 0
  while (start < a.length && start < b.length && a[start] === b[start]) start++
  let end = 0
  while (end < a.length - start && end < b.length - start && a.at(-1 - end) === b.at(-1 - end)) end++
  const left = a.slice(start, a.length - end)
  const right = b.slice(start, b.length - end)
  const same = (lines: readonly string[]): Line[] => lines.map((text) => [' ', text])
  return [...same(a.slice(0, start)), ...middle(left, right), ...same(a.slice(a.length - end))]
}

function middle(a: readonly string[], b: readonly string[]): readonly Line[] {
  const width = b.length + 1
  const lengths = new Uint32Array((a.length + 1) * width)
  for (let i = a.length - 1; i >= 0; i--) {
    for (let j = b.length - 1; j >= 0; j--) {
      lengths[i * width + j] =
        a[i] === b[j]
          ? lengths[(i + 1) * width + j + 1]! + 1
          : Math.max(lengths[(i + 1) * width + j]!, lengths[i * width + j + 1]!)
    }
  }
  const lines: Line[] = []
  let [i, j] = [0, 0]
  while (i < a.length || j < b.length) {
    if (i < a.length && j < b.length && a[i] === b[j]) {
      lines.push([' ', a[i]!])
      i++
      j++
    } else if (
      j >= b.length ||
      (i < a.length && lengths[(i + 1) * width + j]! >= lengths[i * width + j + 1]!)
    )
      lines.push(['-', a[i++]!])
    else lines.push(['+', b[j++]!])
  }
  return lines
}
