import { VarveError } from '@varve/core'
import { parse } from 'yaml'
import { type ConfigHistory } from './configHistory.ts'
import { editFailed, secretOnCommandLine } from './errors.ts'
import { readFolder, withTrial } from './trial.ts'
import { CannotEdit, setInText } from './yamlEdit.ts'

/** Where a value comes from; `Origin` of the loader is one. */
export interface SettingOrigin {
  readonly kind: string
  readonly file?: string | undefined
  readonly variable?: string | undefined
}

/** What editing asks of a loaded configuration; what `loadConfig` returns is one. */
export interface ExplainedConfig {
  explain(key: string): { readonly secret: boolean; readonly origin: SettingOrigin }
}

export interface EditSettingOptions {
  readonly directory: string
  /** Dotted, the section first: `storage.hot.batchSize`. */
  readonly key: string
  /** As it would stand in the file: `2000`, `[a, b]`, `${NAME}`. */
  readonly value: string
  /** Loads a folder, which is a copy while the change is tried. */
  readonly load: (directory: string) => Promise<ExplainedConfig>
  readonly history: ConfigHistory
  /** Edits the overlay of this profile instead of the base file. */
  readonly profile?: string
}

export interface EditedSetting {
  /** The file that holds the value now. */
  readonly file: string
  /** False when the file said so already; then nothing was written. */
  readonly changed: boolean
  /** The version that holds the state before; `undefined` when nothing was written. */
  readonly savedAs: number | undefined
  /** What keeps the new value from having any effect: a profile, an environment variable, a command line option. */
  readonly shadowedBy: SettingOrigin | undefined
}

const REFERENCE = /^\$\{[A-Za-z_][A-Za-z0-9_]*\}$/

/**
 * Changes one value in its file, keeping comments and layout. The whole configuration with the change is loaded from a
 * copy first, and the present files are saved as a version, before the file is replaced.
 *
 * @throws `CONFIG_SECRET_ON_COMMAND_LINE`, `CONFIG_EDIT_FAILED`, `CONFIG_CHANGED_MEANWHILE`, `CONFIG_LOCKED`, and what
 *   `load` and `explain` throw (`CONFIG_INVALID`, `CONFIG_KEY_UNKNOWN`); no file is changed then
 */
export async function editSetting(options: EditSettingOptions): Promise<EditedSetting> {
  const { directory, key, value, load, history, profile } = options
  const [section, ...path] = key.split('.')
  if (section === undefined || path.length === 0 || [section, ...path].includes(''))
    throw editFailed(key, 'expected FILE.KEY, such as storage.hot.batchSize')
  await history.recover()
  const isReference = REFERENCE.test(value.trim())
  if (!isReference && (await isSecret(load, directory, key))) throw secretOnCommandLine(key)

  const before = readFolder(directory)
  const folder = profile === undefined ? '' : `profiles/${profile}/`
  const names = ['yaml', 'yml', 'json'].map((extension) => `${folder}${section}.${extension}`)
  const file = names.find((name) => before.has(name)) ?? names[0]!
  const text = before.get(file)?.toString('utf8') ?? ''
  const format = file.endsWith('.json') ? 'json' : 'yaml'

  /** The text with the value in it, once the whole configuration loads with it. */
  const attempt = async (parsed: unknown) => {
    let edited: string
    try {
      edited = setInText(format === 'json' && text === '' ? '{}' : text, path, parsed, format)
    } catch (error) {
      if (error instanceof CannotEdit) throw editFailed(key, `${file}: ${error.message}; change it by hand`)
      throw error
    }
    return withTrial(directory, new Map([[file, Buffer.from(edited)]]), async (copy) => {
      const explained = (await load(copy)).explain(key)
      if (explained.secret && !isReference) throw secretOnCommandLine(key)
      return { edited, origin: explained.origin }
    })
  }

  const parsed = parseValue(key, value)
  const { edited, origin } = await attempt(parsed).catch(async (error: unknown) => {
    // `007` and `on` may be meant as texts: where only the text is valid, the text it is.
    const refused = error instanceof VarveError && error.code === 'CONFIG_SECRET_ON_COMMAND_LINE'
    if (typeof parsed === 'string' || refused) throw error
    return attempt(value.trim()).catch(() => {
      throw error
    })
  })
  const effective = origin.file === file && (origin.kind === 'file' || origin.kind === 'profile')
  const shadowedBy = effective ? undefined : origin
  if (edited === text) return { file, changed: false, savedAs: undefined, shadowedBy }
  const saved = await history.change(new Map([[file, Buffer.from(edited)]]), {
    reason: `${key} set in ${file}`,
    basedOn: before,
  })
  return { file, changed: true, savedAs: saved.version, shadowedBy }
}

/** The text is not shown when it cannot be read: it may be a key typed in the wrong place. */
function parseValue(key: string, text: string): unknown {
  try {
    return parse(text, { logLevel: 'error' }) as unknown
  } catch {
    throw editFailed(key, 'the value is not YAML; put quotes around it')
  }
}

/** Before anything is written anywhere. A configuration that does not load now is asked again on the copy. */
async function isSecret(load: EditSettingOptions['load'], directory: string, key: string): Promise<boolean> {
  try {
    return (await load(directory)).explain(key).secret
  } catch {
    return false
  }
}
