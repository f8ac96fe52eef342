import { VarveError } from './VarveError.ts'

/**
 * A name that has to stand in the text of a statement, such as that of a partition: lower-case letters, digits and
 * underscores, at most 63 bytes as Postgres allows.
 *
 * @throws `SQL_NAME_INVALID`
 */
export function sqlName(name: string): string {
  if (/^[a-z_][a-z0-9_]{0,62}$/.test(name)) return name
  throw new VarveError(`"${name}" is no name for SQL: lower-case letters, digits and _ only`, {
    code: 'SQL_NAME_INVALID',
    details: { name },
  })
}

/**
 * A number that has to stand in the text of a statement, where no parameter is allowed: `SET LOCAL lock_timeout`.
 *
 * @throws `SQL_NAME_INVALID` for anything but a finite number
 */
export function sqlNumber(value: number): string {
  if (Number.isFinite(value)) return String(value)
  throw new VarveError(`${value} is no number for SQL`, { code: 'SQL_NAME_INVALID', details: { value } })
}
