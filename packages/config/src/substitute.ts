const REFERENCE = /\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g

export type Substitution =
  | { readonly ok: true; readonly value: string }
  | { readonly ok: false; readonly variable: string; readonly reason: 'missing' | 'blank' | 'forbidden' }

/**
 * Replaces `${NAME}` by the environment variable of that name. Only names in `allowed` are read, and a variable
 * that is missing or blank is never replaced by an empty string.
 */
export function substituteVariables(
  text: string,
  env: Readonly<Record<string, string | undefined>>,
  allowed: ReadonlySet<string>,
): Substitution {
  let failure: Substitution | undefined
  const value = text.replace(REFERENCE, (_whole, name: string) => {
    if (!allowed.has(name)) failure ??= { ok: false, variable: name, reason: 'forbidden' }
    const found = env[name]
    if (found === undefined) failure ??= { ok: false, variable: name, reason: 'missing' }
    else if (found.trim() === '') failure ??= { ok: false, variable: name, reason: 'blank' }
    return found ?? ''
  })
  return failure ?? { ok: true, value }
}
