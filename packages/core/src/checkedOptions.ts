import { VarveError } from './VarveError.ts'

/** What is asked of a schema, so that any zod version fits. */
interface OptionsSchema<Checked> {
  safeParse(options: unknown):
    | { readonly success: true; readonly data: Checked }
    | {
        readonly success: false
        readonly error: {
          readonly issues: readonly { readonly path: readonly PropertyKey[]; readonly message: string }[]
        }
      }
}

/**
 * Options with their defaults filled in. The schema is the only place a default is written down.
 *
 * @param of - whose options they are, for the message
 * @throws `OPTION_INVALID` naming every option that is wrong
 */
export function checkedOptions<Checked>(
  schema: OptionsSchema<Checked>,
  options: unknown,
  of: string,
): Checked {
  const result = schema.safeParse(options)
  if (result.success) return result.data
  const faults = result.error.issues.map(({ path, message }) => `${path.map(String).join('.')}: ${message}`)
  throw new VarveError(`options of ${of}: ${faults.join('; ')}`, {
    code: 'OPTION_INVALID',
    details: { of, faults },
  })
}
