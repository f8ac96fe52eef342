import { createHash } from 'node:crypto'

/** SHA-256 of parts read one after another, hexadecimal. */
export async function sha256OfParts(parts: readonly (() => Promise<Uint8Array>)[]): Promise<string> {
  const hash = createHash('sha256')
  for (const read of parts) hash.update(await read())
  return hash.digest('hex')
}
