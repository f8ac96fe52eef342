import { VarveError } from '@varve/core'

/** The data is not what was written. `block` is counted from 0; without one the header is at fault. */
export function damaged(name: string, what: string, block?: number): VarveError {
  const where = block === undefined ? 'its header' : `block ${block}`
  return new VarveError(
    `${name === '' ? 'encrypted data' : name} is damaged at ${where}: ${what}; nothing of it was used. Restore the file from a copy`,
    {
      code: 'ENCRYPTED_DATA_DAMAGED',
      details: { ...(name === '' ? {} : { name }), ...(block === undefined ? {} : { block }) },
    },
  )
}

/** None of the keys at hand is the one the data was written with. */
export function keyWrong(keyId: string): VarveError {
  return new VarveError(
    `none of the keys given is key ${keyId}, which the data was encrypted with; give that key, as the current or as a previous one`,
    { code: 'ENCRYPTION_KEY_WRONG', details: { keyId } },
  )
}
