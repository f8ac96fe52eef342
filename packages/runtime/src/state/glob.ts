/**
 * A test for keys: `*` stands for any characters (none included), `?` for exactly one, everything else for itself.
 * Works through the text once with at most one way back, so no pattern can make it slow.
 */
export function globMatcher(pattern: string): (key: string) => boolean {
  const wanted = [...pattern]
  return (key) => {
    const found = [...key]
    let at = 0
    let place = 0
    // Where to go on when the latest star has to swallow one character more.
    let star = -1
    let swallowed = 0
    while (at < found.length) {
      if (wanted[place] === '*') {
        star = place++
        swallowed = at
      } else if (place < wanted.length && (wanted[place] === '?' || wanted[place] === found[at])) {
        place++
        at++
      } else if (star >= 0) {
        place = star + 1
        at = ++swallowed
      } else return false
    }
    while (wanted[place] === '*') place++
    return place === wanted.length
  }
}
