import { storage, type Case } from './case.ts'

const utf16 = (text: string, order: 'le' | 'be', mark: boolean): Buffer => {
  const bytes = Buffer.from(`${mark ? '\ufeff' : ''}${text}`, 'utf16le')
  return order === 'le' ? bytes : bytes.swap16()
}

/** Wrong encodings, too much, too deep. */
export const BYTES: readonly Case[] = [
  {
    name: 'UTF-16 with its mark',
    files: { 'storage.yaml': utf16('name: x\n', 'le', true) },
    expected: ['CONFIG_ENCODING', 'storage.yaml', 1],
    says: 'the file is UTF-16; save it as UTF-8',
  },
  {
    name: 'UTF-16 of the other order',
    files: { 'storage.yaml': utf16('name: x\n', 'be', true) },
    expected: ['CONFIG_ENCODING', 'storage.yaml', 1],
    says: 'the file is UTF-16',
  },
  {
    name: 'UTF-16 without its mark',
    files: { 'storage.yaml': utf16('name: x\n', 'le', false) },
    expected: ['CONFIG_ENCODING', 'storage.yaml', 1],
    says: 'the file is UTF-16',
  },
  {
    name: 'Latin-1',
    files: { 'storage.yaml': Buffer.from('engine: postgres\nname: Stäbe\n', 'latin1') },
    expected: ['CONFIG_ENCODING', 'storage.yaml', 2],
    says: 'not valid UTF-8 (an umlaut saved as Latin-1?)',
  },
  {
    name: 'a text cut off in the middle of a character',
    files: { 'storage.yaml': Buffer.from('name: Stä').subarray(0, -1) },
    expected: ['CONFIG_ENCODING', 'storage.yaml', 1],
    says: 'not valid UTF-8',
  },
  {
    name: 'a NUL byte',
    files: { 'storage.yaml': Buffer.from('engine: postgres\nname: a\0b\n') },
    expected: ['CONFIG_ENCODING', 'storage.yaml', 2],
    says: 'holds a NUL byte',
  },
  {
    name: 'ten megabytes',
    files: { 'storage.yaml': Buffer.alloc(10_000_000, 'name: x\n') },
    expected: ['CONFIG_TOO_LARGE', 'storage.yaml', 1],
    says: '10000000 bytes; a configuration file has at most 1000000',
  },
  {
    name: 'a line of nothing but quotes',
    files: storage(`name: ${'"'.repeat(200_000)}\n`),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 1],
    says: 'put quotes around',
  },
  {
    name: 'a key without end',
    files: storage(`${'name'.repeat(1_000)}: x\n`),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 1],
    says: 'a key is longer than 1024 characters',
  },
  {
    name: 'ten thousand lists in each other',
    files: storage(`name: ${'['.repeat(10_000)}${']'.repeat(10_000)}\n`),
    expected: ['CONFIG_TOO_DEEP', 'storage.yaml', 1],
    says: 'nested deeper than 32 maps and lists',
  },
  {
    name: 'forty maps in each other',
    files: storage(`limits: ${'{ a: '.repeat(40)}1${' }'.repeat(40)}\n`),
    expected: ['CONFIG_TOO_DEEP', 'storage.yaml', 1],
    says: 'nested deeper than 32',
  },
  {
    name: 'forty maps below each other',
    files: storage(
      `limits:\n${Array.from({ length: 40 }, (_, depth) => `${'  '.repeat(depth + 1)}a:\n`).join('')}`,
    ),
    expected: ['CONFIG_TOO_DEEP', 'storage.yaml', 33],
    says: 'nested deeper than 32',
  },
]
