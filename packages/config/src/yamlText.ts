import { parse, stringify } from 'yaml'

/** A YAML text of ours as maps, lists and scalars. For files of users there is `loadConfig`. */
export function readYaml(text: string): unknown {
  return parse(text) as unknown
}

/** A value as YAML text. */
export function toYaml(value: unknown): string {
  return stringify(value, { lineWidth: 0 })
}
