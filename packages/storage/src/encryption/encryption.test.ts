import { Secret, isVarveError } from '@varve/core'
import fc from 'fast-check'
import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { createEncryptedLake } from './encryptedLake.ts'
import { collect, decryptBytes, decryptStream, encryptBytes, encryptStream } from './encryptStream.ts'
import { createEncryptionKeys } from './EncryptionKeys.ts'
import { HEADER_END, TAG, encryptedSize, plainSize } from './fileFormat.ts'

const BLOCK = 16
const keys = createEncryptionKeys({
  secret: new Secret(Buffer.alloc(32, 7).toString('base64')),
  blockBytes: BLOCK,
})
const content = fc.uint8Array({ maxLength: 5 * BLOCK })
const detected = (error: unknown) =>
  isVarveError(error, 'ENCRYPTED_DATA_DAMAGED') || isVarveError(error, 'ENCRYPTION_KEY_WRONG')

/** What a reader was given before the stream ended or failed. */
async function readAll(stored: Uint8Array): Promise<{ given: Uint8Array; error?: unknown }> {
  const given: Uint8Array[] = []
  try {
    for await (const chunk of decryptStream([stored], keys)) given.push(chunk)
    return { given: await collect(given) }
  } catch (error) {
    return { given: await collect(given), error }
  }
}

describe('encrypted data', () => {
  it('comes back as it was, whatever its length and however it is cut into chunks', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(content, { maxLength: 4 }),
        fc.integer({ min: 1, max: 40 }),
        async (chunks, step) => {
          const plain = await collect(chunks)
          const stored = await collect(encryptStream(chunks, keys))
          expect(stored.length).toBe(encryptedSize(plain.length, BLOCK))
          expect(plainSize(stored.length, BLOCK)).toBe(plain.length)
          const pieces = Array.from({ length: Math.ceil(stored.length / step) }, (_, index) =>
            stored.subarray(index * step, (index + 1) * step),
          )
          expect(await collect(decryptStream(pieces, keys))).toEqual(plain)
        },
      ),
      { numRuns: 60 },
    )
  })

  it('notices any flipped bit, and hands on nothing but what was written', async () => {
    await fc.assert(
      fc.asyncProperty(content, fc.nat(), fc.nat(7), async (plain, where, bit) => {
        const stored = await encryptBytes(plain, keys)
        stored[where % stored.length]! ^= 1 << bit
        const { given, error } = await readAll(stored)
        expect(detected(error)).toBe(true)
        expect(given).toEqual(plain.subarray(0, given.length))
      }),
      { numRuns: 200 },
    )
  })

  it('notices any cut, any addition, and blocks left out, repeated or swapped', async () => {
    await fc.assert(
      fc.asyncProperty(content, fc.nat(), fc.nat(), fc.nat(4), async (plain, one, other, how) => {
        const stored = await encryptBytes(plain, keys)
        const body = stored.subarray(HEADER_END)
        const step = BLOCK + TAG
        const blocks = Array.from({ length: Math.ceil(body.length / step) }, (_, index) =>
          body.subarray(index * step, (index + 1) * step),
        )
        const [a, b] = [one % blocks.length, other % blocks.length]
        const changed = await collect(
          how === 0
            ? [stored.subarray(0, one % stored.length)]
            : how === 1
              ? [stored, randomBytes(1 + (one % 40))]
              : [
                  stored.subarray(0, HEADER_END),
                  ...(how === 2
                    ? blocks.toSpliced(a, 1)
                    : how === 3
                      ? blocks.toSpliced(a, 0, blocks[b]!)
                      : blocks.with(a, blocks[b]!).with(b, blocks[a]!)),
                ],
        )
        fc.pre(Buffer.compare(changed, stored) !== 0)
        const { given, error } = await readAll(changed)
        expect(detected(error)).toBe(true)
        expect(given).toEqual(plain.subarray(0, given.length))
      }),
      { numRuns: 300 },
    )
  })

  it('notices a block of another file and another name', async () => {
    const [left, right] = [new Uint8Array(40).fill(1), new Uint8Array(40).fill(2)]
    const [a, b] = [await encryptBytes(left, keys), await encryptBytes(right, keys)]
    a.set(b.subarray(HEADER_END, HEADER_END + BLOCK + TAG), HEADER_END)
    await expect(decryptBytes(a, keys)).rejects.toMatchObject({
      code: 'ENCRYPTED_DATA_DAMAGED',
      details: { block: 0 },
    })
    const named = await encryptBytes(left, keys, { name: 'one' })
    expect(await decryptBytes(named, keys, { name: 'one' })).toEqual(left)
    await expect(decryptBytes(named, keys, { name: 'two' })).rejects.toMatchObject({
      code: 'ENCRYPTED_DATA_DAMAGED',
    })
  })

  it('says which block is damaged', async () => {
    const stored = await encryptBytes(new Uint8Array(50), keys)
    stored[HEADER_END + 2 * (BLOCK + TAG) + 3]! ^= 1
    await expect(decryptBytes(stored, keys)).rejects.toMatchObject({
      code: 'ENCRYPTED_DATA_DAMAGED',
      details: { block: 2 },
    })
  })
})

