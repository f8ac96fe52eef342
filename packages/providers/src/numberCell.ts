import { tryParseScaled } from '@varve/core'

/** Why a number cannot be read exactly. */
export type NumberFault = 'null' | 'not_a_number' | 'too_many_decimals' | 'out_of_range'

/** A scaled number, or what is wrong with it. */
export type NumberCell = bigint | NumberFault

/** What a fault means, to end a sentence that names the field. */
export const FAULT_TEXT: Readonly<Record<NumberFault, string>> = {
  null: 'is empty',
  not_a_number: 'is not a number',
  too_many_decimals: 'has a seventh decimal, which would have to be rounded away',
  out_of_range: 'is beyond 999999999999.999999',
}

export function parseNumberText(text: string | null | undefined): NumberCell {
  if (text === null || text === undefined || text === '') return 'null'
  const parsed = tryParseScaled(text)
  return parsed.ok ? parsed.value : parsed.reason
}

/** Rule and message of a bar whose numbers are not all readable, by the first of them. */
export function describeNumberFaults(
  numbers: readonly (readonly [name: string, cell: NumberCell])[],
): { readonly rule: string; readonly message: string } | undefined {
  const faults = numbers.filter(
    (entry): entry is readonly [string, NumberFault] => typeof entry[1] === 'string',
  )
  const [first] = faults
  if (first === undefined) return undefined
  const [name, fault] = first
  const rule = fault === 'null' ? (name === 'volume' ? 'null_volume' : 'null_price') : fault
  return { rule, message: faults.map(([field, what]) => `${field} ${FAULT_TEXT[what]}`).join(', ') }
}
