import { readFile, stat } from 'node:fs/promises'
import type { ConfigProblemCode } from './ConfigError.ts'
import type { Environment, SecretSource, VariableRule } from './types.ts'
import { checkValue, isPlaceholder } from './valueKinds.ts'
import { nearest } from './nearest.ts'

/** `$${` (a literal `${`), a reference, or the beginning of one that is not closed. */
const TOKEN = /\$\$\{|\$\{([^}]*)\}|\$\{/g
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/

export interface VariableFault {
  readonly code: ConfigProblemCode
  readonly message: string
}

export type Substituted =
  | {
      readonly ok: true
      readonly text: string
      readonly secret: boolean
      /** Variables put in, outermost first. */
      readonly names: readonly string[]
    }
  | { readonly ok: false; readonly faults: readonly VariableFault[] }

/** Environment variables files may name, resolved once. */
export interface Variables {
  /** Looks up every variable named in the texts, and those their values name in turn. */
  prepare(texts: Iterable<string>): Promise<void>
  /**
   * Replaces every reference. All its variables must have been prepared.
   *
   * @param hidden - faults then say nothing of the text
   */
  substitute(text: string, hidden?: boolean): Substituted
  /** A variable that sets something by itself; `undefined` when it is not set at all. */
  bound(name: string): Promise<(Substituted & { readonly source?: string }) | undefined>
}

interface Raw {
  readonly text: string | undefined
  /** Only values of the environment itself may refer to other variables. */
  readonly expand: boolean
  readonly source?: string
  readonly fault?: VariableFault
}

export function createVariables(options: {
  readonly rules: Readonly<Record<string, VariableRule>>
  readonly env: Environment
  readonly sources: readonly SecretSource[]
  readonly signal?: AbortSignal | undefined
  /** Of a file that `NAME_FILE` names. */
  readonly maxFileBytes: number
  /** Of a value, once other variables are put into it. */
  readonly maxValueLength: number
}): Variables {
  const { rules, env, sources, signal, maxFileBytes, maxValueLength } = options
  const allowed = Object.keys(rules)
  const raw = new Map<string, Raw>()

  const look = async (name: string): Promise<Raw> => {
    const direct = env[name]
    const path = env[`${name}_FILE`]
    if (direct !== undefined && path !== undefined) {
      return {
        text: undefined,
        expand: false,
        fault: {
          code: 'CONFIG_DUPLICATE_KEY',
          message: `${name} and ${name}_FILE are both set; keep one of the two`,
        },
      }
    }
    if (direct !== undefined) return { text: direct, expand: true }
    if (path !== undefined) return fromFile(name, path, maxFileBytes)
    if (rules[name]?.secret !== true) return { text: undefined, expand: false }
    for (const source of sources) {
      signal?.throwIfAborted()
      try {
        const text = await source.get(name, signal === undefined ? {} : { signal })
        if (text !== undefined) return { text: String(text), expand: false, source: source.name }
      } catch {
        signal?.throwIfAborted()
        // What a source says of its failure may hold what it was asked for.
        return {
          text: undefined,
          expand: false,
          fault: {
            code: 'CONFIG_SECRET_MISSING',
            message: `the secret source "${source.name}" failed when asked for ${name}; check its access`,
          },
        }
      }
    }
    return { text: undefined, expand: false }
  }

  const prepare = async (texts: Iterable<string>): Promise<void> => {
    let names = namesIn(texts).filter((name) => Object.hasOwn(rules, name) && !raw.has(name))
    while (names.length > 0) {
      const found = await Promise.all(names.map(async (name) => [name, await look(name)] as const))
      for (const [name, value] of found) raw.set(name, value)
      names = namesIn(found.flatMap(([, value]) => (value.expand ? (value.text ?? []) : []))).filter(
        (name) => Object.hasOwn(rules, name) && !raw.has(name),
      )
    }
  }

  /** Each variable is put together once, however often it is named. */
  const resolved = new Map<string, Substituted>()
  const resolve = (name: string, chain: readonly string[]): Substituted => {
    const known = resolved.get(name)
    if (known !== undefined) return known
    const found = resolveAnew(name, chain)
    // A circle looks different from each of its members.
    const circular = !found.ok && found.faults.some(({ code }) => code === 'CONFIG_SUBSTITUTION_CYCLE')
    if (!circular) resolved.set(name, found)
    return found
  }

  const resolveAnew = (name: string, chain: readonly string[]): Substituted => {
    const fault = (code: ConfigProblemCode, message: string): Substituted => ({
      ok: false,
      faults: [{ code, message }],
    })
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) {
      const guess = nearest(name, allowed)
      return fault(
        'CONFIG_VARIABLE_FORBIDDEN',
        `\${${name}} may not be used in configuration${guess === undefined ? '.' : `; did you mean \${${guess}}?`} Allowed: ${allowed.join(', ') || 'none'}`,
      )
    }
    if (chain.includes(name)) {
      return fault(
        'CONFIG_SUBSTITUTION_CYCLE',
        `environment variables refer to each other in a circle: ${[...chain, name].join(' → ')}; give one of them a plain value`,
      )
    }
    const secret = rule.secret === true
    const found = raw.get(name)
    if (found?.fault !== undefined) return { ok: false, faults: [found.fault] }
    if (found?.text === undefined) {
      return fault(
        secret ? 'CONFIG_SECRET_MISSING' : 'CONFIG_VARIABLE_MISSING',
        `environment variable ${name} is not set (${rule.description}); set it, or ${name}_FILE, before starting`,
      )
    }
    if (found.text.trim() === '') {
      return fault(
        secret ? 'CONFIG_SECRET_BLANK' : 'CONFIG_VARIABLE_BLANK',
        `environment variable ${name} is set but blank; give it a value, or unset it`,
      )
    }
    const expanded: Substituted = found.expand
      ? substitute(found.text, [...chain, name], secret)
      : { ok: true, text: found.text, secret: false, names: [] }
    if (!expanded.ok) return expanded
    if (expanded.text.length > maxValueLength) {
      return fault(
        'CONFIG_TOO_LARGE',
        `environment variable ${name} becomes longer than ${maxValueLength} characters; is it the right one?`,
      )
    }
    const wrong = violation(name, rule, expanded.text)
    if (wrong !== undefined) return { ok: false, faults: [wrong] }
    return {
      ok: true,
      text: expanded.text,
      secret: secret || expanded.secret,
      names: [...new Set([name, ...expanded.names])],
    }
  }

  const substitute = (text: string, chain: readonly string[], hidden: boolean): Substituted => {
    const holder = chain.at(-1)
    const where = holder === undefined ? '' : `in the value of ${holder}, `
    const faults: VariableFault[] = []
    const names: string[] = []
    let secret = false
    const result = text.replace(TOKEN, (token, name: string | undefined) => {
      if (token === '$${') return '${'
      if (name === undefined || !NAME.test(name)) {
        faults.push({ code: 'CONFIG_SYNTAX', message: where + malformed(name, hidden) })
        return ''
      }
      // Part of a secret may look like a reference; names of variables are in capitals.
      if (hidden && !Object.hasOwn(rules, name) && !/^[A-Z][A-Z0-9_]*$/.test(name)) {
        faults.push({ code: 'CONFIG_SYNTAX', message: where + malformed(name, hidden) })
        return ''
      }
      const found = resolve(name, chain)
      if (!found.ok) {
        faults.push(...found.faults)
        return ''
      }
      names.push(...found.names)
      secret ||= found.secret
      return found.text
    })
    if (faults.length === 0) return { ok: true, text: result, secret, names: [...new Set(names)] }
    return { ok: false, faults: [...new Map(faults.map((item) => [item.message, item])).values()] }
  }

  return {
    prepare,
    substitute: (text, hidden = false) => substitute(text, [], hidden),
    async bound(name) {
      await prepare([`\${${name}}`])
      const found = raw.get(name)
      if (found === undefined || (found.text === undefined && found.fault === undefined)) return undefined
      const result = resolve(name, [])
      return found.source === undefined ? result : { ...result, source: found.source }
    },
  }
}

