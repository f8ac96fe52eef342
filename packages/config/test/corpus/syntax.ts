import { access, storage, type Case } from './case.ts'

/** Nine lists that hold nine times the one before. */
const BOMB = [
  'a: &a [x, x, x, x, x, x, x, x, x]',
  ...Array.from('bcdefghi', (name, index) => {
    const before = 'abcdefgh'[index]!
    return `${name}: &${name} [${Array.from({ length: 9 }, () => `*${before}`).join(', ')}]`
  }),
].join('\n')

/** What is no YAML, or more YAML than a configuration needs. */
export const SYNTAX: readonly Case[] = [
  {
    name: 'a tab as indentation',
    files: storage('hot:\n\tport: 1\n'),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 2],
    says: 'indented with a tab; YAML wants spaces',
  },
  {
    name: 'a quote that is not closed',
    files: storage('name: "x\nengine: postgres\n'),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 3],
    says: 'is a quote, bracket or colon missing?',
  },
  {
    name: 'a bracket that is not closed',
    files: storage('hosts: [a, b\nname: x\n'),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 2],
    says: /bracket|indentation|colon/,
  },
  {
    name: 'indentation that does not fit',
    files: storage('hot:\n    port: 1\n  ratio: 1\n'),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 3],
    says: /indentation|one line, with a colon/,
  },
  {
    name: 'a second colon in a line',
    files: storage('name: a: b\n'),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 1],
    says: 'between quotes',
  },
  {
    name: 'a character that YAML keeps for itself',
    files: storage('name: @home\n'),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 1],
    says: 'put quotes around',
  },
  {
    name: 'a secret that starts with such a character',
    files: access('token: "@hunter2hunter2" p4ssw0rd\n'),
    expected: ['CONFIG_SYNTAX', 'access.yaml', 1],
    says: 'put quotes around',
  },
  {
    name: 'a secret that starts with a percent sign',
    files: access('token: %hunter2hunter2\n'),
    expected: ['CONFIG_SYNTAX', 'access.yaml', 1],
    says: 'put quotes around',
  },
  {
    name: 'a secret with a bracket at its end',
    files: access('token: [hunter2hunter2]]\n'),
    expected: ['CONFIG_SYNTAX', 'access.yaml', 1],
    says: 'put quotes around',
  },
  {
    name: 'several documents',
    files: storage('name: x\n---\nname: y\n'),
    expected: ['CONFIG_SYNTAX', 'storage.yaml', 2],
    says: 'several documents (---); keep one',
  },
  {
    name: 'JSON with a trailing text',
    files: { 'storage.json': '{ "name": "x" } }\n' },
    expected: ['CONFIG_SYNTAX', 'storage.json', 1],
    says: /bracket|Unexpected/,
  },
  {
    name: 'an anchor',
    files: storage('hot: &hot\n  port: 1\n'),
    expected: ['CONFIG_ALIASES', 'storage.yaml', 2],
    says: 'write the value out',
  },
  {
    name: 'an alias',
    files: storage('name: &n x\nengine: *n\n'),
    expected: ['CONFIG_ALIASES', 'storage.yaml', 1],
    says: 'anchors (&name) and aliases (*name) are not used',
  },
  {
    name: 'an alias of nothing',
    files: storage('name: *none\n'),
    expected: ['CONFIG_ALIASES', 'storage.yaml', 1],
    says: 'put quotes around',
  },
  {
    name: 'a secret that reads as an alias',
    files: access('token: *hunter2hunter2\n'),
    expected: ['CONFIG_ALIASES', 'access.yaml', 1],
    says: 'put quotes around',
  },
  {
    name: 'a merge key',
    files: storage('hot:\n  <<: { port: 1 }\n'),
    expected: ['CONFIG_ALIASES', 'storage.yaml', 2],
    says: 'merge keys (<<) are not used',
  },
  {
    name: 'a bomb of aliases',
    files: storage(`${BOMB}\n`),
    expected: ['CONFIG_ALIASES', 'storage.yaml', 1],
    says: 'write the value out',
  },
  {
    name: 'the tag of a function',
    files: storage('name: !!js/function "function () { process.exit(1) }"\n'),
    expected: ['CONFIG_TAG', 'storage.yaml', 1],
    says: 'the tag !!js/function is not allowed; write the plain value',
  },
  {
    name: 'the tag of bytes',
    files: storage('name: x\nhosts: [!!binary aGVsbG8=]\n'),
    expected: ['CONFIG_TAG', 'storage.yaml', 2],
    says: 'the tag !!binary is not allowed',
  },
  {
    name: 'a tag of somebody',
    files: storage('hot: !custom { port: 1 }\n'),
    expected: ['CONFIG_TAG', 'storage.yaml', 1],
    says: 'the tag !custom is not allowed',
  },
  {
    name: 'a secret that reads as a tag',
    files: access('token: !hunter2hunter2\n'),
    expected: ['CONFIG_TAG', 'access.yaml', 1],
    says: 'between quotes if it starts with !',
  },
]
