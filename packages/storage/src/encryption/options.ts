import { z } from 'zod'

/** Data of `createEncryptionKeys` and of everything that writes encrypted files. */
export const encryptionOptionsSchema = z.object({
  blockBytes: z
    .int()
    .min(1)
    .max(16_777_216)
    .default(65_536)
    .describe('Bytes encrypted as one block: the smallest part that can be read and checked by itself'),
  minPassphraseCharacters: z
    .int()
    .min(8)
    .default(12)
    .describe('Fewest characters of a passphrase; keys of 32 bytes are better'),
  scryptLogCost: z
    .int()
    .min(14)
    .max(22)
    .default(16)
    .describe(
      'Binary logarithm of the cost of turning a passphrase into a key; one more doubles time and memory',
    ),
  scryptBlockSize: z.int().min(8).max(32).default(8).describe('Block size r of scrypt'),
  scryptParallelism: z.int().min(1).max(16).default(1).describe('Parallelism p of scrypt'),
  maxScryptBytes: z
    .int()
    .min(1)
    .default(268_435_456)
    .describe('Most memory that a file found anywhere may make scrypt use before it is refused'),
  fileCache: z
    .int()
    .min(0)
    .default(1024)
    .describe('Encrypted files whose checked size and key are remembered between range reads'),
})
export type EncryptionSettings = z.input<typeof encryptionOptionsSchema>
