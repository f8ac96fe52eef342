import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { ConfigError, type ConfigProblem, problem } from './ConfigError.ts'
import type { ConfigLimits } from './limits.ts'
import { nearest } from './nearest.ts'

/** A file of the folder, read but not understood yet. */
export interface RawFile {
  /** Relative to the folder, with `/`. */
  readonly file: string
  /** Name without its ending. */
  readonly section: string
  readonly profile: string | undefined
  readonly text: string
}

const ENDING = /\.(ya?ml|json)$/

export interface ReadFolderOptions {
  readonly directory: string
  readonly profile: string | undefined
  readonly profiles: readonly string[] | undefined
  /** Names of files there may be, without their endings. */
  readonly sections: readonly string[]
  readonly limits: ConfigLimits
}

/**
 * Reads the configuration files of a folder and of the profile in it, one after another: a few small files are read
 * faster without going through the thread pool.
 *
 * @throws `CONFIG_INVALID` at once where the folder itself cannot be read
 */
export function readFolder(options: ReadFolderOptions, problems: ConfigProblem[]): readonly RawFile[] {
  const { directory, profile, profiles, sections, limits } = options
  const names = list(directory, directory)
  problems.push(...misnamed(names, '', sections))
  const files = readAll(directory, '', names, undefined, limits, problems)
  if (!names.includes('profiles')) return files
  const found = list(join(directory, 'profiles'), 'profiles')
  for (const name of found) {
    const file = `profiles/${name}`
    if (ENDING.test(name)) {
      const message = `no environment has this name; put it into the folder of one profile, profiles/NAME/${name}, or beside the other files`
      problems.push(problem('CONFIG_UNKNOWN_FILE', { file }, message))
      continue
    }
    if (profiles === undefined || profiles.includes(name) || name.startsWith('.')) continue
    const guess = nearest(name, profiles)
    const message = `no environment has this name${guess === undefined ? '' : `; did you mean profiles/${guess}?`} Known: ${profiles.join(', ')}`
    problems.push(problem('CONFIG_UNKNOWN_FILE', { file }, message))
  }
  if (profile === undefined || !found.includes(profile)) return files
  const folder = `profiles/${profile}`
  const own = list(join(directory, folder), folder)
  problems.push(...misnamed(own, `${folder}/`, sections))
  return [...files, ...readAll(directory, `${folder}/`, own, profile, limits, problems)]
}

/** Formats somebody might take for one of ours. */
const OTHER_FORMATS = /^(toml|ini|conf|cfg|properties|env|xml|js|ts|mjs|cjs|json5|jsonc)$/i

/** What would be passed over without a word although it was meant: `storage.yalm`, `storage.YAML`, `profile/`. */
function misnamed(names: readonly string[], prefix: string, sections: readonly string[]): ConfigProblem[] {
  return names.flatMap((name) => {
    if (name.startsWith('.') || ENDING.test(name) || name === 'profiles') return []
    const fail = (message: string) => [problem('CONFIG_UNKNOWN_FILE', { file: `${prefix}${name}` }, message)]
    const dot = name.lastIndexOf('.')
    if (dot < 0) {
      const meant = prefix === '' && nearest(name, ['profiles']) !== undefined
      return meant ? fail('this is not read; did you mean profiles/?') : []
    }
    const section = name.slice(0, dot)
    const ending = name.slice(dot + 1)
    // An editor's copies (storage.yaml~) are nobody's mistake.
    if (!sections.includes(section) || !/^\w+$/.test(ending)) return []
    if (nearest(ending, ['yaml', 'yml', 'json']) === undefined && !OTHER_FORMATS.test(ending)) return []
    return fail(`a file with this ending is not read; write YAML or JSON, and rename it to ${section}.yaml`)
  })
}

function list(path: string, shown: string): string[] {
  try {
    return readdirSync(path).sort()
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    const [kind, message] =
      code === 'ENOENT'
        ? (['CONFIG_NOT_FOUND', 'there is no such folder; "varve init" writes one, or name another'] as const)
        : code === 'ENOTDIR'
          ? ([
              'CONFIG_NOT_FOUND',
              'this is a file; name the folder that holds the configuration files',
            ] as const)
          : ([
              'CONFIG_UNREADABLE',
              `the folder cannot be listed (${code ?? 'unknown'}); check its permissions`,
            ] as const)
    throw new ConfigError([problem(kind, { file: shown }, message)])
  }
}

function readAll(
  directory: string,
  prefix: string,
  names: readonly string[],
  profile: string | undefined,
  limits: ConfigLimits,
  problems: ConfigProblem[],
): RawFile[] {
  const wanted = names.filter((name) => ENDING.test(name) && !name.startsWith('.'))
  return wanted.flatMap((name) => {
    const file = `${prefix}${name}`
    const text = readText(join(directory, file), file, limits)
    if (typeof text === 'string') return [{ file, section: name.replace(ENDING, ''), profile, text }]
    problems.push(text)
    return []
  })
}

function readText(path: string, file: string, limits: ConfigLimits): string | ConfigProblem {
  let bytes: Uint8Array
  try {
    const info = statSync(path)
    if (info.isDirectory())
      return problem('CONFIG_UNREADABLE', { file }, 'this is a folder; a configuration file is expected here')
    // Reading a device or a pipe might never end.
    if (!info.isFile())
      return problem(
        'CONFIG_UNREADABLE',
        { file },
        'this is no ordinary file; put the configuration itself here',
      )
    if (info.size > limits.maxFileBytes) {
      return problem(
        'CONFIG_TOO_LARGE',
        { file },
        `${info.size} bytes; a configuration file has at most ${limits.maxFileBytes}. Is this a data file?`,
      )
    }
    bytes = readFileSync(path)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
    return problem('CONFIG_UNREADABLE', { file }, `the file cannot be read (${code}); check its permissions`)
  }
  if (bytes.length > limits.maxFileBytes)
    return problem('CONFIG_TOO_LARGE', { file }, `more than ${limits.maxFileBytes} bytes`)
  return decode(bytes, file)
}

const utf8 = new TextDecoder('utf-8', { fatal: true })

function decode(bytes: Uint8Array, file: string): string | ConfigProblem {
  const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
  const zero = bytes.indexOf(0)
  if (utf16 || zero >= 0) {
    const line = zero < 0 ? 1 : lineOf(bytes, zero)
    return problem(
      'CONFIG_ENCODING',
      { file, line },
      utf16 || (zero >= 0 && zero < 4)
        ? 'the file is UTF-16; save it as UTF-8'
        : 'the file holds a NUL byte; save it as plain UTF-8 text',
    )
  }
  try {
    return utf8.decode(bytes)
  } catch {
    return problem(
      'CONFIG_ENCODING',
      { file, line: lineOf(bytes, firstInvalid(bytes)) },
      'the file is not valid UTF-8 (an umlaut saved as Latin-1?); save it as UTF-8',
    )
  }
}

function lineOf(bytes: Uint8Array, end: number): number {
  let line = 1
  for (let index = 0; index < end; index++) if (bytes[index] === 0x0a) line++
  return line
}

/** Where the first byte stands that is no UTF-8, by halving. */
function firstInvalid(bytes: Uint8Array): number {
  let good = 0
  let bad = bytes.length
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    try {
      new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(0, middle), { stream: true })
      good = middle
    } catch {
      bad = middle
    }
  }
  return good
}
