import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { Secret } from '@varve/core'
import { parse } from 'yaml'
import { z } from 'zod'
import { configFiles } from '../src/live/files.ts'

/** A folder that goes when the scope does. */
export function scratchFolder(files: Readonly<Record<string, string>> = {}) {
  const path = mkdtempSync(join(tmpdir(), 'varve-live-'))
  const write = (name: string, text: string) => {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), text)
  }
  for (const [name, text] of Object.entries(files)) write(name, text)
  return {
    path,
    write,
    read: (name: string) => readFileSync(join(path, name), 'utf8'),
    /** Every configuration file and its text. */
    contents: () =>
      Object.fromEntries(configFiles(path).map((file) => [file, readFileSync(join(path, file), 'utf8')])),
    [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }),
  }
}

export const testSections = z.strictObject({
  storage: z
    .strictObject({
      engine: z.enum(['embedded', 'postgres']).default('embedded'),
      name: z.string().default('varve'),
      password: z
        .string()
        .optional()
        .transform((text) => (text === undefined ? undefined : new Secret(text))),
      hot: z
        .strictObject({ batchSize: z.int().min(100).max(10_000).default(1000), days: z.int().default(30) })
        .prefault({}),
    })
    .prefault({}),
  network: z
    .strictObject({
      timeoutMs: z.int().min(1).default(5000),
      hosts: z.array(z.string()).default([]),
      limits: z.record(z.string(), z.int()).default({}),
    })
    .prefault({}),
})
export type TestValues = z.output<typeof testSections>

/** A small loader with the manners of the real one: whole folder or error, overrides on top, secrets known. */
export async function loadFolder(directory: string, overrides: Readonly<Record<string, string>> = {}) {
  const input: Record<string, unknown> = {}
  const origins = new Map<string, string>()
  for (const file of configFiles(directory)) {
    const section = file.replace(/\.(ya?ml|json)$/, '').replace(/^.*\//, '')
    const overlay = (parse(readFileSync(join(directory, file), 'utf8')) ?? {}) as object
    input[section] = mergeDeep(input[section] ?? {}, overlay)
    origins.set(section, file)
    await Promise.resolve()
  }
  for (const [key, text] of Object.entries(overrides)) setDeep(input, key.split('.'), parse(text))
  const values = testSections.parse(input)
  return {
    values,
    explain(key: string) {
      if (key.startsWith('storage.unknown')) throw new Error(`unknown key ${key}`)
      const file = origins.get(key.split('.')[0]!)
      return {
        secret: key === 'storage.password',
        origin: key in overrides ? { kind: 'override' as const } : { kind: 'file' as const, file },
      }
    },
  }
}

function mergeDeep(a: unknown, b: unknown): unknown {
  if (!isMap(a) || !isMap(b)) return b
  const result = { ...a }
  for (const [key, value] of Object.entries(b))
    result[key] = key in result ? mergeDeep(result[key], value) : value
  return result
}

function setDeep(target: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path
  if (rest.length === 0) target[key!] = value
  else setDeep((target[key!] = { ...(target[key!] as object | undefined) }), rest, value)
}

const isMap = (value: unknown): value is Record<string, unknown> =>
  value !== null && typeof value === 'object' && !Array.isArray(value)
