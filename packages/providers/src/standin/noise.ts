/**
 * Deterministic noise from integers alone: the same seed gives the same market on every machine. Nothing here calls a
 * transcendental function of the runtime, whose last bits may differ between builds.
 */

/** 32 well-mixed bits of some integers (murmur3's mixing). */
export function hash32(a: number, b: number, c = 0, d = 0): number {
  let h = 0x9e3779b9
  for (const part of [a, b, c, d]) {
    let k = Math.imul(part, 0xcc9e2d51)
    k = (k << 15) | (k >>> 17)
    h ^= Math.imul(k, 0x1b873593)
    h = (h << 13) | (h >>> 19)
    h = (Math.imul(h, 5) + 0xe6546b64) | 0
  }
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** In [0, 1). */
export function uniform(a: number, b: number, c = 0, d = 0): number {
  return hash32(a, b, c, d) / 4_294_967_296
}

/** Mean 0, variance 1, bell-shaped, within ±3.47: a sum of four uniforms. */
export function normal(a: number, b: number, c = 0, d = 0): number {
  const first = hash32(a, b, c, d)
  const second = hash32(first, b, c, d ^ 0x5bd1e995)
  const sum = (first & 0xffff) + (first >>> 16) + (second & 0xffff) + (second >>> 16)
  return (sum / 65_536 - 2) * Math.sqrt(3)
}

const LN2 = 0.6931471805599453

/** e^x from multiplications only; relative error below 1e-12 for |x| < 40. */
export function exp(x: number): number {
  const power = Math.round(x / LN2)
  const rest = x - power * LN2
  let term = 1
  let sum = 1
  for (let k = 1; k <= 14; k++) {
    term *= rest / k
    sum += term
  }
  return sum * 2 ** power
}

/**
 * A random walk that can be looked up anywhere: at each scale 2^k, straight lines between random heights whose size
 * grows with the square root of the scale. Its steps have about the standard deviation 1.
 */
export function walk(seed: number, position: number, scales = 10): number {
  let height = 0
  for (let k = 0; k < scales; k++) {
    const length = 2 ** k
    const cell = Math.floor(position / length)
    const fraction = position / length - cell
    const left = normal(seed, k, cell)
    const right = normal(seed, k, cell + 1)
    height += (left + (right - left) * fraction) * Math.sqrt(length) * SCALE_WEIGHT
  }
  return height
}
/** Chosen so that the difference of neighbours, over all scales, has variance 1. */
const SCALE_WEIGHT = 0.5