describe('keys', () => {
  const fast = { scryptLogCost: 14 }
  it('read what a passphrase wrote in another process, and what a previous key wrote', async () => {
    const first = createEncryptionKeys({ secret: new Secret('correct horse battery'), ...fast })
    const stored = await encryptBytes(Buffer.from('state'), first)
    const later = createEncryptionKeys({
      secret: new Secret(Buffer.alloc(32, 9).toString('hex')),
      previous: [new Secret('correct horse battery')],
    })
    expect(Buffer.from(await decryptBytes(stored, later)).toString()).toBe('state')
  })

  it('that are wrong are named by id and never by content', async () => {
    const stored = await encryptBytes(Buffer.from('state'), keys)
    const other = createEncryptionKeys({ secret: new Secret('f'.repeat(64)) })
    const error: unknown = await decryptBytes(stored, other).catch((thrown: unknown) => thrown)
    expect(isVarveError(error, 'ENCRYPTION_KEY_WRONG')).toBe(true)
    expect(JSON.stringify(error) + String(error)).not.toContain('ffff')
    expect((error as { details: unknown }).details).toEqual({ keyId: (await keys.current()).id })
  })

  it('too short are refused, and a header cannot make scrypt take any amount of memory', async () => {
    expect(() => createEncryptionKeys({ secret: new Secret('short') })).toThrow(
      expect.objectContaining({ code: 'ENCRYPTION_KEY_INVALID' }) as Error,
    )
    const own = createEncryptionKeys({ secret: new Secret('correct horse battery'), ...fast })
    const stored = await encryptBytes(Buffer.from('state'), own)
    stored[10] = 40
    const reader = createEncryptionKeys({ secret: new Secret('correct horse battery'), ...fast })
    await expect(decryptBytes(stored, reader)).rejects.toMatchObject({ code: 'ENCRYPTION_KEY_WRONG' })
  })
})

describe('an encrypted lake', () => {
  it('answers every range as the plain one does, and never from a changed file', async () => {
    await fc.assert(
      fc.asyncProperty(content, fc.nat(), fc.nat(), fc.nat(), async (plain, x, y, where) => {
        const files = new Map<string, Uint8Array>()
        const lake = createEncryptedLake(memoryLake(files), keys)
        await lake.write('bars/a', plain)
        const [start, end] = [x % (plain.length + 1), y % (plain.length + 1)].sort((a, b) => a - b) as [
          number,
          number,
        ]
        expect(await lake.size('bars/a')).toBe(plain.length)
        expect(await lake.read('bars/a', start, end)).toEqual(plain.slice(start, end))
        await expect(lake.read('bars/a', 0, plain.length + 1)).rejects.toThrow('ends at byte')
        // Cut at a block's end: only the flag of the last block tells.
        const stored = files.get('bars/a')!
        const blocks = Math.ceil((stored.length - HEADER_END) / (BLOCK + TAG))
        const fresh = () => createEncryptedLake(memoryLake(files), keys)
        if (blocks > 1) {
          files.set('bars/a', stored.subarray(0, HEADER_END + (1 + (where % (blocks - 1))) * (BLOCK + TAG)))
          await expect(fresh().size('bars/a')).rejects.toMatchObject({ code: 'ENCRYPTED_DATA_DAMAGED' })
        }
        files.set('bars/b', stored)
        await expect(fresh().read('bars/b', 0, 0)).rejects.toMatchObject({ code: 'ENCRYPTED_DATA_DAMAGED' })
      }),
      { numRuns: 80 },
    )
  })

  it('knows a missing file from a damaged one, and lists plain sizes', async () => {
    const files = new Map<string, Uint8Array>([['plain', new Uint8Array(200)]])
    const lake = createEncryptedLake(memoryLake(files), keys)
    expect(await lake.size('none')).toBeUndefined()
    await expect(lake.size('plain')).rejects.toMatchObject({ code: 'ENCRYPTED_DATA_DAMAGED' })
    await lake.write('one', new Uint8Array(33))
    const listed = []
    for await (const file of lake.list()) if (file.path === 'one') listed.push(file.bytes)
    expect(listed).toEqual([33])
  })
})

function memoryLake(files: Map<string, Uint8Array>): LakeFiles {
  return {
    location: 'memory',
    async write(path, bytes) {
      files.set(path, Uint8Array.from(bytes))
    },
    async size(path) {
      return files.get(path)?.length
    },
    async read(path, start, end) {
      const file = files.get(path)
      if (file === undefined || file.length < end) throw new Error('the file is missing or shorter')
      return file.slice(start, end) as Uint8Array<ArrayBuffer>
    },
    async *list() {
      for (const [path, bytes] of files) yield { path, bytes: bytes.length, modifiedAt: 0 }
    },
    async delete(path) {
      files.delete(path)
    },
  }
}
