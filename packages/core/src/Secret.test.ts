import { format, inspect } from 'node:util'
import { describe, expect, it } from 'vitest'
import { Secret } from './Secret.ts'

const CANARY = 'canary-7f3a'

describe('Secret', () => {
  const secret = new Secret(CANARY)

  it('gives its text only when asked for it', () => {
    expect(secret.reveal()).toBe(CANARY)
  })

  it.each([
    ['String()', () => String(secret)],
    ['a template', () => `${secret}`],
    ['concatenation', () => 'key: ' + secret],
    ['JSON', () => JSON.stringify({ secret, list: [secret] })],
    ['inspect with every option', () => inspect({ secret }, { depth: 9, showHidden: true, getters: true })],
    ['inspect without custom functions', () => inspect(secret, { customInspect: false, showHidden: true })],
    ['format', () => format('%s %o %O %j', secret, secret, secret, secret)],
    ['its keys and values', () => JSON.stringify([Object.entries(secret), Reflect.ownKeys(secret)].flat())],
    ['a structured clone', () => JSON.stringify(structuredClone({ secret }))],
    ['an error', () => inspect(new Error('no', { cause: secret }))],
  ])('does not show in %s', (_name, print) => {
    expect(print()).not.toContain(CANARY)
  })

  it('compares by text', () => {
    expect(secret.equals(new Secret(CANARY))).toBe(true)
    expect(secret.equals(new Secret('other'))).toBe(false)
  })
})
