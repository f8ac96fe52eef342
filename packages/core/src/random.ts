import { randomInt } from 'node:crypto'

const STEPS = 2 ** 48 - 1

/** A number in [0, 1) from the system's secure source: for pauses, ids and simulations alike. */
export function secureRandom(): number {
  return randomInt(STEPS) / STEPS
}
