import { env, storage, type Case } from './case.ts'

const deprecated = [
  { from: 'database.host', to: 'storage.name', guide: 'docs/migration.md' },
  { from: 'storage.database', to: 'storage.name', guide: 'docs/migration.md' },
]

/** Settings made in two places at once. */
export const TWICE: readonly Case[] = [
  {
    name: 'a key twice in one map',
    files: storage('hot:\n  port: 1\n  ratio: 1\n  port: 2\n'),
    expected: ['CONFIG_DUPLICATE_KEY', 'storage.yaml', 4],
    says: '"hot.port" is already set in line 2',
  },
  {
    name: 'a group twice',
    files: storage('hot:\n  port: 1\nname: x\nhot:\n  ratio: 1\n'),
    expected: ['CONFIG_DUPLICATE_KEY', 'storage.yaml', 4],
    says: '"hot" is already set in line 1',
  },
  {
    name: 'a key twice in JSON',
    files: { 'storage.json': '{\n "name": "x",\n "name": "y"\n}\n' },
    expected: ['CONFIG_DUPLICATE_KEY', 'storage.json', 3],
    says: 'is already set in line 2',
  },
  {
    name: 'the same section in YAML and JSON',
    files: { 'storage.yaml': 'name: x\n', 'storage.json': '{ "name": "y" }\n' },
    expected: ['CONFIG_DUPLICATE_KEY', 'storage.yaml', 1],
    says: 'stand in storage.json already; keep one of the two files',
  },
  {
    name: 'the same section in .yaml and .yml of a profile',
    files: { 'profiles/test/storage.yaml': 'name: x\n', 'profiles/test/storage.yml': 'name: y\n' },
    options: { profile: 'test' },
    expected: ['CONFIG_DUPLICATE_KEY', 'profiles/test/storage.yml', 1],
    says: 'stand in profiles/test/storage.yaml already',
  },
  {
    name: 'a dotted key beside the nested form',
    files: storage('hot:\n  port: 1\nhot.batchSize: 200\n'),
    expected: ['CONFIG_DUPLICATE_KEY', 'storage.yaml', 3],
    says: 'the map "hot" in line 1 set the same',
  },
  {
    name: 'the old name beside the new one, in two files',
    files: { 'storage.yaml': '# the new\nname: x\n', 'database.yaml': 'host: y\n' },
    options: { deprecated },
    expected: ['CONFIG_DUPLICATE_KEY', 'database.yaml', 1],
    says: 'an older name of storage.name, which storage.yaml:2 sets too',
  },
  {
    name: 'the old name beside the new one, in one file',
    files: storage('name: x\ndatabase: y\n'),
    options: { deprecated },
    expected: ['CONFIG_DUPLICATE_KEY', 'storage.yaml', 2],
    says: 'which storage.yaml:1 sets too',
  },
  {
    name: 'two old names of one setting',
    files: { 'storage.yaml': 'database: x\n', 'database.yaml': 'host: y\n' },
    options: { deprecated },
    expected: ['CONFIG_DUPLICATE_KEY', 'storage.yaml', 1],
    says: 'which database.yaml:1 sets too',
  },
  {
    name: 'a variable and its file',
    options: env({ DATABASE_URL: 'postgres://a:s3cr3t@b/c', DATABASE_URL_FILE: '/run/secrets/url' }),
    expected: ['CONFIG_DUPLICATE_KEY', 'environment', 1],
    says: 'DATABASE_URL and DATABASE_URL_FILE are both set',
  },
  {
    name: 'a bound variable and the one of the key',
    options: env({
      DATABASE_URL: 'postgres://a:s3cr3t@b/c',
      VARVE_ACCESS__DATABASE__URL: 'postgres://a:s3cr3t@b/d',
    }),
    expected: ['CONFIG_DUPLICATE_KEY', 'environment', 1],
    says: 'DATABASE_URL and VARVE_ACCESS__DATABASE__URL both set access.database.url',
  },
  {
    name: 'a variable of a group and one of a setting in it',
    options: env({ VARVE_STORAGE__HOT: '{ port: 1 }', VARVE_STORAGE__HOT__PORT: '2' }),
    expected: ['CONFIG_DUPLICATE_KEY', 'environment', 1],
    says: 'VARVE_STORAGE__HOT and VARVE_STORAGE__HOT__PORT both set storage.hot.port',
  },
  {
    name: 'a group and a setting in it on the command line',
    options: { overrides: { 'storage.hot': '{ port: 1 }', 'storage.hot.port': '2' } },
    expected: ['CONFIG_DUPLICATE_KEY', '--set', 1],
    says: 'both set storage.hot.port',
  },
]
