/** 0: listed and tradable. 1: liquid. 2: with a catalyst. 3: active trading. */
export const LAYERS = [0, 1, 2, 3] as const
export type Layer = (typeof LAYERS)[number]

export function isLayer(value: unknown): value is Layer {
  return value === 0 || value === 1 || value === 2 || value === 3
}