async function fromFile(name: string, path: string, maxBytes: number): Promise<Raw> {
  const fault = (message: string): Raw => ({
    text: undefined,
    expand: false,
    fault: { code: 'CONFIG_VARIABLE_INVALID', message: `the file that ${name}_FILE names ${message}` },
  })
  try {
    const info = await stat(path)
    // A pipe is how a shell hands over the output of a command.
    if (!info.isFile() && !info.isFIFO()) return fault('is no ordinary file')
    if (info.size > maxBytes) return fault(`has ${info.size} bytes; a secret has at most ${maxBytes}`)
    const text = new TextDecoder('utf-8', { fatal: true }).decode(await readFile(path))
    // Files of secrets end with a line break more often than not; it is not part of the secret.
    return { text: text.replace(/\r?\n$/, ''), expand: false, source: `${name}_FILE` }
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown'
    return code === 'ERR_ENCODING_INVALID_ENCODED_DATA'
      ? fault('is not valid UTF-8')
      : fault(`cannot be read (${code}); check the path and its permissions`)
  }
}

/** What a value does against its rule, without the value. */
function violation(name: string, rule: VariableRule, text: string): VariableFault | undefined {
  if (isPlaceholder(text, rule.forbidden) && (rule.secret === true || rule.forbidden !== undefined)) {
    return {
      code: 'CONFIG_PLACEHOLDER',
      message: `environment variable ${name} still holds the value of an example; put the real one in`,
    }
  }
  const wrong =
    rule.minLength !== undefined && text.length < rule.minLength
      ? `expected at least ${rule.minLength} characters, found ${text.length}`
      : rule.pattern !== undefined && !rule.pattern.test(text)
        ? `expected a value like ${rule.pattern.source}`
        : rule.kind === undefined
          ? undefined
          : checkValue(rule.kind, text)
  return wrong === undefined
    ? undefined
    : { code: 'CONFIG_VARIABLE_INVALID', message: `environment variable ${name}: ${wrong}` }
}

function malformed(inside: string | undefined, hidden: boolean): string {
  if (inside === undefined)
    return 'a reference ${ is not closed with }; write $${ for the characters themselves'
  const shown = hidden ? '${…}' : `\${${inside.slice(0, 40)}}`
  return /^[A-Za-z_][A-Za-z0-9_]*:?[-?+=]/.test(inside)
    ? `${shown}: a reference has no default; put the default into the file and let an environment variable override it`
    : `${shown} is no name of an environment variable, such as \${DATABASE_URL}; write $\${ for the characters themselves`
}

/** Names referred to in some texts. */
function namesIn(texts: Iterable<string>): string[] {
  const names = new Set<string>()
  for (const text of texts) {
    for (const [token, name] of text.matchAll(TOKEN)) {
      if (token !== '$${' && name !== undefined && NAME.test(name)) names.add(name)
    }
  }
  return [...names]
}
